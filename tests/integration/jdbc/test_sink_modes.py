"""insert.mode × pk.mode, deletes, order and schema changes, on every database."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from coracle.api import BatchError, ConnectError
from coracle.api.schema import INT32, INT64, OPTIONAL_STRING, STRING, struct
from tests.integration.jdbc.sink_case import Destination, Message, batch, values

KEY = struct({"id": INT64})
VALUE = struct({"name": OPTIONAL_STRING, "n": INT32})
WITH_ID = struct({"id": INT64, "name": OPTIONAL_STRING, "n": INT32})
MANY = 700  # more than goes row by row

KEYED = {"pk_mode": "record_key", "auto_create": "true"}


def keyed(key: int, name: str | None, n: int) -> Message:
    return (KEY, {"id": key}, VALUE, {"name": name, "n": n})


def gone(key: int) -> Message:
    return (KEY, {"id": key}, None, None)


async def table(destination: Destination) -> list[tuple]:
    return await destination.rows("SELECT id, name, n FROM orders ORDER BY id")


@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("pk_mode", ["none", "kafka", "record_key", "record_value"])
async def test_insert(destination: Destination, pk_mode: str, count: int):
    config = {"pk_mode": pk_mode, "auto_create": "true"}
    if pk_mode == "record_value":
        config["pk_fields"] = "id"
    value = VALUE if pk_mode == "record_key" else WITH_ID
    messages: list[Message] = [
        (KEY, {"id": i}, value, {"id": i, "name": f"n{i}", "n": i * 2}) for i in range(count)
    ]
    half = count // 2
    async with destination.task(**config) as task:
        await task.put([batch(messages[:half]), batch(messages[half:], partition=1)])
    assert await table(destination) == [(i, f"n{i}", i * 2) for i in range(count)]
    if pk_mode == "kafka":
        places = await destination.rows(
            "SELECT __connect_topic, __connect_partition, __connect_offset FROM orders ORDER BY id"
        )
        assert places == [
            ("orders", int(i >= half), i if i < half else i - half) for i in range(count)
        ]


@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("pk_mode", ["kafka", "record_key", "record_value"])
async def test_upsert(destination: Destination, pk_mode: str, count: int):
    config = {"pk_mode": pk_mode, "auto_create": "true", "insert_mode": "upsert"}
    if pk_mode == "record_value":
        config["pk_fields"] = "id"
    value = VALUE if pk_mode == "record_key" else WITH_ID

    def messages(n: int) -> list[Message]:
        return [(KEY, {"id": i}, value, {"id": i, "name": "x", "n": n}) for i in range(count)]

    async with destination.task(**config) as task:
        await task.put([batch(messages(1))])
        await task.put([batch(messages(2)), batch(messages(3), first=0)])
        await task.put([batch(messages(4)[:1])])
    assert await table(destination) == [(i, "x", 4 if i == 0 else 3) for i in range(count)]


@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("pk_mode", ["record_key", "record_value"])
async def test_update_changes_only_rows_that_exist(
    destination: Destination, pk_mode: str, count: int
):
    await destination.run(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(20), n INT, other INT DEFAULT 5)",
        *(f"INSERT INTO orders (id, name, n) VALUES ({i}, 'old', 0)" for i in (0, 1)),
    )
    value = VALUE if pk_mode == "record_key" else WITH_ID
    messages: list[Message] = [
        (KEY, {"id": i}, value, {"id": i, "name": f"n{i}", "n": i}) for i in range(1, count + 1)
    ]
    async with destination.task(insert_mode="update", pk_mode=pk_mode, pk_fields="id") as task:
        await task.put([batch(messages), batch(messages)])
    assert await table(destination) == [(0, "old", 0), (1, "n1", 1)]


async def test_upsert_keeps_columns_the_record_lacks_but_for_sqlite(destination: Destination):
    await destination.run(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(20), n INT, other INT)",
        "INSERT INTO orders VALUES (1, 'old', 0, 7)",
    )
    async with destination.task(**KEYED, insert_mode="upsert") as task:
        await task.put([batch([keyed(1, "new", 1)])])
    [[other]] = await destination.rows("SELECT other FROM orders")
    assert other == (None if destination.kind == "sqlite" else 7)  # INSERT OR REPLACE


@pytest.mark.parametrize("count", [2, MANY])
async def test_deletes(destination: Destination, count: int):
    async with destination.task(**KEYED, delete_enabled="true", insert_mode="upsert") as task:
        await task.put([batch([gone(1)])])  # no table yet: nothing to delete
        await task.put([batch([keyed(i, "x", i) for i in range(count)])])
        await task.put([batch([gone(i) for i in range(1, count)] + [gone(10**6)])])
    assert await table(destination) == [(0, "x", 0)]


async def test_the_last_word_on_a_key_counts(destination: Destination):
    async with destination.task(**KEYED, delete_enabled="true", insert_mode="upsert") as task:
        await task.put(
            [
                batch(
                    [
                        keyed(1, "a", 1),
                        gone(1),
                        keyed(2, "a", 1),
                        gone(2),
                        keyed(2, "b", 2),
                        gone(3),
                        keyed(3, "c", 3),
                        keyed(4, "d", 4),
                        keyed(4, "e", 5),
                    ]
                )
            ]
        )
    assert await table(destination) == [(2, "b", 2), (3, "c", 3), (4, "e", 5)]


async def test_insert_delete_insert_of_one_key(destination: Destination):
    async with destination.task(**KEYED, delete_enabled="true") as task:
        await task.put([batch([keyed(1, "a", 1), gone(1), keyed(1, "b", 2)])])
    assert await table(destination) == [(1, "b", 2)]


async def test_a_key_renamed_by_its_case_only(destination: Destination):
    """Where a collation ignores case, deleting the old key after writing the new one would hit
    both.
    """
    kind = "VARCHAR(20) COLLATE NOCASE" if destination.kind == "sqlite" else "VARCHAR(20)"
    await destination.run(
        f"CREATE TABLE orders (id {kind} PRIMARY KEY, n INT)",
        "INSERT INTO orders VALUES ('bob', 1)",
    )
    key, value = struct({"id": STRING}), struct({"n": INT32})
    config = {"insert_mode": "upsert", "pk_mode": "record_key", "delete_enabled": "true"}
    async with destination.task(**config) as task:
        await task.put(
            [batch([(key, {"id": "bob"}, None, None), (key, {"id": "Bob"}, value, {"n": 2})])]
        )
    assert await destination.rows("SELECT id, n FROM orders") == [("Bob", 2)]


async def test_schemas_that_interleave(destination: Destination):
    wider = struct({"id": INT64, "name": OPTIONAL_STRING, "n": INT32, "more": OPTIONAL_STRING})
    messages: list[Message] = [
        (None, None, wider if i % 2 else WITH_ID, {"id": i, "name": "x", "n": i, "more": "y"})
        for i in range(MANY)
    ]
    async with destination.task(auto_create="true", auto_evolve="true") as task:
        await task.put([batch(messages[:300]), batch(messages[300:], partition=1)])
    rows = await destination.rows("SELECT id, more FROM orders ORDER BY id")
    assert rows == [(i, "y" if i % 2 else None) for i in range(MANY)]


async def test_a_key_under_two_schemas_gets_what_each_sets(destination: Destination):
    await destination.run(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, a INT, b INT)",
        "INSERT INTO orders VALUES (1, 0, 0)",
    )
    a, b = struct({"a": INT32}), struct({"b": INT32})
    messages: list[Message] = [
        (KEY, {"id": 1}, a, {"a": 1}),
        (KEY, {"id": 1}, b, {"b": 2}),
        (KEY, {"id": 1}, a, {"a": 3}),
    ]
    async with destination.task(insert_mode="update", pk_mode="record_key") as task:
        await task.put([batch(messages)])
    assert await destination.rows("SELECT id, a, b FROM orders") == [(1, 3, 2)]


async def test_auto_create_and_evolve(destination: Destination):
    more = struct(
        {"id": INT64, "name": OPTIONAL_STRING, "n": INT32, "d": STRING.with_(default="it's")}
    )
    async with destination.task(
        auto_create="true", auto_evolve="true", pk_mode="record_value", pk_fields="id"
    ) as task:
        await task.put([values(WITH_ID, {"id": 1, "name": None, "n": 1})])
        await task.put([values(more, {"id": 2, "name": "x", "n": 2, "d": None})])
    rows = await destination.rows("SELECT id, name, n, d FROM orders ORDER BY id")
    assert rows == [(1, None, 1, "it's"), (2, "x", 2, "it's")]
    with pytest.raises(Exception, match=r"(?i)duplicate|unique"):
        await destination.run("INSERT INTO orders (id, n) VALUES (1, 1)")


@pytest.mark.parametrize("exists", [True, False])
async def test_tasks_that_change_a_table_at_the_same_time(destination: Destination, exists: bool):
    """Each adds columns that the other adds too, and one that it does not."""
    schemas = [
        struct({"id": INT64, **dict.fromkeys(names, OPTIONAL_STRING)})
        for names in ("abcd", "bcde", "cdef", "defg")
    ]
    if exists:
        await destination.run("CREATE TABLE orders (id BIGINT)")
    async with AsyncExitStack() as stack:
        tasks = [
            await stack.enter_async_context(
                destination.task(auto_create="true", auto_evolve="true")
            )
            for _ in schemas
        ]
        await asyncio.gather(
            *(
                task.put([values(schema, {"id": number})])
                for number, (task, schema) in enumerate(zip(tasks, schemas, strict=True))
            )
        )
    rows = await destination.rows("SELECT id, a, b, c, d, e, f, g FROM orders ORDER BY id")
    assert [row[0] for row in rows] == [0, 1, 2, 3]


async def test_a_missing_table_without_auto_create(destination: Destination):
    async with destination.task() as task:
        with pytest.raises(ConnectError, match="is missing and auto-creation is disabled") as found:
            await task.put([values(WITH_ID, {"id": 1, "name": "x", "n": 1})])
    assert "auto.create=true" in str(found.value)


async def test_missing_columns_without_auto_evolve(destination: Destination):
    await destination.run("CREATE TABLE orders (id BIGINT)")
    optional = struct({"id": INT64, "x": OPTIONAL_STRING})
    async with destination.task() as task:
        with pytest.raises(BatchError) as found:
            await task.put([values(INT_ONLY, {"id": 1}), values(optional, {"id": 2, "x": "y"})])
    assert list(found.value.failures) == [1]
    assert "is missing fields (x) and auto-evolution is disabled" in str(found.value)
    assert await destination.rows("SELECT id FROM orders") == []


async def test_a_required_column_cannot_be_added(destination: Destination):
    await destination.run("CREATE TABLE orders (id BIGINT)")
    required = struct({"id": INT64, "x": STRING})
    async with destination.task(auto_evolve="true") as task:
        with pytest.raises(BatchError) as found:
            await task.put([values(required, {"id": 2, "x": "y"})])
    assert (
        "to add missing field x, as the field is not optional and does not have a default value"
        in str(found.value)
    )


INT_ONLY = struct({"id": INT64})


async def test_columns_match_ignoring_case(destination: Destination):
    await destination.run("CREATE TABLE orders (ID BIGINT, Name VARCHAR(20), N INT)")
    async with destination.task() as task:
        await task.put([values(WITH_ID, {"id": 1, "name": "x", "n": 2})])
    assert await table(destination) == [(1, "x", 2)]


async def test_odd_names(destination: Destination):
    odd = struct({"select": INT64, 'a "b" `c` %s': OPTIONAL_STRING, "ü": OPTIONAL_STRING})
    config = {"auto_create": "true", "pk_mode": "record_value", "pk_fields": "select"}
    async with destination.task(**config, insert_mode="upsert", table_name_format="a-b") as task:
        record = {"select": 1, 'a "b" `c` %s': "x", "ü": "y"}
        await task.put([values(odd, *[{**record, "select": i} for i in range(MANY)])])
    quote = "`" if destination.kind == "mysql" else '"'
    rows = await destination.rows(f"SELECT * FROM {quote}a-b{quote}")
    assert sorted(rows)[:2] == [(0, "x", "y"), (1, "x", "y")]
    assert len(rows) == MANY


async def test_names_without_quotes(destination: Destination):
    upper = struct({"Id": INT64, "Name": OPTIONAL_STRING})
    async with destination.task(auto_create="true", quote_sql_identifiers="never") as task:
        await task.put([values(upper, {"Id": 1, "Name": "x"}, topic="Shop_Orders")])
        await task.put([values(upper, {"Id": 2, "Name": "y"}, topic="Shop_Orders")])
    name = "shop_orders" if destination.kind == "postgresql" else "Shop_Orders"
    assert await destination.rows(f"SELECT * FROM {name}") == [(1, "x"), (2, "y")]


async def test_views_need_their_table_type(destination: Destination):
    await destination.run(
        "CREATE TABLE base (id BIGINT, name VARCHAR(20), n INT)",
        "CREATE VIEW orders AS SELECT * FROM base",
    )
    record = {"id": 1, "name": "x", "n": 1}
    async with destination.task() as task:
        with pytest.raises(ConnectError, match=r"is a VIEW, and table\.types allows TABLE only"):
            await task.put([values(WITH_ID, record)])
    if destination.kind != "sqlite":  # whose views are read-only
        async with destination.task(table_types="TABLE,VIEW") as task:
            await task.put([values(WITH_ID, *[{**record, "id": i} for i in range(MANY)])])
        assert len(await table(destination)) == MANY


async def test_strings_and_whitelist_and_topics_to_tables(destination: Destination):
    async with destination.task(
        auto_create="true", fields_whitelist="name", topics_to_tables_mapping="orders:renamed"
    ) as task:
        await task.put(
            [
                values(STRING, "one line", topic="texts"),
                values(WITH_ID, {"id": 1, "name": "x", "n": 1}),
            ]
        )
    assert await destination.rows("SELECT record_value FROM texts") == [("one line",)]
    assert await destination.rows("SELECT * FROM renamed") == [("x",)]


async def test_names_of_fields_are_never_statements(destination: Destination):
    """Whoever writes to the topic chooses the names, also where they are not quoted."""
    await destination.run("CREATE TABLE victim (id INT)")
    odd = "x INT); DROP TABLE victim; --"
    schema = struct({"id": INT64, odd: INT64.as_optional()})
    async with destination.task(auto_create="true", quote_sql_identifiers="never") as task:
        await task.put([values(schema, {"id": 1, odd: 2})])
    assert await destination.rows("SELECT * FROM victim") == []
    assert [tuple(row) for row in await destination.rows("SELECT * FROM orders")] == [(1, 2)]

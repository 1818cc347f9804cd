"""The whole source on SQLite files, which need no server."""

import asyncio
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coracle.api import ConfigErrors, ConnectError, DataError
from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP, Type
from coracle.connectors.jdbc.source import JdbcSourceConnector
from tests.integration.jdbc.source_case import (
    Offsets,
    connector_of,
    first,
    poll,
    quiet,
    read,
    settings,
    task_of,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "shop.db")


def sql(path: str, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


STRING = (Type.STRING, None)
# declared type: (stored value, Connect type and logical name, value)
DECLARED: dict[str, tuple[Any, tuple[Type, str | None], Any]] = {
    "INT": (-(2**31), (Type.INT32, None), -(2**31)),
    "INTEGER": (2**63 - 1, (Type.INT64, None), 2**63 - 1),
    "TINYINT": (-128, (Type.INT8, None), -128),
    "SMALLINT": (1, (Type.INT16, None), 1),
    "MEDIUMINT": (1, (Type.INT32, None), 1),
    "BIGINT": (1, (Type.INT64, None), 1),
    "UNSIGNED BIG INT": (1, (Type.INT64, None), 1),
    "INT2": (1, (Type.INT16, None), 1),
    "INT8": (1, (Type.INT64, None), 1),
    "CHARACTER(20)": ("é😀", STRING, "é😀"),
    "VARCHAR(255)": ("a", STRING, "a"),
    "VARYING CHARACTER(255)": ("a", STRING, "a"),
    "NCHAR(55)": ("a", STRING, "a"),
    "NATIVE CHARACTER(70)": ("a", STRING, "a"),
    "NVARCHAR(100)": ("a", STRING, "a"),
    "TEXT": ("a", STRING, "a"),
    "CLOB": ("a", STRING, "a"),
    "BLOB": (b"\0\xff", (Type.BYTES, None), b"\0\xff"),
    "": ("anything", STRING, "anything"),
    "REAL": (1.5, (Type.FLOAT32, None), 1.5),
    "DOUBLE": (1.5, (Type.FLOAT64, None), 1.5),
    "DOUBLE PRECISION": (2, (Type.FLOAT64, None), 2.0),
    "FLOAT": (1.5, (Type.FLOAT64, None), 1.5),
    "NUMERIC": (1.5, (Type.BYTES, DECIMAL), Decimal("1.5")),
    "DECIMAL(10,5)": (12.25, (Type.BYTES, DECIMAL), Decimal("12.25")),
    "BOOLEAN": (1, (Type.BOOLEAN, None), True),
    "DATE": ("2024-02-29", (Type.INT32, DATE), 19782),
    "DATETIME": ("2024-02-29 12:34:56.789", (Type.INT64, TIMESTAMP), 1709210096789),
    "TIMESTAMP": ("2024-02-29T12:34:56+02:00", (Type.INT64, TIMESTAMP), 1709202896000),
    "TIME": ("23:59:59.999", (Type.INT32, TIME), 86399999),
    "JSON": ('{"a": 1}', STRING, '{"a": 1}'),
    "VARBINARY(10)": (b"a", (Type.BYTES, None), b"a"),
    "STRANGE": (7, (Type.BYTES, DECIMAL), Decimal(7)),
}


async def test_every_type_of_sqlites_own_table_of_examples(path: str) -> None:
    columns = ", ".join(f'"c {name}" {name}' for name in DECLARED)
    sql(path, f"CREATE TABLE every ({columns})")
    connection = sqlite3.connect(path)
    marks = ", ".join("?" * len(DECLARED))
    connection.execute(f"INSERT INTO every VALUES ({marks})", [v for v, _, _ in DECLARED.values()])
    connection.execute(f"INSERT INTO every VALUES ({marks})", [None] * len(DECLARED))
    connection.commit()
    connection.close()
    for more in ({"table.whitelist": "every"}, {"query": "SELECT * FROM every"}):
        schema, value = await first(settings(path, mode="bulk") | more)
        assert {field.name: (field.schema.type, field.schema.name) for field in schema.fields} == {
            f"c {name}": kind for name, (_, kind, _) in DECLARED.items()
        }
        assert value == {f"c {name}": expected for name, (_, _, expected) in DECLARED.items()}
        _, nothing = await read(settings(path, mode="bulk") | more, 2)
        assert set(nothing.values()) == {None}


@pytest.mark.parametrize(
    ("declared", "stored"),
    [("INTEGER", "'seven'"), ("TINYINT", "128"), ("DATE", "'soon'"), ("TEXT", "x'00'")],
)
async def test_a_value_that_is_not_of_its_columns_type(
    path: str, declared: str, stored: str
) -> None:
    sql(path, f"CREATE TABLE t (c {declared})", f"INSERT INTO t VALUES ({stored})")
    with pytest.raises(DataError, match=f"Column c is declared {declared}, but a row holds"):
        await first(settings(path, mode="bulk"))


async def test_dates_that_sqlite_stores_as_numbers(path: str) -> None:
    sql(
        path,
        "CREATE TABLE t (a TIMESTAMP, b TIMESTAMP, c DATE)",
        "INSERT INTO t VALUES (1709210096789, 2440588.5, 86400000)",
    )
    _, value = await first(settings(path, mode="bulk"))
    assert value == {"a": 1709210096789, "b": 86400000, "c": 1}


async def test_expressions_of_a_query_take_the_type_of_their_value(path: str) -> None:
    sql(path, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1), (2)")
    schema, value = await first(
        settings(path, mode="bulk", query="SELECT count(*) AS n, avg(a) AS m, 'x' AS s FROM t;")
    )
    assert value == {"n": 2, "m": 1.5, "s": "x"}
    assert [field.schema.type for field in schema.fields] == [
        Type.INT64,
        Type.FLOAT64,
        Type.STRING,
    ]
    assert schema.name is None


async def test_incrementing_goes_on_where_it_stopped(path: str) -> None:
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO t VALUES (?, 'x')", [(n,) for n in range(1, 2501)])
    connection.commit()
    connection.close()
    offsets = Offsets()
    config = settings(path, mode="incrementing", batch__max__rows="300")
    values = await read(config, 1000, offsets)
    assert offsets.stored == {'{"protocol": "1", "table": "t"}': {"incrementing": len(values)}}
    async with task_of(config, offsets) as task:
        while len(values) < 2500:
            batch = await poll(task)
            assert len(batch) <= 300
            values += batch.values
        assert [value["id"] for value in values] == list(range(1, 2501))
        assert await quiet(task)
        sql(path, "INSERT INTO t VALUES (2501, 'late')")
        batch = await poll(task)
    assert batch.values == [{"id": 2501, "v": "late"}]
    assert batch.schemas[0].topic == "t.t"
    assert batch.schemas[0].value is not None
    assert batch.schemas[0].value.name == "t"
    assert (batch.keys, batch.timestamps, list(batch.offsets)) == ([None], [None], [0])


@pytest.mark.parametrize("stored", ["text", "integer", "real"])
async def test_timestamp_mode_whatever_the_file_stores(path: str, stored: str) -> None:
    moment = {
        "text": "'2024-02-29 12:00:0{}.250'",
        "integer": "170920800{}250",
        "real": "2460370.0 + {}/86400.0",
    }[stored]
    sql(path, "CREATE TABLE t (id INT NOT NULL, ts TIMESTAMP NOT NULL)")
    offsets = Offsets()
    config = settings(path, mode="timestamp", timestamp__column__name="ts")
    for first_id in (1, 3):
        for number in (first_id, first_id + 1):
            sql(path, f"INSERT INTO t VALUES ({number}, {moment.format(number)})")
        values = await read(config, 2, offsets)
        assert [value["id"] for value in values] == [first_id, first_id + 1]


async def test_timestamps_that_are_shared_by_rows_of_two_batches(path: str) -> None:
    """T1, T1, T1, T2 in batches of two: the first batch must not say that T1 is done."""
    sql(
        path,
        "CREATE TABLE t (id INT, ts TIMESTAMP NOT NULL)",
        "INSERT INTO t VALUES (0, 1000), (1, 2000), (2, 2000), (3, 2000), (4, 3000)",
    )
    config = settings(path, mode="timestamp", timestamp__column__name="ts", batch__max__rows="2")
    async with task_of(config) as task:
        batches = [await poll(task) for _ in range(3)]
    assert [[value["id"] for value in batch.values] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch.source_offsets[0].offset for batch in batches] == [
        {"timestamp": 1000, "timestamp_nanos": 0},
        {"timestamp": 2000, "timestamp_nanos": 0},
        {"timestamp": 3000, "timestamp_nanos": 0},
    ]


async def test_a_timestamp_longer_than_a_batch_holds_the_position_back(path: str) -> None:
    sql(
        path,
        "CREATE TABLE t (id INT, ts TIMESTAMP NOT NULL)",
        "INSERT INTO t VALUES (1, 2000), (2, 2000), (3, 2000)",
    )
    config = settings(path, mode="timestamp", timestamp__column__name="ts", batch__max__rows="1")
    async with task_of(config) as task:
        batches = [await poll(task) for _ in range(3)]
    moments = [(batch.source_offsets[0].offset or {})["timestamp"] for batch in batches]
    assert moments == [0, 0, 2000]


async def test_timestamp_and_incrementing(path: str) -> None:
    sql(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, ts TIMESTAMP NOT NULL)",
        "INSERT INTO t VALUES (1, 2000), (2, 2000), (3, 1000)",
    )
    offsets = Offsets()
    config = settings(path, mode="timestamp+incrementing", timestamp__column__name="ts")
    config["batch.max.rows"] = "2"
    assert [v["id"] for v in await read(config, 2, offsets)] == [3, 1]
    assert [*offsets.stored.values()] == [
        {"incrementing": 1, "timestamp": 2000, "timestamp_nanos": 0}
    ]
    assert [v["id"] for v in await read(config, 1, offsets)] == [2]
    sql(path, "UPDATE t SET ts = 4000 WHERE id = 3")
    assert [v["id"] for v in await read(config, 1, offsets)] == [3]


async def test_rows_in_the_delay_are_left_alone(path: str) -> None:
    sql(
        path,
        "CREATE TABLE t (id INT, ts TIMESTAMP NOT NULL)",
        "INSERT INTO t VALUES (1, strftime('%Y-%m-%d %H:%M:%f', 'now'))",
        "INSERT INTO t VALUES (2, strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour'))",
        "INSERT INTO t VALUES (3, strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 hour'))",
    )
    config = settings(path, mode="timestamp", timestamp__column__name="ts")
    config["timestamp.delay.interval.ms"] = "600000"
    async with task_of(config) as task:
        assert [value["id"] for value in (await poll(task)).values] == [2]
        assert await quiet(task)
    config["timestamp.delay.interval.ms"] = "0"
    config["timestamp.initial"] = "-1"
    async with task_of(config) as task:
        assert await quiet(task)
        await asyncio.sleep(0.01)
        sql(path, "INSERT INTO t VALUES (4, strftime('%Y-%m-%d %H:%M:%f', 'now'))")
        assert [value["id"] for value in (await poll(task)).values] == [4]


async def test_offsets_of_protocol_0_are_understood(path: str) -> None:
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    offsets = Offsets()
    offsets.stored['{"table": "t"}'] = {"incrementing": 2}
    assert await read(settings(path, mode="incrementing"), 1, offsets) == [{"id": 3}]
    assert offsets.stored['{"protocol": "1", "table": "t"}'] == {"incrementing": 3}


async def test_a_table_rests_for_the_poll_interval(path: str) -> None:
    sql(path, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    async with task_of(settings(path, mode="bulk") | {"poll.interval.ms": "400"}) as task:
        await poll(task)
        assert await quiet(task, 0.2)
        assert not await quiet(task, 2)


async def test_bulk_reads_everything_again_and_stores_nothing(path: str) -> None:
    sql(path, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1), (2)")
    offsets = Offsets()
    assert [v["id"] for v in await read(settings(path, mode="bulk"), 6, offsets)] == [1, 2] * 3
    assert offsets.stored == {}


async def test_tables_are_read_in_turn_and_shared_out(path: str) -> None:
    for name in ("a", "b", "c"):
        sql(path, f"CREATE TABLE {name} (id INT)", f"INSERT INTO {name} VALUES (1)")
    config = settings(path, mode="bulk")
    async with task_of(config) as task:
        topics = [(await poll(task)).schemas[0].topic for _ in range(6)]
    assert topics == ["t.a", "t.b", "t.c"] * 2
    async with connector_of(config) as connector:
        two = await connector.task_configs(2)
        assert [own["tables"] for own in two] == ['"a","b"', '"c"']
        assert len(await connector.task_configs(9)) == 3


async def test_a_new_table_and_a_gone_one_are_noticed(path: str) -> None:
    sql(path, "CREATE TABLE a (id INT)")
    config = settings(path, mode="bulk", table__poll__interval__ms="20")
    async with connector_of(config) as connector:
        await connector.task_configs(1)
        watch = asyncio.ensure_future(connector.changed())
        done, _ = await asyncio.wait([watch], timeout=0.2)
        assert not done
        sql(path, 'CREATE TABLE "b, ""c.d" (id INT)')
        await asyncio.wait_for(watch, 5)
        [own] = await connector.task_configs(1)
        assert own["tables"] == '"a","b, ""c.d"'
        sql(path, "DROP TABLE a")
        await asyncio.wait_for(connector.changed(), 5)


async def test_names_that_need_quoting(path: str) -> None:
    name = 'b, ""c.d'
    sql(path, f'CREATE TABLE "{name}" ("a ""b" INTEGER PRIMARY KEY, "100%" INT)')
    sql(path, f'INSERT INTO "{name}" VALUES (1, 2)')
    assert await read(settings(path, mode="incrementing"), 1) == [{'a "b': 1, "100%": 2}]


async def test_a_table_dropped_while_running(path: str) -> None:
    sql(path, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    async with task_of(settings(path, mode="bulk")) as task:
        await poll(task)
        sql(path, "DROP TABLE t")
        with pytest.raises(ConnectError, match="Cannot read table t: The table t does not exist"):
            await poll(task)


async def test_a_column_added_while_running(path: str) -> None:
    sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    for more in ({}, {"query": "SELECT * FROM t", "incrementing.column.name": "id"}):
        async with task_of(settings(path, mode="incrementing") | more) as task:
            await poll(task)
            column = f"c{len(more)}"
            sql(path, f"ALTER TABLE t ADD {column} TEXT", f"INSERT INTO t({column}) VALUES ('x')")
            batch = await poll(task)
            assert batch.values[-1][column] == "x"
            assert batch.schemas[0].value is not None
            assert column in batch.schemas[0].value.by_name


@pytest.mark.parametrize(
    ("ddl", "config", "message"),
    [
        (
            "CREATE TABLE t (a INT)",
            {"mode": "incrementing", "incrementing.column.name": "id"},
            "Incrementing column: id does not exist in table 't'. Its columns are a.",
        ),
        (
            "CREATE TABLE t (a INT)",
            {"mode": "incrementing"},
            "The table t has no auto-increment column to read by.",
        ),
        (
            "CREATE TABLE t (a INT)",
            {"mode": "incrementing", "incrementing.column.name": "a"},
            "Cannot make incremental queries using incrementing column a on t because this column "
            "is nullable.",
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, b TIMESTAMP)",
            {"mode": "timestamp", "timestamp.column.name": "a,b"},
            "Cannot make incremental queries using timestamp columns [a, b] on t because all of "
            "these columns are nullable.",
        ),
        (
            "CREATE TABLE t (a TIMESTAMP)",
            {"mode": "timestamp", "timestamp.column.name": "b,c"},
            "Timestamp columns: b, c do not exist in table 't'.",
        ),
        (
            "CREATE TABLE t (a TEXT NOT NULL)",
            {"mode": "timestamp", "timestamp.column.name": "a"},
            "The timestamp column a has the type TEXT, which is no date and time.",
        ),
        (
            "CREATE TABLE t (a INT)",
            {"mode": "bulk", "table.whitelist": "T"},
            "Task is being killed because it was not assigned a table nor a query to execute.",
        ),
        ("CREATE TABLE t (a INT)", {"mode": "bulk", "query": "SELEC a"}, 'near "SELEC": syntax'),
    ],
)
async def test_what_cannot_be_read_is_said_at_start(
    path: str, ddl: str, config: dict[str, str], message: str
) -> None:
    sql(path, ddl)
    with pytest.raises(ConnectError) as raised:
        async with task_of(settings(path) | config):
            pass
    assert message in str(raised.value)


async def test_a_missing_file_is_not_created(path: str) -> None:
    with pytest.raises(ConnectError, match=r"Cannot connect to database file .*shop\.db: unable"):
        async with task_of(settings(path, mode="bulk", query="SELECT 1")):
            pass
    assert not Path(path).exists()  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"mode": ""}, "mode", "Query mode must be specified."),
        ({"mode": "timestamp"}, "timestamp.column.name", "needs a timestamp column"),
        ({"mode": "incrementing", "query": "x"}, "incrementing.column.name", "must be named"),
        (
            {"mode": "bulk", "query": "x", "table.whitelist": "t"},
            "table.whitelist",
            "query may not be combined with whole-table copying settings",
        ),
        (
            {"mode": "bulk", "table.blacklist": "a", "table.whitelist": "t"},
            "table.blacklist",
            "table.blacklist and table.whitelist are exclusive.",
        ),
        ({"mode": "bulk", "table.exclude.list": "a"}, "table.exclude.list", "which is empty"),
        (
            {"mode": "bulk", "table.include.list": "a", "table.whitelist": "t"},
            "table.include.list",
            "cannot be mixed",
        ),
        ({"mode": "bulk", "topic.prefix": "a b"}, "topic.prefix", "must not contain any character"),
        ({"mode": "sometimes"}, "mode", "one of '', 'bulk'"),
        ({"mode": "bulk", "db.timezone": "Mars/Base"}, "db.timezone", "Invalid time zone"),
        ({"mode": "bulk", "table.include.list": "("}, "table.include.list", "Java regular"),
        (
            {"mode": "bulk", "timestamp.columns.mapping": "x"},
            "timestamp.columns.mapping",
            "not of the form",
        ),
    ],
)
def test_settings_that_are_wrong(config: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        JdbcSourceConnector.spec.parse(settings("x.db") | config)
    assert [error.field for error in raised.value.errors] == [field]
    assert message in str(raised.value)


async def test_microseconds_in_text_are_neither_read_again_nor_passed_by(path: str) -> None:
    """Python's ``str(datetime)`` has six digits; SQLite's functions round them to three."""
    sql(
        path,
        "CREATE TABLE t (id INT, ts TIMESTAMP NOT NULL)",
        "INSERT INTO t VALUES (1, '2024-02-29 12:00:00.123600'), (2, '2024-02-29 12:00:00.123900'),"
        " (3, '2024-02-29 12:00:59.999900'), (4, '2024-02-29 13:01:00.5+01:00')",
    )
    offsets = Offsets()
    config = settings(path, mode="timestamp", timestamp__column__name="ts", batch__max__rows="1")
    assert await read(config, 1, offsets) == [{"id": 1, "ts": 1709208000123}]
    assert [value["id"] for value in await read(config, 4, offsets)] == [1, 2, 3, 4]
    async with task_of(config, offsets) as task:
        assert await quiet(task)


async def test_rows_of_one_second_that_come_one_after_the_other(path: str) -> None:
    sql(path, "CREATE TABLE t (id INT, ts DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)")
    config = settings(path, mode="timestamp", timestamp__column__name="ts", poll__interval__ms="1")
    seen: list[int] = []
    async with task_of(config) as task:
        for number in range(12):
            sql(path, f"INSERT INTO t (id) VALUES ({number})")
            reading = asyncio.create_task(poll(task))
            await asyncio.wait([reading], timeout=0.1)
            if not reading.done():
                reading.cancel()
            (found,) = await asyncio.gather(reading, return_exceptions=True)
            seen += [] if isinstance(found, BaseException) else [v["id"] for v in found.values]
        while len(seen) < 12:
            seen += [value["id"] for value in (await poll(task)).values]
    assert seen == list(range(12))


async def test_reading_from_now_on_starts_only_once(path: str) -> None:
    """A row that comes while no task runs comes after the start, though none has been read yet."""
    sql(path, "CREATE TABLE t (id INT, ts TIMESTAMP NOT NULL)")
    config = settings(path, mode="timestamp", timestamp__column__name="ts")
    config["timestamp.initial"] = "-1"
    offsets = Offsets()
    async with task_of(config, offsets) as task:
        batch = await task.poll()
        assert batch is not None
        assert len(batch) == 0
        offsets.store(batch)
        assert await quiet(task)
    sql(path, "INSERT INTO t VALUES (1, strftime('%Y-%m-%d %H:%M:%f', 'now'))")
    await asyncio.sleep(0.01)
    assert [value["id"] for value in await read(config, 1, offsets)] == [1]

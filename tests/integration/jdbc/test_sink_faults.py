"""Bad records, lost connections and changed tables: nothing is lost, changed or half-written."""

import asyncio
import random
from typing import Any

import pytest

from coracle.api import BatchError, ConnectError, RetriableError
from coracle.api.schema import INT32, INT64, OPTIONAL_STRING, STRING, struct
from coracle.connectors.jdbc.sink import JdbcSinkTask
from tests.integration.jdbc.sink_case import Destination, batch, values

ORDER = struct({"id": INT64, "name": OPTIONAL_STRING, "n": INT64.as_optional()})
CREATE = "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(10), n SMALLINT CHECK (n <> 13))"


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": f"n{number}", "n": number % 10, **more}


async def failures(task: JdbcSinkTask, *batches: Any) -> dict[int, str]:
    with pytest.raises(BatchError) as caught:
        await task.put(list(batches))
    return {index: str(error) for index, error in caught.value.failures.items()}


async def count(destination: Destination) -> int:
    [[found]] = await destination.rows("SELECT count(*) FROM orders")
    return found


async def put_until_taken(task: JdbcSinkTask, batches: Any) -> int:
    """Repeat as the runtime does; returns how often it took a repetition."""
    for attempt in range(50):
        try:
            await task.put(batches)
        except RetriableError as error:
            await asyncio.sleep(error.after or 0)
        else:
            return attempt
    raise AssertionError("never taken")


@pytest.mark.parametrize("mode", ["insert", "upsert"])
async def test_exactly_the_bad_records_are_named(destination: Destination, mode: str):
    await destination.run(CREATE)
    records = [order(i) for i in range(500)]
    bad = {0: {"n": 13}, 250: {"n": 13}, 499: {"n": 13}}
    if destination.kind != "sqlite":  # whose columns have neither length nor range
        bad |= {100: {"name": "x" * 11}, 301: {"n": 40_000}}
    if destination.kind == "postgresql":
        bad |= {99: {"name": "a\0b"}}
    for index, change in bad.items():
        records[index] = order(index, **change)
    async with destination.task(insert_mode=mode, pk_mode="record_value", pk_fields="id") as task:
        batches = [values(ORDER, *records[:200]), values(ORDER, *records[200:], partition=1)]
        found = await failures(task, *batches)
        assert list(found) == sorted(bad)
        assert all("orders" in message for message in found.values())
        assert await count(destination) == 0
        good = [
            b.without({i - start for i in bad}) for b, start in zip(batches, (0, 200), strict=True)
        ]
        await task.put(good)
    assert await count(destination) == 500 - len(bad)


async def test_bad_records_leave_no_temporary_tables_behind(postgresql: Destination):
    await postgresql.run(CREATE)
    config = {"insert_mode": "upsert", "pk_mode": "record_value", "pk_fields": "id"}
    async with postgresql.task(**config) as task:
        for start in range(0, 5000, 1000):
            bad = [order(i, n=13 if i == start else 1) for i in range(start, start + 1000)]
            assert list(await failures(task, values(ORDER, *bad))) == [0]
        session: Any = task._session
        rows = await session._conn.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE 'coracle%' AND relpersistence = 't'"
        )
    assert len(rows) <= 1


async def test_nul_in_postgresql_text_says_what_to_do(postgresql: Destination):
    await postgresql.run(CREATE)
    async with postgresql.task() as task:
        found = await failures(task, values(ORDER, order(1), order(2, name="a\0b")))
    assert list(found) == [1]
    assert "0x00" in found[1]
    assert "22021" in found[1]
    assert "remove it with a transform" in found[1]


async def test_a_duplicate_is_the_later_record(destination: Destination):
    await destination.run(CREATE)
    async with destination.task() as task:
        found = await failures(task, values(ORDER, order(1), order(2), order(1), order(3)))
        assert list(found) == [2]
        await task.put([values(ORDER, order(1), order(2), order(3))])
        assert list(await failures(task, values(ORDER, order(4), order(2)))) == [1]
    assert await count(destination) == 3


async def test_every_record_is_bad(destination: Destination):
    await destination.run(CREATE)
    async with destination.task() as task:
        found = await failures(task, values(ORDER, *[order(i, n=13) for i in range(150)]))
    assert list(found) == list(range(150))


async def test_a_bad_delete_or_update(destination: Destination):
    await destination.run(CREATE, *(f"INSERT INTO orders VALUES ({i}, 'x', 1)" for i in range(3)))
    key = struct({"id": INT64})
    value = struct({"n": INT64})
    async with destination.task(insert_mode="update", pk_mode="record_key") as task:
        messages = [(key, {"id": i}, value, {"n": 13 if i == 1 else 2}) for i in range(3)]
        assert list(await failures(task, batch(messages))) == [1]
    assert await destination.rows("SELECT n FROM orders ORDER BY id") == [(1,)] * 3


async def test_a_value_the_driver_cannot_send(destination: Destination):
    await destination.run(CREATE)
    async with destination.task() as task:
        found = await failures(task, values(ORDER, order(1), order(2, name="\ud800"), order(3)))
        assert list(found) == [1]
    assert await count(destination) == 0


async def test_foreign_keys_checked_at_commit(postgresql: Destination):
    await postgresql.run(
        "CREATE TABLE parents (id BIGINT PRIMARY KEY)",
        "INSERT INTO parents VALUES (1)",
        "CREATE TABLE orders (id BIGINT REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
    )
    schema = struct({"id": INT64})
    async with postgresql.task() as task:
        assert list(await failures(task, values(schema, {"id": 1}, {"id": 2}, {"id": 1}))) == [1]


async def test_a_lost_connection_is_made_again(server: Destination):
    await server.run(CREATE)
    async with server.task() as task:
        await task.put([values(ORDER, *[order(i) for i in range(100)])])
        if server.kind == "postgresql":
            server.database.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE usename = '{server.database.user}'"
            )
        else:
            server.database.sql(f"KILL USER {server.database.user}")
        attempts = await put_until_taken(
            task, [values(ORDER, *[order(i) for i in range(100, 200)])]
        )
        assert attempts == 1
        await task.put([values(ORDER, order(200))])
    assert await count(server) == 201


async def test_connections_killed_while_writing_lose_and_repeat_nothing(server: Destination):
    await server.run(CREATE)
    database = server.database

    done = asyncio.Event()

    async def killer() -> None:
        pauses = random.Random(1)  # sometimes too short for a put to get through, sometimes not
        while not done.is_set():
            await asyncio.sleep(pauses.uniform(0.02, 0.6))
            statement = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE usename = '{database.user}'"
                if server.kind == "postgresql"
                else f"KILL USER {database.user}"
            )
            await asyncio.to_thread(database.sql, statement)

    killing = asyncio.create_task(killer())
    repeated = 0
    try:
        async with server.task(
            insert_mode="upsert", pk_mode="record_value", pk_fields="id", max_retries="1000"
        ) as task:
            for start in range(0, 30_000, 1000):
                records = [order(i) for i in range(start, start + 1000)]
                repeated += await put_until_taken(task, [values(ORDER, *records)])
    finally:
        done.set()
        await killing
    assert repeated > 0
    assert await count(server) == 30_000


async def test_retries_end(server: Destination):
    await server.run(CREATE)
    async with server.task(max_retries="2") as task:
        await task.put([values(ORDER, order(1))])
        server.database.server.stop()
        for _ in range(2):
            with pytest.raises(RetriableError, match="failed") as retriable:
                await task.put([values(ORDER, order(2))])
            assert retriable.value.after == 0.05
        with pytest.raises(ConnectError, match="Gave up after 2 retries") as found:
            await task.put([values(ORDER, order(2))])
        assert not isinstance(found.value, RetriableError)
        assert server.connection["connection.password"] not in str(found.value)


async def test_a_server_that_comes_back(server: Destination):
    await server.run(CREATE)
    async with server.task() as task:
        await task.put([values(ORDER, order(1))])
        server.database.server.stop()
        with pytest.raises(RetriableError):
            await task.put([values(ORDER, order(2))])
        server.database.server.start()
        await put_until_taken(task, [values(ORDER, order(2))])
    assert await count(server) == 2


async def test_a_locked_sqlite_file_is_retried(tmp_path):
    lite = Destination("sqlite", {"connection.url": f"jdbc:sqlite:{tmp_path}/l.db?busy_timeout=10"})
    await lite.run(CREATE)
    async with lite.task() as task, lite.task() as other:
        await other._session._writer.begin()
        with pytest.raises(RetriableError, match="locked"):
            await task.put([values(ORDER, order(1))])
        await other._session._writer.rollback()
        await task.put([values(ORDER, order(1))])
    assert await count(lite) == 1


async def test_a_table_dropped_while_running(destination: Destination):
    async with destination.task(auto_create="true") as creating, destination.task() as strict:
        await creating.put([values(ORDER, order(1))])
        await strict.put([values(ORDER, order(2))])
        await destination.run("DROP TABLE orders")
        with pytest.raises(ConnectError, match="is missing and auto-creation is disabled"):
            await strict.put([values(ORDER, order(3))])
        await creating.put([values(ORDER, order(4))])
        await strict.put([values(ORDER, order(5))])
    assert await destination.rows("SELECT id FROM orders ORDER BY id") == [(4,), (5,)]


@pytest.mark.parametrize("mode", ["insert", "upsert", "update"])
async def test_a_column_changed_while_running(server: Destination, mode: str):
    await server.run("CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(10), n INT)")
    many = [order(i) for i in range(300)]
    config = {"insert_mode": mode, "pk_mode": "record_value", "pk_fields": "id"}
    async with server.task(**config) as task:
        await task.put([values(ORDER, *many)])
        await server.run(
            "ALTER TABLE orders ALTER COLUMN n TYPE bigint"
            if server.kind == "postgresql"
            else "ALTER TABLE orders MODIFY n BIGINT",
            "DELETE FROM orders",
            *(f"INSERT INTO orders VALUES ({i}, 'x', 0)" for i in range(300) if mode == "update"),
        )
        await task.put([values(ORDER, *[{**record, "n": 2**40} for record in many])])
    assert await server.rows("SELECT DISTINCT n FROM orders") == [(2**40,)]
    assert await count(server) == 300


async def test_an_upsert_without_a_unique_constraint(postgresql: Destination):
    await postgresql.run("CREATE TABLE orders (id BIGINT, name VARCHAR(10), n INT)")
    config = {"insert_mode": "upsert", "pk_mode": "record_value", "pk_fields": "id"}
    async with postgresql.task(**config) as task:
        with pytest.raises(ConnectError) as found:
            await task.put([values(ORDER, order(1), partition=3, first=70)])
    message = str(found.value)
    assert "Table orders cannot be written to, from record orders-3@70 on" in message
    assert "42P10" in message
    assert "PRIMARY KEY or UNIQUE constraint on exactly (id)" in message


async def test_what_copy_may_not_do_is_done_by_insert(postgresql: Destination):
    await postgresql.run(
        "CREATE TABLE base (id BIGINT PRIMARY KEY, name TEXT, n INT)",
        "CREATE VIEW orders AS SELECT * FROM base",
        "CREATE TABLE ruled (id BIGINT, name TEXT, n INT)",
        "CREATE RULE twice AS ON INSERT TO ruled DO ALSO INSERT INTO base VALUES (NEW.id + 1000)",
        "CREATE TABLE guarded (id BIGINT, name TEXT, n INT)",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE guarded FORCE ROW LEVEL SECURITY",
        "CREATE POLICY odd ON guarded USING (true) WITH CHECK (id % 2 = 1)",
        "CREATE TABLE numbered (id BIGINT GENERATED ALWAYS AS IDENTITY, name TEXT, n INT)",
    )
    many = [order(i) for i in range(300)]
    async with postgresql.task(table_types="TABLE,VIEW") as task:
        await task.put([values(ORDER, *many)])
        await task.put([values(ORDER, *many, topic="ruled")])
        await task.put([values(ORDER, order(1), topic="guarded")])
        with pytest.raises(ConnectError, match="row-level security policy"):
            await task.put([values(ORDER, order(2), topic="guarded")])
        with pytest.raises(ConnectError, match="GENERATED BY DEFAULT"):
            await task.put([values(ORDER, order(2), topic="numbered")])
    assert await postgresql.rows("SELECT count(*) FROM base") == [(600,)]
    assert await postgresql.rows("SELECT id FROM guarded") == [(1,)]


async def test_a_partitioned_table(postgresql: Destination):
    await postgresql.run(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, name TEXT, n INT) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (100) TO (1000)",
    )
    async with postgresql.task(table_types="PARTITIONED TABLE") as task:
        await task.put([values(ORDER, *[order(i) for i in range(300)])])
        assert list(await failures(task, values(ORDER, order(300), order(5000)))) == [1]
    assert await postgresql.rows("SELECT count(*) FROM high") == [(200,)]


async def test_triggers_that_refuse_a_row(postgresql: Destination):
    await postgresql.run(
        "CREATE TABLE orders (id BIGINT, name TEXT, n INT)",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id = 7 THEN RAISE 'not seven'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER no BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no()",
    )
    async with postgresql.task() as task:
        found = await failures(task, values(ORDER, *[order(i) for i in range(20)]))
    assert list(found) == [7]
    assert "not seven" in found[7]


async def test_a_user_without_rights(postgresql: Destination):
    postgresql.database.sql("CREATE TABLE orders (id BIGINT, name TEXT, n INT)")
    async with postgresql.task() as task:
        with pytest.raises(ConnectError, match="permission denied") as found:
            await task.put([values(ORDER, order(1))])
    assert "Grant the user the missing privilege" in str(found.value)


async def test_a_user_who_may_only_insert(postgresql: Destination):
    database = postgresql.database
    database.sql(
        "CREATE TABLE orders (id BIGINT, name TEXT, n INT);"
        f"GRANT INSERT ON orders TO {database.user};"
        f"REVOKE TEMP ON DATABASE {database.database} FROM PUBLIC, {database.user};"
    )
    async with postgresql.task() as task:
        await task.put([values(ORDER, *[order(i) for i in range(300)])])
    assert database.sql("SELECT count(*) FROM orders") == "300"


async def test_updates_without_temporary_tables(mysql: Destination):
    database = mysql.database
    await mysql.run(
        "CREATE TABLE orders (id VARCHAR(10) PRIMARY KEY, n INT)",
        *(f"INSERT INTO orders VALUES ('{i}', 0)" for i in ("0", "1", "abc")),
    )
    database.sql(
        f"REVOKE ALL ON {database.database}.* FROM {database.user}@'%';"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database.database}.* TO {database.user}@'%'"
    )
    key, value = struct({"id": INT32}), struct({"n": INT32})
    async with mysql.task(
        insert_mode="update", pk_mode="record_key", delete_enabled="true"
    ) as task:
        await task.put([batch([(key, {"id": 1}, value, {"n": 5}), (key, {"id": 0}, None, None)])])
    assert await mysql.rows("SELECT id, n FROM orders ORDER BY id") == [("1", 5), ("abc", 0)]


async def test_statements_stay_below_max_allowed_packet(mysql: Destination):
    await mysql.run("CREATE TABLE orders (id BIGINT, s LONGTEXT)")
    schema = struct({"id": INT64, "s": STRING})
    async with mysql.task() as task:
        writer: Any = task._session._writer
        [[packet]] = await mysql.rows("SELECT @@max_allowed_packet")
        await task.put([values(schema, *[{"id": i, "s": "x" * 900_000} for i in range(5)])])
        writer._packet = writer._max_bytes = 1_000_000 - 1024
        found = await failures(
            task,
            values(
                schema, {"id": 5, "s": "y"}, {"id": 6, "s": "x" * 1_000_000}, {"id": 7, "s": "z"}
            ),
        )
        assert list(found) == [1]
        assert "max_allowed_packet" in found[1]
    assert int(packet) > 2**20
    assert await count(mysql) == 5


async def test_a_wrong_password(server: Destination):
    wrong = Destination(server.kind, {**server.connection, "connection.password": "guess-me"})
    with pytest.raises(ConnectError, match="Cannot connect to") as found:
        async with wrong.task():
            pass
    assert "guess-me" not in str(found.value)


async def test_a_cancelled_put_leaves_nothing_behind(destination: Destination):
    await destination.run(CREATE)
    async with destination.task() as task:
        await task.put([values(ORDER, order(-1))])
        for delay in (0.0, 0.002, 0.005):
            records = [order(i) for i in range(5000)]
            putting = asyncio.create_task(task.put([values(ORDER, *records)]))
            await asyncio.sleep(delay)
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting
            assert await count(destination) == 1
        await task.put([values(ORDER, order(1))])
    assert await count(destination) == 2


async def test_looking_for_bad_records_keeps_no_savepoints_open(destination: Destination):
    """Each takes 10 KB of PostgreSQL's memory until the transaction ends."""
    await destination.run(CREATE)
    open_now = most = 0
    async with destination.task() as task:
        writer: Any = task._session._writer
        execute = writer.execute

        async def counting(sql: str) -> None:
            nonlocal open_now, most
            open_now += sql.startswith("SAVEPOINT") - sql.startswith("RELEASE")
            most = max(most, open_now)
            await execute(sql)

        writer.execute = counting
        found = await failures(task, values(ORDER, *[order(i, n=13) for i in range(64)]))
    assert len(found) == 64
    assert (most, open_now) == (1, 0)


async def test_a_value_too_long_for_an_index(postgresql: Destination):
    await postgresql.run("CREATE TABLE orders (id TEXT PRIMARY KEY)")
    schema = struct({"id": STRING})
    long = random.Random(1).randbytes(20_000).hex()
    async with postgresql.task() as task:
        found = await failures(task, values(schema, {"id": "a"}, {"id": long}, {"id": "b"}))
    assert list(found) == [1]
    assert "54000" in found[1]


async def test_a_server_that_has_become_a_replica_is_tried_again(server: Destination):
    await server.run(CREATE)
    database, user = server.database, server.database.user
    if server.kind == "postgresql":
        frozen = f'ALTER ROLE "{user}" SET default_transaction_read_only = on'
        thawed = f'ALTER ROLE "{user}" RESET default_transaction_read_only'
    else:
        frozen, thawed = "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"
    database.sql(frozen)
    try:
        async with server.task() as task:
            with pytest.raises(RetriableError, match=r"25006|1290"):
                await task.put([values(ORDER, order(1))])
            database.sql(thawed)
            await put_until_taken(task, [values(ORDER, order(1))])
    finally:
        database.sql(thawed)
    assert await count(server) == 1


async def test_columns_that_the_database_computes(destination: Destination):
    await destination.run(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, n BIGINT GENERATED ALWAYS AS (id * 2) STORED)"
    )
    schema = struct({"id": INT64, "n": INT64})
    for mode in ("insert", "upsert"):
        config = {"insert_mode": mode, "pk_mode": "record_value", "pk_fields": "id"}
        async with destination.task(**config) as task:
            with pytest.raises(ConnectError, match="computes n: leave it out with fields"):
                await task.put([values(schema, {"id": 1, "n": 2})])
    async with destination.task(fields_whitelist="id") as task:
        await task.put([values(schema, {"id": 1, "n": 2})])
    assert await count(destination) == 1


async def test_a_commit_whose_answer_is_lost(server: Destination):
    """Nobody knows whether it was done. An upsert repeats it without a trace; an insert finds its
    own rows and says what that means. Nothing is lost either way.
    """
    await server.run(CREATE)
    batches = [values(ORDER, *[order(i) for i in range(10)])]
    config = {"pk_mode": "record_value", "pk_fields": "id"}

    async def commit_and_lose(task: JdbcSinkTask) -> None:
        writer: Any = task._session._writer
        commit = writer.commit

        async def lost() -> None:
            await commit()
            raise ConnectionResetError("the connection was lost")

        writer.commit = lost
        with pytest.raises(RetriableError, match="the connection was lost"):
            await task.put(batches)

    async with server.task(insert_mode="upsert", **config) as task:
        await commit_and_lose(task)
        await task.put(batches)
    assert await count(server) == 10
    await server.run("DELETE FROM orders")
    async with server.task(insert_mode="insert", **config) as task:
        await commit_and_lose(task)
        found = await failures(task, *batches)
    assert list(found) == list(range(10))
    assert all("come again after a lost connection" in message for message in found.values())
    assert await count(server) == 10

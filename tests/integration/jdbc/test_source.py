"""The JDBC source against real servers: modes, positions, zones, and what goes wrong."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coracle.api import ConnectError, RetriableError
from coracle.connectors.jdbc.dialects.mysql import MysqlDialect
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
from tests.servers.database import Database
from tests.servers.mariadb import MariaDB
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres


class Shop:
    """A fresh database of one of the servers."""

    def __init__(self, database: Database[Any]) -> None:
        self.database = database
        self.is_postgres = database.scheme == "postgresql"

    def sql(self, statements: str) -> str:
        """Run SQL as the owner of the tables; ``SERIAL`` and ``TIMESTAMP(6)`` mean the same."""
        if self.is_postgres:
            return self.database.sql(f'SET ROLE "{self.database.user}"; {statements}')
        return self.database.sql(
            statements.replace("SERIAL", "BIGINT AUTO_INCREMENT").replace(
                " TIMESTAMP(6)", " DATETIME(6)"
            )
        )

    def settings(self, **more: str) -> dict[str, str]:
        return settings(self.database, **more)

    def fqn(self, table: str) -> str:
        return f"public.{table}" if self.is_postgres else f"{self.database.database}.{table}"

    def partition(self, table: str) -> str:
        return f'{{"protocol": "1", "table": "{self.fqn(table)}"}}'


@pytest.fixture(params=["postgres", "asyncmy", "aiomysql"])
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shop:
    if request.param == "postgres":
        return Shop(request.getfixturevalue("postgres"))
    monkeypatch.setattr(MysqlDialect, "driver", request.param)
    return Shop(request.getfixturevalue("mariadb"))


def ids(values: list[dict[str, Any]]) -> list[int]:
    return [value["id"] for value in values]


async def test_incrementing_by_table_and_by_query(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE orders (id SERIAL PRIMARY KEY, note VARCHAR(20));"
        "INSERT INTO orders (note) VALUES ('a'), ('100%'), ('é😀')"
    )
    offsets = Offsets()
    config = shop.settings(mode="incrementing", table__whitelist="sales,orders,customers")
    config["batch.max.rows"] = "2"
    assert [v["note"] for v in await read(config, 3, offsets)] == ["a", "100%", "é😀"]
    assert offsets.stored == {shop.partition("orders"): {"incrementing": 3}}
    shop.sql("INSERT INTO orders (note) VALUES ('b')")
    assert ids(await read(config, 1, offsets)) == [4]
    query = shop.settings(
        mode="incrementing",
        incrementing__column__name="id",
        query="SELECT * FROM (SELECT id, note FROM orders WHERE note LIKE '%0%') o",
    )
    assert ids(await read(query, 1, offsets)) == [2]
    assert offsets.stored['{"query": "query"}'] == {"incrementing": 2}


async def test_timestamps_keep_their_microseconds(shop: Shop) -> None:
    """Offsets in milliseconds alone would read .123456 again and again, or never .123999."""
    shop.sql(
        "CREATE TABLE t (id INT NOT NULL, ts TIMESTAMP(6) NOT NULL);"
        "INSERT INTO t VALUES (1, '2024-02-29 12:00:00.123456')"
    )
    offsets = Offsets()
    config = shop.settings(mode="timestamp", timestamp__column__name="ts")
    async with task_of(config, offsets) as task:
        offsets.store(await poll(task))
        assert await quiet(task)
        shop.sql("INSERT INTO t VALUES (2, '2024-02-29 12:00:00.123999')")
        offsets.store(await poll(task))
    assert offsets.stored == {
        shop.partition("t"): {"timestamp": 1709208000123, "timestamp_nanos": 123999000}
    }
    shop.sql("INSERT INTO t VALUES (3, '2024-02-29 12:00:00.124')")
    assert ids(await read(config, 1, offsets)) == [3]


async def test_timestamp_and_incrementing_with_a_coalesce(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE t (id SERIAL PRIMARY KEY, changed TIMESTAMP(6) NULL,"
        " made TIMESTAMP(6) NOT NULL);"
        "INSERT INTO t (changed, made) VALUES (NULL, '2024-01-01 00:00:02'),"
        " ('2024-01-01 00:00:01', '2023-01-01 00:00:00'), (NULL, '2024-01-01 00:00:02')"
    )
    offsets = Offsets()
    config = shop.settings(mode="timestamp+incrementing", timestamp__column__name="changed,made")
    config |= {"batch.max.rows": "2"}
    assert ids(await read(config, 2, offsets)) == [2, 1]
    assert ids(await read(config, 1, offsets)) == [3]
    assert offsets.stored[shop.partition("t")] == {
        "incrementing": 3,
        "timestamp": 1704067202000,
        "timestamp_nanos": 0,
    }
    shop.sql("UPDATE t SET changed = '2024-01-02 00:00:00' WHERE id = 2")
    assert ids(await read(config, 1, offsets)) == [2]


async def test_rows_of_the_future_and_of_open_transactions_wait(shop: Shop) -> None:
    now = "clock_timestamp()" if shop.is_postgres else "UTC_TIMESTAMP(6)"
    zone = " AT TIME ZONE 'UTC'" if shop.is_postgres else ""
    shop.sql(
        "CREATE TABLE t (id INT NOT NULL, ts TIMESTAMP(6) NOT NULL);"
        f"INSERT INTO t VALUES (1, {now}{zone} - INTERVAL '1' HOUR),"
        f" (2, {now}{zone} + INTERVAL '1' HOUR), (3, {now}{zone} - INTERVAL '1' MINUTE)"
    )
    config = shop.settings(mode="timestamp", timestamp__column__name="ts")
    async with task_of(config | {"timestamp.delay.interval.ms": "600000"}) as task:
        assert ids((await poll(task)).values) == [1]
        assert await quiet(task)
    async with task_of(config | {"timestamp.initial": "-1"}) as task:
        assert await quiet(task)
        shop.sql(f"INSERT INTO t VALUES (4, {now}{zone})")
        assert ids((await poll(task)).values) == [4]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "ECT", "America/New_York"])
async def test_zoneless_columns_are_in_the_zone_of_the_database(shop: Shop, zone: str) -> None:
    shop.sql(
        "CREATE TABLE t (id INT NOT NULL, ts TIMESTAMP(6) NOT NULL);"
        "INSERT INTO t VALUES (1, '2024-01-01 12:00:00'), (2, '2024-07-01 12:00:00')"
    )
    offsets = Offsets()
    config = shop.settings(mode="timestamp", timestamp__column__name="ts", db__timezone=zone)
    winter, summer = [value["ts"] for value in await read(config, 2, offsets)]
    east = zone != "America/New_York"
    assert datetime.fromtimestamp(winter / 1000, UTC).hour == (11 if east else 17)
    assert datetime.fromtimestamp(summer / 1000, UTC).hour == (10 if east else 16)
    assert offsets.stored[shop.partition("t")] == {"timestamp": summer, "timestamp_nanos": 0}
    shop.sql("INSERT INTO t VALUES (3, '2024-07-01 12:00:00.000001')")
    assert ids(await read(config, 1, offsets)) == [3]
    iso = config | {"timestamp.granularity": "micros_iso_datetime_string"}
    assert (await read(iso, 1))[0]["ts"] == "2024-01-01T12:00:00.000000"


async def test_zoned_columns_are_instants_whatever_the_zone(shop: Shop) -> None:
    kind = "timestamptz" if shop.is_postgres else "TIMESTAMP NULL"
    zone = "SET TIME ZONE 'Asia/Tokyo'" if shop.is_postgres else "SET time_zone = '+09:00'"
    shop.sql(
        f"CREATE TABLE t (id INT NOT NULL, ts {kind}); {zone};"
        "INSERT INTO t VALUES (1, '2024-01-01 12:00:00')"
    )
    config = shop.settings(mode="timestamp", timestamp__column__name="ts")
    config |= {"db.timezone": "America/New_York", "validate.non.null": "false"}
    offsets = Offsets()
    assert await read(config, 1, offsets) == [{"id": 1, "ts": 1704078000000}]
    async with task_of(config, offsets) as task:
        assert await quiet(task)


async def test_query_suffix_is_appended(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")
    config = shop.settings(mode="incrementing", query__suffix="LIMIT 1")
    async with task_of(config) as task:
        assert [len(await poll(task)) for _ in range(3)] == [1, 1, 1]


async def test_the_columns_of_a_query_may_change_while_it_runs(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1)")
    config = shop.settings(mode="incrementing", query="SELECT * FROM t")
    async with task_of(config | {"incrementing.column.name": "id"}) as task:
        assert (await poll(task)).values == [{"id": 1}]
        shop.sql("ALTER TABLE t ADD price NUMERIC(5,2); INSERT INTO t VALUES (2, 1.5)")
        batch = await poll(task)
    assert ids(batch.values) == [2]
    assert batch.values[0]["price"] == pytest.approx(1.5)
    assert batch.schemas[0].value is not None
    assert batch.schemas[0].value.by_name["price"].scale == 2


async def test_a_lost_connection_is_made_again_and_nothing_is_lost(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3), (4)")
    config = shop.settings(mode="incrementing", batch__max__rows="1")
    async with task_of(config) as task:
        assert ids((await poll(task)).values) == [1]
        if shop.is_postgres:
            shop.database.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{shop.database.database}' AND pid <> pg_backend_pid()"
            )
        else:
            for line in shop.database.sql(
                f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{shop.database.user}'"
            ).splitlines():
                shop.database.sql(f"KILL {line}")
        seen: list[int] = []
        failures: list[str] = []
        while len(seen) < 4:
            try:
                seen += ids((await poll(task)).values)
            except RetriableError as error:
                failures.append(str(error))
                shop.sql("INSERT INTO t VALUES (5)")
        assert [failure.partition(":")[0] for failure in failures] == [
            f"Cannot read table {shop.fqn('t')}"
        ]
        assert seen == [2, 3, 4, 5][: len(seen)]


async def test_a_server_that_stays_away_fails_the_task(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1)")
    config = shop.settings(mode="incrementing", connection__attempts="2")
    async with task_of(config) as task:
        await poll(task)
        shop.database.server.stop()
        with pytest.raises(RetriableError):
            await poll(task)
        with pytest.raises(ConnectError, match=r"Gave up after 2 attempts\.") as raised:
            await poll(task)
        assert not isinstance(raised.value, RetriableError)
        shop.database.server.start()
        shop.sql("INSERT INTO t VALUES (2)")
        assert ids((await poll(task)).values) == [2]


async def test_retries_can_be_limited(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1)")
    async with task_of(shop.settings(mode="incrementing", query__retry__attempts="0")) as task:
        await poll(task)
        shop.database.server.stop()
        with pytest.raises(ConnectError, match=r"Gave up after 1 attempts \(query.retry.attempts"):
            await poll(task)
        shop.database.server.start()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"connection.password": "not-it"}, "Cannot connect to database 'DB' on 127.0.0.1:PORT as"),
        ({"connection.url": "nowhere"}, "Cannot connect to database 'nowhere' on 127.0.0.1:PORT"),
        ({"connection.url": "closed"}, "Gave up after 2 attempts."),
        ({"connection.url": "unknown host"}, "no-such-host.invalid"),
    ],
)
async def test_connections_that_cannot_be_made(
    shop: Shop, change: dict[str, str], message: str
) -> None:
    config = shop.settings(mode="bulk", connection__attempts="2", query="SELECT 1") | change
    url = shop.database.jdbc_url
    port = str(shop.database.port)
    if change.get("connection.url") == "nowhere":
        config["connection.url"] = url.replace(shop.database.database, "nowhere")
    elif change.get("connection.url") == "closed":
        config["connection.url"] = url.replace(port, str(free_port()))
    elif change.get("connection.url") == "unknown host":
        config["connection.url"] = url.replace("127.0.0.1", "no-such-host.invalid")
    with pytest.raises(ConnectError) as raised:
        async with task_of(config):
            pass
    expected = message.replace("DB", shop.database.database).replace("PORT", port)
    assert expected in str(raised.value)
    assert config["connection.password"] not in str(raised.value)
    assert shop.database.user in str(raised.value)


async def test_a_table_dropped_while_running(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1)")
    for more in ({}, {"query": "SELECT * FROM t", "incrementing.column.name": "id"}):
        async with task_of(shop.settings(mode="incrementing") | more) as task:
            await poll(task)
            shop.sql("DROP TABLE t")
            with pytest.raises(ConnectError) as raised:
                await poll(task)
            assert not isinstance(raised.value, RetriableError)
            assert "exist" in str(raised.value)
            shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1)")


async def test_wrong_sql_fails_at_once_with_the_servers_words(shop: Shop) -> None:
    with pytest.raises(ConnectError, match=r"Cannot read the query: .*(syntax)") as raised:
        async with task_of(shop.settings(mode="bulk", query="SELEC 1")):
            pass
    assert not isinstance(raised.value, RetriableError)


async def test_a_poll_cancelled_in_the_middle_loses_nothing(shop: Shop) -> None:
    series = (
        "SELECT n AS id, pg_sleep(0.002)::text AS s FROM generate_series(1, 1000) n"
        if shop.is_postgres
        else "SELECT seq AS id, SLEEP(0.002) AS s FROM seq_1_to_1000"
    )
    async with task_of(shop.settings(mode="bulk", query=series)) as task:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task.poll(), 0.05)
        seen: list[int] = []
        while len(seen) < 1000:
            seen += ids((await poll(task)).values)
    assert seen == list(range(1, 1001))


async def test_rows_of_five_megabytes(shop: Shop) -> None:
    text = "text" if shop.is_postgres else "LONGTEXT"
    shop.sql(
        f"CREATE TABLE t (id SERIAL PRIMARY KEY, note {text});"
        "INSERT INTO t (note) VALUES (repeat('x', 5000000)), ('y'), (repeat('z', 5000000))"
    )
    values = await read(shop.settings(mode="incrementing"), 3)
    assert [len(value["note"]) for value in values] == [5_000_000, 1, 5_000_000]


async def test_a_result_that_nobody_reads_takes_no_memory(shop: Shop) -> None:
    """A server sends as fast as it can; drivers that do not stop reading take the whole result."""
    series = (
        "SELECT n AS id, repeat('x', 1000) AS x FROM generate_series(1, 300000) n"
        if shop.is_postgres
        else "SELECT seq AS id, REPEAT('x', 1000) AS x FROM seq_1_to_300000"
    )
    async with task_of(shop.settings(mode="bulk", query=series)) as task:
        await poll(task)
        before = resident()
        await asyncio.sleep(1)
        rows = 0
        while rows < 20_000:
            rows += len(await poll(task))
        assert resident() - before < 30


def resident() -> float:
    """The resident set of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def test_filters(shop: Shop) -> None:
    for name in ("a", "ab", "B"):
        quoted = f'"{name}"' if shop.is_postgres else f"`{name}`"
        shop.sql(f"CREATE TABLE {quoted} (id INT)")

    async def chosen(**more: str) -> list[str]:
        async with connector_of(shop.settings(mode="bulk", **more)) as connector:
            return [own["tables"].split(".")[-1][1:-1] for own in await connector.task_configs(9)]

    assert await chosen() == ["B", "a", "ab"] if shop.is_postgres else ["a", "ab", "B"]
    assert await chosen(table__whitelist="a, b") == ["a"]
    assert await chosen(table__whitelist=shop.fqn("ab")) == ["ab"]
    assert set(await chosen(table__blacklist="a")) == {"ab", "B"}
    assert set(await chosen(table__include__list=r".*\.a.*")) == {"a", "ab"}
    more = {"table__include__list": ".*", "table__exclude__list": r".*\.(?<x>ab?)"}
    assert await chosen(**more) == ["B"]


async def test_two_schemas_with_one_table_name(postgres: Database[Postgres]) -> None:
    postgres.sql("CREATE SCHEMA one; CREATE TABLE one.t (id int); CREATE TABLE public.t (id int)")
    config = settings(postgres, mode="bulk")
    async with connector_of(config) as connector:
        with pytest.raises(ConnectError, match="detected duplicate unqualified table names"):
            await connector.task_configs(1)
    async with connector_of(config | {"schema.pattern": "on_"}) as connector:
        assert (await connector.task_configs(1))[0]["tables"] == '"one"."t"'


async def test_views_and_partitioned_tables(postgres: Database[Postgres]) -> None:
    postgres.sql(
        "CREATE TABLE p (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1);"
        "CREATE VIEW v AS SELECT id + 1 AS id FROM p;"
        f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{postgres.user}"'
    )
    for kind, name, expected in (("PARTITIONED TABLE", "p", 1), ("VIEW", "v", 2)):
        schema, value = await first(settings(postgres, mode="bulk", table__types=kind))
        assert (schema.name, value) == (name, {"id": expected})


async def test_a_table_without_privileges(postgres: Database[Postgres]) -> None:
    postgres.sql("CREATE TABLE secret (id int)")
    async with task_of(settings(postgres, mode="bulk", table__whitelist="secret")) as task:
        with pytest.raises(ConnectError, match=r"permission denied for table secret.*42501"):
            await poll(task)


async def test_isolation_and_schema_of_the_url(postgres: Database[Postgres]) -> None:
    user = postgres.user
    postgres.sql(f'CREATE SCHEMA demo AUTHORIZATION "{user}"; CREATE TABLE demo.t (l text)')
    query = "SELECT current_setting('transaction_isolation') AS l, current_schema() AS s"
    config = settings(postgres, mode="bulk", query=query)
    config["transaction.isolation.mode"] = "REPEATABLE_READ"
    config["connection.url"] += "?currentSchema=demo&ApplicationName=rows&wrong=1"
    assert (await first(config))[1] == {"l": "repeatable read", "s": "demo"}


async def test_unquoted_names(mariadb: Database[MariaDB]) -> None:
    mariadb.sql("CREATE TABLE t (id int not null); INSERT INTO t VALUES (1)")
    config = settings(mariadb, mode="incrementing", incrementing__column__name="id")
    config |= {"quote.sql.identifiers": "never", "table.names.qualify": "false"}
    assert await read(config, 1) == [{"id": 1}]


async def test_a_database_whose_name_matches_as_a_pattern(mariadb: Database[MariaDB]) -> None:
    """The underscore of test_1 stands for any character in a LIKE pattern."""
    other = mariadb.database.replace("_", "x")
    mariadb.sql(
        f"CREATE TABLE t (id INT); CREATE DATABASE {other}; CREATE TABLE {other}.u (id INT);"
        f"GRANT ALL ON {other}.* TO {mariadb.user}@'%'"
    )
    try:
        async with connector_of(settings(mariadb, mode="bulk")) as connector:
            [own] = await connector.task_configs(9)
        assert own["tables"] == f"`{mariadb.database}`.`t`"
    finally:
        mariadb.sql(f"DROP DATABASE {other}")


@pytest.mark.parametrize("mode", ["bulk", "incrementing"])
async def test_a_query_that_ends_with_a_comment(shop: Shop, mode: str) -> None:
    shop.sql("CREATE TABLE t (id SERIAL PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    offsets = Offsets()
    config = shop.settings(mode=mode, query="SELECT id FROM t -- all of them")
    config |= {"incrementing.column.name": "id", "poll.interval.ms": "1"}
    assert ids(await read(config, 2, offsets)) == [1, 2]
    async with task_of(config, offsets) as task:
        assert await quiet(task) == (mode == "incrementing")


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("VARCHAR(5)", "'7'", "'7'|operator does not exist"),
        ("DECIMAL(5,1)", "1.5", "1.5"),
        ("DECIMAL(25)", "9223372036854775808", "9223372036854775808"),
        ("DOUBLE PRECISION", "0.5", "0.5"),
    ],
)
async def test_ids_are_whole_numbers(shop: Shop, kind: str, value: str, shown: str) -> None:
    shop.sql(f"CREATE TABLE t (id {kind} NOT NULL); INSERT INTO t VALUES ({value})")
    config = shop.settings(mode="incrementing", incrementing__column__name="id")
    async with task_of(config) as task:
        with pytest.raises(ConnectError, match=shown):
            await poll(task)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "GMT+02:00"])
async def test_a_coalesce_of_columns_with_and_without_a_zone(shop: Shop, zone: str) -> None:
    """Whatever zone the server or the session is in."""
    zoned = "timestamptz" if shop.is_postgres else "TIMESTAMP(6) NULL"
    local = "timestamp" if shop.is_postgres else "DATETIME(6)"
    session = "SET TIME ZONE 'UTC'" if shop.is_postgres else "SET time_zone = '+00:00'"
    if shop.is_postgres:
        shop.database.sql(f"ALTER ROLE \"{shop.database.user}\" SET timezone = 'America/New_York'")
    table = f"CREATE TABLE t (id INT, a {local} NULL, b {zoned})"
    hour = {"UTC": 12, "Europe/Berlin": 13, "GMT+02:00": 14}[zone]
    shop.database.sql(
        (f'SET ROLE "{shop.database.user}"; ' if shop.is_postgres else "")
        + f"{table}; {session}; INSERT INTO t VALUES (1, '2024-01-01 {hour}:00:01', NULL),"
        f" (2, NULL, '2024-01-01 12:00:02'), (3, '2024-01-01 {hour}:00:03', NULL)"
    )
    config = shop.settings(mode="timestamp", timestamp__column__name="a,b", db__timezone=zone)
    config |= {"validate.non.null": "false", "batch.max.rows": "1"}
    offsets = Offsets()
    if not shop.is_postgres and zone != "UTC":
        async with task_of(config) as task:
            with pytest.raises(ConnectError, match="MySQL cannot compare the two"):
                await poll(task)
        return
    assert ids(await read(config, 2, offsets)) == [1, 2]
    assert ids(await read(config, 1, offsets)) == [3]
    assert offsets.stored[shop.partition("t")] == {"timestamp": 1704110403000, "timestamp_nanos": 0}

"""Rows that come later than others with the same timestamp are read: nothing is lost in a tick."""

import asyncio
from typing import Any

import pytest

from coracle.connectors.jdbc.dialects.mysql import MysqlDialect
from tests.integration.jdbc.source_case import Offsets, poll, settings, task_of
from tests.servers.database import Database


async def all_of_two_seconds(database: Database[Any], insert: str, **more: str) -> list[int]:
    """Rows inserted while the task polls all the time, each at the database's present second."""
    config = settings(database, mode="timestamp", timestamp__column__name="ts", **more)
    config["table.whitelist"] = "t"
    config["poll.interval.ms"] = "1"
    seen: list[int] = []
    async with task_of(config, Offsets()) as task:

        async def reading() -> None:
            while len(seen) < 25:
                seen.extend(value["id"] for value in (await poll(task)).values)

        reader = asyncio.create_task(reading())
        for number in range(25):
            await asyncio.to_thread(database.sql, insert.format(number))
            await asyncio.sleep(0.08)
        await asyncio.wait([reader], timeout=5)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    return sorted(seen)


@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMP", "DATETIME(1)"])
async def test_mysql_columns_of_whole_seconds(
    mariadb: Database[Any], driver: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MysqlDialect, "driver", driver)
    mariadb.sql(f"CREATE TABLE t (id INT, ts {kind} NOT NULL)")
    now = "UTC_TIMESTAMP(6)" if "DATE" in kind else "NOW(6)"
    seen = await all_of_two_seconds(mariadb, f"INSERT INTO t VALUES ({{}}, {now})")
    assert seen == list(range(25))


async def test_postgresql_columns_of_whole_seconds(postgres: Database[Any]) -> None:
    role = f'SET ROLE "{postgres.user}"; '
    postgres.sql(role + "CREATE TABLE t (id int, ts timestamptz(0) NOT NULL)")
    insert = role + "INSERT INTO t VALUES ({}, clock_timestamp())"
    assert await all_of_two_seconds(postgres, insert) == list(range(25))

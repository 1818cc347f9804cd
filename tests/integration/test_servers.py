"""The test servers themselves: they start, answer, stop, and leave nothing behind."""

import asyncio

import aiomysql
import asyncpg
import pytest

from tests.servers.database import Database
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres


async def test_a_postgres_database_belongs_to_its_user(postgres: Database[Postgres]) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    assert await connection.fetchval("SELECT current_database()") == postgres.database
    await connection.execute("CREATE SCHEMA demo; CREATE TABLE demo.t (name text)")
    await connection.execute("INSERT INTO demo.t VALUES ('é😀')")
    await connection.close()
    assert postgres.sql("SELECT name FROM demo.t") == "é😀"


async def test_postgres_asks_for_the_password(postgres: Database[Postgres]) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=postgres.host,
            port=postgres.port,
            user=postgres.user,
            password="wrong",
            database=postgres.database,
        )


async def test_postgres_stops_and_comes_back_with_its_data(postgres: Database[Postgres]) -> None:
    postgres.sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    postgres.server.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncpg.connect(postgres.dsn)
    postgres.server.start()
    assert postgres.sql("SELECT id FROM kept") == "7"


async def test_a_paused_postgres_does_not_answer_until_resumed(
    postgres: Database[Postgres],
) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    postgres.server.pause()
    answer = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([answer], timeout=0.5)
    assert not done
    postgres.server.resume()
    assert await answer == 1
    await connection.close()


async def test_a_mariadb_database_belongs_to_its_user(mariadb: Database[MariaDB]) -> None:
    connection = await aiomysql.connect(
        host=mariadb.host,
        port=mariadb.port,
        user=mariadb.user,
        password=mariadb.password,
        db=mariadb.database,
        autocommit=True,
    )
    async with connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (name varchar(20))")
        await cursor.execute("INSERT INTO t VALUES ('é😀')")
    connection.close()
    assert mariadb.sql("SELECT name FROM t") == "é😀"


async def test_mariadb_asks_for_the_password(mariadb: Database[MariaDB]) -> None:
    with pytest.raises(aiomysql.OperationalError, match="Access denied"):
        await aiomysql.connect(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password="wrong"
        )


def test_mariadb_survives_being_killed(mariadb: Database[MariaDB]) -> None:
    mariadb.sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    mariadb.server.kill()
    assert not mariadb.server.running
    mariadb.server.start()
    assert mariadb.sql("SELECT id FROM kept") == "7"

"""The databases as destinations of the JDBC sink."""

from pathlib import Path

import pytest

from coracle.connectors.jdbc.dialects.mysql import MysqlDialect
from tests.integration.jdbc.sink_case import Destination
from tests.servers.database import Database


@pytest.fixture(params=["postgresql", "mariadb-asyncmy", "mariadb-aiomysql", "sqlite"])
def destination(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Destination:
    """Each database in turn, MariaDB with each driver."""
    if request.param == "sqlite":
        return Destination("sqlite", {"connection.url": f"jdbc:sqlite:{tmp_path}/rows.db"})
    return served(request, monkeypatch)


@pytest.fixture(params=["postgresql", "mariadb-asyncmy", "mariadb-aiomysql"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Destination:
    """Each database that is a server."""
    return served(request, monkeypatch)


def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Destination:
    driver = request.param.partition("-")[2]
    if driver:
        monkeypatch.setattr(MysqlDialect, "driver", driver)
        return of_server("mysql", request.getfixturevalue("mariadb"))
    return of_server("postgresql", request.getfixturevalue("postgres"))


@pytest.fixture
def postgresql(postgres: Database) -> Destination:
    """PostgreSQL only."""
    return of_server("postgresql", postgres)


@pytest.fixture
def mysql(mariadb: Database) -> Destination:
    """MariaDB only."""
    return of_server("mysql", mariadb)


def of_server(kind: str, database: Database) -> Destination:
    connection = {
        "connection.url": database.jdbc_url,
        "connection.user": database.user,
        "connection.password": database.password,
    }
    return Destination(kind, connection, database)

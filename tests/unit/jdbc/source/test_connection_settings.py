"""URLs and the settings that source and sink share."""

import asyncio
import sys
from typing import Any

import pytest

from coracle.api import Config, ConfigError, ConnectError
from coracle.connectors.jdbc import connection
from coracle.connectors.jdbc.config import CONNECTION_SPEC, ConnectionSettings
from coracle.connectors.jdbc.dialects import ErrorClass, dialect_for
from coracle.connectors.jdbc.url import parse_url


def config(url: str, **more: str) -> Config:
    named = {key.replace("__", "."): value for key, value in more.items()}
    return CONNECTION_SPEC.parse({"connection.url": url, **named})


@pytest.mark.parametrize(
    ("text", "hosts", "database", "params"),
    [
        ("jdbc:postgresql://h:1/d", (("h", 1),), "d", {}),
        ("jdbc:postgresql://h/d?a=b%20c&x", (("h", 5432),), "d", {"a": "b c", "x": ""}),
        ("jdbc:postgresql:d", (("localhost", 5432),), "d", {}),
        ("jdbc:postgresql://a,b:2/d", (("a", 5432), ("b", 2)), "d", {}),
        ("jdbc:postgresql://[::1]:9/d", (("::1", 9),), "d", {}),
        ("jdbc:mysql://h/", (("h", 3306),), "", {}),
        ("jdbc:mysql:loadbalance://a,b/d", (("a", 3306), ("b", 3306)), "d", {}),
        ("JDBC:MariaDB://h:1/caf%C3%A9?a=1", (("h", 1),), "café", {"a": "1"}),
        ("jdbc:sqlite:/a b/c.db", (), "/a b/c.db", {}),
        ("jdbc:sqlite::memory:", (), ":memory:", {}),
    ],
)
def test_urls(text: str, hosts: Any, database: str, params: dict[str, str]) -> None:
    url = parse_url(text)
    assert (url.hosts, url.database, url.params) == (hosts, database, params)


@pytest.mark.parametrize(
    "text",
    [
        "jdbc:postgresql://h/d?user=me&password=s3cret",
        "jdbc:mysql://me:s3cret@h/d",
        "jdbc:mariadb://me:s3cre%74@h/d",
    ],
)
def test_credentials_in_urls_are_used_and_never_shown(text: str) -> None:
    url = parse_url(text)
    assert url.user == "me"
    assert url.password is not None
    assert url.password.reveal == "s3cret"
    settings = ConnectionSettings.of(config(text))
    shown = f"{url} {url!r} {settings!r} {settings.place}"
    assert "s3cret" not in shown
    assert "'d' on h:" in settings.place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://h/d", "is not a JDBC URL"),
        ("jdbc:oracle:thin:@h", "names the database 'oracle'"),
        ("jdbc:mysql://h:s3cret/d", "has the port"),
        ("", "is not a JDBC URL"),
    ],
)
def test_urls_that_are_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        config(text)
    assert "It should look like jdbc:" in str(raised.value)


def test_other_connection_keys_are_parameters() -> None:
    settings = ConnectionSettings.of(
        config("jdbc:mysql://h/d?useSSL=true", connection__useSSL="false", connection__user="u")
    )
    assert settings.url.param("usessl") == "false"
    assert settings.user == "u"


def test_secrets_among_the_parameters_are_never_shown() -> None:
    settings = ConnectionSettings.of(
        config("jdbc:postgresql://h/d?sslpassword=hush", connection__sslpassword="hush")
    )
    assert settings.url.param("sslpassword") == "hush"
    assert "hush" not in repr(settings) + str(settings) + repr(settings.url)


def test_a_dialect_of_another_database() -> None:
    with pytest.raises(ConfigError, match=r"dialect.name is SqliteDatabaseDialect"):
        dialect_for(config("jdbc:mysql://h/d", dialect__name="SqliteDatabaseDialect"))
    mariadb = dialect_for(config("jdbc:mariadb://h/d", dialect__name="MySqlDatabaseDialect"))
    assert mariadb.quote("a`b") == "`a``b`"


@pytest.mark.parametrize(("value", "quoted"), [("never", "a"), ("false", "a"), ("ALWAYS", '"a"')])
def test_quoting(value: str, quoted: str) -> None:
    dialect = dialect_for(config("jdbc:sqlite:x", quote__sql__identifiers=value))
    assert dialect.quote("a") == quoted


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "coracle.connectors.jdbc.dialects.postgresql", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'coracle-connect\[postgresql\]'"):
        dialect_for(config("jdbc:postgresql://h/d"))


class Passing:
    """A dialect that can be reached at the third attempt."""

    def __init__(self, settings: ConnectionSettings, error_class: ErrorClass) -> None:
        self.settings = settings
        self.error_class = error_class
        self.attempts = 0

    async def connect(self, *, reading: bool = False) -> str:
        self.attempts += 1
        if self.attempts < 3:
            raise OSError("refused")
        return "connected"

    def classify(self, error: BaseException) -> ErrorClass:
        return self.error_class

    def describe(self, error: BaseException) -> str:
        return str(error)


def passing(attempts: int, error_class: ErrorClass) -> Any:
    settings = ConnectionSettings.of(
        config(
            "jdbc:mysql://h/d",
            connection__attempts=str(attempts),
            connection__backoff__ms="10",
        )
    )
    return Passing(settings, error_class)


async def test_connecting_is_tried_again() -> None:
    dialect = passing(3, ErrorClass.CONNECTION)
    before = asyncio.get_running_loop().time()
    assert await connection.connect(dialect) == "connected"
    assert asyncio.get_running_loop().time() - before >= 0.02


async def test_connecting_is_given_up() -> None:
    dialect = passing(2, ErrorClass.CONNECTION)
    with pytest.raises(ConnectError, match=r"refused. Gave up after 2 attempts."):
        await connection.connect(dialect)


async def test_what_will_not_pass_is_not_tried_again() -> None:
    dialect = passing(3, ErrorClass.PERMANENT)
    with pytest.raises(ConnectError, match=r"Check connection.url"):
        await connection.connect(dialect)
    assert dialect.attempts == 1

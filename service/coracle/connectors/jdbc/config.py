"""The settings that source and sink share: where the database is and how to talk to it.

``CONNECTION_SPEC`` declares them, ``ConnectionSettings`` is what dialects are built from. Every
other ``connection.*`` key is taken as if it were a parameter of the URL, as the JDBC connector
does: https://docs.confluent.io/kafka-connectors/jdbc/current/source-connector/source_config_options.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from coracle.api import (
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    OneOf,
    Password,
    Range,
)
from coracle.connectors.jdbc.url import JdbcUrl, parse_url
from coracle.java.time_zone import parse_time_zone

GROUP = "Database"
DIALECTS = {
    "PostgreSqlDatabaseDialect": "postgresql",
    "MySqlDatabaseDialect": "mysql",
    "SqliteDatabaseDialect": "sqlite",
    "GenericDatabaseDialect": "",
}
_OWN_KEYS = {"url", "user", "username", "password", "attempts", "backoff.ms"}


@dataclass(frozen=True)
class ValidUrl:
    """The value must be a JDBC URL of a supported database."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when it is none."""
        parse_url(value, key=name)

    def __str__(self) -> str:
        return "a JDBC URL"


@dataclass(frozen=True)
class ValidTimezone:
    """The value must name a time zone."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when it does not."""
        try:
            parse_time_zone(value)
        except ValueError as error:
            raise ConfigError(
                f"{error} for configuration {name}.",
                field=name,
                fix="Use an IANA name such as Europe/Berlin, an offset such as GMT+02:00, or UTC.",
            ) from None

    def __str__(self) -> str:
        return "an IANA time zone"


CONNECTION_SPEC = ConfigSpec(
    [
        ConfigKey(
            "connection.url",
            ConfigType.STRING,
            doc="JDBC connection URL, for example jdbc:postgresql://db.example.com/shop.",
            importance=Importance.HIGH,
            validator=ValidUrl(),
            group=GROUP,
            display_name="JDBC URL",
            dependents=("table.whitelist", "table.blacklist"),
        ),
        ConfigKey(
            "connection.user",
            ConfigType.STRING,
            None,
            "User to log in as.",
            Importance.HIGH,
            group=GROUP,
            display_name="JDBC User",
        ),
        ConfigKey(
            "connection.password",
            ConfigType.PASSWORD,
            None,
            "Password of the user.",
            Importance.HIGH,
            group=GROUP,
            display_name="JDBC Password",
        ),
        ConfigKey(
            "connection.attempts",
            ConfigType.INT,
            3,
            "How often to try to connect before giving up. Only trouble that may pass is tried "
            "again: a wrong password fails at once.",
            Importance.LOW,
            validator=Range(1),
            group=GROUP,
            display_name="JDBC connection attempts",
        ),
        ConfigKey(
            "connection.backoff.ms",
            ConfigType.LONG,
            10000,
            "Milliseconds between two attempts to connect.",
            Importance.LOW,
            validator=Range(0),
            group=GROUP,
            display_name="JDBC connection backoff in milliseconds",
        ),
        ConfigKey(
            "dialect.name",
            ConfigType.STRING,
            "",
            "The database's dialect. Empty: told by the URL.",
            Importance.LOW,
            validator=OneOf(("", *DIALECTS)),
            group=GROUP,
            display_name="Database dialect",
        ),
        ConfigKey(
            "db.timezone",
            ConfigType.STRING,
            "UTC",
            "Time zone of date and time columns that carry none themselves.",
            Importance.MEDIUM,
            validator=ValidTimezone(),
            group=GROUP,
            display_name="DB time zone",
        ),
        ConfigKey(
            "quote.sql.identifiers",
            ConfigType.STRING,
            "ALWAYS",
            "When to quote table and column names in SQL.",
            Importance.MEDIUM,
            # Aiven's fork spells the same choice as a boolean, sql.quote.identifiers.
            validator=OneOf(("always", "never", "true", "false"), ignore_case=True),
            group=GROUP,
            display_name="Quote Identifiers",
            aliases=("sql.quote.identifiers",),
        ),
    ],
    prefixes=("connection.",),
)


@dataclass(frozen=True)
class ConnectionSettings:
    """What a dialect needs to know, typed.

    Attributes:
        url: where; its ``params`` include the other ``connection.*`` keys.
        user, password: credentials; the configuration's win over the URL's.
        attempts, backoff: how often to try to connect, and the seconds in between.
        timezone: the zone of zoneless columns.
        quote: whether identifiers are quoted.
        kind: ``postgresql``, ``mysql`` or ``sqlite``.
    """

    url: JdbcUrl
    user: str | None
    password: Password | None
    attempts: int
    backoff: float
    timezone: tzinfo
    quote: bool
    kind: str

    @classmethod
    def of(cls, config: Config) -> ConnectionSettings:
        """Read the connection's part of a parsed configuration.

        Raises:
            ConfigError: when URL and dialect contradict each other.
        """
        url = parse_url(config["connection.url"])
        extra = {
            name: value
            for name, value in config.with_prefix("connection.").items()
            if name not in _OWN_KEYS
        }
        url = JdbcUrl(
            url.subprotocol,
            url.hosts,
            url.database,
            {**url.params, **extra},
            url.user,
            url.password,
        )
        return cls(
            url=url,
            user=config["connection.user"] or url.user,
            password=config["connection.password"] or url.password,
            attempts=config["connection.attempts"],
            backoff=config["connection.backoff.ms"] / 1000,
            timezone=parse_time_zone(config["db.timezone"]),
            quote=config["quote.sql.identifiers"].lower() in ("always", "true"),
            kind=_kind(url, config["dialect.name"]),
        )

    @property
    def place(self) -> str:
        """Host, port, database and user for messages; never the password."""
        if not self.url.hosts:
            return f"database file {self.url.database}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.url.hosts)
        return f"database {self.url.database!r} on {hosts} as user {self.user!r}"


def _kind(url: JdbcUrl, dialect_name: str) -> str:
    spoken = {"mariadb": "mysql"}.get(url.subprotocol, url.subprotocol)
    wanted = DIALECTS.get(dialect_name, "")
    if wanted and wanted != spoken:
        raise ConfigError(
            f"dialect.name is {dialect_name}, but connection.url is of {url.subprotocol}.",
            field="dialect.name",
            code="conflict",
            fix="Leave dialect.name empty.",
        )
    return spoken

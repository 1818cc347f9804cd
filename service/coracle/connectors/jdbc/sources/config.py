"""The source's keys, and the rules between them.

Names, defaults and meaning are the JDBC source connector's:
https://docs.confluent.io/kafka-connectors/jdbc/current/source-connector/source_config_options.html
Names of Aiven's fork are aliases or stand beside them:
https://github.com/Aiven-Open/jdbc-connector-for-apache-kafka/blob/master/docs/source-connector.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coracle.api import (
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    OneOf,
    Range,
)
from coracle.connectors.jdbc.config import CONNECTION_SPEC, GROUP
from coracle.connectors.jdbc.sources.clock import GRANULARITIES
from coracle.connectors.jdbc.sources.numbers import MAPPINGS
from coracle.connectors.jdbc.sources.tables import ColumnMapping
from coracle.java.regex import JavaRegex

MODES = ("bulk", "timestamp", "incrementing", "timestamp+incrementing")
ISOLATION_LEVELS = (
    "DEFAULT",
    "READ_UNCOMMITTED",
    "READ_COMMITTED",
    "REPEATABLE_READ",
    "SERIALIZABLE",
)
_MODE, _CONNECTOR = "Mode", "Connector"


@dataclass(frozen=True)
class ValidPrefix:
    """The start of a topic's name."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when no topic can be named so."""
        if not re.fullmatch(r"[A-Za-z0-9._-]*", value, re.ASCII):
            raise ConfigError(
                f"Invalid value {value} for configuration {name}: Topic prefix must not contain "
                "any character other than ASCII alphanumerics, '.', '_' and '-'.",
                field=name,
            )
        if len(value) > 249:
            raise ConfigError(
                f"Invalid value for configuration {name}: it has {len(value)} characters, and a "
                "topic's name at most 249.",
                field=name,
            )

    def __str__(self) -> str:
        return "ASCII alphanumerics, '.', '_' and '-'"


@dataclass(frozen=True)
class ValidRegexes:
    """A list of Java regular expressions."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when one is none."""
        for text in value:
            JavaRegex()(name, text)

    def __str__(self) -> str:
        return "Java regular expressions"


@dataclass(frozen=True)
class ValidMapping:
    """Entries of the form ``regex:columns``."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when one has another form."""
        try:
            ColumnMapping(name, value)
        except ValueError as error:
            raise ConfigError(
                f"Invalid value {value} for configuration {name}: {error} is not of the form "
                "regex:column or regex:[column|column].",
                field=name,
            ) from None

    def __str__(self) -> str:
        return "regex:column,…"


def _tables(
    name: str, doc: str, type_: ConfigType = ConfigType.LIST, default: Any = (), **more: Any
) -> ConfigKey:
    default = list(default) if type_ is ConfigType.LIST else default
    return ConfigKey(name, type_, default, doc, group=GROUP, **more)


_KEYS = [
    _tables(
        "table.whitelist",
        "Tables to read, by name, schema.name or database.name, exactly as they are spelled. "
        "Empty: all tables.",
    ),
    _tables("table.blacklist", "Tables not to read, named as in table.whitelist."),
    _tables(
        "table.include.list",
        "Regular expressions; a table is read when one matches its whole name (schema.name).",
        validator=ValidRegexes(),
    ),
    _tables(
        "table.exclude.list",
        "Regular expressions; tables of table.include.list that match one are not read.",
        validator=ValidRegexes(),
    ),
    _tables(
        "table.types",
        "Kinds of tables to read: TABLE, VIEW, PARTITIONED TABLE, MATERIALIZED VIEW, FOREIGN "
        "TABLE.",
        default=("TABLE",),
        importance=Importance.LOW,
    ),
    _tables(
        "catalog.pattern",
        "The database to look for tables in (MySQL). Empty: the one of connection.url.",
        ConfigType.STRING,
        None,
    ),
    _tables(
        "schema.pattern",
        "LIKE pattern of the schemas to look for tables in (PostgreSQL). Empty: all.",
        ConfigType.STRING,
        None,
    ),
    _tables(
        "numeric.mapping",
        "What NUMERIC columns become: none (Decimal), precision_only (integers where the scale is "
        "0), best_fit (integers or doubles where the precision allows), best_fit_eager_double "
        "(doubles whenever there are decimals).",
        ConfigType.STRING,
        None,
        importance=Importance.LOW,
        validator=OneOf(MAPPINGS, ignore_case=True),
    ),
    _tables(
        "numeric.precision.mapping",
        "Older spelling of numeric.mapping=precision_only.",
        ConfigType.BOOLEAN,
        False,
        importance=Importance.LOW,
    ),
    _tables(
        "table.names.qualify",
        "Whether queries name tables with their schema or database.",
        ConfigType.BOOLEAN,
        True,
        importance=Importance.LOW,
    ),
    ConfigKey(
        "mode",
        ConfigType.STRING,
        "",
        "How new rows are found: bulk (all rows every time), incrementing (by a growing id), "
        "timestamp (by a time of change), timestamp+incrementing (by both).",
        Importance.HIGH,
        OneOf(("", *MODES)),
        group=_MODE,
        display_name="Table Loading Mode",
    ),
    ConfigKey(
        "incrementing.column.name",
        ConfigType.STRING,
        "",
        "The column that only grows. Empty: the table's auto-increment column.",
        group=_MODE,
    ),
    ConfigKey(
        "incrementing.column.mapping",
        ConfigType.STRING,
        "",
        "The incrementing column by table: regex:column,… with table.include.list.",
        validator=ValidMapping(),
        group=_MODE,
    ),
    ConfigKey(
        "incrementing.initial",
        ConfigType.LONG,
        -1,
        "Rows whose id is larger than this are read at first.",
        Importance.LOW,
        group=_MODE,
    ),
    ConfigKey(
        "timestamp.column.name",
        ConfigType.LIST,
        [],
        "The column with the time of the last change; of several, the first that is not NULL.",
        group=_MODE,
    ),
    ConfigKey(
        "timestamp.columns.mapping",
        ConfigType.STRING,
        "",
        "The timestamp columns by table: regex:[column|column],… with table.include.list.",
        validator=ValidMapping(),
        group=_MODE,
    ),
    ConfigKey(
        "timestamp.initial",
        ConfigType.LONG,
        None,
        "Rows changed after this are read at first: milliseconds since 1970, or -1 for the "
        "database's present time.",
        Importance.LOW,
        Range(-1),
        group=_MODE,
        aliases=("timestamp.initial.ms",),
    ),
    ConfigKey(
        "validate.non.null",
        ConfigType.BOOLEAN,
        True,
        "Whether incrementing and timestamp columns must be NOT NULL. NULLs would never be read.",
        Importance.LOW,
        group=_MODE,
    ),
    ConfigKey(
        "query",
        ConfigType.STRING,
        "",
        "A query to read instead of tables. Outside bulk mode a WHERE clause is appended to it.",
        group=_MODE,
    ),
    ConfigKey(
        "query.masked",
        ConfigType.PASSWORD,
        None,
        "As query, when it must not be shown.",
        group=_MODE,
    ),
    ConfigKey(
        "query.suffix",
        ConfigType.STRING,
        "",
        "Appended to every query, for example LIMIT 10000.",
        Importance.LOW,
        group=_MODE,
    ),
    ConfigKey(
        "query.retry.attempts",
        ConfigType.INT,
        -1,
        "How often a query is tried again after the connection was lost or a lock not had; -1 for "
        "ever. Other errors are never tried again.",
        Importance.LOW,
        Range(-1),
        group=_MODE,
    ),
    ConfigKey(
        "transaction.isolation.mode",
        ConfigType.STRING,
        "DEFAULT",
        "Isolation of the reading transactions.",
        Importance.LOW,
        OneOf(ISOLATION_LEVELS, ignore_case=True),
        group=_MODE,
    ),
    ConfigKey(
        "timestamp.granularity",
        ConfigType.STRING,
        "connect_logical",
        "What timestamps become: Connect's Timestamp (milliseconds), or micro- or nanoseconds as "
        "a number, as its digits, or as ISO 8601 text in db.timezone.",
        Importance.LOW,
        OneOf(tuple(GRANULARITIES), ignore_case=True),
        group=_MODE,
    ),
    ConfigKey(
        "timestamp.delay.interval.ms",
        ConfigType.LONG,
        0,
        "How long to leave rows alone after their timestamp, so that transactions that began "
        "earlier can commit theirs.",
        Importance.HIGH,
        Range(0),
        group=_MODE,
    ),
    ConfigKey(
        "date.calendar.system",
        ConfigType.STRING,
        "PROLEPTIC_GREGORIAN",
        "Accepted for compatibility: dates are counted in the proleptic Gregorian calendar, which "
        "differs from LEGACY before 1582 only.",
        Importance.LOW,
        OneOf(("LEGACY", "PROLEPTIC_GREGORIAN"), ignore_case=True),
        group=_MODE,
    ),
    ConfigKey(
        "poll.interval.ms",
        ConfigType.INT,
        5000,
        "Milliseconds between the end of one query of a table and the next.",
        Importance.HIGH,
        Range(0),
        group=_CONNECTOR,
    ),
    ConfigKey(
        "batch.max.rows",
        ConfigType.INT,
        100,
        "The most rows in one batch.",
        Importance.LOW,
        Range(1),
        group=_CONNECTOR,
    ),
    ConfigKey(
        "table.poll.interval.ms",
        ConfigType.LONG,
        60_000,
        "Milliseconds between two looks for new or removed tables.",
        Importance.LOW,
        Range(1),
        group=_CONNECTOR,
    ),
    ConfigKey(
        "topic.prefix",
        ConfigType.STRING,
        doc="Start of the topic's name, which the table's name follows; with query, all of it.",
        importance=Importance.HIGH,
        validator=ValidPrefix(),
        group=_CONNECTOR,
    ),
    ConfigKey(
        "max.buffer.size",
        ConfigType.INT,
        0,
        "Accepted for compatibility: queues are bounded in bytes.",
        Importance.LOW,
        group=_CONNECTOR,
    ),
    ConfigKey(
        "poll.linger.ms",
        ConfigType.LONG,
        5000,
        "Accepted for compatibility: a batch is handed on as soon as it is read.",
        Importance.LOW,
        group=_CONNECTOR,
    ),
    ConfigKey(
        "tables",
        ConfigType.STRING,
        None,
        "A task's tables, as quoted full names.",
        internal=True,
    ),
    ConfigKey(
        "tables.fetched",
        ConfigType.BOOLEAN,
        True,
        "Whether tables were looked for before tables was written.",
        internal=True,
    ),
]


def query_of(values: Mapping[str, Any]) -> str:
    """The configured query, masked or not; empty when tables are read."""
    masked = values["query.masked"]
    return (masked.reveal if masked else values["query"]).strip().rstrip(";").rstrip()


_FILTERS = ("table.whitelist", "table.blacklist", "table.include.list", "table.exclude.list")


def _check(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    return [*_check_mode(values), *_check_tables(values)]


def _check_mode(values: Mapping[str, Any]) -> list[ConfigError]:
    mode = values["mode"]
    errors: list[ConfigError] = []
    if not mode:
        errors.append(
            ConfigError(
                "Query mode must be specified.",
                field="mode",
                code="missing",
                fix=f"Set mode to one of {', '.join(MODES)}.",
            )
        )
    if "timestamp" in mode and not (
        values["timestamp.column.name"] or values["timestamp.columns.mapping"]
    ):
        errors.append(
            ConfigError(
                f"Mode {mode} needs a timestamp column, and timestamp.column.name is empty.",
                field="timestamp.column.name",
                code="missing",
                fix="Name the column that holds the time of a row's last change.",
            )
        )
    if query_of(values) and "incrementing" in mode and not values["incrementing.column.name"]:
        errors.append(
            ConfigError(
                "With query, the incrementing column must be named.",
                field="incrementing.column.name",
                code="missing",
                fix="Set incrementing.column.name to a column that query returns.",
            )
        )
    return errors


def _check_tables(values: Mapping[str, Any]) -> list[ConfigError]:
    used = [key for key in _FILTERS if values[key]]
    errors: list[ConfigError] = []

    def conflict(field: str, message: str, fix: str) -> None:
        errors.append(ConfigError(message, field=field, code="conflict", fix=fix))

    if query_of(values):
        if values["query"] and values["query.masked"]:
            conflict("query", "query and query.masked are exclusive.", "Set one of them.")
        if used:
            conflict(
                used[0],
                f"query may not be combined with whole-table copying settings ({', '.join(used)}).",
                "Remove query, or the tables.",
            )
        if not values["topic.prefix"]:
            conflict(
                "topic.prefix", "With query, topic.prefix is the topic's name.", "Set topic.prefix."
            )
        return errors
    if values["table.whitelist"] and values["table.blacklist"]:
        conflict(
            "table.blacklist",
            "table.blacklist and table.whitelist are exclusive.",
            "Remove one of them.",
        )
    if values["table.exclude.list"] and not values["table.include.list"]:
        conflict(
            "table.exclude.list",
            "table.exclude.list takes tables out of table.include.list, which is empty.",
            "Set table.include.list too, for example to .*",
        )
    older = [key for key in used if key in _FILTERS[:2]]
    newer = [key for key in used if key in _FILTERS[2:]]
    if older and newer:
        conflict(
            newer[0],
            f"{' and '.join(newer)} cannot be mixed with {' and '.join(older)}.",
            "Use the include and exclude lists, or the whitelist or blacklist.",
        )
    return errors


SOURCE_SPEC = CONNECTION_SPEC + ConfigSpec(_KEYS, checks=(_check,))

"""The sink's settings: the keys of Confluent's JDBC sink connector and of Aiven's fork, read once.

Sources:
https://docs.confluent.io/kafka-connectors/jdbc/current/sink-connector/sink_config_options.html
and the sink options in https://github.com/Aiven-Open/jdbc-connector-for-apache-kafka .
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any

from coracle.api import (
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    NonEmpty,
    OneOf,
    Range,
)
from coracle.connectors.jdbc.config import CONNECTION_SPEC
from coracle.java.time_zone import parse_time_zone

WRITES = "Writes"
MAPPING = "Data Mapping"
DDL = "DDL Support"
RETRIES = "Retries"
TABLE_TYPES = ("TABLE", "PARTITIONED TABLE", "VIEW")


class InsertMode(StrEnum):
    """What a record with a value does to its table."""

    INSERT = "insert"
    UPSERT = "upsert"
    UPDATE = "update"


class PrimaryKeyMode(StrEnum):
    """Where a row's primary key comes from."""

    NONE = "none"
    KAFKA = "kafka"
    RECORD_KEY = "record_key"
    RECORD_VALUE = "record_value"


@dataclass(frozen=True)
class ValidTableTypes:
    """The value must list kinds of tables."""

    def __call__(self, name: str, value: Sequence[str]) -> None:
        """Raise ``ConfigError`` when it is not."""
        wrong = [item for item in value if item.upper() not in TABLE_TYPES]
        if wrong or not value:
            raise ConfigError(
                f"Invalid value {','.join(value)} for configuration {name}: must be {self}.",
                field=name,
            )

    def __str__(self) -> str:
        return "a list of " + ", ".join(TABLE_TYPES)


@dataclass(frozen=True)
class ValidTopicMapping:
    """The value must be a list of ``topic:table`` pairs."""

    def __call__(self, name: str, value: Sequence[str]) -> None:
        """Raise ``ConfigError`` when it is not."""
        for pair in value:
            topic, _, table = pair.partition(":")
            if not topic.strip() or not table.strip():
                raise ConfigError(
                    f"Invalid value {pair} for configuration {name}: must be {self}.", field=name
                )

    def __str__(self) -> str:
        return "a list of topic:table pairs"


def _check_keys(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    """The rules that the modes, ``pk.fields`` and ``delete.enabled`` set each other."""
    errors: list[ConfigError] = []
    mode = values["pk.mode"].lower()
    names = values["pk.fields"]
    if values["delete.enabled"] and mode != PrimaryKeyMode.RECORD_KEY:
        errors.append(
            ConfigError(
                "Primary key mode must be 'record_key' when delete support is enabled",
                field="pk.mode",
                code="conflict",
                fix="Set pk.mode=record_key, or delete.enabled=false.",
            )
        )
    if mode == PrimaryKeyMode.NONE and values["insert.mode"].lower() in ("upsert", "update"):
        errors.append(
            ConfigError(
                f"insert.mode={values['insert.mode']} needs a primary key, but pk.mode is none",
                field="pk.mode",
                code="conflict",
                fix="Set pk.mode to record_key, record_value or kafka, or insert.mode to insert.",
            )
        )
    if mode == PrimaryKeyMode.KAFKA and len(names) not in (0, 3):
        errors.append(
            ConfigError(
                f"pk.fields must name no or three columns when pk.mode is kafka, not {len(names)}",
                field="pk.fields",
                code="conflict",
                fix="Name the columns for topic, partition and offset in this order.",
            )
        )
    return errors


_SINK_KEYS = ConfigSpec(
    [
        ConfigKey(
            "insert.mode",
            ConfigType.STRING,
            "insert",
            "How records are written: insert; upsert (insert, or update the row of the same key); "
            "update (only rows that exist). 'multi' is Aiven's word for insert in one statement.",
            Importance.HIGH,
            OneOf(("insert", "upsert", "update", "multi"), ignore_case=True),
            group=WRITES,
            display_name="Insert Mode",
        ),
        ConfigKey(
            "batch.size",
            ConfigType.INT,
            3000,
            "The most rows in one SQL statement. A PostgreSQL COPY is a stream and takes all.",
            Importance.MEDIUM,
            Range(1),
            group=WRITES,
            display_name="Batch Size",
        ),
        ConfigKey(
            "delete.enabled",
            ConfigType.BOOLEAN,
            False,
            "Whether a record without a value deletes the row of its key. Needs pk.mode "
            "record_key.",
            Importance.MEDIUM,
            group=WRITES,
            display_name="Enable deletes",
        ),
        ConfigKey(
            "table.types",
            ConfigType.LIST,
            ["TABLE"],
            "The kinds of tables that may be written to.",
            Importance.LOW,
            ValidTableTypes(),
            group=WRITES,
            display_name="Table Types",
        ),
        ConfigKey(
            "table.name.format",
            ConfigType.STRING,
            "${topic}",
            "The destination table; ${topic} stands for the topic. Dots separate catalog, schema "
            "and table.",
            Importance.MEDIUM,
            NonEmpty(),
            group=MAPPING,
            display_name="Table Name Format",
        ),
        ConfigKey(
            "table.name.normalize",
            ConfigType.BOOLEAN,
            False,
            "Whether every character of a table name but letters, digits and '_' becomes '_'.",
            Importance.MEDIUM,
            group=MAPPING,
            display_name="Table Name Normalize",
        ),
        ConfigKey(
            "topics.to.tables.mapping",
            ConfigType.LIST,
            [],
            "Tables of single topics as topic:table pairs. It wins over table.name.format.",
            Importance.MEDIUM,
            ValidTopicMapping(),
            group=MAPPING,
            display_name="Topics To Tables Mapping",
        ),
        ConfigKey(
            "pk.mode",
            ConfigType.STRING,
            "none",
            "Where the primary key comes from: none; kafka (topic, partition and offset); "
            "record_key; record_value.",
            Importance.HIGH,
            OneOf(tuple(PrimaryKeyMode), ignore_case=True),
            group=MAPPING,
            display_name="Primary Key Mode",
        ),
        ConfigKey(
            "pk.fields",
            ConfigType.LIST,
            [],
            "The key's columns. kafka: names of the three columns; record_key: the column of a "
            "primitive key, or fields of a struct key (all if empty); record_value: fields (all "
            "if empty).",
            Importance.MEDIUM,
            group=MAPPING,
            display_name="Primary Key Fields",
        ),
        ConfigKey(
            "fields.whitelist",
            ConfigType.LIST,
            [],
            "The value's fields to write; all if empty. Key columns are always written.",
            Importance.MEDIUM,
            group=MAPPING,
            display_name="Fields Whitelist",
        ),
        ConfigKey(
            "string.output.value.column.name",
            ConfigType.STRING,
            "record_value",
            "The column for values that are plain strings.",
            Importance.LOW,
            NonEmpty(),
            group=MAPPING,
            display_name="String Value Column",
        ),
        ConfigKey(
            "replace.null.with.default",
            ConfigType.BOOLEAN,
            True,
            "Whether a null field that has a default in its schema is written as the default.",
            Importance.MEDIUM,
            group=MAPPING,
            display_name="Replace Null With Default",
        ),
        ConfigKey(
            "date.timezone",
            ConfigType.STRING,
            "DB_TIMEZONE",
            "The zone in which a Connect Date, which is midnight UTC, becomes a day: that of "
            "db.timezone, or UTC. With DB_TIMEZONE and a zone west of Greenwich the day before is "
            "stored, as Confluent's connector does.",
            Importance.MEDIUM,
            OneOf(("DB_TIMEZONE", "UTC"), ignore_case=True),
            group=MAPPING,
            display_name="Date Time Zone",
        ),
        ConfigKey(
            "date.calendar.system",
            ConfigType.STRING,
            "LEGACY",
            "Read for compatibility. Dates are Gregorian throughout, as PROLEPTIC_GREGORIAN says; "
            "those before October 1582 differ from the JVM's with LEGACY.",
            Importance.LOW,
            OneOf(("LEGACY", "PROLEPTIC_GREGORIAN"), ignore_case=True),
            group=MAPPING,
            display_name="Date Calendar System",
        ),
        ConfigKey(
            "timestamp.fields.list",
            ConfigType.LIST,
            [],
            "INT64 fields of the value that hold timestamps, in the unit of "
            "timestamp.precision.mode.",
            Importance.MEDIUM,
            group=MAPPING,
            display_name="Timestamp Fields",
        ),
        ConfigKey(
            "timestamp.precision.mode",
            ConfigType.STRING,
            "microseconds",
            "The unit of timestamp.fields.list. Databases keep microseconds; finer digits are cut "
            "off.",
            Importance.MEDIUM,
            OneOf(("microseconds", "nanoseconds"), ignore_case=True),
            group=MAPPING,
            display_name="Timestamp Precision Mode",
        ),
        ConfigKey(
            "auto.create",
            ConfigType.BOOLEAN,
            False,
            "Whether a missing table is created from the records' schema.",
            Importance.MEDIUM,
            group=DDL,
            display_name="Auto-Create",
        ),
        ConfigKey(
            "auto.evolve",
            ConfigType.BOOLEAN,
            False,
            "Whether missing columns are added. Columns are never removed or changed.",
            Importance.MEDIUM,
            group=DDL,
            display_name="Auto-Evolve",
        ),
        ConfigKey(
            "max.retries",
            ConfigType.INT,
            10,
            "How often a write that the database may accept later is repeated before the task "
            "fails.",
            Importance.MEDIUM,
            Range(0),
            group=RETRIES,
            display_name="Maximum Retries",
        ),
        ConfigKey(
            "retry.backoff.ms",
            ConfigType.INT,
            3000,
            "Milliseconds before a write is repeated.",
            Importance.MEDIUM,
            Range(0),
            group=RETRIES,
            display_name="Retry Backoff (millis)",
        ),
    ],
    checks=(_check_keys,),
)

SINK_SPEC = CONNECTION_SPEC + _SINK_KEYS


@dataclass(frozen=True)
class SinkSettings:
    """The configuration, typed. Attributes are named after their keys.

    Attributes:
        timezone: the zone of columns that have none.
        date_timezone: the zone a Connect Date is turned into a day in.
        timestamp_fields: ``timestamp.fields.list``.
        timestamp_unit: how many units of those fields make a microsecond: 1 or 1000.
        retry_backoff: seconds.
    """

    insert_mode: InsertMode
    pk_mode: PrimaryKeyMode
    pk_fields: tuple[str, ...]
    whitelist: frozenset[str]
    delete_enabled: bool
    auto_create: bool
    auto_evolve: bool
    batch_size: int
    table_name_format: str
    table_name_normalize: bool
    topics_to_tables: Mapping[str, str]
    table_types: frozenset[str]
    string_column: str
    replace_null_with_default: bool
    timezone: tzinfo
    date_timezone: tzinfo
    timestamp_fields: frozenset[str]
    timestamp_unit: int
    max_retries: int
    retry_backoff: float

    @classmethod
    def of(cls, config: Config) -> SinkSettings:
        """Read a configuration parsed with ``SINK_SPEC``."""
        mode = config["insert.mode"].lower()
        timezone = parse_time_zone(config["db.timezone"])
        nanoseconds = config["timestamp.precision.mode"].lower() == "nanoseconds"
        mapping = (pair.partition(":") for pair in config["topics.to.tables.mapping"])
        return cls(
            insert_mode=InsertMode("insert" if mode == "multi" else mode),
            pk_mode=PrimaryKeyMode(config["pk.mode"].lower()),
            pk_fields=tuple(config["pk.fields"]),
            whitelist=frozenset(config["fields.whitelist"]),
            delete_enabled=config["delete.enabled"],
            auto_create=config["auto.create"],
            auto_evolve=config["auto.evolve"],
            batch_size=config["batch.size"],
            table_name_format=config["table.name.format"],
            table_name_normalize=config["table.name.normalize"],
            topics_to_tables={topic.strip(): table.strip() for topic, _, table in mapping},
            table_types=frozenset(kind.upper() for kind in config["table.types"]),
            string_column=config["string.output.value.column.name"],
            replace_null_with_default=config["replace.null.with.default"],
            timezone=timezone,
            date_timezone=UTC if config["date.timezone"].upper() == "UTC" else timezone,
            timestamp_fields=frozenset(config["timestamp.fields.list"]),
            timestamp_unit=1000 if nanoseconds else 1,
            max_retries=config["max.retries"],
            retry_backoff=config["retry.backoff.ms"] / 1000,
        )

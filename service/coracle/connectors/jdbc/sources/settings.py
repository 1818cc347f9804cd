"""The source's configuration, typed and resolved against a dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from coracle.api import Config
from coracle.connectors.jdbc.dialects.base import Column, Dialect, TableId
from coracle.connectors.jdbc.sources.clock import LocalClock
from coracle.connectors.jdbc.sources.config import query_of
from coracle.connectors.jdbc.sources.layout import Reading, ReadOptions
from coracle.connectors.jdbc.sources.tables import ColumnMapping


@dataclass(frozen=True)
class SourceSettings:
    """What readers need to know.

    Attributes:
        mode: ``bulk``, ``incrementing``, ``timestamp`` or ``timestamp+incrementing``.
        query: the user's query; empty when tables are read.
        masked: whether the query must not be shown.
        suffix: ``query.suffix``.
        topic_prefix: ``topic.prefix``.
        batch_rows: ``batch.max.rows``.
        delay: ``timestamp.delay.interval.ms``.
        timestamp_initial: milliseconds, -1 for the database's now, ``None`` for 1970.
        incrementing_initial: rows beyond this id are read at first.
        validate_non_null: whether nullable columns are refused.
        qualify: whether tables are named with schema or database.
        read: what types become.
        reading: a column → what it becomes.
        incrementing_column: a table → its configured incrementing column, or ``""``.
        timestamp_columns: a table → its configured timestamp columns.
    """

    mode: str
    query: str
    masked: bool
    suffix: str
    topic_prefix: str
    batch_rows: int
    delay: int
    timestamp_initial: int | None
    incrementing_initial: int
    validate_non_null: bool
    qualify: bool
    read: ReadOptions
    reading: Callable[[Column], Reading]
    incrementing_column: Callable[[TableId | None], str]
    timestamp_columns: Callable[[TableId | None], list[str]]

    @classmethod
    def of(cls, config: Config, dialect: Dialect) -> SourceSettings:
        """Read a parsed configuration."""
        mapping = config["numeric.mapping"]
        if mapping is None:
            mapping = "precision_only" if config["numeric.precision.mapping"] else "none"
        url = dialect.settings.url
        read = ReadOptions(
            numeric_mapping=mapping.lower(),
            granularity=config["timestamp.granularity"].lower(),
            clock=LocalClock(dialect.settings.timezone),
            year_is_date=(url.param("yearIsDateType") or "true").lower() == "true",
        )
        types = import_module(f"coracle.connectors.jdbc.sources.types_{dialect.settings.kind}")
        ids = ColumnMapping("incrementing.column.mapping", config["incrementing.column.mapping"])
        times = ColumnMapping("timestamp.columns.mapping", config["timestamp.columns.mapping"])

        def incrementing_column(table: TableId | None) -> str:
            if ids and table:
                return ids.columns(table)[0]
            return config["incrementing.column.name"]

        def timestamp_columns(table: TableId | None) -> list[str]:
            if times and table:
                return times.columns(table)
            return config["timestamp.column.name"]

        return cls(
            mode=config["mode"],
            query=query_of(config),
            masked=bool(config["query.masked"]),
            suffix=config["query.suffix"],
            topic_prefix=config["topic.prefix"],
            batch_rows=config["batch.max.rows"],
            delay=config["timestamp.delay.interval.ms"],
            timestamp_initial=config["timestamp.initial"],
            incrementing_initial=config["incrementing.initial"],
            validate_non_null=config["validate.non.null"],
            qualify=config["table.names.qualify"],
            read=read,
            reading=lambda column: types.reading(column, read),
            incrementing_column=incrementing_column,
            timestamp_columns=timestamp_columns,
        )

"""Records for the JDBC sink's unit tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from coracle.api import RecordBatch, RecordSchema, Schema, TopicPartition
from coracle.api.record import SchemaTable
from coracle.connectors.jdbc.dialects import Dialect, dialect_for
from coracle.connectors.jdbc.sinks.config import SINK_SPEC, SinkSettings
from coracle.connectors.jdbc.sinks.gathering import Gatherer
from coracle.connectors.jdbc.sinks.routing import Router

POSTGRES = "jdbc:postgresql://db/shop"
MYSQL = "jdbc:mysql://db/shop"
SQLITE = "jdbc:sqlite:shop.db"


def dialect(url: str = POSTGRES, **more: str) -> Dialect:
    return dialect_for(SINK_SPEC.parse({"connection.url": url, **dotted(more)}))


def settings(**more: str) -> SinkSettings:
    return SinkSettings.of(SINK_SPEC.parse({"connection.url": POSTGRES, **dotted(more)}))


def dotted(more: Mapping[str, str]) -> dict[str, str]:
    return {key.replace("_", "."): value for key, value in more.items()}


def gatherer(**more: str) -> Gatherer:
    chosen = settings(**more)
    return Gatherer(chosen, Router(chosen, dialect()), "orders-sink")


def batch(
    records: Sequence[tuple[Schema | None, Any, Schema | None, Any]],
    topic: str = "orders",
    partition: int = 0,
    first: int = 0,
) -> RecordBatch:
    """A batch of (key schema, key, value schema, value)."""
    table = SchemaTable()
    for key_schema, _, value_schema, _ in records:
        table.add(RecordSchema(topic, key_schema, value_schema))
    schemas, codes = table.columns()
    offsets = range(first, first + len(records))
    return RecordBatch(
        schemas,
        [key for _, key, _, _ in records],
        [value for _, _, _, value in records],
        offsets,
        [1700000000000] * len(records),
        codes=codes,
        origin=TopicPartition(topic, partition),
    )

"""Short ways to make configured transforms and small batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from coracle.api import Predicate, RecordBatch, RecordSchema, Schema, TopicPartition, Transform

P = TypeVar("P", Transform, Predicate)

NOON = 1_798_372_800_000  # 2026-12-27 12:00 UTC


def made(plugin: type[P], /, **settings: str) -> P:
    """A plugin with settings; ``_`` in their names stands for a dot."""
    made = plugin()
    made.configure(
        plugin.spec.parse({name.replace("_", "."): value for name, value in settings.items()})
    )
    return made


def batch(
    *values: Any,
    schema: Schema | None = None,
    topic: str = "orders",
    keys: Sequence[Any] | None = None,
    **columns: Any,
) -> RecordBatch:
    """Values of one schema from partition 5 of ``orders``, at offsets 10, 11, 12…"""
    size = len(values)
    defaults: dict[str, Any] = {
        "schemas": [RecordSchema(topic, None, schema)],
        "keys": list(keys) if keys is not None else [None] * size,
        "values": list(values),
        "offsets": range(10, 10 + size),
        "timestamps": [NOON] * size,
        "origin": TopicPartition("orders", 5),
        "position": 99,
    }
    return RecordBatch(**{**defaults, **columns})

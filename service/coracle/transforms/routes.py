"""Topics of records. A topic is in a batch's schema table, so routing costs nothing per record."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coracle.api import RecordBatch, RecordSchema


def reroute(batch: RecordBatch, topic_of: Callable[[str], str]) -> RecordBatch:
    """The batch with each topic replaced; the batch itself when no topic changes."""
    topics = [topic_of(schema.topic) for schema in batch.schemas]
    if all(topic == schema.topic for topic, schema in zip(topics, batch.schemas, strict=True)):
        return batch
    entries = [
        schema._replace(topic=topic) for topic, schema in zip(topics, batch.schemas, strict=True)
    ]
    schemas, code_of = merged(entries)
    if len(schemas) == 1:
        return batch.with_(schemas=schemas, codes=None)
    if len(schemas) == len(entries) or batch.codes is None:
        return batch.with_(schemas=entries)
    return batch.with_(schemas=schemas, codes=[code_of[code] for code in batch.codes])


def merged(entries: Iterable[RecordSchema]) -> tuple[list[RecordSchema], list[int]]:
    """The distinct entries in order, and for each given entry its place among them."""
    table: dict[RecordSchema, int] = {}
    places = [table.setdefault(entry, len(table)) for entry in entries]
    return list(table), places

"""Between the bytes in Kafka and typed values: converters applied to whole batches.

Bad records are narrowed down by the converters themselves (``BatchError``); what happens to them is
the error policy's business. A batch whose every record was bad stays a batch, with nothing in it,
so that its position still counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coracle.api import (
    BatchError,
    Column,
    Converter,
    DataError,
    Header,
    HeaderConverter,
    RecordBatch,
    RecordSchema,
    RetriableError,
    Schema,
)
from coracle.kafka.produce import RawHeaders
from coracle.runtime.failure import Stage, StageError, span_of
from coracle.runtime.tolerance import Tolerance


@dataclass(frozen=True)
class Converters:
    """A task's converters with the class names its configuration gives them."""

    key: Converter
    value: Converter
    header: HeaderConverter
    key_name: str
    value_name: str
    header_name: str


@dataclass(frozen=True)
class SerializedRecords:
    """Columns for one topic, ready to be produced."""

    topic: str
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamps: Sequence[int | None]
    headers: Sequence[RawHeaders] | None
    partitions: Sequence[int | None] | None

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(len(item) for column in (self.keys, self.values) for item in column if item)

    def choose(self, indexes: Sequence[int], topic: str | None = None) -> SerializedRecords:
        """Only these records, in this order."""
        return SerializedRecords(
            self.topic if topic is None else topic,
            [self.keys[i] for i in indexes],
            [self.values[i] for i in indexes],
            [self.timestamps[i] for i in indexes],
            None if self.headers is None else [self.headers[i] for i in indexes],
            None if self.partitions is None else [self.partitions[i] for i in indexes],
        )

    def without(self, indexes: Mapping[int, object]) -> SerializedRecords:
        """All records but these."""
        return self.choose([i for i in range(len(self.values)) if i not in indexes])


async def deserialize(
    batch: RecordBatch, converters: Converters, tolerance: Tolerance
) -> RecordBatch:
    """A fetched batch with typed keys, values and headers.

    Raises:
        StageError: when a record cannot be read and that is not tolerated.
    """
    if not len(batch):
        return batch
    topic = batch.schemas[0].topic
    while True:
        stage, plugin = Stage.KEY_CONVERTER, converters.key_name
        try:
            keys = await _read(converters.key, topic, batch.keys, tolerance, stage, plugin)
            stage, plugin = Stage.VALUE_CONVERTER, converters.value_name
            values = await _read(converters.value, topic, batch.values, tolerance, stage, plugin)
            stage, plugin = Stage.HEADER_CONVERTER, converters.header_name
            headers = _read_headers(batch, topic, converters.header)
        except BatchError as error:
            batch = tolerance.skip(batch, error, stage, plugin)
            if not len(batch):
                return batch
            continue
        except StageError:
            raise
        except Exception as error:
            raise StageError(
                "Unhandled exception in error handler", stage, plugin, span_of(batch)
            ) from error
        schemas, codes = _combine(topic, keys, values)
        return batch.with_(
            keys=keys.values, values=values.values, headers=headers, schemas=schemas, codes=codes
        )


async def _read(
    converter: Converter,
    topic: str,
    data: Sequence[bytes | None],
    tolerance: Tolerance,
    stage: Stage,
    plugin: str,
) -> Column:
    try:
        return await converter.to_connect(topic, data)
    except RetriableError:
        return await tolerance.retry(lambda: converter.to_connect(topic, data), stage, plugin)


def _combine(
    topic: str, keys: Column, values: Column
) -> tuple[list[RecordSchema], Sequence[int] | None]:
    """Schemas and codes of whole records from those of keys and values."""
    if keys.codes is None:
        key = keys.schemas[0]
        return [RecordSchema(topic, key, value) for value in values.schemas], values.codes
    if values.codes is None:
        value = values.schemas[0]
        return [RecordSchema(topic, key, value) for key in keys.schemas], keys.codes
    width = len(values.schemas)
    pairs = [k * width + v for k, v in zip(keys.codes, values.codes, strict=True)]
    code_of = {pair: code for code, pair in enumerate(dict.fromkeys(pairs))}
    schemas = [
        RecordSchema(topic, keys.schemas[pair // width], values.schemas[pair % width])
        for pair in code_of
    ]
    return schemas, [code_of[pair] for pair in pairs]


def _read_headers(
    batch: RecordBatch, topic: str, converter: HeaderConverter
) -> list[Sequence[Header]] | None:
    if batch.headers is None:
        return None
    converted: list[Sequence[Header]] = []
    failures: dict[int, Exception] = {}
    for index, headers in enumerate(batch.headers):
        try:
            converted.append([converter.to_connect_header(topic, h.key, h.value) for h in headers])
        except DataError as error:
            failures[index] = error
            converted.append(())
    if failures:
        raise BatchError(failures)
    return converted


async def serialize(
    batch: RecordBatch, converters: Converters, tolerance: Tolerance
) -> list[SerializedRecords]:
    """The records of a batch by topic, as bytes. Records of one topic keep their order.

    Raises:
        StageError: when a record cannot be written as bytes and that is not tolerated.
    """
    while len(batch):
        stage = Stage.KEY_CONVERTER
        plugin = converters.key_name
        try:
            keys: list[bytes | None] = [None] * len(batch)
            values: list[bytes | None] = [None] * len(batch)
            for schema, indexes in batch.groups():
                stage, plugin = Stage.KEY_CONVERTER, converters.key_name
                await _write(
                    converters.key, schema.topic, schema.key, batch.keys, indexes, keys,
                    tolerance, stage, plugin,
                )  # fmt: skip
                stage, plugin = Stage.VALUE_CONVERTER, converters.value_name
                await _write(
                    converters.value, schema.topic, schema.value, batch.values, indexes, values,
                    tolerance, stage, plugin,
                )  # fmt: skip
            stage, plugin = Stage.HEADER_CONVERTER, converters.header_name
            headers = _write_headers(batch, converters.header)
        except BatchError as error:
            batch = tolerance.skip(batch, error, stage, plugin)
            continue
        except StageError:
            raise
        except Exception as error:
            raise StageError(
                "Unhandled exception in error handler", stage, plugin, span_of(batch)
            ) from error
        return _by_topic(batch, keys, values, headers)
    return []


async def _write(
    converter: Converter,
    topic: str,
    schema: Schema | None,
    column: Sequence[object],
    indexes: Sequence[int] | None,
    target: list[bytes | None],
    tolerance: Tolerance,
    stage: Stage,
    plugin: str,
) -> None:
    """Serialize the chosen entries of a column into their places in ``target``."""
    chosen = column if indexes is None else [column[index] for index in indexes]
    try:
        try:
            written = await converter.from_connect(topic, schema, chosen)
        except RetriableError:
            written = await tolerance.retry(
                lambda: converter.from_connect(topic, schema, chosen), stage, plugin
            )
    except BatchError as error:
        if indexes is None:
            raise
        raise BatchError({indexes[i]: e for i, e in error.failures.items()}) from error
    if indexes is None:
        target[:] = written
    else:
        for index, data in zip(indexes, written, strict=True):
            target[index] = data


def _write_headers(batch: RecordBatch, converter: HeaderConverter) -> list[RawHeaders] | None:
    if batch.headers is None:
        return None
    written: list[RawHeaders] = []
    failures: dict[int, Exception] = {}
    for index, headers in enumerate(batch.headers):
        topic = batch.schema_of(index).topic
        try:
            written.append([(h.key, converter.from_connect_header(topic, h)) for h in headers])
        except DataError as error:
            failures[index] = error
            written.append(())
    if failures:
        raise BatchError(failures)
    return written


def _by_topic(
    batch: RecordBatch,
    keys: list[bytes | None],
    values: list[bytes | None],
    headers: list[RawHeaders] | None,
) -> list[SerializedRecords]:
    topic = batch.schemas[0].topic
    everything = SerializedRecords(topic, keys, values, batch.timestamps, headers, batch.partitions)
    if all(schema.topic == topic for schema in batch.schemas):
        return [everything]
    indexes: dict[str, list[int]] = {}
    for index in range(len(batch)):
        indexes.setdefault(batch.schema_of(index).topic, []).append(index)
    return [everything.choose(chosen, name) for name, chosen in indexes.items()]

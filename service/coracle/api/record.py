"""The record batch: the unit in which everything moves.

A stage is handed a ``RecordBatch``, never a record, so that what Python pays per call is paid per
batch. A batch is a set of parallel columns (lists), one entry per record:

    offsets     [ 40,   41,   43  ]   where each record came from; never changed by a transform
    keys        [ k0,   k1,   k2  ]   bytes before conversion, plain Python values after it
    values      [ v0,   v1,   v2  ]
    timestamps  [ ms,   ms,   ms  ]
    codes       [ 0,    1,    0   ]   which entry of ``schemas`` describes the record
    headers     None                  None when no record has any

``schemas`` is a short table of (topic, key schema, value schema); nearly every batch has one entry
and ``codes`` is then ``None``. Functions compiled per schema are applied once per entry, however
the records
interleave: see docs/adr/0002-schema-codes.md for why codes and not runs.

``position`` is the offset to commit once every record of the batch is dealt with. It belongs to the
batch, not to the last record: a transform that drops records keeps ``position``, so dropped records
count as done and a filter that drops everything still moves the group forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, NamedTuple

from coracle.api.schema import Schema


class TopicPartition(NamedTuple):
    """A partition of a Kafka topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class RecordSchema(NamedTuple):
    """What records that share a code have in common. A schema is ``None`` for schemaless data."""

    topic: str
    key: Schema | None = None
    value: Schema | None = None


class Header(NamedTuple):
    """One record header. Before conversion ``schema`` is ``None`` and ``value`` is bytes."""

    key: str
    schema: Schema | None
    value: Any


class SourceOffset(NamedTuple):
    """How far a source has read one of its partitions; both maps are the connector's own JSON."""

    partition: Mapping[str, Any]
    offset: Mapping[str, Any] | None


class Record(NamedTuple):
    """A view of one record, for authors who think in records. Costs one object per record."""

    topic: str
    offset: int
    timestamp: int | None
    key_schema: Schema | None
    key: Any
    value_schema: Schema | None
    value: Any
    headers: Sequence[Header]


@dataclass(slots=True)
class RecordBatch:
    """Records of one source topic-partition, or of one poll of a source task.

    Attributes:
        schemas: the distinct (topic, key schema, value schema) of the records; at least one entry
            unless the batch is empty. The topic is where a record is routed to.
        keys, values: one entry per record; ``bytes | None`` before conversion.
        offsets: the original position of each record, strictly increasing; Kafka offsets for a
            sink,
            0, 1, 2… within the poll for a source.
        timestamps: milliseconds since the epoch, or ``None`` where a source gives none.
        codes: the index into ``schemas`` of each record; ``None`` means all are ``schemas[0]``.
        headers: the headers of each record; ``None`` when no record has any.
        origin: the partition a sink's batch was fetched from; ``None`` for a source.
        position: the offset to commit when the whole batch is done (sinks).
        partitions: the Kafka partition a source chose for each record; ``None`` leaves it to the
            key.
        source_offsets: what to store once every record of the batch is in Kafka (sources), in
            order;
            the last entry for a source partition wins.
        nbytes: serialized size of keys and values, which byte-bounded queues count.
        timestamp_type: 0 for CreateTime, 1 for LogAppendTime, -1 for none.
    """

    schemas: Sequence[RecordSchema]
    keys: list[Any]
    values: list[Any]
    offsets: Sequence[int]
    timestamps: Sequence[int | None]
    codes: Sequence[int] | None = None
    headers: list[Sequence[Header]] | None = None
    origin: TopicPartition | None = None
    position: int = 0
    partitions: Sequence[int | None] | None = None
    source_offsets: Sequence[SourceOffset] = field(default_factory=tuple)
    nbytes: int = 0
    timestamp_type: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def with_(self, **changes: Any) -> RecordBatch:
        """The same batch with some columns replaced; the caller keeps their lengths equal."""
        return replace(self, **changes)

    def groups(self) -> Iterator[tuple[RecordSchema, Sequence[int] | None]]:
        """Each distinct schema that occurs, with the indexes of its records in ascending order.

        ``None`` instead of indexes means all records, the common case, so that callers can use the
        columns as they are.

        Example:
            >>> batch = RecordBatch(
            ...     [RecordSchema("a"), RecordSchema("b")],
            ...     [None] * 3, [1, 2, 3], range(3), [0] * 3, codes=[0, 1, 0])
            >>> [(schema.topic, indexes) for schema, indexes in batch.groups()]
            [('a', [0, 2]), ('b', [1])]
        """
        if self.codes is None:
            if self.values:
                yield self.schemas[0], None
            return
        indexes: list[list[int]] = [[] for _ in self.schemas]
        for index, code in enumerate(self.codes):
            indexes[code].append(index)
        for schema, members in zip(self.schemas, indexes, strict=True):
            if len(members) == len(self.values):
                yield schema, None
            elif members:
                yield schema, members

    def runs(self) -> Iterator[tuple[int, int, RecordSchema]]:
        """Maximal stretches ``[start, end)`` of records that share a schema, in record order."""
        if self.codes is None:
            if self.values:
                yield 0, len(self.values), self.schemas[0]
            return
        start = 0
        codes = self.codes
        for index in range(1, len(codes) + 1):
            if index == len(codes) or codes[index] != codes[start]:
                yield start, index, self.schemas[codes[start]]
                start = index

    def schema_of(self, index: int) -> RecordSchema:
        """The schema and destination topic of one record."""
        return self.schemas[self.codes[index] if self.codes is not None else 0]

    def select(self, mask: Sequence[bool]) -> RecordBatch:
        """The records whose mask entry is true. Position, origin and source offsets stay."""

        def pick(column: Sequence[Any] | None) -> Any:
            return None if column is None else list(compress(column, mask))

        kept = pick(self.values)
        share = len(kept) / len(self.values) if self.values else 0
        return replace(
            self,
            keys=pick(self.keys),
            values=kept,
            offsets=pick(self.offsets),
            timestamps=pick(self.timestamps),
            codes=pick(self.codes),
            headers=pick(self.headers),
            partitions=pick(self.partitions),
            nbytes=int(self.nbytes * share),
        )

    def without(self, indexes: Mapping[int, object] | set[int]) -> RecordBatch:
        """The records whose index is not among ``indexes``."""
        return self.select([index not in indexes for index in range(len(self.values))])

    def record(self, index: int) -> Record:
        """One record as an object."""
        schema = self.schema_of(index)
        return Record(
            schema.topic,
            self.offsets[index],
            self.timestamps[index],
            schema.key,
            self.keys[index],
            schema.value,
            self.values[index],
            self.headers[index] if self.headers is not None else (),
        )

    def records(self) -> Iterator[Record]:
        """All records as objects, in order."""
        return (self.record(index) for index in range(len(self.values)))


class SchemaTable:
    """Builds ``schemas`` and ``codes`` while records are appended one by one.

    Stays in the one-schema form as long as it can, so the common case yields ``codes=None``.
    """

    def __init__(self) -> None:
        self._codes_by_schema: dict[RecordSchema, int] = {}
        self._codes: list[int] = []

    def add(self, schema: RecordSchema) -> None:
        """Note the schema of the next record."""
        code = self._codes_by_schema.setdefault(schema, len(self._codes_by_schema))
        self._codes.append(code)

    def columns(self) -> tuple[list[RecordSchema], list[int] | None]:
        """``schemas`` and ``codes`` of all records noted so far."""
        schemas = list(self._codes_by_schema)
        return schemas, (self._codes if len(schemas) > 1 else None)

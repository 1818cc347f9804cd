"""From batches to groups: all records of one put that fill the same columns of the same table.

A group collects slices of batches, whatever the number of partitions and however schemas
interleave, so that each (table, schema) is written once per put. Records that the configured modes
cannot take are found here, before the database is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from coracle.api import BatchError, DataError, RecordBatch, RecordSchema, Schema, Type
from coracle.connectors.jdbc.dialects import TableId
from coracle.connectors.jdbc.sinks.config import PrimaryKeyMode, SinkSettings
from coracle.connectors.jdbc.sinks.layout import (
    Layout,
    Origin,
    SinkField,
    compile_layout,
    java_class,
)
from coracle.connectors.jdbc.sinks.routing import Router


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records of a batch.

    Attributes:
        batch: the batch.
        topic: where its records are routed to.
        indexes: which of its records, ascending; ``None`` for all.
        start: the place of the batch's first record within the put.
    """

    batch: RecordBatch
    topic: str
    indexes: Sequence[int] | None
    start: int

    def __len__(self) -> int:
        return len(self.batch if self.indexes is None else self.indexes)

    def pick(self, column: Sequence[Any]) -> Sequence[Any]:
        """The slice's share of one of the batch's columns."""
        if self.indexes is None:
            return column
        if len(self.indexes) == 1:
            return (column[self.indexes[0]],)
        return itemgetter(*self.indexes)(column)

    def positions(self) -> list[int]:
        """The places of the slice's records within the put."""
        indexes = range(len(self.batch)) if self.indexes is None else self.indexes
        return [self.start + index for index in indexes]


@dataclass
class Group:
    """The records of a put that share a layout, in order."""

    layout: Layout
    slices: list[Slice] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.slices))

    def positions(self) -> list[int]:
        """The places of the records within the put."""
        return list(self._in_order([part.positions() for part in self.slices]))

    @cached_property
    def values(self) -> Sequence[Any]:
        """The records' values."""
        return self._in_order([part.pick(part.batch.values) for part in self.slices])

    @cached_property
    def keys(self) -> Sequence[Any]:
        """The records' keys."""
        return self._in_order([part.pick(part.batch.keys) for part in self.slices])

    def first(self) -> str:
        """Topic, partition and offset of the first record, for messages."""
        part = self.slices[0]
        offset = part.pick(part.batch.offsets)[0]
        return f"{part.batch.origin or part.topic}@{offset}"

    def column(self, source: SinkField) -> list[Any]:
        """The raw values of one column. A field that a value lacks is ``None``."""
        parts = self.slices
        match source.origin:
            case Origin.VALUE_FIELD:
                return members(self.values, source.name)
            case Origin.KEY_FIELD:
                return members(self.keys, source.name)
            case Origin.VALUE:
                return list(self.values)
            case Origin.KEY:
                return list(self.keys)
            case Origin.TOPIC:
                return list(self._in_order([[part.topic] * len(part) for part in parts]))
            case Origin.PARTITION:
                return list(
                    self._in_order([[_partition(part.batch)] * len(part) for part in parts])
                )
            case Origin.OFFSET:
                return list(self._in_order([part.pick(part.batch.offsets) for part in parts]))

    def _in_order(self, columns: list[Sequence[Any]]) -> Sequence[Any]:
        """The slices' shares of a column, put together in record order."""
        if len(columns) == 1:
            return columns[0]
        together = [value for column in columns for value in column]
        return together if self._sequence is None else [together[i] for i in self._sequence]

    @cached_property
    def _sequence(self) -> list[int] | None:
        """The record order; ``None`` when slices follow each other.

        They do not when records of one batch have schemas that differ in what does not matter here.
        """
        if all(one.batch is not other.batch for one, other in pairwise(self.slices)):
            return None
        places = [place for part in self.slices for place in part.positions()]
        return sorted(range(len(places)), key=places.__getitem__)


def members(structs: Sequence[Any], name: str) -> list[Any]:
    """One field of every struct."""
    try:
        return list(map(itemgetter(name), structs))
    except KeyError:
        return [struct.get(name) for struct in structs]


def _partition(batch: RecordBatch) -> int:
    return batch.origin.partition if batch.origin is not None else 0


class _Kind(NamedTuple):
    """What is known of all records of one schema: their layouts, or why they cannot be written."""

    write: Layout | DataError
    delete: Layout | DataError | None


class Gatherer:
    """Groups the records of a put.

    Args:
        settings: the sink's.
        router: finds tables.
        connector: the connector's name, for messages.
    """

    def __init__(self, settings: SinkSettings, router: Router, connector: str) -> None:
        self._settings = settings
        self._router = router
        self._connector = connector
        self._kinds: dict[RecordSchema, _Kind] = {}
        self._layouts: dict[tuple[TableId, Schema | None, Schema | None, bool], Layout] = {}
        self._needs_key = settings.pk_mode is PrimaryKeyMode.RECORD_KEY

    def gather(self, batches: Sequence[RecordBatch]) -> list[Group]:
        """The groups, in the order in which they first occur.

        Raises:
            BatchError: with every record that the modes cannot take.
        """
        groups: dict[int, Group] = {}
        failures: dict[int, Exception] = {}
        start = 0
        for batch in batches:
            for schema, indexes in batch.groups():
                kind = self._kinds.get(schema) or self._compile(schema)
                for layout, part in self._split(batch, schema, indexes, kind, start):
                    if isinstance(layout, Layout) and not self._lacks_key(part, schema):
                        group = groups.get(id(layout))
                        if group is None:
                            group = groups[id(layout)] = Group(layout)
                        group.slices.append(part)
                    else:
                        failures.update(self._explain(part, schema, layout))
            start += len(batch)
        if failures:
            raise BatchError(failures)
        return list(groups.values())

    def _split(
        self,
        batch: RecordBatch,
        schema: RecordSchema,
        indexes: Sequence[int] | None,
        kind: _Kind,
        start: int,
    ) -> list[tuple[Layout | DataError | None, Slice]]:
        """Records with a value and records without one."""
        whole = Slice(batch, schema.topic, indexes, start)
        values = whole.pick(batch.values)
        # A non-empty dict is true, which is quicker to see than that it is not None.
        if all(values) or None not in values:
            return [(kind.write, whole)]
        every = range(len(batch)) if indexes is None else indexes
        nulls = [index for index in every if batch.values[index] is None]
        others = [index for index in every if batch.values[index] is not None]
        parts: list[tuple[Layout | DataError | None, Slice]] = [
            (kind.delete, replace(whole, indexes=nulls))
        ]
        if others:
            parts.append((kind.write, replace(whole, indexes=others)))
        return parts

    def _lacks_key(self, part: Slice, schema: RecordSchema) -> bool:
        return self._needs_key and None in part.pick(part.batch.keys)

    def _compile(self, schema: RecordSchema) -> _Kind:
        value = schema.value
        kind = _Kind(
            write=self._layout(schema, delete=False)
            if value is not None and value.type in (Type.STRUCT, Type.STRING)
            else DataError("no struct"),
            delete=self._layout(schema, delete=True) if self._settings.delete_enabled else None,
        )
        self._kinds[schema] = kind
        return kind

    def _layout(self, schema: RecordSchema, *, delete: bool) -> Layout | DataError:
        table = self._router.table(schema.topic)
        identity = (table, schema.key, None if delete else schema.value, delete)
        if (known := self._layouts.get(identity)) is not None:
            return known
        try:
            layout = compile_layout(table, schema, self._settings, delete=delete)
        except DataError as error:
            return error
        self._layouts[identity] = layout
        return layout

    def _explain(
        self, part: Slice, schema: RecordSchema, layout: Layout | DataError | None
    ) -> dict[int, Exception]:
        """Why each record of a slice cannot be written. Records that could be are left out."""
        batch = part.batch
        found: dict[int, Exception] = {}
        for index in range(len(batch)) if part.indexes is None else part.indexes:
            key, value = batch.keys[index], batch.values[index]
            if self._needs_key and (key is None or schema.key is None):
                error = self._wrong("key", "Struct or primitive", batch, index, schema)
            elif layout is None or (schema.value is None and value is not None):
                error = self._wrong("value", "Struct", batch, index, schema)
            elif isinstance(layout, DataError):
                structured = schema.value is not None and schema.value.type in (
                    Type.STRUCT,
                    Type.STRING,
                )
                error = (
                    layout
                    if structured or value is None
                    else self._wrong("value", "Struct", batch, index, schema)
                )
            else:
                continue
            found[part.start + index] = error
        return found

    def _wrong(
        self, what: str, wanted: str, batch: RecordBatch, index: int, schema: RecordSchema
    ) -> DataError:
        """The JDBC connector's message for a record whose key or value is missing or schemaless."""
        value = (batch.keys if what == "key" else batch.values)[index]
        value_schema = schema.key if what == "key" else schema.value
        needed = "non-null key" if what == "key" else "non-null Struct value"
        return DataError(
            f"Sink connector '{self._connector}' is configured with "
            f"'delete.enabled={str(self._settings.delete_enabled).lower()}' and "
            f"'pk.mode={self._settings.pk_mode}' and therefore requires records with a {needed} "
            f"and non-null {wanted} {'key ' if what == 'key' else ''}schema, but found record at "
            f"(topic='{schema.topic}',partition={_partition(batch)},offset={batch.offsets[index]},"
            f"timestamp={batch.timestamps[index]}) with a {java_class(value, value_schema)} {what} "
            f"and {'null' if value_schema is None else value_schema.type.lower()} {what} schema.",
            fix=_advice(what, value, value_schema),
        )


def _advice(what: str, value: Any, schema: Schema | None) -> str:
    if value is None:
        return (
            "Set delete.enabled=true with pk.mode=record_key to delete the rows of tombstones, "
            "or drop "
            "them with a Filter transform and the RecordIsTombstone predicate."
            if what == "value"
            else "Use another pk.mode, or make a key with the ValueToKey transform."
        )
    if schema is None:
        return (
            f"Use a {what}.converter that gives a schema, such as JsonConverter with "
            "schemas.enable=true."
        )
    return f"Use a transform that makes a struct of the {what}, such as HoistField."

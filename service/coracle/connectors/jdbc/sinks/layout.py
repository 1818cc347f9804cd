"""What a record becomes: the columns that records of one schema fill, and where each value comes
from.

A ``Layout`` is compiled once per (table, key schema, value schema) by the rules of ``pk.mode``,
``pk.fields`` and ``fields.whitelist``. It knows nothing of the table's real columns; ``structure``
matches the two.

Messages are those of the JDBC connector where it has one, because people search for them:
https://docs.confluent.io/kafka-connectors/jdbc/current/sink-connector/overview.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from coracle.api import DataError, RecordSchema, Schema, Type
from coracle.api.schema import INT32, INT64, STRING, TIMESTAMP
from coracle.connectors.jdbc.dialects import TableId
from coracle.connectors.jdbc.sinks.config import InsertMode, PrimaryKeyMode, SinkSettings

KAFKA_KEY = ("__connect_topic", "__connect_partition", "__connect_offset")


class Origin(Enum):
    """Where a column's value is found in a record."""

    VALUE_FIELD = "field of the value"
    VALUE = "the value itself"
    KEY_FIELD = "field of the key"
    KEY = "the key itself"
    TOPIC = "topic"
    PARTITION = "partition"
    OFFSET = "offset"


@dataclass(frozen=True)
class SinkField:
    """One column to write.

    Attributes:
        name: the column's name; for fields, the field's name.
        schema: what the values are.
        origin: where they are found.
        key: whether the column belongs to the primary key.
        unit: how many units of a ``timestamp.fields.list`` field make a microsecond; 0 for others.
    """

    name: str
    schema: Schema
    origin: Origin
    key: bool = False
    unit: int = 0


@dataclass(frozen=True)
class Layout:
    """The columns that records of one schema fill.

    Attributes:
        table: the destination.
        fields: all columns in the order a new table gets them: those of ``pk.mode`` kafka, the
            value's in schema order, then the remaining keys by name.
        delete: whether the records delete rows; ``fields`` are then the keys only.
    """

    table: TableId
    fields: tuple[SinkField, ...]
    delete: bool = False

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """The names of the key columns in order."""
        return tuple(field.name for field in self.fields if field.key)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns in order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def key_indexes(self) -> tuple[int, ...]:
        """The places of the key columns."""
        return tuple(index for index, field in enumerate(self.fields) if field.key)

    @cached_property
    def row_getter(self) -> tuple[str, ...] | None:
        """The field names when every column is a plain field of the value, else ``None``."""
        plain = all(field.origin is Origin.VALUE_FIELD for field in self.fields)
        return self.names if plain else None


def compile_layout(
    table: TableId, schema: RecordSchema, settings: SinkSettings, *, delete: bool = False
) -> Layout:
    """The layout of records of one schema.

    Args:
        table: the destination.
        schema: the records' topic, key schema and value schema.
        settings: modes, key fields, whitelist.
        delete: compile for records without a value.

    Raises:
        DataError: when records of this schema cannot be written in these modes.
    """
    keys = _key_fields(table, schema, settings)
    if delete:
        _require_keys(table, keys, "DELETE", settings)
        return Layout(table, tuple(keys), delete=True)
    fields = _in_order(
        keys, _value_fields(schema, settings, {field.name for field in keys}), schema
    )
    if not fields:
        raise DataError(
            f"No fields found using key and value schemas for table: {table}",
            fix="Check pk.mode, pk.fields and fields.whitelist against the records' fields.",
        )
    if settings.insert_mode is not InsertMode.INSERT:
        _require_keys(table, keys, settings.insert_mode.upper(), settings)
    return Layout(table, tuple(fields))


def _require_keys(
    table: TableId, keys: Sequence[SinkField], mode: str, settings: SinkSettings
) -> None:
    if not keys:
        raise DataError(
            f"Write to table '{table}' in {mode} mode requires key field names to be known, "
            "check the "
            "primary key configuration",
            fix=f"pk.mode is {settings.pk_mode}, pk.fields is {list(settings.pk_fields)}.",
        )


def _key_fields(table: TableId, schema: RecordSchema, settings: SinkSettings) -> list[SinkField]:
    mode = settings.pk_mode
    if mode is PrimaryKeyMode.NONE:
        return []
    if mode is PrimaryKeyMode.KAFKA:
        names = settings.pk_fields or KAFKA_KEY
        return [
            SinkField(names[0], STRING, Origin.TOPIC, key=True),
            SinkField(names[1], INT32, Origin.PARTITION, key=True),
            SinkField(names[2], INT64, Origin.OFFSET, key=True),
        ]
    if mode is PrimaryKeyMode.RECORD_VALUE:
        value = _struct(schema.value)
        names = settings.pk_fields or value.field_names
        _require_fields(table, names, value, "RECORD_VALUE", "value")
        return [
            SinkField(
                name,
                value.by_name[name],
                Origin.VALUE_FIELD,
                key=True,
                unit=_unit(name, value.by_name[name], settings),
            )
            for name in names
        ]
    return _record_key_fields(table, schema.key, settings)


def _record_key_fields(
    table: TableId, key: Schema | None, settings: SinkSettings
) -> list[SinkField]:
    if key is None:
        raise DataError(
            f"PK mode for table '{table}' is RECORD_KEY, but record key schema is missing",
            fix="Use a key.converter that gives a schema, or another pk.mode.",
        )
    if key.type.is_primitive:
        if len(settings.pk_fields) != 1:
            raise DataError(
                "Need exactly one PK column defined since the key schema for records is a "
                "primitive "
                f"type, defined columns are: [{', '.join(settings.pk_fields)}]",
                fix="Name the key's column in pk.fields.",
            )
        return [SinkField(settings.pk_fields[0], key, Origin.KEY, key=True)]
    if key.type is not Type.STRUCT:
        raise DataError(
            f"Key schema must be primitive type or Struct, but is of type: {key.type}",
            fix="Use another pk.mode, or a transform that makes a struct of the key.",
        )
    names = settings.pk_fields or key.field_names
    _require_fields(table, names, key, "RECORD_KEY", "key")
    return [SinkField(name, key.by_name[name], Origin.KEY_FIELD, key=True) for name in names]


def _require_fields(
    table: TableId, names: Sequence[str], schema: Schema, mode: str, part: str
) -> None:
    for name in names:
        if name not in schema.by_name:
            raise DataError(
                f"PK mode for table '{table}' is {mode} with configured PK fields "
                f"[{', '.join(names)}], but record {part} schema does not contain field: {name}",
                fix=f"The {part} has: {', '.join(schema.field_names)}.",
            )


def _value_fields(schema: RecordSchema, settings: SinkSettings, keys: set[str]) -> list[SinkField]:
    """The non-key columns."""
    value = schema.value
    if value is None:
        return []
    if value.type is Type.STRING:
        return [SinkField(settings.string_column, value, Origin.VALUE)]
    return [
        SinkField(
            member.name,
            member.schema,
            Origin.VALUE_FIELD,
            unit=_unit(member.name, member.schema, settings),
        )
        for member in value.fields
        if member.name not in keys and (not settings.whitelist or member.name in settings.whitelist)
    ]


def _unit(name: str, schema: Schema, settings: SinkSettings) -> int:
    marked = name in settings.timestamp_fields
    return (
        settings.timestamp_unit
        if marked and schema.type is Type.INT64 and schema.name != TIMESTAMP
        else 0
    )


def _struct(schema: Schema | None) -> Schema:
    if schema is None or schema.type is not Type.STRUCT:
        raise DataError("pk.mode record_value needs struct values", fix="Use another pk.mode.")
    return schema


def _in_order(
    keys: Sequence[SinkField], others: Sequence[SinkField], schema: RecordSchema
) -> list[SinkField]:
    """Columns as a new table gets them: kafka's, then the value's order, then other keys by
    name.
    """
    remaining = {field.name: field for field in (*keys, *others)}
    kafka = [
        field.name
        for field in keys
        if field.origin in (Origin.TOPIC, Origin.PARTITION, Origin.OFFSET)
    ]
    in_value = schema.value.field_names if schema.value is not None else ()
    ordered = [remaining.pop(name) for name in (*kafka, *in_value) if name in remaining]
    rest = sorted(remaining.values(), key=lambda field: (not field.key, field.name))
    return [*ordered, *rest]


_JAVA_CLASSES: dict[Type, str] = {
    Type.INT8: "Byte",
    Type.INT16: "Short",
    Type.INT32: "Integer",
    Type.INT64: "Long",
    Type.FLOAT32: "Float",
    Type.FLOAT64: "Double",
    Type.BOOLEAN: "Boolean",
    Type.STRING: "String",
    Type.BYTES: "byte[]",
    Type.ARRAY: "ArrayList",
    Type.MAP: "HashMap",
    Type.STRUCT: "Struct",
}
_PYTHON_CLASSES: dict[type, str] = {
    bool: "Boolean",
    int: "Long",
    float: "Double",
    str: "String",
    bytes: "byte[]",
    list: "ArrayList",
    dict: "HashMap",
}


def java_class(value: object, schema: Schema | None) -> str:
    """How Kafka Connect's messages name a value's class, such as ``Struct``, ``HashMap`` or
    ``null``.
    """
    if value is None:
        return "null"
    if schema is not None:
        return _JAVA_CLASSES[schema.type]
    return _PYTHON_CLASSES.get(type(value), type(value).__name__)

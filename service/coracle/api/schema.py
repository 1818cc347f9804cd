"""Connect's type system: what a converter reads and a sink writes.

A ``Schema`` says what the plain Python values beside it mean. Values carry no type of their own:

    ==================  ========================================  =========================
    type                logical name                              Python value
    ==================  ========================================  =========================
    INT8 … INT64        —                                         int
    FLOAT32, FLOAT64    —                                         float
    BOOLEAN             —                                         bool
    STRING              —                                         str
    BYTES               —                                         bytes
    BYTES               org.apache.kafka.connect.data.Decimal     decimal.Decimal
    INT32               org.apache.kafka.connect.data.Date        int: days since 1970-01-01
    INT32               org.apache.kafka.connect.data.Time        int: ms since midnight
    INT64               org.apache.kafka.connect.data.Timestamp   int: ms since the epoch, UTC
    ARRAY               —                                         list
    MAP                 —                                         dict
    STRUCT              —                                         dict of field name to value
    ==================  ========================================  =========================

Dates and times stay integers because Kafka Connect's reach from year -292275055 to 292278994, which
``datetime`` cannot hold, and because a pipeline that only carries them should not pay to build
objects.

Schemas are immutable and cheap to compare: equality looks at identity first and the hash is
computed once, so they serve as keys of the per-schema caches that the hot path lives on.

Source: https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/data/package-summary.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

DECIMAL = "org.apache.kafka.connect.data.Decimal"
DATE = "org.apache.kafka.connect.data.Date"
TIME = "org.apache.kafka.connect.data.Time"
TIMESTAMP = "org.apache.kafka.connect.data.Timestamp"


class Type(StrEnum):
    """Kafka Connect's ``Schema.Type``; the value is its Java name."""

    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    BYTES = "BYTES"
    ARRAY = "ARRAY"
    MAP = "MAP"
    STRUCT = "STRUCT"

    @property
    def is_primitive(self) -> bool:
        """Whether values of this type hold no other values."""
        return self not in (Type.ARRAY, Type.MAP, Type.STRUCT)


@dataclass(frozen=True, slots=True)
class Field:
    """A named member of a struct. Its position is its place in ``Schema.fields``."""

    name: str
    schema: Schema


_EMPTY: Mapping[str, str] = {}


@dataclass(frozen=True, eq=False)
class Schema:
    """What a value means. Immutable, hashable, comparable.

    Attributes:
        type: the physical type.
        optional: whether ``None`` is a legal value.
        name: the logical or struct name, or ``None``.
        version: the schema's own version number, or ``None``.
        default: the value that stands in for a missing one, in the Python form of the type.
        doc: human documentation, or ``None``.
        parameters: string metadata, such as a decimal's ``scale``.
        fields: the members of a ``STRUCT``; empty otherwise.
        keys: the key schema of a ``MAP``.
        values: the value schema of a ``MAP`` or the element schema of an ``ARRAY``.
    """

    type: Type
    optional: bool = False
    name: str | None = None
    version: int | None = None
    default: Any = None
    doc: str | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    fields: tuple[Field, ...] = ()
    keys: Schema | None = None
    values: Schema | None = None

    @cached_property
    def _identity(self) -> tuple[object, ...]:
        return (
            self.type,
            self.optional,
            self.name,
            self.version,
            repr(self.default),
            self.doc,
            tuple(sorted(self.parameters.items())),
            self.fields,
            self.keys,
            self.values,
        )

    @cached_property
    def _hash(self) -> int:
        return hash(self._identity)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema):
            return NotImplemented
        return self._hash == other._hash and self._identity == other._identity

    @cached_property
    def by_name(self) -> Mapping[str, Schema]:
        """The schemas of a struct's fields by field name."""
        return {member.name: member.schema for member in self.fields}

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        """The names of a struct's fields in order."""
        return tuple(member.name for member in self.fields)

    @property
    def scale(self) -> int:
        """The scale of a ``Decimal``: digits after the point.

        Raises:
            KeyError: when the schema is no decimal.
        """
        return int(self.parameters["scale"])

    def with_(self, **changes: Any) -> Schema:
        """The same schema with some attributes replaced."""
        return replace(self, **changes)

    def as_optional(self) -> Schema:
        """The same schema, allowing ``None``."""
        return self if self.optional else replace(self, optional=True)


def struct(
    fields: Mapping[str, Schema],
    *,
    name: str | None = None,
    version: int | None = None,
    optional: bool = False,
    doc: str | None = None,
) -> Schema:
    """A struct schema from its fields in order.

    Example:
        >>> struct({"id": INT64, "name": STRING.as_optional()}, name="customer").field_names
        ('id', 'name')
    """
    members = tuple(Field(field_name, schema) for field_name, schema in fields.items())
    return Schema(Type.STRUCT, optional, name, version, doc=doc, fields=members)


def array(element: Schema, *, optional: bool = False) -> Schema:
    """The schema of a list whose elements have one schema."""
    return Schema(Type.ARRAY, optional, values=element)


def map_of(keys: Schema, values: Schema, *, optional: bool = False) -> Schema:
    """The schema of a dict whose keys and values each have one schema."""
    return Schema(Type.MAP, optional, keys=keys, values=values)


def decimal(scale: int, *, optional: bool = False, precision: int | None = None) -> Schema:
    """Connect's ``Decimal``: an exact number with ``scale`` digits after the point (may be
    negative).

    Args:
        precision: total digits; kept as ``connect.decimal.precision``, the parameter that
            Confluent's
            JDBC and Avro code exchange.
    """
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return Schema(Type.BYTES, optional, DECIMAL, 1, parameters=parameters)


INT8 = Schema(Type.INT8)
INT16 = Schema(Type.INT16)
INT32 = Schema(Type.INT32)
INT64 = Schema(Type.INT64)
FLOAT32 = Schema(Type.FLOAT32)
FLOAT64 = Schema(Type.FLOAT64)
BOOLEAN = Schema(Type.BOOLEAN)
STRING = Schema(Type.STRING)
BYTES = Schema(Type.BYTES)
OPTIONAL_STRING = STRING.as_optional()
OPTIONAL_BYTES = BYTES.as_optional()
DATE_SCHEMA = Schema(Type.INT32, name=DATE, version=1)
TIME_SCHEMA = Schema(Type.INT32, name=TIME, version=1)
TIMESTAMP_SCHEMA = Schema(Type.INT64, name=TIMESTAMP, version=1)

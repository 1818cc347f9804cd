"""Transforms of a key or value: what they share.

A ``FieldTransform`` says once per schema what it does (``compile``): the schema of the results and
a function of whole columns. This module finds the records of each schema, applies the function,
puts the column together again, and names the bad records when the function fails. Good records are
never looked at one by one.

The functions are Python source: ``{'id': v['id'], 'street': v['street']}`` in a list comprehension
takes half the time of any combination of ``itemgetter``, ``zip`` and ``dict``. Field names enter
the source as string literals, every other value as a named constant, so no data is ever read as
code.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

from coracle.api import (
    BatchError,
    ConfigKey,
    ConfigType,
    DataError,
    Field,
    RecordBatch,
    RecordSchema,
    Schema,
    Transform,
    Type,
)
from coracle.api.config import invalid

Side = Literal["key", "value"]

ColumnFunction = Callable[..., Sequence[Any]]
"""Takes equally long columns, the keys or values first; returns the new keys or values."""

REPLACE_NULL_WITH_DEFAULT = ConfigKey(
    "replace.null.with.default",
    ConfigType.BOOLEAN,
    True,
    "Whether a field that is null and has a default value is given that default.",
)

_SCHEMAS_KEPT = 256
"""Compiled functions that a transform keeps; beyond that, the least recently used goes."""

_UNREADABLE = (AttributeError, DataError, KeyError, TypeError)
"""What a compiled function raises when a value is not what its schema says."""


@dataclass(frozen=True)
class FieldNames:
    """The value must be a list of names, none empty; a name given twice counts once (KIP-1161).

    Attributes:
        required: whether there must be at least one.
    """

    required: bool = False

    def __call__(self, name: str, value: Sequence[str]) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        if not all(value) or (self.required and not value):
            raise invalid(name, ",".join(value), str(self))

    def __str__(self) -> str:
        return "a list of field names, none empty" + (", at least one" if self.required else "")


class Nulls(Enum):
    """What a transform does with a null key or value."""

    KEEP = "the record passes as it is, with its schema"
    READ = "it is handed to the compiled function"
    REFUSE = "it is an error"


class Compiled(NamedTuple):
    """What a transform does with one schema: the schema of the results and how to get them."""

    schema: Schema | None
    run: ColumnFunction


class _Part(NamedTuple):
    """Results that share a schema; ``indexes`` is ``None`` when they are the whole batch."""

    schema: RecordSchema
    indexes: Sequence[int] | None
    results: Sequence[Any]


class FieldTransform(Transform):
    """A transform that computes a key or value from a key or value.

    Attributes:
        reads: the side it reads.
        writes: the side it replaces.
        nulls: what it does with null.
        purpose: what it is for, as Java's error messages say it.
    """

    reads: ClassVar[Side]
    writes: ClassVar[Side]
    nulls: ClassVar[Nulls] = Nulls.KEEP
    purpose: ClassVar[str]

    def __init__(self) -> None:
        # Kept by schema, so the schemas of the results stay the same objects from batch to batch.
        self._compiled = lru_cache(maxsize=_SCHEMAS_KEPT)(self._compile)

    @abstractmethod
    def compile(self, schema: Schema) -> Compiled:
        """What to do with structs of this schema.

        Raises:
            DataError: when no record of this schema can be transformed.
        """

    @abstractmethod
    def compile_schemaless(self) -> Compiled:
        """What to do with dicts without a schema."""

    def context(self, batch: RecordBatch) -> Sequence[Sequence[Any]]:
        """The columns that the compiled function takes after the keys or values.

        Raises:
            BatchError: for records that lack what is asked for.
        """
        return ()

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch with its keys or values replaced."""
        columns = [batch.keys if self.reads == "key" else batch.values, *self.context(batch)]
        parts: list[_Part] = []
        failures: dict[int, Exception] = {}
        for schema, indexes in batch.groups():
            members = indexes
            if self.nulls is Nulls.KEEP:
                nulls, members = _split_nulls(columns[0], indexes)
                if nulls:
                    parts.append(_Part(schema, nulls, self._untouched(batch, nulls)))
                if members is not None and not members:
                    continue
            chosen = columns if members is None else [_pick(column, members) for column in columns]
            try:
                result, values = self._transform(self._side(schema, self.reads), chosen)
            except BatchError as error:
                failures |= {
                    index if members is None else members[index]: cause
                    for index, cause in error.failures.items()
                }
            else:
                parts.append(_Part(schema._replace(**{self.writes: result}), members, values))
        if failures:
            raise BatchError(failures)
        return self._assemble(batch, parts)

    def _compile(self, schema: Schema | None) -> Compiled:
        if schema is None:
            return self.compile_schemaless()
        if schema.type is not Type.STRUCT:
            raise self._not_readable(java_class(None, schema), schema)
        compiled = self.compile(schema)
        return compiled._replace(schema=schema) if compiled.schema == schema else compiled

    def _transform(
        self, schema: Schema | None, columns: Sequence[Sequence[Any]]
    ) -> tuple[Schema | None, Sequence[Any]]:
        try:
            compiled = self._compiled(schema)
        except DataError as error:
            raise BatchError(dict.fromkeys(range(len(columns[0])), error)) from None
        try:
            return compiled.schema, compiled.run(*columns)
        except _UNREADABLE:
            return compiled.schema, self._one_by_one(compiled.run, schema, columns)

    def _one_by_one(
        self, run: ColumnFunction, schema: Schema | None, columns: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """The same results, found slowly; or the records that have none."""
        results: list[Any] = []
        failures: dict[int, Exception] = {}
        for index, (value, *others) in enumerate(zip(*columns, strict=True)):
            try:
                whole = self._checked(value, schema)
                results.extend(run([whole], *([other] for other in others)))
            except DataError as error:
                failures[index] = error
        if failures:
            raise BatchError(failures)
        return results

    def _checked(self, value: Any, schema: Schema | None) -> Any:
        """The value with every field of its schema; a source may leave out those that are null."""
        if isinstance(value, dict):
            return value if schema is None else {**dict.fromkeys(schema.field_names), **value}
        if value is None and self.nulls is Nulls.READ:
            return None
        raise self._not_readable(java_class(value), schema)

    def _not_readable(self, found: str, schema: Schema | None) -> DataError:
        return not_readable(found, schema is not None, self.purpose)

    def _untouched(self, batch: RecordBatch, indexes: Sequence[int]) -> list[Any]:
        return _pick(batch.keys if self.writes == "key" else batch.values, indexes)

    def _assemble(self, batch: RecordBatch, parts: Sequence[_Part]) -> RecordBatch:
        if not parts:
            return batch
        if len(parts) == 1 and parts[0].indexes is None:
            schemas, codes, column = [parts[0].schema], None, list(parts[0].results)
        else:
            table: dict[RecordSchema, int] = {}
            codes = [0] * len(batch)
            column: list[Any] = [None] * len(batch)
            for schema, indexes, results in parts:
                code = table.setdefault(schema, len(table))
                for index, result in zip(indexes or (), results, strict=True):
                    column[index] = result
                    codes[index] = code
            schemas = list(table)
            codes = codes if len(schemas) > 1 else None
        if self.writes == "key":
            return batch.with_(schemas=schemas, codes=codes, keys=column)
        return batch.with_(schemas=schemas, codes=codes, values=column)

    @staticmethod
    def _side(schema: RecordSchema, side: Side) -> Schema | None:
        return schema.key if side == "key" else schema.value


def _pick(column: Sequence[Any], indexes: Iterable[int]) -> list[Any]:
    return [column[index] for index in indexes]


def _split_nulls(
    column: Sequence[Any], indexes: Sequence[int] | None
) -> tuple[list[int], Sequence[int] | None]:
    """The indexes of the nulls, and of the others (``None`` for all)."""
    # all() is ten times cheaper than looking for None, and true unless something is null or empty.
    if indexes is None and all(column):
        return [], None
    among = range(len(column)) if indexes is None else indexes
    nulls = [index for index in among if column[index] is None]
    if not nulls:
        return [], indexes
    return nulls, [index for index in among if column[index] is not None]


def column_function(
    row: str, arguments: Sequence[str] = ("v",), constants: Mapping[str, Any] | None = None
) -> ColumnFunction:
    """A function that evaluates an expression for each row.

    Args:
        row: Python source over ``arguments`` and ``constants``; see ``literal`` for field names.
        arguments: the variable for each column, in order.
        constants: values the source names.

    Example:
        >>> column_function("{'sum': a + b}", ("a", "b"))([1, 2], [10, 20])
        [{'sum': 11}, {'sum': 22}]
    """
    columns = ", ".join(f"{name}_column" for name in arguments)
    rows = columns if len(arguments) == 1 else f"zip({columns})"
    source = f"lambda {columns}: [{row} for {', '.join(arguments)} in {rows}]"
    scope = {"__builtins__": {"zip": zip}, **(constants or {})}
    return eval(source, scope)  # noqa: S307 - literals and our own text only, see the module's opening


def literal(name: str) -> str:
    """A field name as Python source."""
    return str.__repr__(name)


class StructReader:
    """Source that reads fields of a struct ``v``, with or without defaults in place of nulls.

    Attributes:
        constants: what the source of all fields read so far refers to.
    """

    def __init__(self, schema: Schema, *, defaults: bool) -> None:
        self._schemas = schema.by_name
        self._defaults = defaults
        self.constants: dict[str, Any] = {}

    def field(self, name: str) -> str:
        """The expression for one field."""
        default = self._schemas[name].default
        if default is None or not self._defaults:
            return f"v[{literal(name)}]"
        constant = f"default_{len(self.constants)}"
        self.constants[constant] = default
        return f"({constant} if (x := v[{literal(name)}]) is None else x)"

    def fields(self, names: Iterable[tuple[str, str]]) -> str:
        """The inside of a dict display for pairs of (new name, field)."""
        return ", ".join(f"{literal(new)}: {self.field(old)}" for new, old in names)


def has_defaults(schema: Schema) -> bool:
    """Whether some field of a struct has a default value."""
    return any(member.schema.default is not None for member in schema.fields)


def struct_like(schema: Schema, fields: Sequence[Field]) -> Schema:
    """A struct schema with other fields. Like Java's it is required and has no default of its own.

    Raises:
        DataError: when two fields have one name.
    """
    names: set[str] = set()
    for member in fields:
        if member.name in names:
            raise DataError(f"Cannot create field because of field name duplication {member.name}")
        names.add(member.name)
    return schema.with_(fields=tuple(fields), optional=False, default=None)


def not_readable(found: str, has_schema: bool, purpose: str) -> DataError:
    """The error for a value that is no struct, or without a schema no map, in Java's words."""
    if has_schema:
        return DataError(f"Only Struct objects supported for [{purpose}], found: {found}")
    return DataError(
        f"Only Map objects supported in absence of schema for [{purpose}], found: {found}"
    )


_JAVA_CLASSES: Sequence[tuple[type, str]] = (
    (bool, "java.lang.Boolean"),
    (int, "java.lang.Long"),
    (float, "java.lang.Double"),
    (str, "java.lang.String"),
    (bytes, "[B"),
    (Decimal, "java.math.BigDecimal"),
    (list, "java.util.ArrayList"),
    (dict, "java.util.HashMap"),
)
_JAVA_SCHEMAS = {
    Type.INT8: "java.lang.Byte",
    Type.INT16: "java.lang.Short",
    Type.INT32: "java.lang.Integer",
    Type.INT64: "java.lang.Long",
    Type.FLOAT32: "java.lang.Float",
    Type.FLOAT64: "java.lang.Double",
    Type.BOOLEAN: "java.lang.Boolean",
    Type.STRING: "java.lang.String",
    Type.BYTES: "[B",
    Type.ARRAY: "java.util.ArrayList",
    Type.MAP: "java.util.HashMap",
    Type.STRUCT: "org.apache.kafka.connect.data.Struct",
}


def java_class(value: Any, schema: Schema | None = None) -> str:
    """The Java class that stands for a value, or for any value of a schema."""
    if schema is not None:
        return _JAVA_SCHEMAS[schema.type]
    if value is None:
        return "null"
    return next(
        (name for kind, name in _JAVA_CLASSES if isinstance(value, kind)), type(value).__qualname__
    )

"""What reading and writing JSON share: columns that are checked as a whole.

A column is the list of all values at one place of a batch: the payloads, or the field ``price`` of
all payloads. Looking at its set of types costs about 15 ns a value, a tenth of what a check per
value would, so a batch without surprises is checked in passing. The functions compiled here stop at
the first surprise with ``MismatchError``; the caller then takes the records of the batch one at a
time, where a column has one value and the same ``MismatchError`` says exactly what is wrong and
where.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, NamedTuple

import orjson

from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP, Schema, Type

Step = Callable[[list[Any]], list[Any]]
"""Checks and translates a column; returns the same list when nothing had to be translated."""

Present = Callable[[list[Any], Collection[type]], list[Any]]
"""A step for a column without ``None``; is told the types that occur (none if it is empty)."""

MILLIS_PER_DAY = 86_400_000


class MismatchError(Exception):
    """A value contradicts its schema.

    Attributes:
        path: where, from the outermost field inwards; filled while the exception travels up.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str] = []

    def within(self, name: str) -> MismatchError:
        """The same mismatch, seen from one level up."""
        self.path.insert(0, name)
        return self

    def __str__(self) -> str:
        where = f' at "{".".join(self.path)}"' if self.path else ""
        return f"{self.args[0]}{where}."


class IntegerType(NamedTuple):
    """An integer type: its code in ``struct`` formats and its bounds, both included."""

    code: str
    minimum: int
    maximum: int


INTEGERS = {
    Type.INT8: IntegerType("b", -(2**7), 2**7 - 1),
    Type.INT16: IntegerType("h", -(2**15), 2**15 - 1),
    Type.INT32: IntegerType("i", -(2**31), 2**31 - 1),
    Type.INT64: IntegerType("q", -(2**63), 2**63 - 1),
}


def is_decimal(schema: Schema) -> bool:
    """Whether values are ``decimal.Decimal``."""
    return schema.name == DECIMAL and schema.type is Type.BYTES


def scale_of(schema: Schema) -> int:
    """The scale of a decimal schema.

    Raises:
        MismatchError: in Kafka Connect's words, when the schema does not say.
    """
    try:
        return schema.scale
    except (KeyError, ValueError):
        raise MismatchError(
            "Invalid scale parameter found in Decimal schema: the parameter"
            " scale must be an integer"
        ) from None


def expect(schema: Schema, types: Collection[type], *allowed: type) -> None:
    """Refuse a column in which other types occur.

    Raises:
        MismatchError: naming the first foreign type by its JSON name.
    """
    for kind in types:
        if kind not in allowed:
            raise MismatchError(f"Invalid value for {label(schema)}: found {kind_name(kind)}")


def label(schema: Schema) -> str:
    """How a message calls a schema: ``INT32``, ``Timestamp``."""
    if schema.name in (DATE, TIME, TIMESTAMP, DECIMAL):
        return schema.name.rpartition(".")[2]
    return str(schema.type)


_KINDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    Decimal: "a decimal number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def kind_name(kind: type) -> str:
    """A Python type in the words of JSON, or its own name where JSON has no such thing."""
    return _KINDS.get(kind, f"a Python {kind.__name__}")


def nullable(schema: Schema, present: Present, *, replace_null: bool) -> Step:
    """A step that deals with ``None`` and leaves the rest to ``present``.

    Args:
        replace_null: whether a default stands in for ``None`` (``replace.null.with.default``).
    """
    default = schema.default if replace_null else None
    required = not schema.optional and default is None
    none = type(None)

    def step(column: list[Any]) -> list[Any]:
        types = set(map(type, column))
        if none not in types:
            return present(column, types)
        if required:
            raise MismatchError(f"Invalid null value for required {label(schema)} field")
        types.discard(none)
        given = [value for value in column if value is not None]
        translated = present(given, types)
        if translated is given and default is None:
            return column
        remaining = iter(translated)
        return [default if value is None else next(remaining) for value in column]

    return step


def inside(name: str, step: Step, column: list[Any]) -> list[Any]:
    """``step`` of a column that lies one level down, at ``name``.

    Raises:
        MismatchError: that of the step, saying where.
    """
    try:
        return step(column)
    except MismatchError as error:
        raise error.within(name) from None


def members(
    column: Sequence[dict[str, Any]], steps: Sequence[tuple[str, Step]]
) -> Iterator[tuple[str, list[Any]]]:
    """The translated columns of a struct's fields; those without a change are left out.

    Args:
        column: dicts that have the fields, and no others, in the order of ``steps``.
        steps: the names of the fields and what translates them.
    """
    cells = list(chain.from_iterable(map(dict.values, column)))
    for index, (name, step) in enumerate(steps):
        before = cells[index :: len(steps)]
        after = inside(name, step, before)
        if after is not before:
            yield name, after


def arrays(schema: Schema, step: Step, *kinds: type) -> Present:
    """Arrays of these Python types, all their elements translated as one column."""

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, *kinds)
        elements = list(chain.from_iterable(column))
        translated = inside("[]", step, elements)
        if translated is elements:
            return column
        remaining = iter(translated)
        return [list(islice(remaining, len(value))) for value in column]

    return present


def same(schema: Schema) -> Present:
    """Booleans, strings and integers: what JSON holds as Connect does."""
    match schema.type:
        case Type.BOOLEAN:
            return _exactly(schema, bool)
        case Type.STRING:
            return _exactly(schema, str)
    return _integers(schema)


def _integers(schema: Schema) -> Present:
    """Integers within the range of the type, times within a day."""
    integer = INTEGERS[schema.type]
    if schema.name == TIME:
        minimum, maximum = 0, MILLIS_PER_DAY
    else:
        minimum, maximum = integer.minimum, integer.maximum

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, int)
        try:
            # struct checks a range in half the time of min() and max().
            struct.pack(f"<{len(column)}{integer.code}", *column)
        except struct.error:
            in_range = False
        else:
            in_range = schema.name != TIME or within(column, minimum, maximum)
        if not in_range:
            raise MismatchError(
                f"Invalid value for {label(schema)}: the integer is not in the range"
                f" {minimum} to {maximum}"
            )
        return column

    return present


def within(column: Sequence[int], minimum: int, maximum: int) -> bool:
    """Whether all integers lie between the bounds, both included."""
    return not column or (min(column) >= minimum and max(column) <= maximum)


def fits_float32(column: Sequence[float]) -> bool:
    """Whether no finite number of the column is too large for 32 bits."""
    try:
        struct.pack(f"<{len(column)}f", *column)
    except OverflowError:
        return False
    return True


def keys_of(schema: Schema) -> list[str]:
    """The field names of a struct, as the very objects that ``orjson`` makes keys of.

    It keeps the keys it has seen, so comparing with these is mostly a comparison of pointers.
    """
    return list(orjson.loads(orjson.dumps(dict.fromkeys(schema.field_names))))


def _exactly(schema: Schema, kind: type) -> Present:
    """Values of one Python type that need no translation."""

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, kind)
        return column

    return present

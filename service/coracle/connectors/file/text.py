"""Values as Java's ``String.valueOf`` prints them.

``FileStreamSinkTask`` prints ``record.value()``, so people's files hold what ``toString`` of
Connect's values gives: ``Struct{id=1,name=x}`` for a struct (null fields left out), ``{a=1, b=2}``
for a map, ``[1, 2]`` for an array, ``null``, ``true``, ``1.0E10``.

Dates and times are ``java.util.Date`` there and print as ``Thu Jan 01 00:00:00 UTC 1970`` on a
worker in UTC. Where Java would print an object's address (bytes), the bytes are printed as UTF-8
text.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from coracle.api import Schema, Type
from coracle.api.schema import DATE, TIME, TIMESTAMP

Printer = Callable[[Any], str]

_DAY = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_lines(schema: Schema | None, values: Sequence[Any]) -> list[str]:
    """The text of each value.

    Args:
        schema: what all the values mean; ``None`` for schemaless ones.
        values: as in a ``RecordBatch``.
    """
    if schema is not None and schema.type is Type.STRING and None not in values:
        return list(values)
    return [_null_or(printer(schema), value) for value in values]


@lru_cache(maxsize=1024)
def printer(schema: Schema | None) -> Printer:
    """The function that prints one value of a schema that is not ``None``."""
    if schema is None:
        return _schemaless
    match schema.type:
        case Type.STRUCT:
            return _struct(schema)
        case Type.ARRAY:
            item = printer(schema.values)
            return lambda value: _bracketed(item, value)
        case Type.MAP:
            key, member = printer(schema.keys), printer(schema.values)
            return lambda value: _braced(key, member, value)
        case Type.FLOAT32:
            return lambda value: _float(value, _shortest_float32)
    return _LOGICAL.get(schema.name or "", _schemaless)


def _struct(schema: Schema) -> Printer:
    members = [(member.name, printer(member.schema)) for member in schema.fields]

    def text(value: Any) -> str:
        shown = [
            f"{name}={show(value[name])}" for name, show in members if value.get(name) is not None
        ]
        return "Struct{" + ",".join(shown) + "}"

    return text


def _schemaless(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value, repr)
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case list() | tuple():
            return _bracketed(_schemaless, value)
        case dict():
            return _braced(_schemaless, _schemaless, value)
        case Decimal():
            return str(value)
    return str(value)


def _null_or(show: Printer, value: Any) -> str:
    return "null" if value is None else show(value)


def _bracketed(item: Printer, values: Sequence[Any]) -> str:
    return "[" + ", ".join(_null_or(item, value) for value in values) + "]"


def _braced(key: Printer, member: Printer, value: dict[Any, Any]) -> str:
    return "{" + ", ".join(f"{key(k)}={_null_or(member, v)}" for k, v in value.items()) + "}"


def _float(value: float, shortest: Callable[[float], str]) -> str:
    """``Double.toString``: plain between 10^-3 and 10^7, otherwise d.dE±n."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    number = Decimal(shortest(value))
    text = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    power = number.adjusted()
    prefix = "-" if number < 0 else ""
    if -3 <= power < 0:
        return f"{prefix}0.{'0' * (-power - 1)}{text}"
    if 0 <= power < 7:
        whole = text.ljust(power + 1, "0")
        return f"{prefix}{whole[: power + 1]}.{whole[power + 1 :] or '0'}"
    return f"{prefix}{text[0]}.{text[1:] or '0'}E{power}"


def _shortest_float32(value: float) -> str:
    single = struct.unpack("f", struct.pack("f", value))[0]
    for precision in range(1, 10):
        text = f"{single:.{precision}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == single:
            return text
    return repr(single)


def _date(milliseconds: int) -> str:
    """``java.util.Date.toString`` in UTC; the bare number beyond the years that datetime knows."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{moment:%a %b %d %H:%M:%S} UTC {moment.year}"


_LOGICAL: dict[str, Printer] = {
    TIMESTAMP: _date,
    TIME: _date,
    DATE: lambda days: _date(days * _DAY),
}

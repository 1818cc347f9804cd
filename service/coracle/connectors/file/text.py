"""Values as Java's ``String.valueOf`` prints them.

``FileStreamSinkTask`` prints ``record.value()``, so people's files hold what ``toString`` of
Connect's values gives: ``Struct{id=1,name=x}`` for a struct (null fields left out), ``{a=1, b=2}``
for a map, ``[1, 2]`` for an array, ``null``, ``true``, ``1.0E10``.

Where Java would print an object's address (bytes), the bytes are printed as UTF-8 text instead;
dates and times, which Java prints in the worker's own time zone and locale, are printed as ISO 8601
in UTC.
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


def _timestamp(value: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=value)
    except OverflowError:  # beyond the years that datetime knows
        return str(value)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _date(value: int) -> str:
    try:
        return (_EPOCH + timedelta(days=value)).date().isoformat()
    except OverflowError:
        return str(value)


def _time(value: int) -> str:
    return (_EPOCH + timedelta(milliseconds=value)).time().isoformat(timespec="milliseconds")


_LOGICAL: dict[str, Printer] = {TIMESTAMP: _timestamp, DATE: _date, TIME: _time}

"""Values as Java's ``toString`` writes them, which is what StringConverter puts into Kafka.

    1.0E10   true   [1, null, x]   {a=1}   Struct{id=1,name=x}

Dates are ``java.util.Date.toString`` in UTC. Floats have the shortest digits that mean them, as
Java does since version 19 (JDK-4511638).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from coracle.api.errors import DataError
from coracle.api.schema import DATE, TIME, TIMESTAMP, Schema, Type
from coracle.converters.json_write import not_finite, shortest_float32

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOGICAL_MILLIS = {DATE: 86_400_000, TIME: 1, TIMESTAMP: 1}


def java_text(schema: Schema | None, value: Any) -> str:
    """The text of a value.

    Args:
        schema: what the value means; ``None`` when it has no schema.

    Raises:
        DataError: for bytes, whose Java text would be a memory address, and for dates beyond the
            years 1 to 9999.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        millis = _LOGICAL_MILLIS.get(schema.name or "") if schema is not None else None
        return str(value) if millis is None else _date_text(value * millis)
    if isinstance(value, float):
        narrow = schema is not None and schema.type is Type.FLOAT32
        return java_float(shortest_float32(value) if narrow else value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return _dict_text(schema, value)
    if isinstance(value, list | tuple):
        element = schema.values if schema is not None else None
        return f"[{', '.join(java_text(element, item) for item in value)}]"
    raise DataError(
        f"A value of Python type {type(value).__name__} has no text.",
        fix="Use a converter that can write it, such as ByteArrayConverter for bytes.",
    )


def _dict_text(schema: Schema | None, value: dict[Any, Any]) -> str:
    if schema is not None and schema.type is Type.STRUCT:
        members = (
            f"{member.name}={java_text(member.schema, value[member.name])}"
            for member in schema.fields
            if value.get(member.name) is not None
        )
        return f"Struct{{{','.join(members)}}}"
    keys = schema.keys if schema is not None else None
    values = schema.values if schema is not None else None
    entries = (f"{java_text(keys, key)}={java_text(values, item)}" for key, item in value.items())
    return f"{{{', '.join(entries)}}}"


def java_float(value: float) -> str:
    """The text of ``Double.toString``: plain from 0.001 up to 10,000,000, else ``1.0E10``."""
    if not isfinite(value):
        return not_finite(value)
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # finite
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent + len(digits) - 1}"


def _date_text(millis: int) -> str:
    try:
        date = _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        raise DataError(f"{millis} ms since 1970 lies beyond the years 1 to 9999.") from None
    return (
        f"{_DAYS[date.weekday()]} {_MONTHS[date.month - 1]} {date.day:02} {date:%H:%M:%S} UTC"
        f" {date.year:04}"
    )

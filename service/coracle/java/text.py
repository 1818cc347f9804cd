"""Values as Java's ``String.valueOf`` prints them: functions compiled once per schema.

    null   true   1.0E10   [1, null, x]   {a=1}   Struct{id=1,name=x}

``StringConverter`` puts these texts into Kafka and ``FileStreamSinkTask`` into files, so they are
in people's data. Dates and times are ``java.util.Date`` there and print as on a worker in UTC:
``Thu Jan 01 00:00:00 UTC 1970``. A struct leaves out fields that are null.

Where Java would print an object's address (bytes), the two differ: a converter refuses the value, a
file gets readable text (``lenient``).

Sources: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Date.html#toString()
and ``org.apache.kafka.connect.data.Struct``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from coracle.api.errors import DataError
from coracle.api.schema import DATE, TIME, TIMESTAMP, Schema, Type
from coracle.java.date_format import JavaDateFormat
from coracle.java.floats import java_float, java_float32

Printer = Callable[[Any], str]

_MILLIS = {DATE: 86_400_000, TIME: 1, TIMESTAMP: 1}
_DAY_TEXT = JavaDateFormat("EEE MMM dd '{}' zzz y")  # remembered per day: the clock is filled in
_YEARS_1_TO_9999 = range(-62_135_596_800_000, 253_402_300_800_000)


@lru_cache(maxsize=1024)
def compile_text(schema: Schema | None, *, lenient: bool = False) -> Printer:
    """The function that prints one value of a schema; ``None`` is ``null``.

    Args:
        schema: what the values mean; ``None`` when they have no schema.
        lenient: whether bytes are printed as UTF-8, dates beyond the years 1 to 9999 as their
            number, and what has no text in Java as Python prints it.

    Raises:
        DataError: never here; the returned function raises it for what ``lenient`` would print.

    Example:
        >>> compile_text(None)([1e10, None, True])
        '[1.0E10, null, true]'
    """
    if schema is None:
        return _by_value(_readable if lenient else _refuse)
    plain = compile_text(None, lenient=lenient)

    def only(kinds: type | tuple[type, ...], text: Printer) -> Printer:
        return lambda value: text(value) if isinstance(value, kinds) else plain(value)

    match schema.type:
        case Type.STRUCT:
            members = [
                (field.name, compile_text(field.schema, lenient=lenient)) for field in schema.fields
            ]
            return only(dict, lambda value: _struct(members, value))
        case Type.ARRAY:
            element = compile_text(schema.values, lenient=lenient)
            return only((list, tuple), lambda value: _array(element, value))
        case Type.MAP:
            key = compile_text(schema.keys, lenient=lenient)
            item = compile_text(schema.values, lenient=lenient)
            return only(dict, lambda value: _map(key, item, value))
        case Type.FLOAT32:
            return only(float, java_float32)
    millis = _MILLIS.get(schema.name or "")
    if millis is None:
        return plain
    beyond = str if lenient else _refuse_date
    return only(int, lambda value: _date(value * millis, beyond))


def _by_value(other: Printer) -> Printer:
    def text(value: Any) -> str:
        match value:
            case None:
                return "null"
            case str():
                return value
            case bool():
                return "true" if value else "false"
            case int() | Decimal():
                return str(value)
            case float():
                return java_float(value)
            case list() | tuple():
                return _array(text, value)
            case dict():
                return _map(text, text, value)
        return other(value)

    return text


def _struct(members: Sequence[tuple[str, Printer]], value: dict[str, Any]) -> str:
    shown = [f"{name}={text(value[name])}" for name, text in members if value.get(name) is not None]
    return f"Struct{{{','.join(shown)}}}"


def _array(element: Printer, value: Sequence[Any]) -> str:
    return f"[{', '.join(map(element, value))}]"


def _map(key: Printer, item: Printer, value: dict[Any, Any]) -> str:
    return f"{{{', '.join([f'{key(name)}={item(own)}' for name, own in value.items()])}}}"


def _date(millis: int, beyond: Callable[[int], str]) -> str:
    if millis not in _YEARS_1_TO_9999:
        return beyond(millis)
    minutes, second = divmod(millis // 1_000, 60)
    hours, minute = divmod(minutes, 60)
    return _DAY_TEXT(millis).format(f"{hours % 24:02}:{minute:02}:{second:02}")


def _refuse_date(millis: int) -> str:
    raise DataError(f"{millis} ms since 1970 lies beyond the years 1 to 9999.")


def _refuse(value: Any) -> str:
    raise DataError(
        f"A value of Python type {type(value).__name__} has no text.",
        fix="Use a converter that can write it, such as ByteArrayConverter for bytes.",
    )


def _readable(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)

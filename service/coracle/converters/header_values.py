"""The text of header values, and what a text means: Kafka Connect's ``Values``.

    true   42   1.5   2019-08-23   14:34:54.346Z   2019-08-23T14:34:54.346Z   [1,2]   {"a":1}   text

A text that is none of these is a string. Strings stand without quotes by themselves, with quotes
inside arrays and maps. Numbers take the smallest type that holds them, elements of an array the
smallest common one.

Kafka Connect is followed wherever it keeps the value. Where it does not, the text stays what it
says:

- text that goes on after a value (``1,2``, ``14:34:54``, ``[1] x``) is a string, not its beginning;
- fractions become FLOAT32 or FLOAT64 only if these hold every digit, else a decimal; - dates that
are none (``2019-02-30``) are strings, not other dates; years before 1582 are Gregorian; - ``null``
is null (4.3.1 throws a NullPointerException); - dates and times are written in the form of their
type, whatever their value.

Source: ``org.apache.kafka.connect.data.Values`` of Kafka Connect 4.3, see
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/data/Values.html
"""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from coracle.api.errors import DataError
from coracle.api.schema import (
    BOOLEAN,
    DATE,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    TIME,
    TIME_SCHEMA,
    TIMESTAMP,
    TIMESTAMP_SCHEMA,
    Schema,
    Type,
    decimal,
)
from coracle.converters.json_columns import INTEGERS, MILLIS_PER_DAY
from coracle.java.floats import java_float, java_float32, shortest_float32

Typed = tuple[Schema | None, Any]
"""A value and its schema; ``None`` as schema where the parts of a whole have no common one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,6})?", re.ASCII)
_DATE_TEXT = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME_TEXT = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3})Z", re.ASCII)
_TIMESTAMP_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_LONGEST_TIME = len(r"2019-08-23T14\:34\:54.346Z")
_BARE_TEXT = re.compile(r"[^\s,:\[\]{}\"]+")
_MAX_EXPONENT = 400  # no float reaches that far; beyond it a decimal would only cost memory
_MAX_DEPTH = 100


class _NoValueError(Exception):
    """The text is nothing but text."""


def parse(text: str) -> Typed:
    """The value that a header's text means.

    Example:
        >>> parse("300")[1], parse("[1,300]")[0].values.type, parse("a b")[1]
        (300, <Type.INT16: 'INT16'>, 'a b')
    """
    trimmed = text.strip()
    if trimmed == "null":
        return None, None
    try:
        if trimmed.startswith(("[", "{")):
            return _Parser(trimmed).whole()
        return _scalar(trimmed)
    except _NoValueError:
        return STRING, text


def _scalar(text: str) -> Typed:
    if text in ("true", "false"):
        return BOOLEAN, text == "true"
    if _NUMBER.fullmatch(text):
        return _number(text)
    return _temporal(text)


def _temporal(text: str) -> Typed:
    # Kafka Connect once wrote colons with a backslash and still reads them.
    text = text.replace("\\:", ":")
    try:
        if _DATE_TEXT.fullmatch(text):
            return DATE_SCHEMA, (date.fromisoformat(text) - _EPOCH.date()).days
        if _TIMESTAMP_TEXT.fullmatch(text):
            passed = datetime.fromisoformat(text) - _EPOCH
            return TIMESTAMP_SCHEMA, passed // timedelta(milliseconds=1)
    except ValueError:
        raise _NoValueError from None
    if match := _TIME_TEXT.fullmatch(text):
        hours, minutes, seconds, millis = map(int, match.groups())
        if hours < 24 and minutes < 60 and seconds < 60:
            return TIME_SCHEMA, ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis
    raise _NoValueError


def _number(text: str) -> Typed:
    number = Decimal(text)
    if abs(number.adjusted()) <= _MAX_EXPONENT:
        if number == number.to_integral_value():
            whole = int(number)
            for schema in (INT8, INT16, INT32, INT64):
                if INTEGERS[schema.type].minimum <= whole <= INTEGERS[schema.type].maximum:
                    return schema, whole
        nearest = float(text)
        if Decimal(repr(nearest)) == number:
            return (FLOAT32 if _is_float32(nearest) else FLOAT64), nearest
    _, _, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # finite
    return decimal(-exponent), number


def _is_float32(value: float) -> bool:
    try:
        struct.pack("<f", value)
    except OverflowError:
        return False
    return shortest_float32(value) == value


class _Parser:
    """Reads arrays and maps by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Typed:
        """The value that the text is from its first to its last character."""
        found = self._value(0)
        if self._at != len(self._text):
            raise _NoValueError
        return found

    def _value(self, depth: int) -> Typed:
        if depth > _MAX_DEPTH:
            raise _NoValueError
        match self._peek():
            case "[":
                return self._array(depth)
            case "{":
                return self._map(depth)
            case '"':
                return self._quoted()
            case _:
                return self._bare()

    def _peek(self) -> str:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _sequence(self, end: str, element: Callable[[], None]) -> None:
        # A comma after the last element is allowed, as in Kafka Connect.
        self._at += 1
        while not self._take(end):
            element()
            if not self._take(",") and self._peek() != end:
                raise _NoValueError

    def _array(self, depth: int) -> Typed:
        elements: list[Typed] = []
        self._sequence("]", lambda: elements.append(self._value(depth + 1)))
        schema, values = _common(elements)
        return Schema(Type.ARRAY, values=schema), values

    def _map(self, depth: int) -> Typed:
        keys: list[Typed] = []
        values: list[Typed] = []

        def entry() -> None:
            keys.append(self._value(depth + 1))
            if keys[-1][1] is None or not self._take(":"):
                raise _NoValueError
            values.append(self._value(depth + 1))

        self._sequence("}", entry)
        key_schema, own_keys = _common(keys)
        value_schema, own_values = _common(values)
        try:
            own = dict(zip(own_keys, own_values, strict=True))
        except TypeError:  # an array or a map as a key
            raise _NoValueError from None
        return Schema(Type.MAP, keys=key_schema, values=value_schema), own

    def _quoted(self) -> Typed:
        start = self._at + 1
        end = start
        while self._text[end : end + 1] != '"':
            if end >= len(self._text):
                raise _NoValueError
            end += 2 if self._text[end] == "\\" else 1
        self._at = end + 1
        text = re.sub(r"\\(.)", r"\1", self._text[start:end], flags=re.DOTALL)
        try:
            return _temporal(text)
        except _NoValueError:
            return STRING, text

    def _bare(self) -> Typed:
        # Colons belong to a time, but also end a map's key: try what is longest first.
        ahead = self._text[self._at : self._at + _LONGEST_TIME]
        plain = ahead.replace("\\:", ":")
        for pattern in (_TIMESTAMP_TEXT, _DATE_TEXT, _TIME_TEXT):
            if match := pattern.match(plain):
                self._at += match.end()
                if ahead != plain:
                    self._at += match[0].count(":")  # each with its backslash
                return _temporal(match[0])
        match = _BARE_TEXT.match(self._text, self._at)
        if match is None:
            raise _NoValueError
        self._at = match.end()
        return (None, None) if match[0] == "null" else _scalar(match[0])


_WIDTHS = {Type.INT8: 0, Type.INT16: 1, Type.INT32: 2, Type.INT64: 3}
_FLOATS = {Type.FLOAT32: 0, Type.FLOAT64: 1}


def _common(parts: list[Typed]) -> Typed:
    """The smallest schema for all values (``None``: there is none), and the values in its type."""
    values = [value for _, value in parts]
    if not parts:
        return None, values
    schemas = {schema for schema, _ in parts}
    if len(schemas) == 1:
        return schemas.pop(), values
    if None in schemas and all(value is not None for value in values):
        return None, values
    if None in schemas:
        # Kafka Connect has no type for an array of some values and some nulls.
        raise _NoValueError
    types = {schema.type for schema in schemas if schema is not None and schema.name is None}
    if len(types) == len(schemas):
        if types <= _WIDTHS.keys():
            return max(filter(None, schemas), key=lambda schema: _WIDTHS[schema.type]), values
        if types <= _WIDTHS.keys() | _FLOATS.keys():
            floats = [float(value) for value in values]
            if floats == values:
                narrow = all(map(_is_float32, floats))
                return (FLOAT32 if narrow else FLOAT64), floats
    return None, values


def to_text(schema: Schema | None, value: Any) -> str:
    """The text of a value: strings as they are, everything else so that ``parse`` reads it again.

    Raises:
        DataError: for what has no text, such as dates beyond the years 1 to 9999.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    return _embedded(schema, value)


def _embedded(schema: Schema | None, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer_text(schema, value)
    if isinstance(value, float):
        narrow = schema is not None and schema.type is Type.FLOAT32
        return java_float32(value) if narrow else java_float(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f'"{b64encode(value).decode()}"'
    if isinstance(value, list | tuple):
        element = schema.values if schema is not None else None
        return f"[{','.join(_embedded(element, item) for item in value)}]"
    if isinstance(value, dict):
        return _dict_text(schema, value)
    raise DataError(f"A header of Python type {type(value).__name__} has no text.")


def _dict_text(schema: Schema | None, value: dict[Any, Any]) -> str:
    if schema is not None and schema.type is Type.STRUCT:
        members = (
            f"{_embedded(None, member.name)}:{_embedded(member.schema, value.get(member.name))}"
            for member in schema.fields
        )
        return f"{{{','.join(members)}}}"
    keys = schema.keys if schema is not None else None
    values = schema.values if schema is not None else None
    entries = (f"{_embedded(keys, key)}:{_embedded(values, item)}" for key, item in value.items())
    return f"{{{','.join(entries)}}}"


def _integer_text(schema: Schema | None, value: int) -> str:
    name = schema.name if schema is not None else None
    if name not in (DATE, TIME, TIMESTAMP):
        return str(value)
    try:
        moment = _EPOCH + timedelta(milliseconds=value * (MILLIS_PER_DAY if name == DATE else 1))
    except OverflowError:
        raise DataError(f"The {name} {value} lies beyond the years 1 to 9999.") from None
    if name == DATE:
        return moment.date().isoformat()
    clock = moment.time().isoformat("milliseconds") + "Z"
    return clock if name == TIME else f"{moment.date().isoformat()}T{clock}"

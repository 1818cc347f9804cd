"""From Connect's values to what the JSON serializer takes: functions compiled once per schema.

The mirror image of ``json_read``: the same columns, the same checks (a value that its schema does
not allow is refused, never bent), and no copy of a struct whose fields need no translation. Values
are never changed in place: they belong to the caller.

Texts are those of the JVM's JsonConverter, byte for byte, with two exceptions that mean the same:
a float is ``10000000000.0`` where Java writes ``1.0E10``, and the hexadecimal digits in escapes of
control characters are small letters.

Source: ``org.apache.kafka.connect.json.JsonConverter`` and the behaviour of Kafka Connect 4.3.
"""

from __future__ import annotations

import re
import struct
from binascii import b2a_base64
from collections.abc import Collection
from decimal import Decimal
from itertools import chain, islice
from math import isfinite
from typing import Any

import orjson

from coracle.api.schema import Schema, Type
from coracle.converters.decimal_bytes import to_bytes
from coracle.converters.json_columns import (
    MismatchError,
    Present,
    Step,
    arrays,
    expect,
    fits_float32,
    inside,
    is_decimal,
    keys_of,
    kind_name,
    label,
    members,
    nullable,
    same,
    scale_of,
)
from coracle.java.floats import not_finite, shortest_float32


def compile_writer(schema: Schema, *, numeric: bool, replace_null: bool) -> Step:
    """The function that checks and translates a column of values to what ``dump`` takes.

    Args:
        numeric: whether decimals become numbers instead of base64 (``decimal.format``).
        replace_null: whether a default stands in for ``None``.

    Raises:
        MismatchError: when the schema itself makes no sense. The returned function raises it for
        the first
            value that contradicts the schema.
    """
    translate = _present(schema, numeric, replace_null)
    step = nullable(schema, translate, replace_null=replace_null)
    if schema.default is None or not replace_null:
        return step
    # nullable() fills in the default as the value it is; here it has to be translated as well.
    default = schema.default

    def with_default(column: list[Any]) -> list[Any]:
        if None in column:
            column = [default if value is None else value for value in column]
        return step(column)

    return with_default


def _present(schema: Schema, numeric: bool, replace_null: bool) -> Present:
    match schema.type:
        case Type.FLOAT32 | Type.FLOAT64:
            return _floats(schema)
        case Type.BYTES:
            return _decimals(schema, numeric) if is_decimal(schema) else _bytes(schema)
        case Type.ARRAY:
            return arrays(schema, _element(schema.values, numeric, replace_null), list, tuple)
        case Type.MAP:
            return _maps(schema, numeric, replace_null)
        case Type.STRUCT:
            return _structs(schema, numeric, replace_null)
        case _:
            return same(schema)


def _floats(schema: Schema) -> Present:
    narrow = schema.type is Type.FLOAT32

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, float, int)
        if int in types:
            column = [_float(schema, value) for value in column]
        if narrow:
            if not fits_float32(column):
                raise MismatchError("Invalid value for FLOAT32: the number is too large")
            column = [shortest_float32(value) for value in column]
        if not all(map(isfinite, column)):
            return [value if isfinite(value) else not_finite(value) for value in column]
        return column

    return present


def _float(schema: Schema, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise MismatchError(f"Invalid value for {label(schema)}: the number is too large") from None


def _bytes(schema: Schema) -> Present:
    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, bytes, bytearray, memoryview)
        return column  # dump() writes them as base64

    return present


def _decimals(schema: Schema, numeric: bool) -> Present:
    scale = scale_of(schema)

    def number(value: Decimal) -> object:
        if not value.is_finite():
            raise MismatchError(f"Invalid value for Decimal: {value} is no finite number")
        return orjson.Fragment(str(value))  # pyright: ignore[reportAttributeAccessIssue]

    def base64(value: Decimal) -> str:
        try:
            return b2a_base64(to_bytes(value, scale), newline=False).decode()
        except ValueError as error:
            raise MismatchError(
                f"Decimal value has mismatching scale for given Decimal schema: {error}"
            ) from None

    translate = number if numeric else base64

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, Decimal)
        return [translate(value) for value in column]

    return present


def _element(schema: Schema | None, numeric: bool, replace_null: bool) -> Step:
    if schema is None:
        return lambda column: [_schemaless(value) for value in column]
    return compile_writer(schema, numeric=numeric, replace_null=replace_null)


def _maps(schema: Schema, numeric: bool, replace_null: bool) -> Present:
    key_step = _element(schema.keys, numeric, replace_null)
    value_step = _element(schema.values, numeric, replace_null)
    as_object = schema.keys is not None and schema.keys.type is Type.STRING

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, dict)
        keys = list(chain.from_iterable(column))
        values = list(chain.from_iterable(map(dict.values, column)))
        new_keys = inside("{}", key_step, keys)
        new_values = inside("{}", value_step, values)
        if as_object:
            if new_keys is keys and new_values is values and None not in keys:
                return column
            # Java writes an optional key that is null as the text "null".
            new_keys = ["null" if key is None else key for key in new_keys]
        remaining = zip(new_keys, new_values, strict=True)
        if as_object:
            return [dict(islice(remaining, len(value))) for value in column]
        return [list(islice(remaining, len(value))) for value in column]

    return present


def _structs(schema: Schema, numeric: bool, replace_null: bool) -> Present:
    names = keys_of(schema)
    known = frozenset(names)
    steps = [
        (member.name, compile_writer(member.schema, numeric=numeric, replace_null=replace_null))
        for member in schema.fields
    ]

    def arrange(value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in known:
                raise MismatchError(f"{name} is not a valid field name")
        return dict(zip(names, map(value.get, names), strict=True))

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, dict)
        fresh = False
        # See json_read._structs for why one comparison is enough.
        if list(chain.from_iterable(column)) != names * len(column):
            column, fresh = [arrange(value) for value in column], True
        for name, cells in members(column, steps):
            if not fresh:
                column, fresh = [value.copy() for value in column], True
            for value, cell in zip(column, cells, strict=True):
                value[name] = cell
        return column

    return present


def _schemaless(value: Any) -> Any:
    """What ``orjson`` would refuse or write as null: ``NaN`` becomes a string, and a map whose keys
    are not all strings an array of pairs.
    """
    kind = type(value)
    if kind is float:
        return value if isfinite(value) else not_finite(value)
    if kind in (list, tuple):
        return [_schemaless(element) for element in value]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _schemaless(element) for key, element in value.items()}
        return [[_schemaless(key), _schemaless(element)] for key, element in value.items()]
    return value


# Only what this module means to write: datetimes and the like have no agreed form in Connect's
# JSON.
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def _base64(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return b2a_base64(value, newline=False).decode()
    raise TypeError(f"JSON has no form for {kind_name(type(value))}")


_ASTRAL = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")


def _surrogates(match: re.Match[bytes]) -> bytes:
    high, low = struct.unpack(">HH", match[0].decode().encode("utf-16-be"))
    return b"\\u%04X\\u%04X" % (high, low)


def dump(values: list[Any]) -> list[bytes]:
    """The JSON text of each translated value, in the bytes that Jackson would write.

    Jackson writes a character beyond the basic plane as two escapes. The same bytes matter where
    they are a key: they decide its partition.

    Raises:
        MismatchError: for what has no form in JSON: a lone surrogate, an integer beyond 64 bits.
    """
    try:
        texts = [orjson.dumps(value, _base64, _OPTIONS) for value in values]
    except TypeError as error:
        reason = error.__cause__ or error
        raise MismatchError(f"The value cannot be written as JSON: {reason}") from None
    if all(map(bytes.isascii, texts)):
        return texts
    return [_ASTRAL.sub(_surrogates, text) for text in texts]


def dump_schemaless(values: list[Any]) -> list[bytes]:
    """The JSON text of each value that has no schema.

    Raises:
        MismatchError: as ``dump``.
    """
    try:
        texts = dump(values)
    except MismatchError:
        try:
            return dump([_schemaless(value) for value in values])
        except RecursionError:
            raise MismatchError("The value is nested too deeply for JSON") from None
    # orjson writes NaN as null, so only a text with a null in it needs a second look.
    return [
        dump([_schemaless(value)])[0] if b"null" in text else text
        for value, text in zip(values, texts, strict=True)
    ]

"""From parsed JSON to Connect's values: functions compiled once per schema.

``compile_reader`` turns a schema into one function over a column (see ``json_columns``). Structs
are taken apart into one column per field, each checked by its own function, and put together again
only where a field was translated (bytes, decimals, defaults): most batches leave as the very dicts
that the JSON parser made.

What comes out is regular: a struct is a dict with exactly the fields of its schema, in their order,
missing ones filled with the default or ``None`` and unknown ones left out, as Kafka Connect's
``Struct`` has it.

Where the JVM silently makes something else of a wrong value (0 of ``"x"`` for an int32, 44 of 300
for an int8, null of 5 for a string), the record is refused. ``"NaN"``, ``"Infinity"`` and
``"-Infinity"``, which the JVM writes for such floats and reads as 0.0, are read as what they say.

Source: ``org.apache.kafka.connect.json.JsonConverter``, KIP-481 (decimal.format) and the behaviour
of Kafka Connect 4.3.
"""

from __future__ import annotations

import json
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection
from decimal import Decimal
from itertools import chain, islice
from typing import Any

import orjson

from coracle.api.schema import Schema, Type
from coracle.converters.decimal_bytes import from_bytes
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

_BOM = b"\xef\xbb\xbf"


class InexactError(Exception):
    """A decimal was parsed as a binary float; parse again with ``exact_loads``."""


def exact_loads(data: bytes) -> Any:
    """Parse JSON keeping every digit: fractions become ``Decimal``, integers have no limit.

    Raises:
        ValueError: when the bytes are no JSON, or nested deeper than this process can follow.
    """
    data = data.removeprefix(_BOM)
    orjson.loads(data)  # decides what is JSON, so that both parsers accept the same
    try:
        return json.loads(data.decode(), parse_float=Decimal)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def compile_reader(schema: Schema, *, replace_null: bool) -> Step:
    """The function that checks and translates a column of parsed JSON.

    It may change the parsed dicts in place and raises ``MismatchError`` for the first value that
    contradicts the schema, ``InexactError`` for a decimal that a float cannot hold.

    Raises:
        MismatchError: when the schema itself makes no sense.
    """
    return nullable(schema, _present(schema, replace_null), replace_null=replace_null)


def _present(schema: Schema, replace_null: bool) -> Present:
    match schema.type:
        case Type.FLOAT32 | Type.FLOAT64:
            return _floats(schema)
        case Type.BYTES:
            return _decimals(schema) if is_decimal(schema) else _bytes(schema)
        case Type.ARRAY:
            return arrays(schema, _element(schema.values, replace_null), list)
        case Type.MAP if schema.keys is not None and schema.keys.type is Type.STRING:
            return _objects(schema, replace_null)
        case Type.MAP:
            return _pairs(schema, replace_null)
        case Type.STRUCT:
            return _structs(schema, replace_null)
        case _:
            return same(schema)


_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _floats(schema: Schema) -> Present:
    narrow = schema.type is Type.FLOAT32

    def number(value: Any) -> float:
        if type(value) is str:
            if value not in _NOT_FINITE:
                raise MismatchError(f"Invalid value for {label(schema)}: found a string")
            return _NOT_FINITE[value]
        return float(value)  # never overflows: orjson takes such a number for no JSON

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, float, int, str, Decimal)
        if types and types != {float}:
            column = [number(value) for value in column]
        if narrow and not fits_float32(column):
            raise MismatchError("Invalid value for FLOAT32: the number is too large")
        return column

    return present


def _bytes(schema: Schema) -> Present:
    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        expect(schema, types, str)
        return [_base64(value) for value in column]

    return present


def _base64(text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError) as error:  # ValueError: not ASCII
        raise MismatchError(f"Invalid bytes field: not base64 ({error})") from None


def _decimals(schema: Schema) -> Present:
    scale = scale_of(schema)

    def decimal(value: Any) -> Decimal:
        if type(value) is not str:
            return Decimal(value)
        try:
            return from_bytes(_base64(value), scale)
        except ValueError:
            raise MismatchError("Invalid bytes for Decimal field: no bytes") from None

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        if float in types:
            raise InexactError
        expect(schema, types, str, int, Decimal)
        return [decimal(value) for value in column]

    return present


def _element(schema: Schema | None, replace_null: bool) -> Step:
    # Schemas without an element type say nothing about their elements.
    return (
        (lambda column: column)
        if schema is None
        else compile_reader(schema, replace_null=replace_null)
    )


def _objects(schema: Schema, replace_null: bool) -> Present:
    step = _element(schema.values, replace_null)

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        if types and types != {dict}:
            raise MismatchError(
                "Maps with string fields should be encoded as JSON objects, but found"
                f" {_foreign(types, dict)}"
            )
        elements = list(chain.from_iterable(map(dict.values, column)))
        translated = inside("{}", step, elements)
        if translated is elements:
            return column
        remaining = iter(translated)
        return [dict(zip(value, islice(remaining, len(value)), strict=True)) for value in column]

    return present


def _pairs(schema: Schema, replace_null: bool) -> Present:
    key_step = _element(schema.keys, replace_null)
    value_step = _element(schema.values, replace_null)

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        if types and types != {list}:
            raise MismatchError(
                "Maps with non-string fields should be encoded as JSON array of tuples, but found"
                f" {_foreign(types, list)}"
            )
        pairs = list(chain.from_iterable(column))
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                raise MismatchError("Found invalid map entry: it must be [key, value]")
        keys = inside("{}", key_step, [pair[0] for pair in pairs])
        values = inside("{}", value_step, [pair[1] for pair in pairs])
        remaining = zip(keys, values, strict=True)
        try:
            return [dict(islice(remaining, len(value))) for value in column]
        except TypeError:
            raise MismatchError(
                "Maps whose keys are arrays, maps or structs are not supported"
            ) from None

    return present


def _foreign(types: Collection[type], expected: type) -> str:
    return kind_name(next(kind for kind in types if kind is not expected))


def _structs(schema: Schema, replace_null: bool) -> Present:
    names = keys_of(schema)
    steps = [
        (member.name, compile_reader(member.schema, replace_null=replace_null))
        for member in schema.fields
    ]

    def present(column: list[Any], types: Collection[type]) -> list[Any]:
        if types and types != {dict}:
            raise MismatchError(
                f"Structs should be encoded as JSON objects, but found {_foreign(types, dict)}"
            )
        # One comparison for all keys of all dicts. Dicts of other sizes cannot make up for each
        # other: no dict has a key twice, so the lists are equal only if every dict has all names.
        if list(chain.from_iterable(column)) != names * len(column):
            column = [dict(zip(names, map(value.get, names), strict=True)) for value in column]
        for name, cells in members(column, steps):
            for value, cell in zip(column, cells, strict=True):
                value[name] = cell
        return column

    return present

"""What PostgreSQL's types become.

Everything is emitted. What Kafka Connect has no type for travels as the text PostgreSQL itself
writes for it (ranges, intervals, addresses, geometry, composites), arrays as ARRAY.

"infinity": a timestamp is the value pgjdbc gives it, a date the largest or smallest day of 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coracle.api import DataError, Schema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    TIME_SCHEMA,
    array,
)
from coracle.connectors.jdbc.dialects.base import Column
from coracle.connectors.jdbc.dialects.postgresql import (
    EPOCH_DAYS,
    EPOCH_MICROS,
    INFINITE_DAY,
    INFINITY,
    MINUS_INFINITE_DAY,
    MINUS_INFINITY,
)
from coracle.connectors.jdbc.sources.clock import DAY, GRANULARITIES, formatter
from coracle.connectors.jdbc.sources.layout import Reading, ReadOptions, each
from coracle.connectors.jdbc.sources.numbers import numeric

# https://github.com/pgjdbc/pgjdbc/blob/master/pgjdbc/src/main/java/org/postgresql/PGStatement.java
_JDBC_INFINITY = {INFINITY: 9223372036825200000, MINUS_INFINITY: -9223372036832400000}
_INFINITY_TEXT = {INFINITY: "infinity", MINUS_INFINITY: "-infinity"}

_PLAIN = {
    "bool": BOOLEAN,
    "int2": INT16,
    "int4": INT32,
    "int8": INT64,
    "oid": INT64,
    "float4": FLOAT32,
    "float8": FLOAT64,
    "text": STRING,
    "varchar": STRING,
    "bpchar": STRING,
    "name": STRING,
    "json": STRING,
    "jsonb": STRING,
    "uuid": STRING,
    "bytea": BYTES,
}


def reading(column: Column, options: ReadOptions) -> Reading:
    """What a column becomes."""
    if column.kind == "array" and column.element is not None:
        return _array(column, reading(column.element, options))
    if column.kind == "enum":
        return Reading(STRING)
    if schema := _PLAIN.get(column.type_name):
        return Reading(schema)
    match column.type_name:
        case "numeric":
            return numeric(column.precision, column.scale, options.numeric_mapping)
        case "money":
            return Reading(FLOAT64, cast="{}::numeric::float8")
        case "bit":
            return _bits(column.precision or 1)
        case "date":
            return Reading(DATE_SCHEMA, _days, micros=lambda raw: (raw + EPOCH_DAYS) * DAY)
        case "time":
            return Reading(TIME_SCHEMA, _millis_of_day)
        case "timetz":
            return Reading(TIME_SCHEMA, _millis_of_day, cast="({} AT TIME ZONE 'UTC')::time")
        case "timestamp":
            clock = options.clock
            return _timestamp(lambda raw: clock.to_utc(raw + EPOCH_MICROS), options)
        case "timestamptz":
            return _timestamp(lambda raw: raw + EPOCH_MICROS, options, zoned=True)
        case _:
            return Reading(STRING, cast="{}::text")


def _days(column: Sequence[Any]) -> list[int | None]:
    return [
        None
        if value is None
        else value + EPOCH_DAYS
        if MINUS_INFINITE_DAY < value < INFINITE_DAY
        else value
        for value in column
    ]


def _millis_of_day(column: Sequence[Any]) -> list[int | None]:
    return [None if value is None else value // 1000 for value in column]


def _timestamp(
    micros: Callable[[int], int], options: ReadOptions, *, zoned: bool = False
) -> Reading:
    schema = GRANULARITIES[options.granularity]
    if options.granularity == "connect_logical" and (zoned or options.clock.is_utc):
        return Reading(schema, _millis, micros=micros)
    form = formatter(options.granularity, options.clock)
    infinite: dict[int, int | str] = {INFINITY: INFINITY, MINUS_INFINITY: MINUS_INFINITY}
    if options.granularity == "connect_logical":
        infinite = dict(_JDBC_INFINITY)
    elif schema is STRING:
        infinite = dict(_INFINITY_TEXT)

    def convert(value: int) -> int | str:
        return infinite[value] if value in infinite else form(micros(value))

    return Reading(schema, each(convert), micros=micros)


def _millis(column: Sequence[Any]) -> list[int | None]:
    return [
        None
        if value is None
        else (value + EPOCH_MICROS) // 1000
        if MINUS_INFINITY < value < INFINITY
        else _JDBC_INFINITY[value]
        for value in column
    ]


def _bits(length: int) -> Reading:
    """bit(1) is a boolean, up to bit(7) a number, anything longer the digits as bytes."""
    if length == 1:
        return Reading(BOOLEAN, each(lambda digits: digits == "1"))
    if length < 8:
        return Reading(INT8, each(lambda digits: int(digits, 2)))
    return Reading(BYTES, each(str.encode))


def _array(column: Column, element: Reading) -> Reading:
    """An array as deep as declared. PostgreSQL does not hold values to that, Connect does."""
    convert = element.convert
    depth = max(1, column.dimensions)
    schema: Schema = element.schema.as_optional()
    for _ in range(depth):
        schema = array(schema, optional=True)

    def nested(value: list[Any], level: int) -> list[Any]:
        if level > 1:
            if any(not isinstance(item, list) for item in value):
                raise wrong()
            return [nested(item, level - 1) for item in value]
        if any(isinstance(item, list) for item in value):
            raise wrong()
        return value if convert is None else list(convert(value))

    def wrong() -> DataError:
        return DataError(
            f"Column {column.name} is declared {column.declared or column.type_name}, but a value "
            "has another number of dimensions.",
            fix="Declare the column with the dimensions it holds, or select array_to_json of it.",
        )

    cast = element.cast and _array_cast(element.cast)
    return Reading(schema.with_(optional=False), each(lambda v: nested(v, depth)), cast)


def _array_cast(cast: str) -> str:
    if cast.startswith("("):  # timetz: an expression per element
        return "(SELECT array_agg((e AT TIME ZONE 'UTC')::time) FROM unnest({}) e)"
    return "{}" + "".join(f"::{type_}[]" for type_ in cast.split("::")[1:])


def timestamp_parameter(zoned: bool, position: int) -> str:
    """A parameter to compare a timestamp column with."""
    return f"${position}::{'timestamptz' if zoned else 'timestamp'}"

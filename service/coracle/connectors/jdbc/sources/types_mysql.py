"""What MySQL's and MariaDB's types become: what Connector/J reports for them, mapped as by JDBC.

See https://dev.mysql.com/doc/connector-j/en/connector-j-reference-type-conversions.html . Unsigned
types take the next larger type; an unsigned BIGINT stays INT64, and a value beyond it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from coracle.api import ConnectError, DataError
from coracle.api.schema import (
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
    decimal,
)
from coracle.connectors.jdbc.dialects.base import Column
from coracle.connectors.jdbc.sources.clock import DAY, GRANULARITIES, formatter
from coracle.connectors.jdbc.sources.layout import Reading, ReadOptions, each

_INTEGERS = {
    "tinyint": (INT8, INT16),
    "smallint": (INT16, INT32),
    "mediumint": (INT32, INT64),
    "int": (INT32, INT64),
}
_STRINGS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}
_STRINGS |= {"json", "uuid", "inet4", "inet6", "xmltype"}
_BINARY = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
_BINARY |= {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
_BINARY |= {"multipolygon", "geometrycollection", "geomcollection"}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LARGEST = 2**63 - 1


def reading(column: Column, options: ReadOptions) -> Reading:
    """What a column becomes.

    Raises:
        ConnectError: for a type unknown to us.
    """
    name = column.type_name
    if name in _INTEGERS:
        return Reading(_INTEGERS[name][column.unsigned])
    if name in _STRINGS:
        return Reading(STRING)
    if name in _BINARY:
        return Reading(BYTES)
    match name:
        case "bigint":
            return Reading(INT64, _checked(column.name) if column.unsigned else None)
        case "decimal":
            return Reading(decimal(column.scale or 0, precision=column.precision))
        case "float":
            return Reading(FLOAT32)
        case "double":
            return Reading(FLOAT64)
        case "bit":
            small = (column.precision or 1) < 8
            return Reading(INT8, each(int.from_bytes)) if small else Reading(BYTES)
        case "date":
            return Reading(DATE_SCHEMA, micros=lambda days: days * DAY)
        case "time":
            return Reading(TIME_SCHEMA, _millis)
        case "year":
            return Reading(DATE_SCHEMA, each(_new_year)) if options.year_is_date else Reading(INT16)
        case "datetime":
            return _timestamp(options.clock.to_utc, options, utc=options.clock.is_utc)
        case "timestamp":
            return _timestamp(lambda micros: micros, options, utc=True)
        case _:
            raise ConnectError(
                f"Column {column.name} has the type {column.declared or name}, which is unknown.",
                fix="Use query to select the other columns, or CAST this one.",
            )


def _timestamp(to_utc: Callable[[int], int], options: ReadOptions, *, utc: bool) -> Reading:
    schema = GRANULARITIES[options.granularity]
    if utc and options.granularity == "connect_logical":
        return Reading(schema, _millis, micros=to_utc)
    form = formatter(options.granularity, options.clock)
    return Reading(schema, each(lambda value: form(to_utc(value))), micros=to_utc)


def _millis(column: Sequence[Any]) -> list[int | None]:
    return [None if value is None else value // 1000 for value in column]


def _new_year(year: int) -> int:
    """January 1st of a YEAR; year 0 is the year before year 1."""
    return date(year, 1, 1).toordinal() - _EPOCH_ORDINAL if year else -366 + 1 - _EPOCH_ORDINAL


def _checked(name: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
    def check(column: Sequence[Any]) -> Sequence[Any]:
        largest = max((value for value in column if value is not None), default=0)
        if largest > _LARGEST:
            raise DataError(
                f"Column {name} (BIGINT UNSIGNED) holds {largest}, more than an INT64 can.",
                fix="Use query and CAST the column AS DECIMAL(20) or CHAR.",
            )
        return column

    return check

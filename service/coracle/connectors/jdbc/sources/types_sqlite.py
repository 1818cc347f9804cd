"""What SQLite's declared types become.

SQLite declares types and does not enforce them (https://www.sqlite.org/datatype3.html): any value
may stand in any column. The declaration gives the schema, every value is held to it, and one that
does not fit is an error rather than something else.

Dates and times have no storage class of their own; they are read as sqlite-jdbc writes them and as
SQLite's functions take them: ISO text, integers as milliseconds since 1970, reals as Julian days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
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
    Type,
)
from coracle.connectors.jdbc.dialects.base import Column
from coracle.connectors.jdbc.sources.clock import DAY, GRANULARITIES, formatter
from coracle.connectors.jdbc.sources.layout import ColumnFunction, Reading, ReadOptions, each
from coracle.connectors.jdbc.sources.numbers import numeric

_DECLARED = {
    "tinyint": INT8,
    "smallint": INT16,
    "int2": INT16,
    "int": INT32,
    "int4": INT32,
    "mediumint": INT32,
    "float": FLOAT64,
    "double": FLOAT64,
    "double precision": FLOAT64,
    "real": FLOAT32,
    "blob": BYTES,
    "binary": BYTES,
    "varbinary": BYTES,
    "bytea": BYTES,
}
_BITS = {Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.INT64: 64}
_EPOCH = datetime(1970, 1, 1)
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_EPOCH_JULIAN = 2440587.5


def reading(column: Column, options: ReadOptions) -> Reading:
    """What a column becomes."""
    name = column.type_name
    if schema := _DECLARED.get(name):
        return _checked(column, schema)
    if name in ("boolean", "bool"):
        return Reading(BOOLEAN, _convert(column, _boolean))
    if name in ("numeric", "decimal"):
        return _numeric(column, options)
    if name in ("timestamp", "datetime", "timestamptz"):
        return _timestamp(column, options)
    if name == "date":
        micros = _micros(column, options)
        return Reading(DATE_SCHEMA, _convert(column, lambda v: _wall(v) // DAY), micros=micros)
    if name == "time":
        return Reading(TIME_SCHEMA, _convert(column, _time))
    if "int" in name:
        return _checked(column, INT64)
    if any(word in name for word in ("char", "clob", "text", "json", "uuid", "xml")):
        return _checked(column, STRING)
    if not name:  # it may hold anything, and has to be read as one thing
        return _checked(column, STRING)
    if "blob" in name:
        return _checked(column, BYTES)
    if any(word in name for word in ("real", "floa", "doub")):
        return _checked(column, FLOAT64)
    return _numeric(column, options)


def _checked(column: Column, schema: Schema) -> Reading:
    """Values of the schema's own Python type pass as they are."""
    if bits := _BITS.get(schema.type):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

        def integers(values: Sequence[Any]) -> Sequence[Any]:
            for value in values:
                if value is not None and not (type(value) is int and low <= value <= high):
                    raise _misfit(column, value)
            return values

        return Reading(schema, integers)
    if schema.type in (Type.FLOAT32, Type.FLOAT64):
        return Reading(schema, _convert(column, float))
    wanted = str if schema is STRING else bytes

    def typed(values: Sequence[Any]) -> Sequence[Any]:
        if all(value is None or type(value) is wanted for value in values):
            return values
        return [None if value is None else _as(column, value, wanted) for value in values]

    return Reading(schema, typed)


def _as(column: Column, value: Any, wanted: type) -> Any:
    if type(value) is wanted:
        return value
    if wanted is bytes and isinstance(value, str):
        return value.encode()
    if wanted is str and isinstance(value, (int, float)):
        return str(value)
    raise _misfit(column, value)


def _convert(column: Column, function: Callable[[Any], Any]) -> ColumnFunction:
    def convert(value: Any) -> Any:
        try:
            return function(value)
        except (ValueError, TypeError, LookupError, InvalidOperation, OverflowError):
            raise _misfit(column, value) from None

    return each(convert)


def _boolean(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    return {"true": True, "false": False, "t": True, "f": False}[str(value).lower()]


def _numeric(column: Column, options: ReadOptions) -> Reading:
    scale = column.scale if column.scale is not None or column.precision is None else 0
    plan = numeric(column.precision, scale, options.numeric_mapping)
    if plan.convert is not None:  # to float or int, which SQLite may already have
        return Reading(plan.schema, _convert(column, _exact(plan.schema)))
    return Reading(plan.schema, _convert(column, lambda value: Decimal(str(value))))


def _exact(schema: Schema) -> Callable[[Any], Any]:
    if schema is FLOAT64:
        return float

    def whole(value: Any) -> int:
        number = Decimal(str(value))
        if number != number.to_integral_value():
            raise ValueError
        return int(number)

    return whole


def _wall(value: Any) -> int:
    """Microseconds that the stored value shows, with no zone applied."""
    if isinstance(value, int):
        return value * 1000
    if isinstance(value, float):
        return round((value - _UNIX_EPOCH_JULIAN) * 86_400_000) * 1000
    return _since_epoch(datetime.fromisoformat(value.strip()).replace(tzinfo=None) - _EPOCH)


def _since_epoch(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _micros(column: Column, options: ReadOptions) -> Callable[[Any], int]:
    """UTC microseconds: numbers and text with an offset are instants, other text is local."""
    to_utc = options.clock.to_utc

    def micros(value: Any) -> int:
        if not isinstance(value, str):
            return _wall(value)
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            return to_utc(_since_epoch(moment - _EPOCH))
        return _since_epoch(moment - _UTC_EPOCH)

    def checked(value: Any) -> int:
        try:
            return micros(value)
        except (ValueError, TypeError, OverflowError):
            raise _misfit(column, value) from None

    return checked


def _timestamp(column: Column, options: ReadOptions) -> Reading:
    micros = _micros(column, options)
    form = formatter(options.granularity, options.clock)
    return Reading(
        GRANULARITIES[options.granularity],
        each(lambda value: form(micros(value))),
        micros=lambda value: micros(value) // 1000 * 1000,  # as SQLite compares them
    )


def _time(value: Any) -> int:
    if isinstance(value, int):
        return value
    moment = time.fromisoformat(value.strip())
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return seconds * 1000 + moment.microsecond // 1000


def _misfit(column: Column, value: Any) -> DataError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return DataError(
        f"Column {column.name} is declared {column.declared or 'without a type'}, but a row holds "
        f"{shown}.",
        fix="Correct the row, declare the column's real type, or use query with CAST.",
    )

"""From Python values to what a driver takes, a column at a time.

An ``Encode`` turns one column of raw values into what the driver wants; a column that needs
nothing has none. When every column of a layout is such a field of the value, rows are taken
straight out of the records by one ``itemgetter``; otherwise columns are encoded one by one and
zipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from operator import itemgetter
from typing import Any

from coracle.api import BatchError, DataError
from coracle.connectors.jdbc.sinks.gathering import Group
from coracle.connectors.jdbc.sinks.layout import Layout, Origin, SinkField

Encode = Callable[[list[Any]], list[Any]]
Row = tuple[Any, ...]

DAY = 86_400_000
_REFUSALS = (ValueError, TypeError, ArithmeticError, AttributeError)


def each(function: Callable[[Any], Any]) -> Encode:
    """Apply a function to every value but ``None``."""

    def encode(column: list[Any]) -> list[Any]:
        return [None if value is None else function(value) for value in column]

    return encode


class RowBuilder:
    """Turns the records of one layout into rows.

    Args:
        layout: the columns.
        encoders: one per column, ``None`` for values that the driver takes as they are.
        fill_defaults: whether a null field is written as the default its schema declares.
    """

    def __init__(
        self, layout: Layout, encoders: Sequence[Encode | None], *, fill_defaults: bool
    ) -> None:
        self._layout = layout
        self._encoders = [
            _filled(encode, field.schema.default)
            if fill_defaults and field.schema.default is not None
            else encode
            for field, encode in zip(layout.fields, encoders, strict=True)
        ]
        plain = all(field.origin is Origin.VALUE_FIELD for field in layout.fields)
        self._getter = (
            itemgetter(*layout.names)
            if plain and len(layout.fields) > 1 and not any(self._encoders)
            else None
        )

    def rows(self, group: Group) -> list[Row]:
        """One tuple per record, in order.

        Raises:
            BatchError: with every record of which a value has no form in its column.
        """
        if self._getter is not None:
            try:
                return list(map(self._getter, group.values))
            except KeyError:
                pass  # some value lacks an optional field: take the columns one by one
        failures: dict[int, Exception] = {}
        columns = [
            self._column(group, field, encode, failures)
            for field, encode in zip(self._layout.fields, self._encoders, strict=True)
        ]
        if failures:
            raise BatchError(failures)
        return list(zip(*columns, strict=True))

    def _column(
        self,
        group: Group,
        field: SinkField,
        encode: Encode | None,
        failures: dict[int, Exception],
    ) -> list[Any]:
        column = group.column(field)
        if encode is None:
            return column
        try:
            return encode(column)
        except _REFUSALS:
            for position, value in zip(group.positions(), column, strict=True):
                try:
                    encode([value])
                except _REFUSALS as error:
                    failures.setdefault(position, refused(self._layout, field, value, error))
            return column


def refused(layout: Layout, field: SinkField, value: Any, error: Exception) -> DataError:
    """The error for a value that has no form in its column."""
    return DataError(
        f"The value {shortened(value)} of field {field.name} cannot be written to table "
        f"{layout.table}: "
        f"{error or type(error).__name__}"
    )


def shortened(value: Any) -> str:
    """A value for a message, cut to a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _filled(encode: Encode | None, default: Any) -> Encode:
    def fill(column: list[Any]) -> list[Any]:
        column = [default if value is None else value for value in column]
        return column if encode is None else encode(column)

    return fill


def offset_in(timezone: tzinfo) -> Callable[[int], int]:
    """A function from an instant (ms since the epoch) to the zone's offset from UTC then, in ms."""
    if timezone is UTC:
        return lambda _: 0

    def exact(seconds: int) -> int:
        offset = datetime.fromtimestamp(seconds, timezone).utcoffset()
        return 0 if offset is None else offset // timedelta(milliseconds=1)

    # Since 1970 zones have changed their offset at whole quarters of an hour of UTC.
    quarter = lru_cache(4096)(lambda number: exact(number * 900))
    return lambda instant: quarter(instant // 900_000) if instant >= 0 else exact(instant // 1000)


def day_in(timezone: tzinfo) -> Callable[[int], int]:
    """A function from a Connect Date (days) to the day in which its midnight UTC falls in the
    zone.
    """
    offset = offset_in(timezone)
    return lambda days: (days * DAY + offset(days * DAY)) // DAY


def time_in(timezone: tzinfo) -> Callable[[int], int]:
    """A function from a Connect Time (ms of the day, UTC) to the zone's ms of the day, on
    1970-01-01.
    """
    offset = offset_in(timezone)

    def convert(value: int) -> int:
        if not 0 <= value < DAY:
            raise ValueError("not a time of day")
        return (value + offset(value)) % DAY

    return convert


def whole_day(instant: int) -> int:
    """The day of an instant (ms) that is a midnight.

    Raises:
        ValueError: when it has a time of day, which a date column would lose.
    """
    days, rest = divmod(instant, DAY)
    if rest:
        raise ValueError("it has a time of day, and the column is a date")
    return days

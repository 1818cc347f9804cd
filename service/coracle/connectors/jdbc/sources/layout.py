"""From result columns to a value schema, and from rows to values.

A ``Reading`` says what one column becomes. Conversions take whole columns, because a comprehension
over a column costs a fraction of a call per value; most columns need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coracle.api import ConnectError, Schema
from coracle.api.schema import struct
from coracle.connectors.jdbc.dialects.base import Column
from coracle.connectors.jdbc.sources.clock import LocalClock

ColumnFunction = Callable[[Sequence[Any]], Sequence[Any]]
_SAMPLE = 8


@dataclass(frozen=True)
class ReadOptions:
    """What the configuration says about types.

    Attributes:
        numeric_mapping: ``none``, ``precision_only``, ``best_fit`` or ``best_fit_eager_double``.
        granularity: ``timestamp.granularity``.
        clock: the wall clock of columns without a zone.
        year_is_date: Connector/J's yearIsDateType: a YEAR is its January 1st, else a number.
    """

    numeric_mapping: str
    granularity: str
    clock: LocalClock
    year_is_date: bool = True


@dataclass(frozen=True)
class Reading:
    """What a column becomes.

    Attributes:
        schema: the schema of a value that is not NULL.
        convert: raw column → values of the schema; ``None`` when they are the same.
        cast: how the SELECT must ask for it, with ``{}`` for the column; empty for as it is.
        micros: raw value → UTC microseconds, when the column may serve as a timestamp column.
    """

    schema: Schema
    convert: ColumnFunction | None = None
    cast: str = ""
    micros: Callable[[Any], int] | None = None


class Layout:
    """The columns of one result.

    Args:
        columns: as the database describes them.
        readings: one per column.
        name: the struct's name, or ``None``.

    Raises:
        ConnectError: when two columns have one name.
    """

    def __init__(
        self, columns: Sequence[Column], readings: Sequence[Reading], name: str | None
    ) -> None:
        self.columns = columns
        self.readings = readings
        self.names = tuple(column.name for column in columns)
        duplicates = sorted({label for label in self.names if self.names.count(label) > 1})
        if duplicates:
            raise ConnectError(
                f"The query returns more than one column named {', '.join(duplicates)}.",
                fix="Give each column a name of its own with AS.",
            )
        self.schema = struct(
            {
                column.name: reading.schema.as_optional() if column.nullable else reading.schema
                for column, reading in zip(columns, readings, strict=True)
            },
            name=name,
        )
        self._conversions = [
            (index, reading.convert)
            for index, reading in enumerate(readings)
            if reading.convert is not None
        ]
        self._structs = _struct_maker(self.names)

    def index(self, name: str) -> int | None:
        """The position of a column; its name counts exactly, else ignoring case."""
        if name in self.names:
            return self.names.index(name)
        folded = [label.lower() for label in self.names]
        return folded.index(name.lower()) if name.lower() in folded else None

    def values(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """The rows as struct values."""
        if self._conversions:
            columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
            for index, convert in self._conversions:
                columns[index] = convert(columns[index])
            return self._structs(zip(*columns, strict=True))
        return self._structs(rows)


def _struct_maker(
    names: Sequence[str],
) -> Callable[[Iterable[Sequence[Any]]], list[dict[str, Any]]]:
    """Rows → dicts, written out for these names: half the time of ``dict(zip(names, row))``."""
    variables = [f"c{index}" for index in range(len(names))]
    members = ", ".join(
        f"{name!r}: {variable}" for name, variable in zip(names, variables, strict=True)
    )
    code = f"lambda rows: [{{{members}}} for {', '.join(variables)}, in rows]"
    return eval(code, {})  # noqa: S307 - the names stand in it as string literals


def row_bytes(rows: Sequence[Sequence[Any]]) -> int:
    """Roughly the bytes of one row, from a sample; at least 1."""
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    total = sum(_size(value) for row in sample for value in row)
    return max(1, total // len(sample))


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if isinstance(value, list):
        return sum(map(_size, value))
    return 8


def each(function: Callable[[Any], Any]) -> ColumnFunction:
    """A column function that applies ``function`` to every value that is not NULL."""
    return lambda column: [None if value is None else function(value) for value in column]

"""One SELECT from a mode and a position.

    incrementing             WHERE id > ?                                      ORDER BY id ASC
    timestamp                WHERE ts > ? AND ts < ?                           ORDER BY ts ASC
    timestamp+incrementing   WHERE ts < ? AND ((ts = ? AND id > ?) OR ts > ?)  ORDER BY ts, id ASC

``ts`` is the COALESCE of several timestamp columns. The upper bound is the database's clock less
``timestamp.delay.interval.ms``, so that rows of transactions still open are not passed by. A query
of the user's gets the same clause appended as text, as the JDBC connector does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coracle.connectors.jdbc.dialects.base import Column, Dialect
from coracle.connectors.jdbc.sources.clock import LocalClock, iso
from coracle.connectors.jdbc.sources.offsets import Position


@dataclass(frozen=True)
class Comparison:
    """How a database compares a timestamp column with microseconds.

    Attributes:
        column: the column as SQL, quoted; a COALESCE of several.
        parameter: a parameter of that number, cast as needed.
        argument: UTC microseconds → what the driver binds.
    """

    column: str
    parameter: Callable[[int], str]
    argument: Callable[[int], Any]


def comparison(dialect: Dialect, columns: Sequence[Column], clock: LocalClock) -> Comparison:
    """The comparison of a COALESCE of these columns, which are of one kind."""
    quoted = [dialect.quote(column.name) for column in columns]
    expression = quoted[0] if len(quoted) == 1 else f"COALESCE({', '.join(quoted)})"
    kind = dialect.settings.kind
    if kind == "postgresql":
        return _postgresql(expression, columns[0], clock)
    if kind == "mysql":
        return _mysql(expression, columns[0], clock)
    return _sqlite(quoted, clock)


def _postgresql(expression: str, column: Column, clock: LocalClock) -> Comparison:
    from coracle.connectors.jdbc.dialects.postgresql import EPOCH_MICROS

    if column.type_name == "timestamptz":
        return Comparison(
            expression, lambda n: f"${n}::timestamptz", lambda utc: utc - EPOCH_MICROS
        )
    return Comparison(
        expression, lambda n: f"${n}::timestamp", lambda utc: clock.to_local(utc) - EPOCH_MICROS
    )


def _mysql(expression: str, column: Column, clock: LocalClock) -> Comparison:
    def argument(utc: int) -> str:
        local = utc if column.type_name == "timestamp" else clock.to_local(utc)
        return iso(local, 6).replace("T", " ")

    return Comparison(expression, lambda _: "CAST(%s AS DATETIME(6))", argument)


def _sqlite(quoted: Sequence[str], clock: LocalClock) -> Comparison:
    """Compared as milliseconds, whatever the column stores.

    Text goes through SQLite's own date functions, which know milliseconds and offsets. Text without
    an offset is local to ``db.timezone``, the rest is UTC; rows of both kinds in one column compare
    right under UTC only.
    """
    shapes = [
        f"CASE typeof({name}) WHEN 'text' THEN CAST(strftime('%s', {name}) AS INTEGER) * 1000"
        f" + CAST(substr(strftime('%f', {name}), 4) AS INTEGER)"
        f" WHEN 'real' THEN CAST(round(({name} - 2440587.5) * 86400000) AS INTEGER)"
        f" ELSE {name} END"
        for name in quoted
    ]
    expression = shapes[0] if len(shapes) == 1 else f"COALESCE({', '.join(shapes)})"
    return Comparison(f"({expression})", lambda _: "?", lambda utc: clock.to_local(utc) // 1000)


@dataclass(frozen=True)
class Statement:
    """SQL with its arguments."""

    sql: str
    args: tuple[Any, ...] = ()


def statement(
    dialect: Dialect,
    select: str,
    position: Position,
    *,
    incrementing: str | None,
    timestamp: Comparison | None,
    until: int,
    suffix: str,
) -> Statement:
    """The SELECT that reads what follows a position.

    Args:
        dialect: the database's.
        select: ``SELECT … FROM …``, or the user's query.
        position: where to go on; complete for the mode.
        incrementing: the incrementing column, or ``None`` when the mode has none.
        timestamp: the timestamp column, or ``None`` when the mode has none.
        until: the upper bound of timestamps, UTC microseconds, excluded.
        suffix: ``query.suffix``.
    """
    tail = f" {suffix}" if suffix else ""
    if incrementing is None and timestamp is None:
        return Statement(select + tail)
    identity = dialect.quote(incrementing) if incrementing else ""
    select = dialect.literal_text(select)
    identity = dialect.literal_text(identity)
    tail = dialect.literal_text(tail)
    mark = dialect.placeholder
    whole = "::bigint" if dialect.settings.kind == "postgresql" else ""
    if timestamp is None:
        return Statement(
            f"{select} WHERE {identity} > {mark(1)}{whole} ORDER BY {identity} ASC{tail}",
            (position.incrementing,),
        )
    column = dialect.literal_text(timestamp.column)
    bound, since = timestamp.argument(until), timestamp.argument(position.timestamp or 0)
    if incrementing is None:
        return Statement(
            f"{select} WHERE {column} > {timestamp.parameter(1)}"
            f" AND {column} < {timestamp.parameter(2)} ORDER BY {column} ASC{tail}",
            (since, bound),
        )
    return Statement(
        f"{select} WHERE {column} < {timestamp.parameter(1)}"
        f" AND (({column} = {timestamp.parameter(2)} AND {identity} > {mark(3)}{whole})"
        f" OR {column} > {timestamp.parameter(4)}) ORDER BY {column}, {identity} ASC{tail}",
        (bound, since, position.incrementing, since),
    )

"""One SELECT from a mode and a position.

    incrementing             WHERE id > ?                                      ORDER BY id ASC
    timestamp                WHERE ts > ? AND ts < ?                           ORDER BY ts ASC
    timestamp+incrementing   WHERE ts < ? AND ((ts = ? AND id > ?) OR ts > ?)  ORDER BY ts, id ASC

``ts`` is the COALESCE of several timestamp columns. The upper bound is the database's clock less
``timestamp.delay.interval.ms``, so that rows of transactions still open are not passed by, and
less what has passed of the present second, or of whatever the column counts in. A query of the
user's gets the same clause appended as text, as the JDBC connector does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coracle.api import ConnectError
from coracle.connectors.jdbc.dialects.base import Column, Dialect
from coracle.connectors.jdbc.sources.clock import DAY, LocalClock, iso
from coracle.connectors.jdbc.sources.offsets import Position


@dataclass(frozen=True)
class Comparison:
    """How a database compares a timestamp column with microseconds.

    Attributes:
        column: the column as SQL, quoted; a COALESCE of several.
        parameter: a parameter of that number, cast as needed.
        shown: UTC microseconds → those that the column shows, local or UTC.
        bind: microseconds as shown → what the driver binds.
        tick: microseconds between two times that the column can tell apart.
    """

    column: str
    parameter: Callable[[int], str]
    shown: Callable[[int], int]
    bind: Callable[[int], Any]
    tick: int = 1

    def since(self, utc: int) -> Any:
        """The argument for a lower bound."""
        return self.bind(self.shown(utc))

    def until(self, utc: int) -> Any:
        """The argument for an upper bound: the beginning of the tick, which is not over yet.

        A row may still come with the time of this very tick, and would never be read once another
        row of the tick has moved the position there.
        """
        shown = self.shown(utc)
        return self.bind(shown - shown % self.tick)


def comparison(
    dialect: Dialect, columns: Sequence[Column], clock: LocalClock, *, only: bool
) -> Comparison:
    """The comparison of a COALESCE of these columns.

    Args:
        dialect: the database's.
        columns: the timestamp columns.
        clock: the wall clock of those without a zone.
        only: whether they alone tell what is new. With an id beside them, today's rows of a DATE
            column need not wait for the end of the day.

    Raises:
        ConnectError: when columns with and without a zone cannot be compared with each other.
    """
    quoted = [dialect.quote(column.name) for column in columns]
    if dialect.settings.kind == "sqlite":
        return _sqlite(quoted, clock)
    tick = max(_tick(column, only) for column in columns)
    make = _postgresql if dialect.settings.kind == "postgresql" else _mysql
    return make(quoted, columns, clock, tick)


def _coalesce(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"COALESCE({', '.join(expressions)})"


def _tick(column: Column, only: bool) -> int:
    if column.type_name == "date":
        return DAY if only else 1
    digits = 6 if column.precision is None else column.precision
    return 10 ** (6 - min(digits, 6))


def _postgresql(
    quoted: Sequence[str], columns: Sequence[Column], clock: LocalClock, tick: int
) -> Comparison:
    from coracle.connectors.jdbc.dialects.postgresql import EPOCH_MICROS

    zoned = [column.type_name == "timestamptz" for column in columns]
    if any(zoned):  # else the server would compare the others in the session's zone
        quoted = [
            name if is_zoned else f"({name}::timestamp AT TIME ZONE {_postgresql_zone(clock)})"
            for name, is_zoned in zip(quoted, zoned, strict=True)
        ]
    type_ = "timestamptz" if any(zoned) else "timestamp"
    return Comparison(
        _coalesce(quoted),
        lambda n: f"${n}::{type_}",
        _same if any(zoned) else clock.to_local,
        lambda micros: micros - EPOCH_MICROS,
        tick,
    )


def _postgresql_zone(clock: LocalClock) -> str:
    if isinstance(clock.zone, ZoneInfo):
        return f"'{clock.zone.key}'"
    offset = clock.zone.utcoffset(None) or timedelta()
    return f"INTERVAL '{offset // timedelta(seconds=1)} seconds'"


def _mysql(
    quoted: Sequence[str], columns: Sequence[Column], clock: LocalClock, tick: int
) -> Comparison:
    zoned = [column.type_name == "timestamp" for column in columns]
    if any(zoned) and not all(zoned) and not clock.is_utc:
        raise ConnectError(
            "TIMESTAMP columns are instants and DATETIME columns are in db.timezone: MySQL cannot "
            "compare the two.",
            fix="Name columns of one type in timestamp.column.name, or set db.timezone=UTC.",
        )
    return Comparison(
        _coalesce(quoted),
        lambda _: "CAST(%s AS DATETIME(6))",
        _same if any(zoned) else clock.to_local,
        lambda micros: iso(micros, 6).replace("T", " "),
        tick,
    )


def _same(micros: int) -> int:
    return micros


def _sqlite(quoted: Sequence[str], clock: LocalClock) -> Comparison:
    """Compared as milliseconds, whatever the column stores.

    Text goes through SQLite's own date functions, which know milliseconds and offsets; further
    digits are cut off before, because those functions round them up. Text without an offset is
    local to ``db.timezone``, the rest is UTC; rows of both kinds in one column compare right under
    UTC only. A column may hold whole seconds (CURRENT_TIMESTAMP does) whatever it is declared as.
    """
    shapes = [
        f"CASE typeof({name}) WHEN 'text' THEN CAST(strftime('%s', {text}) AS INTEGER) * 1000"
        f" + CAST(substr(strftime('%f', {text}), 4) AS INTEGER)"
        f" WHEN 'real' THEN CAST(round(({name} - 2440587.5) * 86400000) AS INTEGER)"
        f" ELSE {name} END"
        for name in quoted
        for text in [
            f"CASE WHEN {name} GLOB '????-??-?????:??:??.[0-9][0-9][0-9]*'"
            f" THEN substr({name}, 1, 23) || ltrim(substr({name}, 24), '0123456789')"
            f" ELSE {name} END"
        ]
    ]
    return Comparison(
        f"({_coalesce(shapes)})",
        lambda _: "?",
        clock.to_local,
        lambda micros: micros // 1000,
        1_000_000,
    )


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
    bound, since = timestamp.until(until), timestamp.since(position.timestamp or 0)
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

"""Reads one table, or one query, over and over.

    open    columns → layout → SELECT → cursor            one snapshot, read while it lasts
    next    cursor → buffer → batch with its position     until the result is exhausted
    …       wait poll.interval.ms, open again

A batch carries the position once *all* of its rows are in Kafka. In timestamp mode that is the last
timestamp of which every row has been handed on: rows that share one may be cut by the end of a
batch, so the reader looks one row ahead. After a crash such rows come twice and none is lost.

Memory: rows are fetched in chunks that grow towards ``_CHUNK_BYTES``, and a batch ends at
``batch.max.rows`` or about ``_BATCH_BYTES``, whichever comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from coracle.api import ConnectError, RecordBatch, RecordSchema, SourceOffset
from coracle.connectors.jdbc.dialects.base import Column, Cursor, Dialect, TableId
from coracle.connectors.jdbc.sources.layout import Layout, Reading, row_bytes
from coracle.connectors.jdbc.sources.offsets import QUERY_PARTITION, Position, table_partition
from coracle.connectors.jdbc.sources.query import comparison, statement
from coracle.connectors.jdbc.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_FIRST_CHUNK = 8
_LARGEST_CHUNK = 2000
_CHUNK_BYTES = 1 << 20
_BATCH_BYTES = 4 << 20


class Reader:
    """One table or query and how far it has been read.

    Args:
        dialect: the database.
        settings: the configuration.
        table: the table; ``None`` for the configured query.
        position: where to go on; completed by ``begin``.

    Attributes:
        topic: where its rows go.
        position: how far all rows have been handed on.
        due: when to open it next, on the event loop's clock. The caller's business.
        is_open: whether ``next`` has not yet come to the end of what was opened.
    """

    def __init__(
        self,
        dialect: Dialect,
        settings: SourceSettings,
        table: TableId | None,
        position: Position,
    ) -> None:
        self.table = table
        self.topic = settings.topic_prefix + (table.name if table else "")
        self.position = position
        self.due = 0.0
        self.is_open = False
        self._dialect = dialect
        self._settings = settings
        self._partition = QUERY_PARTITION if table is None else table_partition(table)
        self._cursor: Cursor | None = None
        self._buffer: list[Sequence[Any]] = []
        self._at = 0
        self._chunk = _FIRST_CHUNK
        self._row_bytes = _BATCH_BYTES
        self._signature: tuple[Any, ...] = ()
        self._time_columns: list[Column] = []
        self._layout: Layout
        self._schema: RecordSchema
        self._id: int | None = None
        self._timestamps: list[tuple[int, Callable[[Any], int]]] = []
        self._starts_now = False

    def __str__(self) -> str:
        return f"table {self.table}" if self.table else "the query"

    # Opening

    async def begin(self, conn: Any) -> None:
        """Check the table against the configuration and complete the position of a first start.

        Raises:
            ConnectError: when the table is not there, or cannot be read in this mode.
        """
        self._time_columns = await self._describe(conn)
        settings = self._settings
        initial = settings.timestamp_initial
        position = self.position
        if self._id is None:
            position = Position(None, position.timestamp)
        elif position.incrementing is None:
            position = Position(settings.incrementing_initial, position.timestamp)
        if not self._timestamps:
            position = Position(position.incrementing, None)
        elif position.timestamp is None:
            self._starts_now = initial == -1
            start = (initial or 0) * 1000
            if self._starts_now:
                start = await self._dialect.server_now(conn)
            position = Position(position.incrementing, start)
        self.position = position

    async def open(self, conn: Any) -> None:
        """Run the SELECT for what follows the position."""
        if self.table is not None:  # describing a query is dear, so a change is looked for below
            self._time_columns = await self._describe(conn)
        time_columns = self._time_columns
        settings = self._settings
        until = 0
        if time_columns:
            until = await self._dialect.server_now(conn) - settings.delay * 1000
        select = statement(
            self._dialect,
            self._select(),
            self.position,
            incrementing=None if self._id is None else self._layout.names[self._id],
            timestamp=comparison(
                self._dialect, time_columns, settings.read.clock, only=self._id is None
            )
            if time_columns
            else None,
            until=until,
            suffix=settings.suffix,
        )
        logger.debug("Reading %s: %s", self, "(masked)" if settings.masked else select.sql)
        cursor = await self._dialect.cursor(conn, select.sql, select.args)
        if self.table is None and cursor.signature != self._signature:
            self._signature, known = cursor.signature, self._signature
            if known:  # the query's columns are others than when it was described
                await cursor.close()
                self._time_columns = await self._describe(conn)
                await self.open(conn)
                return
        self._cursor = cursor
        self.is_open = True

    async def _describe(self, conn: Any) -> list[Column]:
        """Learn the columns; returns the timestamp columns of the mode."""
        if self.table is None:
            columns = await self._dialect.query_columns(conn, self._settings.query)
        else:
            columns = await self._dialect.columns(conn, self.table)
            if not columns:
                raise ConnectError(
                    f"The table {self.table} does not exist, or the user may not see it.",
                    fix="Create it, grant SELECT on it, or take it out of the tables to read.",
                )
        readings = [self._settings.reading(column) for column in columns]
        layout = Layout(columns, readings, self.table.name if self.table else None)
        self._layout = layout
        self._schema = RecordSchema(self.topic, None, layout.schema)
        self._id = self._find_id(layout)
        found = self._find_timestamps(layout)
        self._timestamps = [
            (index, _micros(layout.columns[index], readings[index])) for index in found
        ]
        return [layout.columns[index] for index in found]

    def _find_id(self, layout: Layout) -> int | None:
        settings = self._settings
        if "incrementing" not in settings.mode:
            return None
        name = settings.incrementing_column(self.table)
        if not name:
            index = next((i for i, c in enumerate(layout.columns) if c.auto_increment), None)
            if index is None:
                raise ConnectError(
                    f"The table {self.table} has no auto-increment column to read by.",
                    fix="Name its growing column with incrementing.column.name, or use mode "
                    "timestamp or bulk.",
                )
        else:
            index = layout.index(name)
            if index is None:
                raise self._missing("Incrementing column", "does", name, layout)
        column = layout.columns[index]
        if settings.validate_non_null and self.table and column.nullable:
            raise ConnectError(
                f"Cannot make incremental queries using incrementing column {column.name} on "
                f"{self.table} because this column is nullable.",
                fix="Make it NOT NULL, or set validate.non.null=false; rows where it is NULL are "
                "never read.",
            )
        return index

    def _find_timestamps(self, layout: Layout) -> list[int]:
        settings = self._settings
        if "timestamp" not in settings.mode:
            return []
        names = settings.timestamp_columns(self.table)
        indexes = {name: layout.index(name) for name in names}
        missing = [name for name, index in indexes.items() if index is None]
        if missing:
            raise self._missing("Timestamp columns", "do", ", ".join(missing), layout)
        found = [index for index in indexes.values() if index is not None]
        if (
            settings.validate_non_null
            and self.table
            and all(layout.columns[index].nullable for index in found)
        ):
            raise ConnectError(
                f"Cannot make incremental queries using timestamp columns [{', '.join(names)}] on "
                f"{self.table} because all of these columns are nullable.",
                fix="Make one NOT NULL, or set validate.non.null=false; rows where all are NULL "
                "are never read.",
            )
        return found

    def _missing(self, what: str, verb: str, names: str, layout: Layout) -> ConnectError:
        where = f"table '{self.table}'" if self.table else "the result of the query"
        return ConnectError(
            f"{what}: {names} {verb} not exist in {where}.",
            fix=f"Its columns are {', '.join(layout.names)}.",
        )

    def _select(self) -> str:
        """The table's columns by name, or the query; with casts where a type needs one."""
        dialect = self._dialect
        items = [
            f"{reading.cast.format(quoted)} AS {quoted}" if reading.cast else quoted
            for column, reading in zip(self._layout.columns, self._layout.readings, strict=True)
            for quoted in [dialect.quote(column.name)]
        ]
        if self.table is not None:
            table = self.table
            if not self._settings.qualify:
                table = TableId(None, None, table.name)
            source = dialect.quote_table(table)
        elif any(reading.cast for reading in self._layout.readings):
            source = f"({self._settings.query}\n) coracle_query"
        else:
            return self._settings.query + "\n"  # what follows is none of its last comment
        return f"SELECT {', '.join(items)} FROM {source}"  # noqa: S608

    # Reading

    async def next(self) -> RecordBatch | None:
        """The next batch, or ``None`` when the result is exhausted.

        The first one has no records when reading starts "now" and nothing has come since: its
        position is stored, so that a restart goes on from there and not from a later now.
        """
        rows, ahead = await self._take()
        if not rows:
            self.is_open = False
            if not self._starts_now:
                return None
        self._starts_now = False
        values = self._layout.values(rows) if rows else []
        if rows:
            self._advance(rows, ahead)
        offsets = ()
        if self._settings.mode != "bulk":
            offsets = (SourceOffset(self._partition, self.position.offset()),)
        count = len(values)
        return RecordBatch(
            [self._schema],
            [None] * count,
            values,
            range(count),
            [None] * count,
            source_offsets=offsets,
            nbytes=count * self._row_bytes,
        )

    def abandon(self) -> None:
        """Forget what was read and not handed on; the next ``open`` reads it again."""
        self.is_open = False
        self._cursor = None
        self._buffer = []
        self._at = 0

    async def _take(self) -> tuple[list[Sequence[Any]], Sequence[Any] | None]:
        """The rows of the next batch, and the one after it if there is one."""
        limit = self._settings.batch_rows
        count = min(limit, max(1, _BATCH_BYTES // self._row_bytes))
        while self._cursor is not None and len(self._buffer) - self._at <= count:
            rows = await self._cursor.fetch(self._chunk)
            if len(rows) < self._chunk:
                cursor, self._cursor = self._cursor, None
                await cursor.close()
            if not rows:
                break
            self._buffer = self._buffer[self._at :] + rows if self._at < len(self._buffer) else rows
            self._at = 0
            self._row_bytes = row_bytes(rows)
            affordable = max(1, _CHUNK_BYTES // self._row_bytes)
            self._chunk = min(self._chunk * 4, affordable, _LARGEST_CHUNK)
            count = min(limit, max(1, _BATCH_BYTES // self._row_bytes))
        start, end = self._at, self._at + count
        self._at = min(end, len(self._buffer))
        rows = self._buffer[start:end]
        ahead = self._buffer[end] if end < len(self._buffer) else None
        if ahead is None:
            self._buffer, self._at = [], 0
        return rows, ahead

    def _advance(self, rows: Sequence[Sequence[Any]], ahead: Sequence[Any] | None) -> None:
        """Move the position to the end of these rows, or as near as is safe."""
        incrementing, timestamp = self.position.incrementing, self.position.timestamp
        if self._id is not None:
            incrementing = self._whole(rows[-1][self._id], self._layout.names[self._id])
        if self._timestamps:
            latest = self._timestamp(rows[-1])
            if self._id is not None or ahead is None or self._timestamp(ahead) != latest:
                timestamp = latest
            else:
                for row in reversed(rows):
                    if (earlier := self._timestamp(row)) != latest:
                        timestamp = earlier
                        break
        self.position = Position(incrementing, timestamp)

    def _whole(self, value: Any, name: str) -> int:
        """The value of the incrementing column as it is stored in offsets."""
        if value is None:
            raise ConnectError(
                f"Null value for incrementing column {name} in a row of {self}.",
                fix="Leave such rows out with query, or make the column NOT NULL.",
            )
        if isinstance(value, (int, float, Decimal)) and value % 1 == 0 and value < 2**63:
            return int(value)
        raise ConnectError(
            f"The incrementing column {name} of {self} holds {value!r}, and ids are whole numbers "
            "below 2^63.",
            fix="Name another column in incrementing.column.name, or use mode timestamp or bulk.",
        )

    def _timestamp(self, row: Sequence[Any]) -> int:
        for index, micros in self._timestamps:
            if row[index] is not None:
                return micros(row[index])
        raise ConnectError(f"A row of {self} has no timestamp.")


def _micros(column: Column, reading: Reading) -> Callable[[Any], int]:
    if reading.micros is None:
        raise ConnectError(
            f"The timestamp column {column.name} has the type "
            f"{column.declared or column.type_name}, which is no date and time.",
            fix="Name a TIMESTAMP, DATETIME or DATE column in timestamp.column.name.",
        )
    return reading.micros

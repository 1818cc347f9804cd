# ruff: noqa: S608 - names are quoted, values are parameters or literals made here
"""Writing to MySQL and MariaDB: rows as literals in long statements.

Both servers take many rows fastest in one INSERT. The literals are made here, a column at a time,
instead of by the driver, a value at a time: that is several times quicker, the same with both
drivers, and lets statements be cut to what ``max_allowed_packet`` lets through. Updates and deletes
are inserted into a temporary table of the columns' own types and joined; where there may be no
temporary tables they go row by row.

The session's SQL mode is made strict, so that a value that does not fit is an error and not cut,
which is Connector/J's default as well (``jdbcCompliantTruncation``), and backslashes escape.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from coracle.api import DataError, Schema, Type
from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP
from coracle.connectors.jdbc.dialects import Column, Dialect, ErrorClass, TableId
from coracle.connectors.jdbc.sinks.config import InsertMode, SinkSettings
from coracle.connectors.jdbc.sinks.ddl import Ddl, MysqlDdl
from coracle.connectors.jdbc.sinks.encoding import (
    Encode,
    Row,
    day_in,
    offset_in,
    time_in,
    whole_day,
)
from coracle.connectors.jdbc.sinks.layout import SinkField
from coracle.connectors.jdbc.sinks.structure import Target
from coracle.connectors.jdbc.sinks.writer import ALREADY_THERE, Writer

logger = logging.getLogger(__name__)

STATEMENT_BYTES = 1 << 20
"""Longer statements gain nothing and cost memory on both sides."""

_NUMBERS = (
    *("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "numeric"),
    *("float", "double", "bit", "year"),
)
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json")
_SESSION = (
    "SET SESSION sql_mode = CONCAT(REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', ''),"
    " ',STRICT_ALL_TABLES'), time_zone = '+00:00'"
)
_EPOCH = datetime(1970, 1, 1)


class MysqlWriter(Writer):
    """Writes through asyncmy or aiomysql."""

    ddl_class: ClassVar[type[Ddl]] = MysqlDdl
    begin_statement: ClassVar[str] = "START TRANSACTION"

    def __init__(self, dialect: Dialect, conn: Any, settings: SinkSettings) -> None:
        super().__init__(dialect, conn, settings)
        self._max_bytes = STATEMENT_BYTES
        self._packet = STATEMENT_BYTES
        self._stages: dict[int, str | None] = {}
        self._made = 0

    async def open(self) -> None:
        """Be strict, and learn how long a statement may be."""
        await self.execute(_SESSION)
        [[packet]] = await self._dialect.query(self._conn, "SELECT @@SESSION.max_allowed_packet")
        self._packet = int(packet) - 1024
        self._max_bytes = min(STATEMENT_BYTES, self._packet)

    async def kind_of(self, table: TableId) -> str | None:
        """By ``information_schema.tables``."""
        rows = await self._dialect.query(
            self._conn,
            "SELECT table_type FROM information_schema.tables"
            " WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
            (table.catalog, table.name),
        )
        if not rows:
            return None
        kind = str(rows[0][0])
        return "TABLE" if kind in ("BASE TABLE", "SYSTEM VERSIONED") else kind

    async def forget(self) -> None:
        """Drop the temporary tables."""
        for stage in filter(None, self._stages.values()):
            await self._query(f"DROP TEMPORARY TABLE IF EXISTS {stage}")
        self._stages.clear()

    async def prepare(self, target: Target) -> None:
        """Make the temporary table that updates and deletes are joined with."""
        if self.mode(target) in (InsertMode.INSERT, InsertMode.UPSERT):
            return
        self._made += 1
        stage: str | None = f"coracle_stage_{self._made}"
        try:
            await self._query(
                f"CREATE TEMPORARY TABLE {stage} AS"
                f" SELECT {self._names(target.names)} FROM {self._table(target)} LIMIT 0"
            )
        except Exception as error:
            if self.classify(error) is not ErrorClass.PERMANENT:
                raise
            logger.warning(
                "Updates and deletes of table %s go row by row, because no temporary table can be "
                "made: %s. Grant CREATE TEMPORARY TABLES to make them faster.",
                target.layout.table,
                self._dialect.describe(error),
            )
            stage = None
        self._stages[id(target)] = stage

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        """Insert, or insert into the temporary table and join."""
        mode = self.mode(target)
        if mode is InsertMode.INSERT or mode is InsertMode.UPSERT:
            suffix = self._on_duplicate(target) if mode is InsertMode.UPSERT else ""
            await self._insert(self._table(target), target, rows, suffix)
        elif mode is InsertMode.UPDATE and not target.other_names:
            return
        elif (stage := self._stages[id(target)]) is not None:
            await self._query(f"DELETE FROM {stage}")
            await self._insert(stage, target, rows, "")
            await self._query(self._joined(mode, target, stage))
        else:
            for row in rows:
                await self._query(self._single(mode, target, row))

    async def _insert(self, table: str, target: Target, rows: Sequence[Row], suffix: str) -> None:
        head = f"INSERT INTO {table} ({self._names(target.names)}) VALUES ".encode()
        tail = suffix.encode()
        template = "(" + ",".join(["%s"] * len(target.names)) + ")"
        texts = [template % row for row in rows]
        for chunk in self._chunks(texts, self._max_bytes - len(head) - len(tail)):
            await self._query(head + chunk + tail)

    def _chunks(self, texts: Sequence[str], room: int) -> Iterator[bytes]:
        """Rows that fit one statement together. A row longer than the room goes alone."""
        limit = self._settings.batch_size
        if len(texts) <= limit and sum(map(len, texts)) <= room:
            together = ",".join(texts).encode()
            if len(together) <= room:
                yield together
                return
        chunk: list[bytes] = []
        size = 0
        for text in texts:
            encoded = text.encode()
            if len(encoded) > self._packet:
                raise DataError(
                    f"The row takes {len(encoded)} bytes, more than the server's "
                    f"max_allowed_packet ({self._packet + 1024})",
                    fix="Raise max_allowed_packet on the server.",
                )
            if chunk and (size + len(encoded) > room or len(chunk) >= limit):
                yield b",".join(chunk)
                chunk, size = [], 0
            chunk.append(encoded)
            size += len(encoded) + 1
        if chunk:
            yield b",".join(chunk)

    def _on_duplicate(self, target: Target) -> str:
        names = target.other_names or target.key_names
        changes = ",".join(f"{self._exactly(n)}=VALUES({self._exactly(n)})" for n in names)
        return f" ON DUPLICATE KEY UPDATE {changes}"

    def _joined(self, mode: InsertMode | None, target: Target, stage: str) -> str:
        matches = " AND ".join(
            f"t.{self._exactly(k)} = s.{self._exactly(k)}" for k in target.key_names
        )
        table = self._table(target)
        if mode is None:
            return f"DELETE t FROM {table} t JOIN {stage} s ON {matches}"
        changes = ",".join(
            f"t.{self._exactly(c)} = s.{self._exactly(c)}" for c in target.other_names
        )
        return f"UPDATE {table} t JOIN {stage} s ON {matches} SET {changes}"

    def _single(self, mode: InsertMode | None, target: Target, row: Row) -> str:
        values = dict(zip(target.names, row, strict=True))
        matches = " AND ".join(f"{self._exactly(k)} = {values[k]}" for k in target.key_names)
        if mode is None:
            return f"DELETE FROM {self._table(target)} WHERE {matches}"
        changes = ",".join(f"{self._exactly(c)} = {values[c]}" for c in target.other_names)
        return f"UPDATE {self._table(target)} SET {changes} WHERE {matches}"

    def _table(self, target: Target) -> str:
        return ".".join(self._exactly(part) for part in target.layout.table.parts)

    async def execute(self, sql: str) -> None:
        """Run a statement."""
        await self._query(sql)

    async def _query(self, sql: str | bytes) -> None:
        """Past the cursor, which would format parameters and, in aiomysql, fetch warnings.

        Text that is no Unicode is an error here; the drivers would let it through.
        """
        await self._conn.query(sql.encode() if isinstance(sql, str) else sql)

    # Values

    def encoder(self, field: SinkField, column: Column) -> Encode:
        """Literals by the field's type, and by the column's where MySQL would compare or cut
        oddly.
        """
        literal = self._literals(field.schema, column, field)
        if column.type_name in _TEXTS and not _is_text(field.schema):
            # MySQL compares a string column with a number as numbers: 'abc' = 0.
            return lambda values: [
                text if text == "NULL" or text[0] in "'x" else f"'{text}'"
                for text in literal(values)
            ]
        return literal

    def _literals(self, schema: Schema, column: Column, field: SinkField) -> Encode:
        if field.unit:
            return self._instants(column, field.unit)
        match schema.name:
            case str(name) if name == DATE:
                day = day_in(self._settings.date_timezone)
                return _quoted(lambda days: _moment(day(days) * 86_400_000_000)[:10])
            case str(name) if name == TIME:
                time = time_in(self._settings.timezone)
                return _quoted(lambda value: _moment(time(value) * 1000)[11:])
            case str(name) if name == TIMESTAMP:
                return self._instants(column, 0)
            case str(name) if name == DECIMAL:
                return _plain(_decimal)
        match schema.type:
            case Type.INT8 | Type.INT16 | Type.INT32 | Type.INT64:
                return _plain(int.__repr__)
            case Type.FLOAT32 | Type.FLOAT64:
                return _plain(_float)
            case Type.BOOLEAN:
                return _plain(lambda value: "1" if value else "0")
            case Type.BYTES:
                return _plain(lambda value: f"x'{bytes(value).hex()}'")
            case Type.STRING if column.type_name in _NUMBERS:
                return _plain(_number)
            case Type.STRING:
                return _texts
        raise DataError(
            f"Field {field.name} is of type {schema.type}, which MySQL has no column for",
            fix="Leave it out with fields.whitelist, or turn it into a string with a transform.",
        )

    def _instants(self, column: Column, unit: int) -> Encode:
        """Zoneless columns take the configured zone's local time; TIMESTAMP columns are in UTC
        here.
        """
        local = column.type_name != "timestamp"
        offset = offset_in(self._settings.timezone)
        is_date = column.type_name == "date"

        def text(value: int) -> str:
            micros = value // unit if unit else value * 1000
            if local:
                micros += offset(micros // 1000) * 1000
            if is_date:
                return _moment(whole_day(micros // 1000) * 86_400_000_000)[:10]
            return _moment(micros)

        return _quoted(text)

    # Errors

    def advice(self, error: BaseException, target: Target | None) -> str:
        """By error number."""
        match error.args[0] if error.args else None:
            case 1062 if target is not None and self.mode(target) is InsertMode.INSERT:
                return ALREADY_THERE
            case 1406:
                return "Make the column longer (auto.create makes TEXT and VARBINARY(1024))."
            case 1142 | 1044 | 1143:
                return "Grant the user the missing privilege."
            case 1170:
                return "Create the table yourself, with a key column that has a length."
        return ""


def _is_text(schema: Schema) -> bool:
    return schema.type is Type.STRING


def _plain(function: Callable[[Any], str]) -> Encode:
    return lambda values: ["NULL" if value is None else function(value) for value in values]


def _quoted(function: Callable[[Any], str]) -> Encode:
    return lambda values: ["NULL" if value is None else f"'{function(value)}'" for value in values]


def _texts(values: list[Any]) -> list[str]:
    """String literals.

    Only the quote and the backslash mean something inside one; the manual's other escapes are for
    people: https://dev.mysql.com/doc/c-api/8.4/en/mysql-real-escape-string-quote.html
    """
    return [
        "NULL"
        if value is None
        else f"'{value}'"
        if "'" not in value and "\\" not in value
        else "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
        for value in values
    ]


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("MySQL has no such number")
    return repr(float(value)) if "e" in repr(value) else repr(value) + "e0"


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("MySQL has no such number")
    return format(value, "f")


def _number(text: str) -> str:
    """A string for a number column. MySQL would read 'abc' as 0 when it compares."""
    try:
        return _decimal(Decimal(text))
    except InvalidOperation:
        raise ValueError("it is not a number, and the column is one") from None


def _moment(micros: int) -> str:
    """Local microseconds since 1970 as a literal's text."""
    try:
        return (_EPOCH + timedelta(microseconds=micros)).isoformat(" ")
    except OverflowError:
        raise ValueError("MySQL's dates end with the year 9999") from None

"""SQLite, through aiosqlite (the standard library's sqlite3 in a thread).

Result codes: https://www.sqlite.org/rescode.html . ``sqlite_*`` tables are SQLite's own.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote as quote_url

import aiosqlite

from coracle.connectors.jdbc.dialects.base import Column, Cursor, Dialect, ErrorClass, TableId

_TYPES = {"TABLE": "table", "VIEW": "view"}
_STORAGE = {int: "bigint", float: "double", str: "text", bytes: "blob"}
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class SqliteDialect(Dialect):
    """SQLite 3 files."""

    name = "SqliteDatabaseDialect"

    def table_id(self, parts: Sequence[str]) -> TableId:
        """A bare name: SQLite has neither catalogs nor schemas in JDBC's sense."""
        return TableId(None, None, parts[-1])

    def placeholder(self, index: int) -> str:
        """Always ``?``."""
        return "?"

    async def connect(self, *, reading: bool = False) -> aiosqlite.Connection:
        """Open the file. Reading one that does not exist is an error; writing creates it."""
        url = self.settings.url
        path = url.database
        timeout = float(url.param("busy_timeout") or 5000) / 1000
        memory = path in ("", ":memory:") or path.startswith("file:")
        if reading and not memory:
            # A file: URI keeps SQLite from creating an empty database where a path is mistyped.
            path = f"file:{quote_url(os.path.abspath(path))}?mode=rw"  # noqa: ASYNC240
        conn = aiosqlite.connect(
            path, isolation_level=None, timeout=timeout, uri=path.startswith("file:")
        )
        try:
            return await conn
        except BaseException:
            # Its thread still reports to the event loop, which may be about to close.
            await asyncio.to_thread(conn._thread.join, 2)
            raise

    async def close(self, conn: aiosqlite.Connection) -> None:
        """Close the file."""
        with suppress(Exception):
            await conn.close()

    async def execute(self, conn: aiosqlite.Connection, sql: str, args: Sequence[Any] = ()) -> None:
        """Run a statement without a result."""
        cursor = await conn.execute(sql, args)
        await cursor.close()

    async def query(
        self, conn: aiosqlite.Connection, sql: str, args: Sequence[Any] = ()
    ) -> list[Sequence[Any]]:
        """All rows of a small result."""
        return list(await conn.execute_fetchall(sql, args))

    async def cursor(
        self, conn: aiosqlite.Connection, sql: str, args: Sequence[Any] = ()
    ) -> SqliteCursor:
        """A statement that is stepped as rows are asked for. It holds a read lock until closed."""
        return SqliteCursor(await conn.execute(sql, args))

    async def isolate(self, conn: aiosqlite.Connection, level: str) -> None:
        """SQLite is serializable; shared caches may be read uncommitted."""
        if level == "READ UNCOMMITTED":
            await self.execute(conn, "PRAGMA read_uncommitted = true")

    async def tables(
        self,
        conn: aiosqlite.Connection,
        types: Sequence[str] = ("TABLE",),
        catalog_pattern: str | None = None,
        schema_pattern: str | None = None,
    ) -> list[TableId]:
        """The file's tables."""
        kinds = {_TYPES.get(type_.upper()) for type_ in types}
        rows = await self.query(
            conn,
            "SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            " ORDER BY name",
        )
        return [TableId(None, None, name) for name, kind in rows if kind in kinds]

    async def columns(self, conn: aiosqlite.Connection, table: TableId) -> list[Column]:
        """Columns with their declared types."""
        rows = await self.query(
            conn,
            'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)',
            (table.name,),
        )
        keys = sum(1 for row in rows if row[4])
        return [
            Column(
                name,
                declared.partition("(")[0].strip().lower(),
                declared,
                nullable=not (notnull or (pk and keys == 1 and declared.upper() == "INTEGER")),
                primary_key=bool(pk),
                # An INTEGER PRIMARY KEY is the rowid, which SQLite assigns when it is left out.
                auto_increment=bool(pk) and keys == 1 and declared.upper() == "INTEGER",
                has_default=default is not None,
                generated=hidden in (2, 3),
                precision=precision,
                scale=scale,
            )
            for name, declared, notnull, default, pk, hidden in rows
            for precision, scale in [_precision(declared)]
        ]

    async def query_columns(self, conn: aiosqlite.Connection, sql: str) -> list[Column]:
        """Columns of a query, told by a temporary view.

        Expressions have no declared type; they are given that of their value in the first row.
        """
        await self.execute(conn, f"CREATE TEMPORARY VIEW coracle_query AS {sql}")
        try:
            columns = await self.columns(conn, TableId(None, None, "coracle_query"))
            first = await self.query(conn, "SELECT * FROM coracle_query LIMIT 1")
        finally:
            await self.execute(conn, "DROP VIEW temp.coracle_query")
        values = first[0] if first else [None] * len(columns)
        return [
            column if column.type_name else replace(column, type_name=_STORAGE.get(type(value), ""))
            for column, value in zip(columns, values, strict=True)
        ]

    async def server_now(self, conn: aiosqlite.Connection) -> int:
        """This machine's clock, to the millisecond, as SQLite tells it."""
        [[seconds, fraction]] = await self.query(
            conn, "SELECT strftime('%s', 'now'), substr(strftime('%f', 'now'), 4)"
        )
        return (int(seconds) * 1000 + int(fraction)) * 1000

    def classify(self, error: BaseException) -> ErrorClass:
        """By SQLite's result code."""
        if isinstance(error, sqlite3.OperationalError):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            return ErrorClass.RETRIABLE if code in _BUSY else ErrorClass.PERMANENT
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)):
            return ErrorClass.DATA
        if isinstance(error, OverflowError):  # an integer of more than 64 bits
            return ErrorClass.DATA
        if isinstance(error, ValueError) and "connection" in str(error).lower():
            return ErrorClass.CONNECTION
        return ErrorClass.PERMANENT

    def describe(self, error: BaseException) -> str:
        """SQLite's message with the name of its result code."""
        code = getattr(error, "sqlite_errorname", "")
        return self.hide_secrets(f"{error} ({code})" if code else str(error))


class SqliteCursor(Cursor):
    """A running statement."""

    def __init__(self, cursor: aiosqlite.Cursor) -> None:
        self._cursor = cursor
        self.signature = tuple(item[0] for item in cursor.description or ())

    async def fetch(self, count: int) -> list[Any]:
        """The next rows."""
        return list(await self._cursor.fetchmany(count))

    async def close(self) -> None:
        """Reset the statement, which gives up its lock."""
        with suppress(sqlite3.ProgrammingError, ValueError):
            await self._cursor.close()


def _precision(declared: str) -> tuple[int | None, int | None]:
    """The numbers in the parentheses of a declared type, which SQLite itself does not read."""
    inside = declared.partition("(")[2].rstrip(") ")
    numbers = [int(part) for part in inside.split(",") if part.strip().isdigit()]
    return (numbers[0] if numbers else None), (numbers[1] if len(numbers) > 1 else None)

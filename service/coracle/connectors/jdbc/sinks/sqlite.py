# ruff: noqa: S608 - names are quoted, values are parameters or literals made here
"""Writing to SQLite: ``executemany`` in a transaction, in the connection's own thread.

Values are stored as the JDBC driver stores them: booleans as 0 and 1, dates, times and timestamps
as milliseconds, decimals as numbers, or as text in a TEXT column
(https://www.sqlite.org/datatype3.html). What SQLite would change in doing so is refused: NaN,
which it stores as NULL, and decimals of more digits than its numbers have.

Upserts are ``INSERT OR REPLACE`` as the JDBC connector's: columns that the record does not have
are reset to their defaults.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, ClassVar

from coracle.api import DataError, Type
from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP
from coracle.connectors.jdbc.dialects import Column, TableId
from coracle.connectors.jdbc.sinks.config import InsertMode
from coracle.connectors.jdbc.sinks.ddl import Ddl, SqliteDdl
from coracle.connectors.jdbc.sinks.encoding import DAY, Encode, Row, each
from coracle.connectors.jdbc.sinks.layout import SinkField
from coracle.connectors.jdbc.sinks.structure import Target
from coracle.connectors.jdbc.sinks.writer import ALREADY_THERE, Writer

_REPEATED = (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE)


class SqliteWriter(Writer):
    """Writes through aiosqlite."""

    ddl_class: ClassVar[type[Ddl]] = SqliteDdl
    # A transaction that only starts to write later can find the file locked by another writer.
    begin_statement: ClassVar[str] = "BEGIN IMMEDIATE"

    async def kind_of(self, table: TableId) -> str | None:
        """By ``sqlite_master``."""
        rows = await self._dialect.query(
            self._conn,
            "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', "
            "'view')",
            (table.name,),
        )
        return rows[0][0].upper() if rows else None

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        """One prepared statement for all rows."""
        mode = self.mode(target)
        if mode is InsertMode.UPDATE and not target.other_names:
            return
        if mode is InsertMode.UPDATE:  # keys come last in its statement
            places = [target.names.index(name) for name in (*target.other_names, *target.key_names)]
            rows = list(map(itemgetter(*places), rows))
        cursor = await self._conn.executemany(self._statement(mode, target), rows)
        await cursor.close()

    def _statement(self, mode: InsertMode | None, target: Target) -> str:
        table = self._exactly(target.layout.table.name)
        matches = " AND ".join(f"{self._exactly(name)} = ?" for name in target.key_names)
        if mode is None:
            return f"DELETE FROM {table} WHERE {matches}"
        if mode is InsertMode.UPDATE:
            changes = ", ".join(f"{self._exactly(name)} = ?" for name in target.other_names)
            return f"UPDATE {table} SET {changes} WHERE {matches}"
        verb = "INSERT OR REPLACE" if mode is InsertMode.UPSERT else "INSERT"
        values = ", ".join("?" * len(target.names))
        return f"{verb} INTO {table} ({self._names(target.names)}) VALUES ({values})"

    def encoder(self, field: SinkField, column: Column) -> Encode | None:
        """By the field's type; SQLite's columns take anything."""
        schema = field.schema
        if field.unit:
            unit = field.unit * 1000
            return each(lambda value: _whole_milliseconds(value, unit))
        match schema.name:
            case str(name) if name == DATE:
                return each(lambda days: days * DAY)
            case str(name) if name in (TIME, TIMESTAMP):
                return None
            case str(name) if name == DECIMAL:
                return each(_decimal if _is_numeric(column) else lambda value: format(value, "f"))
        match schema.type:
            case Type.FLOAT32 | Type.FLOAT64:
                return each(_number)
            case Type.BOOLEAN:
                return each(int)
            case Type.ARRAY | Type.MAP | Type.STRUCT:
                raise DataError(
                    f"Field {field.name} is of type {schema.type}, which SQLite has no column for",
                    fix="Leave it out with fields.whitelist, or turn it into a string with a "
                    "transform.",
                )
        return None

    # Errors

    def advice(self, error: BaseException, target: Target | None) -> str:
        """By result code."""
        repeated = getattr(error, "sqlite_errorcode", 0) in _REPEATED
        inserted = target is not None and self.mode(target) is InsertMode.INSERT
        return ALREADY_THERE if repeated and inserted else ""


def _is_numeric(column: Column) -> bool:
    """Whether the column's affinity turns text into numbers: anything but TEXT and BLOB does."""
    declared = column.declared.upper()
    if "INT" in declared:
        return True
    return bool(declared) and not any(word in declared for word in ("CHAR", "CLOB", "TEXT", "BLOB"))


def _number(value: float) -> float:
    if value != value:
        raise ValueError("SQLite stores NaN as NULL")
    return value


def _decimal(value: Decimal) -> Any:
    """The number that SQLite keeps for a decimal."""
    if value == (whole := value.to_integral_value()) and -(2**63) <= whole < 2**63:
        return int(whole)
    number = float(value)
    if Decimal(repr(number)) != value:
        raise ValueError(
            "SQLite's numbers have 15 digits; declare the column TEXT to keep all of them"
        )
    return number


def _whole_milliseconds(value: int, unit: int) -> int:
    milliseconds, rest = divmod(value, unit)
    if rest:
        raise ValueError("SQLite keeps timestamps in milliseconds, and it has finer digits")
    return milliseconds

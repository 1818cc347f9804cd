"""What every database can be asked, whatever its driver.

A ``Dialect`` knows one kind of database: how names are quoted, how to connect, what tables and
columns there are, and what an error means. It holds settings and no connection: connections are the
driver's own objects (``asyncpg.Connection``, an aiomysql or asyncmy connection,
``aiosqlite.Connection``), so that writers can use the fastest way their driver has.

Metadata follows what JDBC's ``DatabaseMetaData`` would say for the same database, because offsets
and topic names are made of it: a PostgreSQL table is ``schema.name``, a MySQL table
``database.name`` (a MySQL database is a JDBC catalog), a SQLite table ``name``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from coracle.connectors.jdbc.config import ConnectionSettings

_PLAIN = re.compile(r"[\w$]+")


class ErrorClass(Enum):
    """What an error of the database asks for."""

    CONNECTION = "connection"  # connect again, as the retry keys say
    RETRIABLE = "retriable"  # deadlock, serialization failure, lock timeout: the same again works
    DATA = "data"  # this record's values are refused: constraint, range, encoding
    PERMANENT = "permanent"  # wrong SQL, missing table, no privilege: fail at once


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table's place. ``None`` where the database has no such level or the text did not say."""

    catalog: str | None
    schema: str | None
    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are set, outermost first."""
        return tuple(part for part in (self.catalog, self.schema, self.name) if part)

    @property
    def fqn(self) -> str:
        """The unquoted name with dots, as it stands in source offsets."""
        return ".".join(self.parts)

    def __str__(self) -> str:
        return self.fqn


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a query's result.

    Attributes:
        name: the column's label.
        type_name: the base type in the database's words, lower case, without length: ``int4``,
            ``varchar``, ``bigint``; of SQLite the declared type. Domains are resolved.
        declared: the type as it would be written in DDL, for messages: ``numeric(10,2)``.
        nullable: whether NULL may occur; true when unknown.
        primary_key: whether it is part of the primary key.
        auto_increment: identity, serial, AUTO_INCREMENT or SQLite's rowid alias.
        has_default: whether an INSERT may leave it out although it is NOT NULL.
        generated: whether the database computes it, so that it cannot be written.
        precision: digits of a number, characters of a string, bits of a bit string, digits of a
            time's second after the point; ``None`` if unlimited.
        scale: digits after the point of a number; ``None`` when the type fixes none.
        unsigned: MySQL's UNSIGNED.
        oid: PostgreSQL's type oid (of the base type for a domain); 0 elsewhere.
        element: the element of an array; ``None`` for anything else.
        dimensions: how deep an array is declared.
        kind: ``scalar``, ``array``, ``enum``, ``composite``, ``range`` or ``multirange``.
    """

    name: str
    type_name: str
    declared: str = ""
    nullable: bool = True
    primary_key: bool = False
    auto_increment: bool = False
    has_default: bool = False
    generated: bool = False
    precision: int | None = None
    scale: int | None = None
    unsigned: bool = False
    oid: int = 0
    element: Column | None = None
    dimensions: int = 0
    kind: str = "scalar"


class Cursor(ABC):
    """An open result, read in pieces, so that memory does not grow with it.

    Attributes:
        signature: names and types of its columns; equal for equal columns, otherwise opaque.
    """

    signature: tuple[Any, ...] = ()

    @abstractmethod
    async def fetch(self, count: int) -> list[Any]:
        """The next rows, at most ``count``; empty at the end. A row is a sequence of values."""

    @abstractmethod
    async def close(self) -> None:
        """Be done with a result read to its end. To give up half-way, close the connection."""


class Dialect(ABC):
    """One kind of database.

    Args:
        settings: where it is and how to log in.
    """

    name: ClassVar[str]
    quote_character: ClassVar[str] = '"'
    max_identifier: ClassVar[int | None] = None

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings

    # Names

    def quote(self, identifier: str) -> str:
        """The identifier as it stands in SQL.

        When ``quote.sql.identifiers`` is never, it is as it is, unless it would then be more than a
        name: names come from records too, and must not become statements.
        """
        if not self.settings.quote and _PLAIN.fullmatch(identifier):
            return identifier
        q = self.quote_character
        return q + identifier.replace(q, q + q) + q

    def quote_table(self, table: TableId) -> str:
        """The table's full name as it stands in SQL."""
        return ".".join(self.quote(part) for part in table.parts)

    def parse_table(self, text: str) -> TableId:
        """``name``, ``schema.name`` and so on; parts may be quoted and then contain dots."""
        return self.table_id(split_identifier(text, self.quote_character))

    @abstractmethod
    def table_id(self, parts: Sequence[str]) -> TableId:
        """The table of one to three name parts, outermost first."""

    @abstractmethod
    def placeholder(self, index: int) -> str:
        """The ``index``-th parameter (from 1) in a statement."""

    def literal_text(self, sql: str) -> str:
        """SQL written by a person, made safe to stand in a statement with parameters."""
        return sql

    # Connections

    @abstractmethod
    async def connect(self, *, reading: bool = False) -> Any:
        """A new raw connection, in autocommit. Prefer ``connection.connect``, which retries.

        Args:
            reading: make the driver hand over dates and times as integers, for ``cursor``: days
                and microseconds since 1970-01-01, microseconds since midnight. Writers want the
                driver's own types and leave it off.

        Raises:
            Exception: the driver's own; see ``classify`` and ``describe``.
        """

    @abstractmethod
    async def close(self, conn: Any) -> None:
        """Close a connection, whatever state it is in. Never raises."""

    @abstractmethod
    async def execute(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> None:
        """Run a statement without a result."""

    @abstractmethod
    async def query(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """All rows of a small result."""

    @abstractmethod
    async def cursor(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> Cursor:
        """Open a large result on a connection made for ``reading``. One at a time each."""

    # Metadata

    @abstractmethod
    async def tables(
        self,
        conn: Any,
        types: Sequence[str] = ("TABLE",),
        catalog_pattern: str | None = None,
        schema_pattern: str | None = None,
    ) -> list[TableId]:
        """The tables of these JDBC types, sorted by name, system tables excluded.

        Args:
            conn: a raw connection.
            types: ``TABLE``, ``VIEW``, ``PARTITIONED TABLE`` and so on.
            catalog_pattern: the exact catalog; ``None`` for the connection's own.
            schema_pattern: a LIKE pattern; ``None`` for any.
        """

    @abstractmethod
    async def columns(self, conn: Any, table: TableId) -> list[Column]:
        """The table's columns in order; empty when there is no such table.

        A table without a schema or catalog is looked up as the database itself would.
        """

    @abstractmethod
    async def query_columns(self, conn: Any, sql: str) -> list[Column]:
        """The columns of a query's result, without running it."""

    @abstractmethod
    async def server_now(self, conn: Any) -> int:
        """The database's clock: microseconds since the epoch, UTC."""

    @abstractmethod
    async def isolate(self, conn: Any, level: str) -> None:
        """Set the isolation of the connection's transactions.

        Args:
            conn: a raw connection.
            level: in SQL's words, ``READ COMMITTED``.
        """

    # Errors

    @abstractmethod
    def classify(self, error: BaseException) -> ErrorClass:
        """What an exception of the driver asks for."""

    @abstractmethod
    def describe(self, error: BaseException) -> str:
        """The database's message with its SQLSTATE or error number, on one line, no secrets."""

    def hide_secrets(self, text: str) -> str:
        """The text on one line, without the password should it contain it."""
        line = " ".join(text.split()).rstrip(".")
        password = self.settings.password
        return line.replace(password.reveal, "[hidden]") if password else line


def split_identifier(text: str, quote: str) -> list[str]:
    """Split a dotted name, honouring quotes (doubled inside).

    Example:
        >>> split_identifier('"a.b".c', '"')
        ['a.b', 'c']
    """
    parts: list[str] = []
    current = ""
    quoted = False
    index = 0
    while index < len(text):
        character = text[index]
        if character == quote:
            if quoted and text[index + 1 : index + 2] == quote:
                current += quote
                index += 1
            else:
                quoted = not quoted
        elif character == "." and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
        index += 1
    return [*parts, current]

"""PostgreSQL, through asyncpg.

URL parameters are pgjdbc's: https://jdbc.postgresql.org/documentation/use/ . Error classes follow
https://www.postgresql.org/docs/current/errcodes-appendix.html .
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

import asyncpg

from coracle.connectors.jdbc.dialects.base import Column, Cursor, Dialect, ErrorClass, TableId

logger = logging.getLogger(__name__)

EPOCH_DAYS = 10957  # PostgreSQL counts days and microseconds from 2000-01-01
EPOCH_MICROS = EPOCH_DAYS * 86_400_000_000
INFINITY = 2**63 - 1  # timestamps "infinity" and "-infinity" as they travel
MINUS_INFINITY = -(2**63)
INFINITE_DAY = 2**31 - 1
MINUS_INFINITE_DAY = -(2**31)

_SSL_PARAMS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")
_TARGETS = {
    "any": "any",
    "primary": "primary",
    "master": "primary",
    "secondary": "standby",
    "slave": "standby",
    "preferSecondary": "prefer-standby",
    "preferSlave": "prefer-standby",
}
_HANDLED = {
    "currentschema",
    "applicationname",
    "connecttimeout",
    "logintimeout",
    "sockettimeout",
    "ssl",
    "targetservertype",
    "preparethreshold",
    "options",
    *_SSL_PARAMS,
}
_HARMLESS = {
    "autosave",
    "binarytransfer",
    "defaultrowfetchsize",
    "loadbalancehosts",
    "preferquerymode",
    "rewritebatchedinserts",
    "stringtype",
    "tcpkeepalive",
    "tcpnodelay",
    "useservertime",
}
_RELKINDS = {
    "TABLE": "r",
    "PARTITIONED TABLE": "p",
    "VIEW": "v",
    "MATERIALIZED VIEW": "m",
    "FOREIGN TABLE": "f",
}


class PostgresDialect(Dialect):
    """PostgreSQL 10 and newer, and what speaks its protocol and has its catalogue."""

    name = "PostgreSqlDatabaseDialect"
    max_identifier = 63

    def table_id(self, parts: Sequence[str]) -> TableId:
        """``name``, ``schema.name``, or ``catalog.schema.name`` with the catalog left out.

        A connection sees one database only, so the catalog says nothing; newer versions of the JDBC
        driver put it into names and older ones do not.
        """
        return TableId(None, parts[-2] if len(parts) > 1 else None, parts[-1])

    def placeholder(self, index: int) -> str:
        """``$1``, ``$2`` and so on."""
        return f"${index}"

    # Connections

    async def connect(self, *, reading: bool = False) -> asyncpg.Connection:
        """Connect; with ``reading``, dates and times arrive as integers counted from 2000-01-01."""
        conn = await asyncpg.connect(**self._arguments())
        if reading:
            try:
                await _read_integers(conn)
            except BaseException:
                conn.terminate()
                raise
        return conn

    def _arguments(self) -> dict[str, Any]:
        settings = self.settings
        url = settings.url
        for param in url.params:
            if param.lower() not in _HANDLED | _HARMLESS:
                logger.warning(
                    "The connection parameter %s has no effect on PostgreSQL here.", param
                )
        server_settings = {"application_name": url.param("ApplicationName") or "coracle"}
        if schema := url.param("currentSchema"):
            server_settings["search_path"] = schema
        if options := url.param("options"):
            server_settings["options"] = options
        ssl = {name: value for name in _SSL_PARAMS if (value := url.param(name))}
        if "sslmode" not in ssl and (url.param("ssl") or "false").lower() in ("", "true"):
            ssl["sslmode"] = "verify-full"
        hosts = url.hosts or (("localhost", 5432),)
        timeout = float(url.param("connectTimeout", "loginTimeout") or 10) or 60.0
        socket_timeout = float(url.param("socketTimeout") or 0)
        return {
            "dsn": f"postgresql:///?{urlencode(ssl)}" if ssl else None,
            "host": [host for host, _ in hosts],
            "port": [port for _, port in hosts],
            "database": url.database or settings.user,
            "user": settings.user,
            "password": settings.password.reveal if settings.password else None,
            "timeout": timeout,
            "command_timeout": socket_timeout or None,
            "server_settings": server_settings,
            "target_session_attrs": _TARGETS.get(url.param("targetServerType") or "any", "any"),
            # A pooler between us and the server needs this; pgjdbc spells it prepareThreshold=0.
            **({"statement_cache_size": 0} if url.param("prepareThreshold") == "0" else {}),
        }

    async def close(self, conn: asyncpg.Connection) -> None:
        """Say goodbye, or just hang up after two seconds."""
        try:
            await conn.close(timeout=2)
        except Exception:
            conn.terminate()

    async def execute(self, conn: asyncpg.Connection, sql: str, args: Sequence[Any] = ()) -> None:
        """Run a statement without a result."""
        await conn.execute(sql, *args)

    async def query(
        self, conn: asyncpg.Connection, sql: str, args: Sequence[Any] = ()
    ) -> list[Sequence[Any]]:
        """All rows of a small result."""
        return await conn.fetch(sql, *args)

    async def cursor(
        self, conn: asyncpg.Connection, sql: str, args: Sequence[Any] = ()
    ) -> PostgresCursor:
        """A portal in a read-only transaction: one snapshot, sent as fast as it is asked for."""
        transaction = conn.transaction(readonly=True)
        await transaction.start()
        try:
            statement = await conn.prepare(sql)
            signature = tuple((item.name, item.type.oid) for item in statement.get_attributes())
            return PostgresCursor(transaction, await statement.cursor(*args), signature)
        except Exception:
            await transaction.rollback()
            raise

    async def isolate(self, conn: asyncpg.Connection, level: str) -> None:
        """Set the session's default isolation level."""
        await conn.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")

    # Metadata

    async def tables(
        self,
        conn: asyncpg.Connection,
        types: Sequence[str] = ("TABLE",),
        catalog_pattern: str | None = None,
        schema_pattern: str | None = None,
    ) -> list[TableId]:
        """Tables of all schemas but PostgreSQL's own and temporary ones."""
        kinds = [_RELKINDS[type_.upper()] for type_ in types if type_.upper() in _RELKINDS]
        rows = await conn.fetch(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind::text = ANY($1::text[])"
            " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
            " AND ($2::text IS NULL OR n.nspname LIKE $2)"
            " ORDER BY 1, 2",
            kinds,
            schema_pattern or None,
        )
        return [TableId(None, schema, name) for schema, name in rows]

    async def columns(self, conn: asyncpg.Connection, table: TableId) -> list[Column]:
        """Columns with domains resolved to their base type."""
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.parts)
        return [_column(row) for row in await conn.fetch(_COLUMNS, quoted)]

    async def query_columns(self, conn: asyncpg.Connection, sql: str) -> list[Column]:
        """Columns of a query, told by a temporary view that is rolled back at once.

        Only a view knows a numeric's precision and scale. Where none may be made (a standby, no
        TEMPORARY privilege), numerics count as unconstrained.
        """
        transaction = conn.transaction()
        await transaction.start()
        try:
            try:
                async with conn.transaction():
                    await conn.execute(f"CREATE TEMPORARY VIEW coracle_query AS {sql}")
                return await self.columns(conn, TableId(None, "pg_temp", "coracle_query"))
            except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError):
                statement = await conn.prepare(sql)
                return [
                    Column(
                        attribute.name,
                        attribute.type.name.removesuffix("[]"),
                        declared=attribute.type.name,
                        oid=attribute.type.oid,
                        kind=attribute.type.kind,
                        element=Column("", attribute.type.name.removesuffix("[]"))
                        if attribute.type.kind == "array"
                        else None,
                    )
                    for attribute in statement.get_attributes()
                ]
        finally:
            await transaction.rollback()

    async def server_now(self, conn: asyncpg.Connection) -> int:
        """The server's clock."""
        [[now]] = await conn.fetch(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        )
        return now

    # Errors

    def classify(self, error: BaseException) -> ErrorClass:
        """By SQLSTATE; what the driver notices itself by its type."""
        if isinstance(error, asyncpg.PostgresError):
            return _by_sqlstate(_sqlstate(error))
        if isinstance(error, asyncpg.DataError):
            return ErrorClass.DATA
        # asyncpg can lose track of a connection that the server ends; only a new one helps.
        lost = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        if isinstance(error, lost):
            return ErrorClass.CONNECTION
        return ErrorClass.PERMANENT

    def describe(self, error: BaseException) -> str:
        """The server's message, detail included, with its SQLSTATE."""
        if isinstance(error, asyncpg.PostgresError):
            # Of a value in COPY only the context says which column it was for.
            context = _COPY_COLUMN.match(str(getattr(error, "context", None) or ""))
            column = f" in column {context[1]}" if context else ""
            return self.hide_secrets(f"{error}{column} (SQLSTATE {_sqlstate(error)})")
        if isinstance(error, TimeoutError):
            return "no answer in time"
        return self.hide_secrets(str(error) or type(error).__name__)


class PostgresCursor(Cursor):
    """A portal and the transaction it lives in."""

    def __init__(self, transaction: Any, cursor: Any, signature: tuple[Any, ...]) -> None:
        self.signature = signature
        self._transaction = transaction
        self._cursor = cursor

    async def fetch(self, count: int) -> list[Any]:
        """The next rows."""
        return await self._cursor.fetch(count)

    async def close(self) -> None:
        """End the transaction, and the portal with it."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.rollback()


async def _read_integers(conn: asyncpg.Connection) -> None:
    """Have dates and times as the integers they travel as; decoding them costs one C call."""
    first = itemgetter(0)

    def encode(value: int) -> tuple[int]:
        return (value,)

    for name in ("date", "time", "timestamp", "timestamptz"):
        await conn.set_type_codec(
            name, schema="pg_catalog", encoder=encode, decoder=first, format="tuple"
        )
    for name in ("uuid", "bit"):
        await conn.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=str, format="text"
        )


def _sqlstate(error: asyncpg.PostgresError) -> str:
    return getattr(error, "sqlstate", None) or ""


def _by_sqlstate(state: str) -> ErrorClass:
    # 25006: a primary that has become a standby. The next connection finds the new primary.
    if state[:2] in ("08", "53") or state in ("25006", "57P01", "57P02", "57P03", "57P05"):
        return ErrorClass.CONNECTION
    if state[:2] == "40" or state in ("55P03", "57014"):
        return ErrorClass.RETRIABLE
    if state[:2] in ("22", "23"):
        return ErrorClass.DATA
    return ErrorClass.PERMANENT


_COPY_COLUMN = re.compile(r"COPY .*, line \d+, column ([^:\n]+)")
_KINDS = {"e": "enum", "c": "composite", "r": "range", "m": "multirange"}

_COLUMNS = """
WITH RECURSIVE chain AS (
  SELECT attnum, atttypid AS typid, atttypmod AS typmod, attnotnull AS notnull
  FROM pg_catalog.pg_attribute
  WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype, CASE t.typtypmod WHEN -1 THEN b.typmod ELSE t.typtypmod END,
         b.notnull OR t.typnotnull
  FROM chain b JOIN pg_catalog.pg_type t ON t.oid = b.typid AND t.typtype = 'd'
), elements AS (
  SELECT c.attnum, e.oid AS typid, c.typmod
  FROM chain c JOIN pg_catalog.pg_type e ON e.typarray = c.typid
  UNION ALL
  SELECT b.attnum, t.typbasetype, CASE t.typtypmod WHEN -1 THEN b.typmod ELSE t.typtypmod END
  FROM elements b JOIN pg_catalog.pg_type t ON t.oid = b.typid AND t.typtype = 'd'
)
SELECT a.attname, t.typname, format_type(a.atttypid, a.atttypmod) AS declared, c.notnull,
       COALESCE(a.attnum = ANY(pk.conkey), false) AS primary_key,
       a.attidentity <> '' OR COALESCE(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false)
         AS auto_increment,
       d.adbin IS NOT NULL AS has_default, a.attgenerated <> '' AS generated,
       COALESCE(i.typmod, c.typmod) AS typmod, t.oid, t.typtype::text AS typtype,
       i.typid AS element_oid, e.typname AS element_name, e.typtype::text AS element_typtype,
       a.attndims
FROM pg_catalog.pg_attribute a
JOIN chain c ON c.attnum = a.attnum
JOIN pg_catalog.pg_type t ON t.oid = c.typid AND t.typtype <> 'd'
LEFT JOIN (elements i JOIN pg_catalog.pg_type e ON e.oid = i.typid AND e.typtype <> 'd')
  ON i.attnum = a.attnum
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_constraint pk ON pk.conrelid = a.attrelid AND pk.contype = 'p'
WHERE a.attrelid = to_regclass($1)
ORDER BY a.attnum
"""


def _column(row: Any) -> Column:
    precision, scale = _precision(row["element_name"] or row["typname"], row["typmod"])
    element = None
    if row["element_oid"]:
        element = Column(
            "",
            row["element_name"],
            precision=precision,
            scale=scale,
            oid=row["element_oid"],
            kind=_KINDS.get(row["element_typtype"], "scalar"),
        )
    return Column(
        row["attname"],
        row["typname"],
        row["declared"],
        nullable=not row["notnull"],
        primary_key=row["primary_key"],
        auto_increment=row["auto_increment"],
        has_default=row["has_default"],
        generated=row["generated"],
        precision=precision,
        scale=scale,
        oid=row["oid"],
        element=element,
        dimensions=row["attndims"],
        kind="array" if element else _KINDS.get(row["typtype"], "scalar"),
    )


def _precision(type_name: str, typmod: int) -> tuple[int | None, int | None]:
    """Precision and scale from ``atttypmod``, as the server's numeric.c and varchar.c pack them."""
    if typmod < 0:
        return None, None
    if type_name == "numeric":
        packed = typmod - 4
        return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    if type_name in ("varchar", "bpchar"):
        return typmod - 4, None
    return typmod, None

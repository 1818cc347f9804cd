"""MySQL and MariaDB, through asyncmy where it is installed and aiomysql otherwise.

asyncmy is aiomysql's successor in Cython: the same calls, several times faster to fetch. What
differs (a few names) is in ``_arguments``.

URL parameters are those of Connector/J and MariaDB's connector:
https://dev.mysql.com/doc/connector-j/en/connector-j-reference-configuration-properties.html . Error
numbers: https://dev.mysql.com/doc/mysql-errors/8.4/en/ and
https://mariadb.com/docs/server/reference/error-codes .
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

from coracle.api import DataError
from coracle.connectors.jdbc.dialects.base import Column, Cursor, Dialect, ErrorClass, TableId

logger = logging.getLogger(__name__)

if not (find_spec("asyncmy") or find_spec("aiomysql")):
    raise ModuleNotFoundError("neither asyncmy nor aiomysql is installed", name="asyncmy")

_SOCKET_BYTES = 256 * 1024

_CONNECTION = {1040, 1042, 1043, 1053, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1317}
_CONNECTION |= {1927, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2055, 3024, 4031, 0}
# A primary that has become a replica, a node that is not ready: another connection, another server.
_CONNECTION |= {1047, 1290, 1836}
_RETRIABLE = {1020, 1180, 1205, 1213, 1412, 1613, 1637, 3058, 3100, 3101, 3572}
_DATA = {1048, 1062, 1153, 1169, 1216, 1217, 1263, 1264, 1265, 1292, 1300, 1364, 1365, 1366, 1367}
_DATA |= {1406, 1411, 1416, 1451, 1452, 1525, 1526, 1557, 1586, 1644, 1690, 1748, 1761, 1762, 1859}
_DATA |= {3140, 3141, 3156, 3819, 4025, 4078}

_HANDLED = {
    "connecttimeout",
    "usessl",
    "requiressl",
    "sslmode",
    "verifyservercertificate",
    "serversslcert",
    "zerodatetimebehavior",
    "nettimeoutforstreamingresults",
    "sessionvariables",
    "tinyint1isbit",
    "yearisdatetype",
}
_HARMLESS = {
    "allowpublickeyretrieval",
    "allowmultiqueries",
    "autoreconnect",
    "cacheprepstmts",
    "characterencoding",
    "connectiontimezone",
    "forceconnectiontimezonetosession",
    "permitmysqlscheme",
    "prepstmtcachesize",
    "prepstmtcachesqllimit",
    "rewritebatchedstatements",
    "servertimezone",
    "tcpkeepalive",
    "usebulkstmts",
    "usecompression",
    "usecursorfetch",
    "uselegacydatetimecode",
    "useserverprepstmts",
    "usejdbccomplianttimezoneshift",
    "useunicode",
}
_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
_TABLE_TYPES = {
    "TABLE": ("BASE TABLE", "SYSTEM VERSIONED"),
    "VIEW": ("VIEW",),
    "SYSTEM VIEW": ("SYSTEM VIEW",),
    "SEQUENCE": ("SEQUENCE",),
}


class MysqlDialect(Dialect):
    """MySQL 5.7 and newer, MariaDB 10 and newer."""

    name = "MySqlDatabaseDialect"
    quote_character = "`"
    max_identifier = 64
    driver: ClassVar[str] = "asyncmy" if find_spec("asyncmy") else "aiomysql"

    def table_id(self, parts: Sequence[str]) -> TableId:
        """``name`` or ``database.name``; a database is what JDBC calls a catalog."""
        return TableId(parts[-2] if len(parts) > 1 else None, None, parts[-1])

    def placeholder(self, index: int) -> str:
        """Always ``%s``."""
        return "%s"

    def literal_text(self, sql: str) -> str:
        """Per cent signs doubled, because the drivers format parameters in with ``%``."""
        return sql.replace("%", "%%")

    # Connections

    async def connect(self, *, reading: bool = False) -> Any:
        """Connect to the first host that answers.

        With ``reading`` the session's time zone is UTC, so that TIMESTAMP columns, which the server
        keeps in UTC, are read unambiguously.
        """
        *others, last = self.settings.url.hosts
        for host, port in others:
            try:
                return await self._connect_to(host, port, reading)
            except Exception as error:
                if self.classify(error) is not ErrorClass.CONNECTION:
                    raise
        return await self._connect_to(*last, reading)

    async def _connect_to(self, host: str, port: int, reading: bool) -> Any:
        conn = await import_module(self.driver).connect(**self._arguments(host, port, reading))
        try:
            await self._prepare_session(conn, reading)
        except BaseException:
            conn.close()
            raise
        return conn

    def _arguments(self, host: str, port: int, reading: bool) -> dict[str, Any]:
        settings = self.settings
        url = settings.url
        for param in url.params:
            if param.lower() not in _HANDLED | _HARMLESS:
                logger.warning("The connection parameter %s has no effect here.", param)
        arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": settings.user,
            "password": settings.password.reveal if settings.password else "",
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": max(1, int(url.param("connectTimeout") or 10000) // 1000),
            "ssl": _ssl_context(url.param),
        }
        arguments["database" if self.driver == "asyncmy" else "db"] = url.database or None
        if reading:
            converters = import_module(
                "asyncmy.converters" if self.driver == "asyncmy" else "pymysql.converters"
            )
            arguments["conv"] = {**converters.conversions, **_integer_decoders(self._zero_dates())}
        return arguments

    async def _prepare_session(self, conn: Any, reading: bool) -> None:
        url = self.settings.url
        if variables := url.param("sessionVariables"):
            await self.execute(conn, f"SET SESSION {variables}")
        if reading:
            # The server gives up on a reader that pauses longer than net_write_timeout (60 s).
            seconds = int(url.param("netTimeoutForStreamingResults") or 600)
            await self.execute(
                conn, f"SET SESSION time_zone = '+00:00', net_write_timeout = {seconds}"
            )

    def _zero_dates(self) -> str:
        """What to do with dates that are none (``0000-00-00``): exception, null or round."""
        behavior = (self.settings.url.param("zeroDateTimeBehavior") or "").lower()
        if behavior in ("converttonull", "convert_to_null"):
            return "null"
        if behavior == "round":
            return "round"
        mariadb = self.settings.url.subprotocol == "mariadb" and not behavior
        return "null" if mariadb else "exception"

    async def close(self, conn: Any) -> None:
        """Say goodbye, or just hang up after two seconds."""
        try:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await conn.ensure_closed()
        finally:  # also when we are cancelled
            with suppress(Exception):
                conn.close()

    async def execute(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> None:
        """Run a statement without a result."""
        await self.query(conn, sql, args)

    async def query(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """All rows of a small result."""
        async with conn.cursor() as cursor:
            await cursor.execute(sql, tuple(args) or None)
            return list(await cursor.fetchall()) if cursor.description else []

    async def cursor(self, conn: Any, sql: str, args: Sequence[Any] = ()) -> MysqlCursor:
        """An unbuffered result: the server sends as fast as rows are read, in one snapshot."""
        cursor = import_module(f"{self.driver}.cursors").SSCursor(conn)
        await cursor.execute(sql, tuple(args) or None)
        return MysqlCursor(cursor, getattr(conn, "_transport", None))

    async def isolate(self, conn: Any, level: str) -> None:
        """Set the session's isolation level."""
        await self.execute(conn, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")

    # Metadata

    async def tables(
        self,
        conn: Any,
        types: Sequence[str] = ("TABLE",),
        catalog_pattern: str | None = None,
        schema_pattern: str | None = None,
    ) -> list[TableId]:
        """Tables of one database, or of all but the system's when none is known."""
        kinds = [kind for type_ in types for kind in _TABLE_TYPES.get(type_.upper(), ())]
        if not kinds:
            return []
        marks = ", ".join(["%s"] * len(kinds))
        hidden = ", ".join(f"'{name}'" for name in _SYSTEM)
        rows = await self.query(
            conn,
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES"  # noqa: S608
            f" WHERE TABLE_TYPE IN ({marks}) AND TABLE_SCHEMA NOT IN ({hidden})"
            " AND (%s IS NULL OR TABLE_SCHEMA = %s) ORDER BY 1, 2",
            [*kinds, *[catalog_pattern or self.settings.url.database or None] * 2],
        )
        return [TableId(database, None, name) for database, name in rows]

    async def columns(self, conn: Any, table: TableId) -> list[Column]:
        """Columns from the information schema."""
        rows = await self.query(
            conn,
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY, EXTRA,"
            " COLUMN_DEFAULT, GENERATION_EXPRESSION, NUMERIC_PRECISION, NUMERIC_SCALE,"
            " COALESCE(CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION)"
            " FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"
            " ORDER BY ORDINAL_POSITION",
            (table.catalog, table.name),
        )
        return [
            Column(
                name,
                type_name.lower(),
                declared,
                nullable=nullable == "YES",
                primary_key=key == "PRI",
                auto_increment="auto_increment" in extra.lower(),
                has_default=default not in (None, "NULL") or "DEFAULT_GENERATED" in extra,
                generated=bool(generation),
                precision=int(digits if digits is not None else length)
                if (digits, length) != (None, None)
                else None,
                scale=int(scale) if scale is not None else None,
                unsigned="unsigned" in declared.lower() or "zerofill" in declared.lower(),
            )
            for (
                name,
                type_name,
                declared,
                nullable,
                key,
                extra,
                default,
                generation,
                digits,
                scale,
                length,
            ) in rows
        ]

    async def query_columns(self, conn: Any, sql: str) -> list[Column]:
        """Columns of a query, from the description of its empty result."""
        async with conn.cursor() as cursor:
            # The line ends before the parenthesis, because the query may end with a comment.
            await cursor.execute(f"SELECT * FROM ({sql}\n) coracle_query LIMIT 0")  # noqa: S608
            return [_result_column(field) for field in cursor._result.fields]

    async def server_now(self, conn: Any) -> int:
        """The server's clock."""
        [[now]] = await self.query(conn, "SELECT UNIX_TIMESTAMP(NOW(6))")
        return int(now * 1_000_000)

    # Errors

    def classify(self, error: BaseException) -> ErrorClass:
        """By error number; what the driver notices itself by its type."""
        number = _error_number(error)
        if number is None:
            if isinstance(error, (OSError, TimeoutError, EOFError)):
                return ErrorClass.CONNECTION
            if isinstance(error, (DataError, UnicodeError)):
                return ErrorClass.DATA
            # What a driver says of a connection that was closed under it.
            lost = type(error).__name__ in ("InterfaceError", "RuntimeError", "InternalError")
            return ErrorClass.CONNECTION if lost else ErrorClass.PERMANENT
        if number in _CONNECTION:
            return ErrorClass.CONNECTION
        if number in _RETRIABLE:
            return ErrorClass.RETRIABLE
        return ErrorClass.DATA if number in _DATA else ErrorClass.PERMANENT

    def describe(self, error: BaseException) -> str:
        """The server's message with its number."""
        number = _error_number(error)
        if number is not None:
            return self.hide_secrets(f"{error.args[-1]} (error {number})")
        if isinstance(error, TimeoutError):
            return "no answer in time"
        return self.hide_secrets(str(error) or type(error).__name__)


class MysqlCursor(Cursor):
    """An unbuffered result on its connection.

    The server sends as fast as it is let. aiomysql stops reading from the socket when its buffer is
    full; asyncmy reads on and buffers everything, so here its transport is paused while nobody
    fetches. While one fetches, the loop reads until the socket is empty, and asyncmy makes rows of
    all of it: the socket's own buffer is kept small, or one reading could bring tens of megabytes.
    """

    def __init__(self, cursor: Any, transport: asyncio.ReadTransport | None) -> None:
        self._cursor = cursor
        self._transport = transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
        self._pause()
        self.signature = tuple((item[0], item[1], item[5]) for item in cursor.description or ())

    async def fetch(self, count: int) -> list[Any]:
        """The next rows."""
        self._resume()
        try:
            return await self._cursor.fetchmany(count)
        finally:
            self._pause()

    async def close(self) -> None:
        """Read to the end: the protocol knows no other way to be done with a result."""
        self._resume()
        await self._cursor.close()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


def _error_number(error: BaseException) -> int | None:
    is_driver_error = type(error).__module__.partition(".")[0] in ("pymysql", "asyncmy", "aiomysql")
    if is_driver_error and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return None


def _ssl_context(param: Callable[..., str | None]) -> ssl.SSLContext | None:
    mode = (param("sslMode") or "").lower().replace("_", "-")
    if not mode and (param("useSSL", "requireSSL") or "").lower() == "true":
        mode = "verify-ca" if (param("verifyServerCertificate") or "") == "true" else "required"
    if mode in ("", "disable", "disabled", "preferred"):
        return None
    context = ssl.create_default_context(cafile=param("serverSslCert"))
    context.check_hostname = mode in ("verify-full", "verify-identity")
    if mode in ("required", "trust"):
        context.verify_mode = ssl.CERT_NONE
    return context


# Reading: dates and times as integers

_EPOCH = datetime(1970, 1, 1)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST_DAY = date(1, 1, 1).toordinal() - _EPOCH_ORDINAL


def _integer_decoders(zero_dates: str) -> dict[int, Callable[[str], int | None]]:
    """Decoders by field type: TIMESTAMP and DATETIME, DATE, TIME."""

    def invalid(text: str, rounded: int) -> int | None:
        if zero_dates == "null":
            return None
        if zero_dates == "round":
            return rounded
        raise DataError(
            f"The date {text!r} is none.",
            fix="Add zeroDateTimeBehavior=CONVERT_TO_NULL to connection.url to read it as NULL.",
        )

    def micros(text: str) -> int | None:
        try:
            span = datetime.fromisoformat(text) - _EPOCH
            return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
        except ValueError:
            return invalid(text, _FIRST_DAY * 86_400_000_000)

    def days(text: str) -> int | None:
        try:
            return date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL
        except ValueError:
            return invalid(text, _FIRST_DAY)

    return {7: micros, 12: micros, 10: days, 11: _time_micros}


def _time_micros(text: str) -> int:
    """``[-]h…h:mm:ss[.ffffff]``: a MySQL TIME is a span of up to 838 hours, with a sign."""
    hours, minutes, seconds = text.lstrip("-").split(":")
    whole, _, fraction = seconds.partition(".")
    micros = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 1_000_000
    micros += int(fraction.ljust(6, "0")) if fraction else 0
    return -micros if text.startswith("-") else micros


_FIELD_TYPES = {
    0: "decimal",
    1: "tinyint",
    2: "smallint",
    3: "int",
    4: "float",
    5: "double",
    6: "varchar",
    7: "timestamp",
    8: "bigint",
    9: "mediumint",
    10: "date",
    11: "time",
    12: "datetime",
    13: "year",
    15: "varchar",
    16: "bit",
    245: "json",
    246: "decimal",
    247: "enum",
    248: "set",
    249: "tinytext",
    250: "mediumtext",
    251: "longtext",
    252: "text",
    253: "varchar",
    254: "char",
    255: "geometry",
}
_BINARY = {"char": "binary", "varchar": "varbinary"}
_NOT_NULL, _UNSIGNED, _AUTO_INCREMENT = 1, 32, 512


def _result_column(field: Any) -> Column:
    """A column from its definition in a result set.

    Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html
    """
    type_name = _FIELD_TYPES[field.type_code]
    if field.charsetnr == 63 and field.type_code != 6:
        type_name = _BINARY.get(type_name, type_name.replace("text", "blob"))
    unsigned = bool(field.flags & _UNSIGNED)
    precision = field.length
    if type_name == "decimal":
        precision -= (field.scale > 0) + (not unsigned)
    elif type_name in ("timestamp", "datetime"):
        precision = min(field.scale, 6)
    declared = f"{type_name}({field.length})"
    return Column(
        field.name,
        type_name,
        declared,
        nullable=not field.flags & _NOT_NULL,
        auto_increment=bool(field.flags & _AUTO_INCREMENT),
        precision=precision,
        scale=field.scale,
        unsigned=unsigned,
    )

"""CREATE TABLE and ALTER TABLE for records: the SQL type of every Connect type in each database.

The types are those the JDBC connector gives auto-created tables, see "Auto-creation and
auto-evolution" in
https://docs.confluent.io/kafka-connectors/jdbc/current/sink-connector/overview.html . One differs:
MySQL cannot index TEXT, so string keys become VARCHAR(255) where the JVM's statement fails.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar

from coracle.api import DataError, Schema, Type
from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP
from coracle.connectors.jdbc.dialects import Dialect
from coracle.connectors.jdbc.sinks.layout import Layout, SinkField

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ddl(ABC):
    """Writes the DDL of one kind of database.

    Args:
        dialect: quotes names.
        timezone: the zone that defaults of timestamp columns are written in.
    """

    types: ClassVar[Mapping[Type | str, str]]

    def __init__(self, dialect: Dialect, timezone: tzinfo) -> None:
        self._dialect = dialect
        self._timezone = timezone

    def create(self, layout: Layout) -> str:
        """The statement that makes a table for records of this layout."""
        columns = [self._column(field) for field in layout.fields]
        if layout.key_names:
            names = ",".join(self._dialect.quote(name) for name in layout.key_names)
            columns.append(f"PRIMARY KEY({names})")
        return f"CREATE TABLE {self._dialect.quote_table(layout.table)} ({', '.join(columns)})"

    def add(self, layout: Layout, fields: Sequence[SinkField]) -> list[str]:
        """The statements that add columns to a table."""
        columns = ", ".join(f"ADD {self._column(field)}" for field in fields)
        return [f"ALTER TABLE {self._dialect.quote_table(layout.table)} {columns}"]

    def _column(self, field: SinkField) -> str:
        schema = field.schema
        definition = f"{self._dialect.quote(field.name)} {self.sql_type(field)}"
        if schema.default is not None:
            return f"{definition} DEFAULT {self._default(field)}"
        nullable = schema.optional and not field.key
        return f"{definition} {'NULL' if nullable else 'NOT NULL'}"

    def sql_type(self, field: SinkField) -> str:
        """The type of a new column.

        Raises:
            DataError: when the database has none for it.
        """
        if field.unit:
            return self.types["timestamp.fields.list"]
        return self._type(field.schema, field)

    def _type(self, schema: Schema, field: SinkField) -> str:
        found = self.types.get(schema.name or "") or self.types.get(schema.type)
        if found is None:
            name = f"{schema.name} ({schema.type})" if schema.name else str(schema.type)
            raise DataError(
                f"{name} type of field {field.name} doesn't have a mapping to the SQL database "
                "column type",
                fix="Leave the field out with fields.whitelist or ReplaceField, or turn it into "
                "another type with a transform.",
            )
        return found

    def _default(self, field: SinkField) -> str:
        value, schema = field.schema.default, field.schema
        match schema.name, schema.type:
            case (str(name), _) if name == DATE:
                return f"'{self._instant(value * 86_400_000, UTC):%Y-%m-%d}'"
            case (str(name), _) if name == TIME:
                return f"'{self._instant(value, UTC).isoformat(' ', 'milliseconds')[11:23]}'"
            case (str(name), _) if name == TIMESTAMP:
                return (
                    f"'{self._instant(value, self._timezone).isoformat(' ', 'milliseconds')[:23]}'"
                )
            case (str(name), _) if name == DECIMAL:
                return format(value, "f")
            case (_, Type.BOOLEAN):
                return self._boolean(value)
            case (_, Type.STRING):
                return self._text("'" + value.replace("'", "''") + "'")
            case (_, Type.BYTES):
                return self._bytes(value)
            case (_, kind) if kind.is_primitive:
                return repr(value)
        raise DataError(
            f"The default of field {field.name} ({schema.type}) cannot be written as SQL",
            fix="Create the column yourself.",
        )

    @staticmethod
    def _instant(milliseconds: int, timezone: tzinfo) -> datetime:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(timezone)

    def _boolean(self, value: bool) -> str:
        return "1" if value else "0"

    def _text(self, literal: str) -> str:
        return literal

    @abstractmethod
    def _bytes(self, value: bytes) -> str:
        """A binary literal."""


class PostgresDdl(Ddl):
    """PostgreSQL."""

    types: ClassVar[Mapping[Type | str, str]] = {
        DECIMAL: "DECIMAL",
        DATE: "DATE",
        TIME: "TIME",
        TIMESTAMP: "TIMESTAMP",
        "timestamp.fields.list": "TIMESTAMP",
        Type.INT8: "SMALLINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INT",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "REAL",
        Type.FLOAT64: "DOUBLE PRECISION",
        Type.BOOLEAN: "BOOLEAN",
        Type.STRING: "TEXT",
        Type.BYTES: "BYTEA",
    }

    def _type(self, schema: Schema, field: SinkField) -> str:
        if schema.type is Type.ARRAY and schema.values is not None:
            return super()._type(schema.values, field) + "[]"
        return super()._type(schema, field)

    def _boolean(self, value: bool) -> str:
        return "TRUE" if value else "FALSE"

    def _bytes(self, value: bytes) -> str:
        return f"'\\x{value.hex()}'"


class MysqlDdl(Ddl):
    """MySQL and MariaDB."""

    types: ClassVar[Mapping[Type | str, str]] = {
        DATE: "DATE",
        TIME: "TIME(3)",
        TIMESTAMP: "DATETIME(3)",
        "timestamp.fields.list": "DATETIME(6)",
        Type.INT8: "TINYINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INT",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "FLOAT",
        Type.FLOAT64: "DOUBLE",
        Type.BOOLEAN: "TINYINT",
        Type.STRING: "TEXT",
        Type.BYTES: "VARBINARY(1024)",
    }

    def _type(self, schema: Schema, field: SinkField) -> str:
        if schema.name == DECIMAL:
            return f"DECIMAL(65,{max(schema.scale, 0)})"
        if schema.type is Type.STRING and field.key:
            return "VARCHAR(255)"
        return super()._type(schema, field)

    def _text(self, literal: str) -> str:
        # TEXT takes a default only as an expression, and a backslash escapes in a literal.
        return "(" + literal.replace("\\", "\\\\") + ")"

    def _bytes(self, value: bytes) -> str:
        return f"(x'{value.hex()}')"


class SqliteDdl(Ddl):
    """SQLite."""

    types: ClassVar[Mapping[Type | str, str]] = {
        DECIMAL: "NUMERIC",
        DATE: "NUMERIC",
        TIME: "NUMERIC",
        TIMESTAMP: "NUMERIC",
        "timestamp.fields.list": "NUMERIC",
        Type.INT8: "INTEGER",
        Type.INT16: "INTEGER",
        Type.INT32: "INTEGER",
        Type.INT64: "INTEGER",
        Type.FLOAT32: "REAL",
        Type.FLOAT64: "REAL",
        Type.BOOLEAN: "INTEGER",
        Type.STRING: "TEXT",
        Type.BYTES: "BLOB",
    }

    def add(self, layout: Layout, fields: Sequence[SinkField]) -> list[str]:
        """One statement per column: SQLite adds one at a time."""
        return [
            statement
            for field in fields
            for statement in super(SqliteDdl, self).add(layout, [field])
        ]

    def _default(self, field: SinkField) -> str:
        value: Any = field.schema.default
        if field.schema.name == DATE:
            return str(value * 86_400_000)
        if field.schema.name in (TIME, TIMESTAMP):
            return str(value)
        return super()._default(field)

    def _bytes(self, value: bytes) -> str:
        return f"x'{value.hex()}'"

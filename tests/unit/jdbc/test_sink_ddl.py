from datetime import UTC
from decimal import Decimal

import pytest

from coracle.api import DataError, RecordSchema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIME_SCHEMA,
    TIMESTAMP_SCHEMA,
    Schema,
    array,
    decimal,
    map_of,
    struct,
)
from coracle.connectors.jdbc.dialects import TableId
from coracle.connectors.jdbc.sinks.ddl import Ddl, MysqlDdl, PostgresDdl, SqliteDdl
from coracle.connectors.jdbc.sinks.layout import Layout, compile_layout
from tests.unit.jdbc.sink_case import MYSQL, POSTGRES, SQLITE, dialect, settings

TABLE = TableId(None, None, "t")
ALL = {
    "i8": INT8,
    "i16": INT16,
    "i32": INT32,
    "i64": INT64,
    "f32": FLOAT32,
    "f64": FLOAT64,
    "b": BOOLEAN,
    "s": STRING,
    "y": BYTES,
    "d": decimal(2),
    "da": DATE_SCHEMA,
    "ti": TIME_SCHEMA,
    "ts": TIMESTAMP_SCHEMA,
    "us": INT64,
}


def ddl(url: str) -> Ddl:
    kind = {POSTGRES: PostgresDdl, MYSQL: MysqlDdl, SQLITE: SqliteDdl}[url]
    return kind(dialect(url), UTC)


def layout(fields: dict[str, Schema], **more: str) -> Layout:
    chosen = settings(timestamp_fields_list="us", **more)
    return compile_layout(TABLE, RecordSchema("t", INT64, struct(fields)), chosen)


@pytest.mark.parametrize(
    ("url", "types"),
    [
        (
            POSTGRES,
            "SMALLINT SMALLINT INT BIGINT REAL DOUBLE_PRECISION BOOLEAN TEXT BYTEA DECIMAL DATE "
            "TIME TIMESTAMP TIMESTAMP",
        ),
        (
            MYSQL,
            "TINYINT SMALLINT INT BIGINT FLOAT DOUBLE TINYINT TEXT VARBINARY(1024) DECIMAL(65,2) "
            "DATE TIME(3) DATETIME(3) DATETIME(6)",
        ),
        (
            SQLITE,
            "INTEGER INTEGER INTEGER INTEGER REAL REAL INTEGER TEXT BLOB NUMERIC NUMERIC NUMERIC "
            "NUMERIC NUMERIC",
        ),
    ],
)
def test_the_types_of_new_columns(url: str, types: str):
    found = [ddl(url).sql_type(field) for field in layout(ALL).fields]
    assert found == [name.replace("_", " ") for name in types.split()]


def test_create_table():
    made = layout(
        {"s": OPTIONAL_STRING, "n": INT32.with_(default=7)}, pk_mode="record_key", pk_fields="id"
    )
    assert ddl(POSTGRES).create(made) == (
        'CREATE TABLE "t" ("s" TEXT NULL, "n" INT DEFAULT 7, "id" BIGINT NOT NULL, '
        'PRIMARY KEY("id"))'
    )
    assert ddl(MYSQL).create(made).startswith("CREATE TABLE `t` (`s` TEXT NULL, ")


def test_a_key_is_not_null_even_if_its_schema_is_optional():
    made = layout({"s": OPTIONAL_STRING}, pk_mode="record_value", pk_fields="s")
    assert '"s" TEXT NOT NULL' in ddl(POSTGRES).create(made)
    assert "`s` VARCHAR(255) NOT NULL" in ddl(MYSQL).create(made)


def test_names_are_unquoted_if_asked():
    unquoted = PostgresDdl(dialect(quote_sql_identifiers="never"), UTC)
    assert unquoted.create(layout({"S": STRING})) == "CREATE TABLE t (S TEXT NOT NULL)"


def test_alter_table():
    made = layout({"a": OPTIONAL_STRING, "b": INT64.as_optional()})
    assert ddl(POSTGRES).add(made, made.fields) == [
        'ALTER TABLE "t" ADD "a" TEXT NULL, ADD "b" BIGINT NULL'
    ]
    assert ddl(SQLITE).add(made, made.fields) == [
        'ALTER TABLE "t" ADD "a" TEXT NULL',
        'ALTER TABLE "t" ADD "b" INTEGER NULL',
    ]


@pytest.mark.parametrize(
    ("schema", "url", "literal"),
    [
        (STRING.with_(default="it's"), POSTGRES, "'it''s'"),
        (STRING.with_(default="a\\b"), MYSQL, "('a\\\\b')"),
        (BOOLEAN.with_(default=True), POSTGRES, "TRUE"),
        (BOOLEAN.with_(default=True), MYSQL, "1"),
        (BYTES.with_(default=b"\x01\xff"), POSTGRES, "'\\x01ff'"),
        (BYTES.with_(default=b"\x01\xff"), SQLITE, "x'01ff'"),
        (decimal(2).with_(default=Decimal("1E+3")), POSTGRES, "1000"),
        (DATE_SCHEMA.with_(default=1), POSTGRES, "'1970-01-02'"),
        (TIME_SCHEMA.with_(default=3_600_001), MYSQL, "'01:00:00.001'"),
        (TIMESTAMP_SCHEMA.with_(default=1), POSTGRES, "'1970-01-01 00:00:00.001'"),
        (TIMESTAMP_SCHEMA.with_(default=1), SQLITE, "1"),
        (DATE_SCHEMA.with_(default=1), SQLITE, "86400000"),
    ],
)
def test_defaults(schema: Schema, url: str, literal: str):
    assert ddl(url).create(layout({"c": schema})).endswith(f" DEFAULT {literal})")


def test_arrays_are_postgresqls():
    assert (
        ddl(POSTGRES).create(layout({"a": array(INT32)})) == 'CREATE TABLE "t" ("a" INT[] NOT NULL)'
    )
    with pytest.raises(DataError, match="ARRAY type of field a doesn't have a mapping"):
        ddl(MYSQL).create(layout({"a": array(INT32)}))
    with pytest.raises(DataError, match="MAP type of field m doesn't have a mapping"):
        ddl(POSTGRES).create(layout({"m": map_of(STRING, STRING)}))

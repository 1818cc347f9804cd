from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coracle.api import BatchError, Schema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT64,
    STRING,
    TIME_SCHEMA,
    TIMESTAMP_SCHEMA,
    decimal,
    struct,
)
from coracle.connectors.jdbc.dialects import Column
from coracle.connectors.jdbc.sinks.encoding import RowBuilder, day_in, each, offset_in, time_in
from coracle.connectors.jdbc.sinks.layout import Origin, SinkField
from coracle.connectors.jdbc.sinks.mysql import MysqlWriter
from coracle.connectors.jdbc.sinks.postgresql import PostgresWriter
from coracle.connectors.jdbc.sinks.sqlite import SqliteWriter
from tests.unit.jdbc.sink_case import MYSQL, SQLITE, batch, dialect, gatherer, settings

NEW_YORK = ZoneInfo("America/New_York")
SUMMER = 1_720_000_000_000  # 2024-07-03T09:46:40Z
PG_EPOCH = 946_684_800_000_000


def encode(writer: Any, schema: Schema, column: str, *values: Any, unit: int = 0) -> list[Any]:
    field = SinkField("f", schema, Origin.VALUE_FIELD, unit=unit)
    encoder = writer.encoder(field, Column("f", column, column))
    return list(values) if encoder is None else encoder(list(values))


def postgres(**more: str) -> PostgresWriter:
    return PostgresWriter(dialect(), None, settings(**more))


def mysql(**more: str) -> MysqlWriter:
    return MysqlWriter(dialect(MYSQL), None, settings(**more))


def sqlite() -> SqliteWriter:
    return SqliteWriter(dialect(SQLITE), None, settings())


def test_offsets_follow_the_seasons():
    offset = offset_in(NEW_YORK)
    assert offset(SUMMER) == -4 * 3_600_000
    assert offset(0) == -5 * 3_600_000
    assert offset(-3_000_000_000_000) == -17_762_000  # local mean time, before 1883
    assert offset_in(UTC)(SUMMER) == 0
    assert offset_in(timezone(timedelta(hours=2)))(0) == 7_200_000


def test_a_date_west_of_greenwich_is_the_day_before_as_in_java():
    assert day_in(NEW_YORK)(100) == 99
    assert day_in(ZoneInfo("Asia/Tokyo"))(100) == 100
    assert day_in(UTC)(-1) == -1


def test_times_are_of_one_day():
    assert time_in(NEW_YORK)(0) == 19 * 3_600_000
    with pytest.raises(ValueError, match="not a time of day"):
        time_in(UTC)(86_400_000)


def test_postgresql_timestamps():
    assert encode(postgres(), TIMESTAMP_SCHEMA, "timestamp", SUMMER, None) == [
        (SUMMER * 1000 - PG_EPOCH,),
        None,
    ]
    west = postgres(db_timezone="America/New_York")
    local = (SUMMER - 4 * 3_600_000) * 1000 - PG_EPOCH
    assert encode(west, TIMESTAMP_SCHEMA, "timestamp", SUMMER) == [(local,)]
    assert encode(west, TIMESTAMP_SCHEMA, "timestamptz", SUMMER) == [(SUMMER * 1000 - PG_EPOCH,)]
    assert encode(postgres(), INT64, "timestamp", 1_500, unit=1) == [(1_500 - PG_EPOCH,)]
    assert encode(postgres(), INT64, "timestamp", 1_500_000, unit=1000) == [(1_500 - PG_EPOCH,)]
    assert encode(west, INT64, "timestamp", 7, unit=1) == [(7 - 5 * 3_600_000_000 - PG_EPOCH,)]


def test_postgresql_dates_and_times():
    assert encode(postgres(), DATE_SCHEMA, "date", 10957) == [(0,)]
    west = {"db_timezone": "America/New_York"}
    assert encode(postgres(**west), DATE_SCHEMA, "date", 10957) == [(-1,)]
    assert encode(postgres(**west, date_timezone="UTC"), DATE_SCHEMA, "date", 10957) == [(0,)]
    assert encode(postgres(), TIME_SCHEMA, "time", 1) == [(1000,)]
    assert encode(postgres(), TIMESTAMP_SCHEMA, "date", 86_400_000) == [(1 - 10957,)]
    with pytest.raises(ValueError, match="time of day"):
        encode(postgres(), TIMESTAMP_SCHEMA, "date", 1)


def test_postgresql_numbers_are_exact():
    assert encode(postgres(), FLOAT64, "numeric", 0.1) == [Decimal("0.1")]
    assert encode(postgres(), FLOAT32, "numeric", 0.10000000149011612) == [Decimal("0.1")]
    assert encode(postgres(), decimal(0), "int4", Decimal("7")) == [7]
    with pytest.raises(ValueError, match="fraction"):
        encode(postgres(), decimal(1), "int4", Decimal("7.5"))
    assert encode(postgres(), INT64, "float8", 2**53) == [2.0**53]
    with pytest.raises(ValueError, match="would change it"):
        encode(postgres(), INT64, "float8", 2**53 + 1)


def test_postgresql_zoned_text():
    good = "2024-07-03T09:46:40.123456Z"
    assert encode(postgres(), STRING, "timestamptz", good) == [good]
    with pytest.raises(ValueError, match="no time zone"):
        encode(postgres(), STRING, "timestamptz", "2024-07-03T09:46:40")


@pytest.mark.parametrize(
    ("schema", "column"),
    [(STRING, "int4"), (INT64, "text"), (BYTES, "text"), (BOOLEAN, "int4"), (INT64, "timestamp")],
)
def test_what_postgresql_would_not_assign_is_refused(schema: Schema, column: str):
    with pytest.raises(Exception, match="does not assign to column f"):
        encode(postgres(), schema, column, None)


def test_mysql_literals():
    assert encode(mysql(), STRING, "text", "it's", "a\\b", "\0\n", None) == [
        "'it''s'",
        "'a\\\\b'",
        "'\0\n'",
        "NULL",
    ]
    assert encode(mysql(), BYTES, "blob", b"", b"\x00'") == ["x''", "x'0027'"]
    assert encode(mysql(), FLOAT64, "double", 1e300, 0.1, 5.0) == ["1e+300", "0.1e0", "5.0e0"]
    assert encode(mysql(), decimal(0), "decimal", Decimal("1E+3")) == ["1000"]
    assert encode(mysql(), BOOLEAN, "tinyint", True, False) == ["1", "0"]
    assert encode(mysql(), DATE_SCHEMA, "date", 1) == ["'1970-01-02'"]
    assert encode(mysql(), TIME_SCHEMA, "time", 3_600_001) == ["'01:00:00.001000'"]
    assert encode(mysql(), TIMESTAMP_SCHEMA, "datetime", -1) == ["'1969-12-31 23:59:59.999000'"]


def test_mysql_timestamp_columns_are_utc_whatever_the_zone():
    west = mysql(db_timezone="America/New_York")
    assert encode(west, TIMESTAMP_SCHEMA, "datetime", 0) == ["'1969-12-31 19:00:00'"]
    assert encode(west, TIMESTAMP_SCHEMA, "timestamp", 0) == ["'1970-01-01 00:00:00'"]


def test_mysql_never_compares_text_with_numbers():
    assert encode(mysql(), INT64, "varchar", 0) == ["'0'"]
    assert encode(mysql(), STRING, "int", "12") == ["12"]
    with pytest.raises(ValueError, match="not a number"):
        encode(mysql(), STRING, "int", "12abc")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_mysql_has_no_nan(value: float):
    with pytest.raises(ValueError, match="no such number"):
        encode(mysql(), FLOAT64, "double", value)


def test_sqlite_values():
    assert encode(sqlite(), BOOLEAN, "integer", True) == [1]
    assert encode(sqlite(), DATE_SCHEMA, "numeric", 1) == [86_400_000]
    assert encode(sqlite(), TIMESTAMP_SCHEMA, "numeric", 5) == [5]
    assert encode(sqlite(), decimal(2), "numeric", Decimal("1.50"), Decimal("2.00")) == [1.5, 2]
    assert encode(sqlite(), decimal(2), "text", Decimal("1.50")) == ["1.50"]
    assert encode(sqlite(), INT64, "numeric", 5000, unit=1) == [5]


def test_sqlite_refuses_what_it_would_change():
    with pytest.raises(ValueError, match="NaN"):
        encode(sqlite(), FLOAT64, "real", float("nan"))
    with pytest.raises(ValueError, match="declare the column TEXT"):
        encode(sqlite(), decimal(2), "numeric", Decimal("12345678901234567.89"))
    with pytest.raises(ValueError, match="finer digits"):
        encode(sqlite(), INT64, "numeric", 5001, unit=1)


def rows(encoders: list[Any], values: list[Any], fill: bool = True) -> list[tuple[Any, ...]]:
    schema = struct({"a": INT64, "b": INT64.with_(default=9)})
    [group] = gatherer().gather([batch([(None, None, schema, value) for value in values])])
    return RowBuilder(group.layout, encoders, fill_defaults=fill).rows(group)


def test_defaults_stand_in_for_nulls_if_asked():
    values = [{"a": 1, "b": None}, {"a": 2, "b": 3}]
    assert rows([None, None], values) == [(1, 9), (2, 3)]
    assert rows([None, None], values, fill=False) == [(1, None), (2, 3)]


def test_missing_fields_are_null():
    assert rows([None, None], [{"a": 1}, {"b": 3}], fill=False) == [(1, None), (None, 3)]


def test_every_value_without_a_form_is_named():
    with pytest.raises(BatchError) as caught:
        rows([each(lambda v: 1 // v), None], [{"a": 1}, {"a": 0}, {"a": 5}, {"a": 0}])
    assert list(caught.value.failures) == [1, 3]
    assert "The value 0 of field a cannot be written to table orders" in str(caught.value.first)

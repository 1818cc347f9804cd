"""Every Connect type into every database, with NULLs, extremes and odd text."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest

from coracle.api import BatchError, Schema
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
    array,
    decimal,
    struct,
)
from tests.integration.jdbc.sink_case import Destination, values

ALL: dict[str, Schema] = {
    "i8": INT8,
    "i16": INT16,
    "i32": INT32,
    "i64": INT64,
    "f32": FLOAT32,
    "f64": FLOAT64,
    "bo": BOOLEAN,
    "st": STRING,
    "bi": BYTES,
    "de": decimal(4),
    "da": DATE_SCHEMA,
    "ti": TIME_SCHEMA,
    "ts": TIMESTAMP_SCHEMA,
    "us": INT64,
}
TEXT = "Grüße, 世界 🚣 'q' \"d\" \\b %s {x} \t\n\x01 $1 ;--"
SMALLEST = {
    "i8": -128,
    "i16": -(2**15),
    "i32": -(2**31),
    "i64": -(2**63),
    "f32": -1.5,
    "f64": -1.7976931348623157e308,
    "bo": False,
    "st": "",
    "bi": b"",
    "de": Decimal("-99999.9999"),
    "da": -1,
    "ti": 0,
    "ts": -1,
    "us": -1_000,
}
LARGEST = {
    "i8": 127,
    "i16": 2**15 - 1,
    "i32": 2**31 - 1,
    "i64": 2**63 - 1,
    "f32": 3.5,
    "f64": 0.1,
    "bo": True,
    "st": TEXT,
    "bi": bytes(range(256)),
    "de": Decimal("12345.6789"),
    "da": 19_000,
    "ti": 86_399_999,
    "ts": 1_720_000_000_123,
    "us": 1_720_000_000_123_000,
}
NULLS = dict.fromkeys(ALL)
EPOCH = datetime(1970, 1, 1)


def native(kind: str, column: str, value: Any) -> Any:
    """What the driver reads back."""
    if value is None:
        return None
    if kind == "sqlite":
        if column == "de":
            return float(value)
        return (
            {"da": 86_400_000 * value, "us": value // 1000}.get(column, value)
            if column
            in (
                "da",
                "us",
            )
            else value
        )
    if column == "da":
        return date(1970, 1, 1) + timedelta(days=value)
    if column == "ti":
        span = timedelta(milliseconds=value)
        return span if kind == "mysql" else (EPOCH + span).time()
    if column == "ts":
        return EPOCH + timedelta(milliseconds=value)
    if column == "us":
        return EPOCH + timedelta(microseconds=value)
    return value


@pytest.mark.parametrize("copies", [1, 300])
@pytest.mark.parametrize("insert_mode", ["insert", "upsert"])
async def test_every_type(destination: Destination, insert_mode: str, copies: int):
    schema = struct({"id": INT64, **{name: type_.as_optional() for name, type_ in ALL.items()}})
    records = [
        {"id": number, **value} for number, value in enumerate([SMALLEST, LARGEST, NULLS] * copies)
    ]
    async with destination.task(
        auto_create="true",
        insert_mode=insert_mode,
        pk_mode="record_value",
        pk_fields="id",
        timestamp_fields_list="us",
    ) as task:
        await task.put([values(schema, *records)])
    found = await destination.rows(f"SELECT id, {', '.join(ALL)} FROM orders ORDER BY id")
    assert len(found) == len(records)
    for row, record in zip(found, records, strict=True):
        expected = [native(destination.kind, name, record[name]) for name in ALL]
        assert list(row[1:]) == expected


async def test_five_megabytes(destination: Destination):
    schema = struct({"id": INT64, "s": STRING, "b": BYTES})
    text = {"mysql": "LONGTEXT", "sqlite": "TEXT", "postgresql": "TEXT"}[destination.kind]
    blob = {"mysql": "LONGBLOB", "sqlite": "BLOB", "postgresql": "BYTEA"}[destination.kind]
    await destination.run(f"CREATE TABLE orders (id BIGINT PRIMARY KEY, s {text}, b {blob})")
    record = {"s": "ü'\\" * 1_700_000, "b": bytes(range(256)) * 20_000}
    async with destination.task(
        insert_mode="upsert", pk_mode="record_value", pk_fields="id"
    ) as task:
        await task.put([values(schema, *[{"id": i, **record} for i in range(3)])])
    rows = await destination.rows("SELECT s, b FROM orders")
    assert rows == [(record["s"], record["b"])] * 3


async def test_time_zones(server: Destination):
    kind = "TIMESTAMPTZ" if server.kind == "postgresql" else "TIMESTAMP(3) NULL"
    plain = "TIMESTAMP" if server.kind == "postgresql" else "DATETIME(3)"
    await server.run(f"CREATE TABLE orders (a {plain}, b {kind}, d DATE, t TIME)")
    schema = struct(
        {"a": TIMESTAMP_SCHEMA, "b": TIMESTAMP_SCHEMA, "d": DATE_SCHEMA, "t": TIME_SCHEMA}
    )
    noon = 1_720_008_000_000  # 2024-07-03T12:00:00Z
    async with server.task(db_timezone="America/New_York") as task:
        await task.put([values(schema, {"a": noon, "b": noon, "d": 10, "t": 0})])
    seconds = "extract(epoch FROM b)" if server.kind == "postgresql" else "UNIX_TIMESTAMP(b)"
    [[local, instant, day, midnight]] = await server.rows(f"SELECT a, {seconds}, d, t FROM orders")
    assert local == datetime(2024, 7, 3, 8)
    assert float(instant) == noon / 1000
    assert day == date(1970, 1, 10)  # as the JVM's, unless date.timezone is UTC
    assert midnight in (time(19), timedelta(hours=19))


POSTGRES_COLUMNS = {
    "jb": ("jsonb", STRING, '{"a": [1, "ü"]}', '{"a": [1, "ü"]}'),
    "js": ("json", STRING, '{"a":  1}', '{"a":  1}'),
    "u": ("uuid", STRING, str(UUID(int=5)), UUID(int=5)),
    "en": ("mood", STRING, "happy", "happy"),
    "ip": ("inet", STRING, "10.0.0.1", IPv4Address("10.0.0.1")),
    "iv": ("interval", STRING, "1 day 2 hours", timedelta(days=1, hours=2)),
    "xm": ("xml", STRING, "<a>ü</a>", "<a>ü</a>"),
    "vc": ("varchar(5)", STRING, "fünf5", "fünf5"),
    "ch": ("char(3)", STRING, "ab", "ab "),
    "tz": (
        "timestamptz",
        STRING,
        "2024-07-03T12:00:00+02:00",
        datetime(2024, 7, 3, 10, tzinfo=UTC),
    ),
    "nf": ("numeric", FLOAT64, 0.1, Decimal("0.1")),
    "ni": ("numeric", INT64, 2**60, Decimal(2**60)),
    "fd": ("float8", decimal(2), Decimal("1.25"), 1.25),
    "sm": ("smallint", INT64, 7, 7),
    "po": ("positive", INT32, 7, 7),
    "dt": ("moment", TIMESTAMP_SCHEMA, 0, datetime(1970, 1, 1)),
    "ia": ("int[]", array(INT32.as_optional()), [1, None, 3], [1, None, 3]),
    "ma": ("int[]", array(array(INT32)), [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    "ta": ("text[]", array(STRING), ["a,b", 'q"', "ü"], ["a,b", 'q"', "ü"]),
    "ea": ("mood[]", array(STRING), ["sad"], ["sad"]),
    "na": ("numeric[]", array(FLOAT64), [0.1], [Decimal("0.1")]),
    "da": (
        "timestamp[]",
        array(TIMESTAMP_SCHEMA),
        [0, None, 1500],
        [EPOCH, None, datetime(1970, 1, 1, 0, 0, 1, 500_000)],
    ),
    "dd": ("date[]", array(DATE_SCHEMA), [0], [date(1970, 1, 1)]),
}


@pytest.mark.parametrize("count", [2, 300])
@pytest.mark.parametrize("insert_mode", ["insert", "upsert"])
async def test_postgresqls_own_types(postgresql: Destination, insert_mode: str, count: int):
    await postgresql.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE DOMAIN moment AS timestamp",
        "CREATE TABLE orders (id int PRIMARY KEY, "
        + ", ".join(f"{name} {column}" for name, (column, *_) in POSTGRES_COLUMNS.items())
        + ")",
    )
    schema = struct(
        {"id": INT32, **{n: s.as_optional() for n, (_, s, _, _) in POSTGRES_COLUMNS.items()}}
    )
    full = {name: value for name, (_, _, value, _) in POSTGRES_COLUMNS.items()}
    empty = dict.fromkeys(full)
    records = [{"id": i, **(full if i % 2 else empty)} for i in range(count)]
    async with postgresql.task(
        insert_mode=insert_mode, pk_mode="record_value", pk_fields="id"
    ) as task:
        await task.put([values(schema, *records)])
        await task.put([values(schema, {**records[-1], "id": count})])
    rows = await postgresql.rows("SELECT * FROM orders ORDER BY id")
    assert len(rows) == count + 1
    read = [value for _, _, _, value in POSTGRES_COLUMNS.values()]
    for row in rows:
        assert list(row[1:]) == (read if row[0] % 2 or row[0] == count else [None] * len(read))


@pytest.mark.parametrize("mode", ["upsert", "update"])
async def test_keys_of_postgresqls_own_types(postgresql: Destination, mode: str):
    await postgresql.run("CREATE TABLE orders (k inet PRIMARY KEY, n int)")
    keys = [f"10.0.{i // 250}.{i % 250}" for i in range(300)]
    schema = struct({"k": STRING, "n": INT32})
    config = {"pk_mode": "record_value", "pk_fields": "k"}
    async with postgresql.task(**config, insert_mode="upsert") as task:
        await task.put([values(schema, *[{"k": key, "n": 1} for key in keys])])
    async with postgresql.task(**config, insert_mode=mode) as task:
        await task.put([values(schema, *[{"k": key, "n": 2} for key in keys])])
        await task.put([values(schema, {"k": keys[0], "n": 3})])
    assert await postgresql.rows("SELECT n, count(*) FROM orders GROUP BY n ORDER BY n") == [
        (2, 299),
        (3, 1),
    ]


async def test_citext_keys_that_differ_in_case_are_one(postgresql: Destination):
    postgresql.database.sql("CREATE EXTENSION citext")
    await postgresql.run("CREATE TABLE orders (k citext PRIMARY KEY, n int)")
    schema = struct({"k": STRING, "n": INT32})
    records = [{"k": f"k{i}", "n": i} for i in range(200)] + [{"k": "K7", "n": -1}]
    async with postgresql.task(insert_mode="upsert", pk_mode="record_value", pk_fields="k") as task:
        await task.put([values(schema, *records)])
    assert await postgresql.rows("SELECT n FROM orders WHERE k = 'k7'") == [(-1,)]


async def test_mysqls_own_types(mysql: Destination):
    await mysql.run(
        "CREATE TABLE orders (js JSON, en ENUM('a','b'), bi BIT(1), ye YEAR, un BIGINT UNSIGNED,"
        " de DECIMAL(10,2), vn VARCHAR(20), fl FLOAT)"
    )
    schema = struct(
        {
            "js": STRING,
            "en": STRING,
            "bi": BOOLEAN,
            "ye": INT32,
            "un": decimal(0),
            "de": STRING,
            "vn": INT32,
            "fl": FLOAT32,
        }
    )
    record = {
        "js": '{"a": 1}',
        "en": "b",
        "bi": True,
        "ye": 2024,
        "un": Decimal(2**64 - 1),
        "de": "12.50",
        "vn": 42,
        "fl": 0.5,
    }
    async with mysql.task() as task:
        await task.put([values(schema, record)])
    [row] = await mysql.rows("SELECT js, en, bi+0, ye, un, de, vn, fl FROM orders")
    assert json.loads(row[0]) == {"a": 1}
    assert row[1:] == ("b", 1, 2024, 2**64 - 1, Decimal("12.50"), "42", 0.5)


async def test_a_type_without_a_column_is_refused_record_by_record(destination: Destination):
    odd = struct({"id": INT64, "m": struct({"x": INT64}).as_optional()})
    plain = struct({"id": INT64, "s": OPTIONAL_STRING})
    async with destination.task(auto_create="true") as task:
        with pytest.raises(BatchError) as found:
            await task.put(
                [
                    values(plain, {"id": 1, "s": "x"}, topic="plain"),
                    values(odd, {"id": 1, "m": {"x": 1}}, {"id": 2, "m": None}, first=1),
                ]
            )
    assert list(found.value.failures) == [1, 2]
    assert "STRUCT type of field m doesn't have a mapping" in str(found.value)
    assert await destination.rows("SELECT * FROM plain") == []

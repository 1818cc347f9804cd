"""Every type of the server's own help can be read, with both drivers."""

import re
from decimal import Decimal
from typing import Any

import pytest

from coracle.api import DataError
from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP, Type
from coracle.connectors.jdbc.dialects.mysql import MysqlDialect
from tests.integration.jdbc.source_case import first, read, settings
from tests.servers.database import Database
from tests.servers.mariadb import MariaDB

TEXT, BINARY = (Type.STRING, None), (Type.BYTES, None)
POINT = bytes(4) + bytes.fromhex("0101000000000000000000f03f0000000000000040")
# information_schema's DATA_TYPE: (literal, Connect type and logical name, value)
SAMPLES: dict[str, tuple[str, tuple[Type, str | None], Any]] = {
    "bigint": ("-9223372036854775808", (Type.INT64, None), -(2**63)),
    "binary": ("x'610000'", BINARY, b"a\0\0"),
    "bit": ("b'101'", (Type.INT8, None), 5),
    "blob": ("x'00ff'", BINARY, b"\0\xff"),
    "char": ("'é€'", TEXT, "é€"),
    "date": ("'2024-02-29'", (Type.INT32, DATE), 19782),
    "datetime": ("'2024-02-29 12:34:56'", (Type.INT64, TIMESTAMP), 1709210096000),
    "decimal": ("-12", (Type.BYTES, DECIMAL), Decimal(-12)),
    "double": ("-2.25e300", (Type.FLOAT64, None), -2.25e300),
    "enum": ("'a'", TEXT, "a"),
    "float": ("1.5", (Type.FLOAT32, None), 1.5),
    "geometry": ("POINT(1,2)", BINARY, POINT),
    "geometrycollection": ("GEOMETRYCOLLECTION(POINT(1,2))", BINARY, None),
    "inet4": ("'10.0.0.1'", TEXT, "10.0.0.1"),
    "inet6": ("'::1'", TEXT, "::1"),
    "int": ("-2147483648", (Type.INT32, None), -(2**31)),
    "json": ("'[1]'", TEXT, "[1]"),
    "linestring": ("LINESTRING(POINT(0,0), POINT(1,1))", BINARY, None),
    "longblob": ("x'00'", BINARY, b"\0"),
    "longtext": ("'[\"é\"]'", TEXT, '["é"]'),
    "mediumblob": ("x'00'", BINARY, b"\0"),
    "mediumint": ("-8388608", (Type.INT32, None), -8388608),
    "mediumtext": ("'é😀'", TEXT, "é😀"),
    "multilinestring": ("MULTILINESTRING(LINESTRING(POINT(0,0), POINT(1,1)))", BINARY, None),
    "multipoint": ("MULTIPOINT(POINT(1,2))", BINARY, None),
    "multipolygon": (
        "MULTIPOLYGON(POLYGON(LINESTRING(POINT(0,0), POINT(1,1), POINT(1,0), POINT(0,0))))",
        BINARY,
        None,
    ),
    "point": ("POINT(1,2)", BINARY, POINT),
    "polygon": (
        "POLYGON(LINESTRING(POINT(0,0), POINT(1,1), POINT(1,0), POINT(0,0)))",
        BINARY,
        None,
    ),
    "set": ("'a,b'", TEXT, "a,b"),
    "smallint": ("-32768", (Type.INT16, None), -32768),
    "text": ("'\"\\\\é\\n'", TEXT, '"\\é\n'),
    "time": ("'23:59:59'", (Type.INT32, TIME), 86399000),
    "timestamp": ("'2024-02-29 12:34:56'", (Type.INT64, TIMESTAMP), 1709210096000),
    "tinyblob": ("x'00'", BINARY, b"\0"),
    "tinyint": ("-1", (Type.INT8, None), -1),
    "tinytext": ("'é'", TEXT, "é"),
    "uuid": (
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        TEXT,
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    "varbinary": ("x'00ff'", BINARY, b"\0\xff"),
    "varchar": ("'é'", TEXT, "é"),
    "year": ("2024", (Type.INT32, DATE), 19723),
}
HELP = (
    "SELECT t.name FROM mysql.help_topic t JOIN mysql.help_category c USING (help_category_id)"
    " WHERE c.name = 'Data Types' UNION SELECT PLUGIN_NAME FROM information_schema.PLUGINS"
    " WHERE PLUGIN_TYPE = 'DATA TYPE' UNION SELECT DATA_TYPE FROM information_schema.COLUMNS"
)
# In other sections of the help, or named differently there.
MORE = ["GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING"]
MORE += ["MULTIPOLYGON", "GEOMETRYCOLLECTION", "JSON", "YEAR", "SET", "BLOB", "TEXT", "UUID"]
ARGUMENTS = ["", "(3)", "('a','b')"]


@pytest.fixture(params=["asyncmy", "aiomysql"], autouse=True)
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(MysqlDialect, "driver", request.param)
    return request.param


def accepted(mariadb: Database[MariaDB]) -> dict[str, str]:
    """What may stand as a type in CREATE TABLE: declaration → DATA_TYPE."""
    topics = mariadb.sql(HELP).replace("\\_", "_").splitlines()
    names = {part.strip() for topic in topics for part in re.split(r",| and | Data Types?", topic)}
    words = sorted(
        {name.upper() for name in names | set(MORE) if re.fullmatch(r"[A-Za-z][\w ]*", name)}
    )
    attempts = {f"{word}{argument}": word for word in words for argument in ARGUMENTS}
    script = "".join(
        f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;"
        f" EXECUTE IMMEDIATE 'CREATE TABLE try_{n} (c {attempt.replace(chr(39), chr(39) * 2)})';"
        " END|"
        for n, attempt in enumerate(attempts)
    )
    mariadb.sql(f"SET sql_mode = '';\nDELIMITER |\n{script}\nDELIMITER ;\n")
    created = mariadb.sql(
        "SELECT TABLE_NAME, DATA_TYPE FROM information_schema.COLUMNS"
        f" WHERE TABLE_SCHEMA = '{mariadb.database}' AND TABLE_NAME LIKE 'try\\_%'"
    )
    types = dict(line.split("\t") for line in created.splitlines())
    return {attempt: types[f"try_{n}"] for n, attempt in enumerate(attempts) if f"try_{n}" in types}


async def test_every_type_of_the_help(mariadb: Database[MariaDB]) -> None:
    declarations = accepted(mariadb)
    assert len(declarations) > 60
    assert set(declarations.values()) == set(SAMPLES) - {"json"}, "a type has no sample, or is gone"
    # SERIAL is an identity, CHAR BYTE one byte: the samples of their types do not fit them.
    tried = [
        declaration
        for declaration, type_name in declarations.items()
        if declaration not in ("SERIAL", "CHAR BYTE")
        and ("(" in declaration or type_name not in ("bit", "binary", "char"))
    ]
    assert {declarations[declaration] for declaration in tried} == set(declarations.values())
    columns = [
        f"`{declaration}` {declaration}"
        f"{' NULL' if declarations[declaration] == 'timestamp' else ''}"
        for declaration in tried
    ]
    samples = [SAMPLES[declarations[declaration]] for declaration in tried]
    literals = ", ".join(literal for literal, _, _ in samples)
    mariadb.sql(f"CREATE TABLE every ({', '.join(columns)}); INSERT INTO every VALUES ({literals})")
    schema, value = await first(settings(mariadb, mode="bulk", table__whitelist="every"))
    for declaration, (_, kind, expected) in zip(tried, samples, strict=True):
        field = schema.by_name[declaration]
        assert (declaration, field.type, field.name) == (declaration, *kind)
        if expected is None:
            assert isinstance(value[declaration], bytes)
        else:
            assert (declaration, value[declaration]) == (declaration, expected)


async def test_all_types_by_table_and_by_query(mariadb: Database[MariaDB]) -> None:
    arguments = {"enum": "('a','b')", "set": "('a','b')"}
    arguments["timestamp"] = " NULL"
    arguments |= dict.fromkeys(["char", "varchar", "binary", "varbinary", "bit"], "(3)")
    columns = ", ".join(f"`c {name}` {name}{arguments.get(name, '')}" for name in SAMPLES)
    values = ", ".join(literal for literal, _, _ in SAMPLES.values())
    nulls = ", ".join(["NULL"] * len(SAMPLES))
    mariadb.sql(f"CREATE TABLE every ({columns}); INSERT INTO every VALUES ({values}), ({nulls})")
    for more in ({"table.whitelist": "every"}, {"query": "SELECT * FROM every"}):
        schema, value = await first(settings(mariadb, mode="bulk") | more)
        assert {field.name: (field.schema.type, field.schema.name) for field in schema.fields} == {
            f"c {name}": kind for name, (_, kind, _) in SAMPLES.items()
        }
        for name, (_, _, expected) in SAMPLES.items():
            if expected is not None:
                assert (name, value[f"c {name}"]) == (name, expected)
        rows = await read(settings(mariadb, mode="bulk") | more, 2)
        assert set(rows[1].values()) == {None}


async def test_unsigned(mariadb: Database[MariaDB]) -> None:
    mariadb.sql(
        "CREATE TABLE u (a tinyint unsigned, b smallint unsigned, c mediumint unsigned,"
        " d int unsigned, e bigint unsigned NOT NULL, f decimal(5,2) unsigned, g tinyint(1),"
        " h int(5) zerofill);"
        "INSERT INTO u VALUES (255, 65535, 16777215, 4294967295, 9223372036854775807, 999.99,"
        " -128, 7)"
    )
    for more in ({"table.whitelist": "u"}, {"query": "SELECT * FROM u"}):
        schema, value = await first(settings(mariadb, mode="bulk") | more)
        assert [field.schema.type for field in schema.fields] == [
            Type.INT16,
            Type.INT32,
            Type.INT64,
            Type.INT64,
            Type.INT64,
            Type.BYTES,
            Type.INT8,
            Type.INT64,
        ]
        assert not schema.by_name["e"].optional
        assert schema.by_name["f"].parameters == {"scale": "2", "connect.decimal.precision": "5"}
        expected = [255, 65535, 16777215, 2**32 - 1, 2**63 - 1, Decimal("999.99"), -128, 7]
        assert list(value.values()) == expected
    mariadb.sql("UPDATE u SET e = 9223372036854775808")
    with pytest.raises(DataError, match=r"Column e .BIGINT UNSIGNED. holds 9223372036854775808"):
        await first(settings(mariadb, mode="bulk", table__whitelist="u"))


async def test_dates_and_times_at_the_edges(mariadb: Database[MariaDB]) -> None:
    mariadb.sql(
        "SET sql_mode = ''; SET time_zone = '+02:00';"
        "CREATE TABLE edges"
        " (id int, d date, t datetime(6), z timestamp(3) NULL, o time(6), y year);"
        "INSERT INTO edges VALUES (1, '0001-01-01', '0001-01-01', '1970-01-01 02:00:01.5',"
        " '-100:00:00.5', 0), (2, '9999-12-31', '9999-12-31 23:59:59.999999', NULL,"
        " '596:00:00', 2155), (3, '0000-00-00', '2024-00-15 00:00:00', '0000-00-00', NULL, NULL)"
    )
    config = settings(mariadb, mode="incrementing", incrementing__column__name="id")
    config |= {"table.whitelist": "edges", "validate.non.null": "false"}
    one, two, three = await read(config, 3)
    assert one == {
        "id": 1,
        "d": -719162,
        "t": -62135596800000,
        "z": 1500,
        "o": -360000500,
        "y": -719528,
    }
    assert two == {
        "id": 2,
        "d": 2932896,
        "t": 253402300799999,
        "z": None,
        "o": 596 * 3600_000,
        "y": 67570,
    }
    assert three == {"id": 3, "d": None, "t": None, "z": None, "o": None, "y": None}
    url = config["connection.url"]
    rounding = {**config, "connection.url": f"{url}?zeroDateTimeBehavior=ROUND"}
    assert (await read(rounding, 3))[2]["d"] == -719162
    strict = {**config, "connection.url": url.replace("jdbc:mariadb", "jdbc:mysql")}
    with pytest.raises(DataError, match="'0000-00-00' is none"):
        await read(strict, 3)
    numbers = {**config, "connection.url": f"{url}?yearIsDateType=false"}
    assert [row["y"] for row in await read(numbers, 3)] == [0, 2155, None]

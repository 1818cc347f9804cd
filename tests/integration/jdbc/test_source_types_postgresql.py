"""Every type of the server's own catalogue can be read, alone and in an array."""

from decimal import Decimal
from typing import Any

import pytest

from coracle.api.schema import DATE, DECIMAL, TIME, TIMESTAMP, Type
from tests.integration.jdbc.source_case import first, read, settings
from tests.servers.database import Database
from tests.servers.postgres import Postgres

TEXT = (Type.STRING, None)
# type: (literal, Connect type and logical name, value)
SAMPLES: dict[str, tuple[str, tuple[Type, str | None], Any]] = {
    "aclitem": ("postgres=r/postgres", TEXT, "postgres=r/postgres"),
    "bit": ("1", (Type.BOOLEAN, None), True),
    "bool": ("true", (Type.BOOLEAN, None), True),
    "box": ("(1,1),(0,0)", TEXT, "(1,1),(0,0)"),
    "bpchar": ("x ", TEXT, "x "),
    "bytea": ("\\x00ff", (Type.BYTES, None), b"\x00\xff"),
    "char": ("c", TEXT, "c"),
    "cid": ("7", TEXT, "7"),
    "cidr": ("10.0.0.0/8", TEXT, "10.0.0.0/8"),
    "circle": ("<(0,0),1>", TEXT, "<(0,0),1>"),
    "date": ("2024-02-29", (Type.INT32, DATE), 19782),
    "datemultirange": ("{[2024-01-01,2024-01-03)}", TEXT, "{[2024-01-01,2024-01-03)}"),
    "daterange": ("[2024-01-01,2024-01-03)", TEXT, "[2024-01-01,2024-01-03)"),
    "float4": ("1.5", (Type.FLOAT32, None), 1.5),
    "float8": ("-2.25e300", (Type.FLOAT64, None), -2.25e300),
    "inet": ("::1/64", TEXT, "::1/64"),
    "int2": ("-32768", (Type.INT16, None), -32768),
    "int2vector": ("1 2", TEXT, "1 2"),
    "int4": ("2147483647", (Type.INT32, None), 2147483647),
    "int4multirange": ("{[1,3),[5,6)}", TEXT, "{[1,3),[5,6)}"),
    "int4range": ("[1,3)", TEXT, "[1,3)"),
    "int8": ("-9223372036854775808", (Type.INT64, None), -(2**63)),
    "int8multirange": ("{[1,3)}", TEXT, "{[1,3)}"),
    "int8range": ("empty", TEXT, "empty"),
    "interval": ("1 year 2 days 03:04:05.006", TEXT, "1 year 2 days 03:04:05.006"),
    "json": ('{"a": [1, "é"]}', TEXT, '{"a": [1, "é"]}'),
    "jsonb": ('{"b":1,"a":null}', TEXT, '{"a": null, "b": 1}'),
    "jsonpath": ("$.a", TEXT, '$."a"'),
    "line": ("{1,2,3}", TEXT, "{1,2,3}"),
    "lseg": ("[(0,0),(1,1)]", TEXT, "[(0,0),(1,1)]"),
    "macaddr": ("08:00:2b:01:02:03", TEXT, "08:00:2b:01:02:03"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", TEXT, "08:00:2b:01:02:03:04:05"),
    "money": ("-1234.56", (Type.FLOAT64, None), -1234.56),
    "name": ("n", TEXT, "n"),
    "numeric": ("12345678901234567890123456789012.5", (Type.BYTES, DECIMAL), None),
    "nummultirange": ("{[1.5,2]}", TEXT, "{[1.5,2]}"),
    "numrange": ("(1.5,2]", TEXT, "(1.5,2]"),
    "oid": ("4294967295", (Type.INT64, None), 4294967295),
    "oidvector": ("1 2", TEXT, "1 2"),
    "path": ("((0,0),(1,1))", TEXT, "((0,0),(1,1))"),
    "pg_lsn": ("16/B374D848", TEXT, "16/B374D848"),
    "pg_snapshot": ("10:20:10", TEXT, "10:20:10"),
    "point": ("(1,-2.5)", TEXT, "(1,-2.5)"),
    "polygon": ("((0,0),(1,1),(2,0))", TEXT, "((0,0),(1,1),(2,0))"),
    "refcursor": ("r", TEXT, "r"),
    "regclass": ("pg_class", TEXT, "pg_class"),
    "regcollation": ('"C"', TEXT, '"C"'),
    "regconfig": ("simple", TEXT, "simple"),
    "regdictionary": ("simple", TEXT, "simple"),
    "regnamespace": ("pg_catalog", TEXT, "pg_catalog"),
    "regoper": ("pg_catalog.||/", TEXT, "||/"),
    "regoperator": ("+(integer,integer)", TEXT, "+(integer,integer)"),
    "regproc": ("now", TEXT, "now"),
    "regprocedure": ("now()", TEXT, "now()"),
    "regrole": ("postgres", TEXT, "postgres"),
    "regtype": ("integer", TEXT, "integer"),
    "text": ("é😀\n\t\"'\\", TEXT, "é😀\n\t\"'\\"),
    "tid": ("(1,2)", TEXT, "(1,2)"),
    "time": ("23:59:59.999999", (Type.INT32, TIME), 86399999),
    "timestamp": ("2024-02-29 12:34:56.789123", (Type.INT64, TIMESTAMP), 1709210096789),
    "timestamptz": ("2024-02-29 12:34:56.789+02", (Type.INT64, TIMESTAMP), 1709202896789),
    "timetz": ("01:00:00+02", (Type.INT32, TIME), 23 * 3600_000),
    "tsmultirange": ("{}", TEXT, "{}"),
    "tsquery": ("'a' & 'b'", TEXT, "'a' & 'b'"),
    "tsrange": ("empty", TEXT, "empty"),
    "tstzmultirange": ("{}", TEXT, "{}"),
    "tstzrange": ("empty", TEXT, "empty"),
    "tsvector": ("'a':1 'b':2", TEXT, "'a':1 'b':2"),
    "txid_snapshot": ("10:20:10", TEXT, "10:20:10"),
    "uuid": (
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        TEXT,
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    "varbit": ("10100", TEXT, "10100"),
    "varchar": ("v", TEXT, "v"),
    "xid": ("7", TEXT, "7"),
    "xid8": ("7", TEXT, "7"),
    "xml": ("<a>é</a>", TEXT, "<a>é</a>"),
}
SAMPLES["numeric"] = (
    "12345678901234567890123456789012.5",
    (Type.BYTES, DECIMAL),
    Decimal("12345678901234567890123456789012.5"),
)
# Columns may have these types, but no text is a value of theirs.
WITHOUT_INPUT = {
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
}

CATALOGUE = (
    "SELECT t.typname, EXISTS (SELECT FROM pg_type a WHERE a.oid = t.typarray)"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " WHERE n.nspname = 'pg_catalog' AND t.typtype IN ('b', 'd', 'e', 'r', 'm')"
    " AND t.typisdefined AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)"
    " ORDER BY 1"
)


def literal(text: str, type_name: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'::pg_catalog.\"{type_name}\""


async def test_every_type_of_the_catalogue_alone_and_in_an_array(
    postgres: Database[Postgres],
) -> None:
    catalogue = dict(line.split("\t") for line in postgres.sql(CATALOGUE).splitlines())
    assert set(catalogue) == set(SAMPLES) | WITHOUT_INPUT, "a type of this server has no sample"
    columns, values, expected, types = [], [], {}, {}
    for name, (text, kind, value) in SAMPLES.items():
        columns.append(f'"s {name}" pg_catalog."{name}"')
        values.append(literal(text, name))
        expected[f"s {name}"], types[f"s {name}"] = value, kind
        if catalogue[name] == "t":
            columns.append(f'"a {name}" pg_catalog."{name}"[]')
            values.append(f"ARRAY[{literal(text, name)}, NULL]")
            expected[f"a {name}"], types[f"a {name}"] = [value, None], kind
    for name in WITHOUT_INPUT:
        columns.append(f'"s {name}" pg_catalog."{name}"')
        values.append("NULL")
        expected[f"s {name}"], types[f"s {name}"] = None, TEXT
    user = postgres.user
    postgres.sql(
        f'CREATE TABLE every ({", ".join(columns)}); ALTER TABLE every OWNER TO "{user}";'
        f"INSERT INTO every VALUES ({', '.join(values)})"
    )
    for more in ({"table.whitelist": "every"}, {"query": "SELECT * FROM every"}):
        schema, value = await first(settings(postgres, mode="bulk") | more)
        assert value == expected
        found = {
            field.name: (inner.type, inner.name)
            for field in schema.fields
            for inner in [field.schema.values or field.schema]
        }
        assert found == types


async def test_types_a_user_makes(postgres: Database[Postgres]) -> None:
    postgres.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');"
        "CREATE TYPE pair AS (a int, b text);"
        "CREATE DOMAIN price AS numeric(10,2) NOT NULL;"
        "CREATE DOMAIN dear AS price CHECK (VALUE > 100);"
        "CREATE TYPE span AS RANGE (subtype = float8);"
        "CREATE TABLE made (m mood, ms mood[], p pair, ps pair[], d dear, ds dear[], s span,"
        " grid int[][], fixed numeric(6,3)[], bits bit(5), long bit(12), dates date[]);"
        "INSERT INTO made VALUES ('ok', '{sad,NULL}', '(1,\"x y\")', ARRAY['(2,z)'::pair], 250.5,"
        " '{300}', '[1,2)', '{{1,2},{3,NULL}}', '{1.5}', '10101', '101010101010',"
        f" '{{2024-02-29,infinity}}'); ALTER TABLE made OWNER TO \"{postgres.user}\""
    )
    schema, value = await first(settings(postgres, mode="bulk", table__whitelist="made"))
    assert value == {
        "m": "ok",
        "ms": ["sad", None],
        "p": '(1,"x y")',
        "ps": ["(2,z)"],
        "d": Decimal("250.50"),
        "ds": [Decimal("300.00")],
        "s": "[1,2)",
        "grid": [[1, 2], [3, None]],
        "fixed": [Decimal("1.500")],
        "bits": 0b10101,
        "long": b"101010101010",
        "dates": [19782, 2**31 - 1],
    }
    fields = schema.by_name
    assert (fields["d"].scale, fields["d"].optional) == (2, False)
    assert fields["fixed"].values is not None
    assert fields["fixed"].values.scale == 3
    assert fields["grid"].values is not None
    assert fields["grid"].values.type is Type.ARRAY
    assert (fields["bits"].type, fields["long"].type) == (Type.INT8, Type.BYTES)


async def test_times_at_the_edges(postgres: Database[Postgres]) -> None:
    postgres.sql(
        "CREATE TABLE edges (id int, d date, t timestamp, z timestamptz, o time);"
        "INSERT INTO edges VALUES (1, '0001-01-01', '0001-01-01', '0001-01-01 00:00+00', '00:00'),"
        " (2, '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 00:00+00 BC', '24:00'),"
        " (3, 'infinity', 'infinity', 'infinity', NULL),"
        " (4, '-infinity', '-infinity', '-infinity', NULL),"
        " (5, '5874897-12-31', '294276-12-31 23:59:59.999999', NULL, NULL);"
        f'ALTER TABLE edges OWNER TO "{postgres.user}"'
    )

    async def read_all(**more: str) -> list[dict[str, Any]]:
        config = settings(postgres, mode="incrementing", incrementing__column__name="id")
        config |= {"table.whitelist": "edges", "validate.non.null": "false", **more}
        return await read(config, 5)

    one, two, three, four, five = await read_all()
    assert one == {"id": 1, "d": -719162, "t": -62135596800000, "z": -62135596800000, "o": 0}
    assert (two["d"], two["t"], two["o"]) == (-2440550, -210863520000000, 86400000)
    assert (three["d"], three["t"]) == (2**31 - 1, 9223372036825200000)
    assert (four["d"], four["z"]) == (-(2**31), -9223372036832400000)
    assert (five["d"], five["t"]) == (2145042905, 9224318015999999)
    iso = await read_all(**{"timestamp.granularity": "micros_iso_datetime_string"})
    assert [row["t"] for row in iso] == [
        "0001-01-01T00:00:00.000000",
        "-4712-01-01T00:00:00.000000",
        "infinity",
        "-infinity",
        "294276-12-31T23:59:59.999999",
    ]


@pytest.mark.parametrize(
    ("mapping", "types"),
    [
        ("none", [DECIMAL] * 6),
        ("precision_only", [Type.INT8, Type.INT64, DECIMAL, DECIMAL, DECIMAL, DECIMAL]),
        ("best_fit", [Type.INT8, Type.INT64, Type.INT32, Type.FLOAT64, DECIMAL, DECIMAL]),
        (
            "BEST_FIT_EAGER_DOUBLE",
            [Type.INT8, Type.INT64, Type.INT32, Type.FLOAT64, Type.FLOAT64, Type.FLOAT64],
        ),
    ],
)
async def test_numeric_mapping(
    postgres: Database[Postgres], mapping: str, types: list[Any]
) -> None:
    postgres.sql(
        "CREATE TABLE n (a numeric(2), b numeric(18), c numeric(4,-2), d numeric(18,2),"
        " e numeric(30,2), f numeric);"
        "INSERT INTO n VALUES (-99, 999999999999999999, 123400, 0.25, 0.5, 0.125);"
        f'ALTER TABLE n OWNER TO "{postgres.user}"'
    )
    schema, value = await first(
        settings(postgres, mode="bulk", table__whitelist="n", numeric__mapping=mapping)
    )
    assert [field.schema.name or field.schema.type for field in schema.fields] == types
    assert list(value.values()) == [-99, 999999999999999999, 123400, 0.25, 0.5, 0.125]
    assert [type(item) is Decimal for item in value.values()] == [t == DECIMAL for t in types]

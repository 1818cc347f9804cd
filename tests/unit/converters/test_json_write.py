"""Writing envelopes, against the bytes that JsonConverter 4.3.1 wrote for the same values."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import BatchError, DataError, Schema, Type
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
    map_of,
    struct,
)
from coracle.converters.decimal_bytes import from_bytes, to_bytes
from coracle.converters.json import JsonConverter
from tests.unit.converters.forms import configured

# Taken from JsonConverter.fromConnectData of connect-json-4.3.1 on Java 17, with these very schemas
# and values; "é" and U+2028 are raw bytes there, the emoji is two escapes.
INNER = struct({"x": INT8}, name="in", version=3, optional=True, doc="dé").with_(
    parameters={"p": "q"}
)
ROW = struct(
    {
        "b": BOOLEAN,
        "i16": INT16.as_optional(),
        "i32": INT32.with_(doc="doc", default=7),
        "i64": INT64.with_(optional=True, default=9),
        "f": FLOAT32,
        "d": FLOAT64,
        "s": STRING,
        "y": BYTES,
        "a": array(OPTIONAL_STRING),
        "m": map_of(STRING, INT32),
        "mi": map_of(INT32, STRING, optional=True),
        "in": INNER,
        "dec": decimal(2, precision=9).with_(default=Decimal("1.25")),
        "date": DATE_SCHEMA,
        "time": TIME_SCHEMA,
        "ts": TIMESTAMP_SCHEMA.as_optional(),
    },
    name="s",
)
VALUE = {
    "b": True,
    "i16": None,
    "i32": 5,
    "i64": None,
    "f": 0.10000000149011612,
    "d": 2.5,
    "s": 'hé\u2028"\\/\x01\x7f😀<>&',
    "y": b"\0\xff\1",
    "a": ["q", None],
    "m": {"k": 1},
    "mi": {1: "z"},
    "in": {"x": 3},
    "dec": Decimal("-123.45"),
    "date": 3,
    "time": 1234,
    "ts": 99,
}
SCHEMA_TEXT = (
    '{"type":"struct","fields":[{"type":"boolean","optional":false,"field":"b"},'
    '{"type":"int16","optional":true,"field":"i16"},'
    '{"type":"int32","optional":false,"doc":"doc","default":7,"field":"i32"},'
    '{"type":"int64","optional":true,"default":9,"field":"i64"},'
    '{"type":"float","optional":false,"field":"f"},{"type":"double","optional":false,"field":"d"},'
    '{"type":"string","optional":false,"field":"s"},{"type":"bytes","optional":false,"field":"y"},'
    '{"type":"array","items":{"type":"string","optional":true},"optional":false,"field":"a"},'
    '{"type":"map","keys":{"type":"string","optional":false},'
    '"values":{"type":"int32","optional":false},"optional":false,"field":"m"},'
    '{"type":"map","keys":{"type":"int32","optional":false},'
    '"values":{"type":"string","optional":false},"optional":true,"field":"mi"},'
    '{"type":"struct","fields":[{"type":"int8","optional":false,"field":"x"}],"optional":true,'
    '"name":"in","version":3,"doc":"dé","parameters":{"p":"q"},"field":"in"},'
    '{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,'
    '"parameters":{"scale":"2","connect.decimal.precision":"9"},"default":"fQ==","field":"dec"},'
    '{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,'
    '"field":"date"},'
    '{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Time","version":1,'
    '"field":"time"},'
    '{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,'
    '"field":"ts"}],"optional":false,"name":"s"}'
)
PAYLOAD_TEXT = (
    '{"b":true,"i16":null,"i32":5,"i64":9,"f":0.1,"d":2.5,'
    '"s":"hé\u2028\\"\\\\/\\u0001\x7f\\uD83D\\uDE00<>&","y":"AP8B","a":["q",null],"m":{"k":1},'
    '"mi":[[1,"z"]],"in":{"x":3},"dec":"z8c=","date":3,"time":1234,"ts":99}'
)


async def write(schema: Schema | None, *values: Any, **settings: str) -> list[str | None]:
    converter = configured(JsonConverter, **settings)
    return [
        text if text is None else text.decode()
        for text in await converter.from_connect("t", schema, values)
    ]


async def test_an_envelope_is_the_jvms_byte_for_byte() -> None:
    assert await write(ROW, VALUE) == [f'{{"schema":{SCHEMA_TEXT},"payload":{PAYLOAD_TEXT}}}']


async def test_without_schemas_only_the_payload() -> None:
    assert await write(ROW, VALUE, schemas_enable="false") == [PAYLOAD_TEXT]


async def test_decimals_as_numbers() -> None:
    (text,) = await write(ROW, VALUE, schemas_enable="false", decimal_format="numeric")
    assert text == PAYLOAD_TEXT.replace('"z8c="', "-123.45")


async def test_nulls_may_stay_null() -> None:
    (text,) = await write(ROW, VALUE, schemas_enable="false", replace_null_with_default="false")
    assert text == PAYLOAD_TEXT.replace('"i64":9', '"i64":null')


async def test_values_are_not_changed() -> None:
    before = repr(VALUE)
    await write(ROW, VALUE)
    assert repr(VALUE) == before


async def test_writing_and_reading_give_the_same() -> None:
    converter = configured(JsonConverter)
    column = await converter.to_connect("t", await converter.from_connect("t", ROW, [VALUE]))
    assert column.schemas == [ROW]
    assert column.values == [{**VALUE, "f": 0.1, "i64": 9}]


@pytest.mark.parametrize(
    ("schema", "value", "settings", "expected"),
    [
        (None, None, {}, None),
        (OPTIONAL_STRING, None, {}, '{"schema":{"type":"string","optional":true},"payload":null}'),
        (None, {"a": 1}, {}, '{"schema":null,"payload":{"a":1}}'),
        (None, None, {"schemas_enable": "false"}, None),
        (OPTIONAL_STRING, None, {"schemas_enable": "false"}, "null"),
    ],
)
async def test_nulls(schema: Schema | None, value: Any, settings: Any, expected: Any) -> None:
    assert await write(schema, value, **settings) == [expected]
    with pytest.raises(BatchError, match="null value for required STRING field"):
        await write(STRING, None, **settings)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (FLOAT64, float("nan"), '"NaN"'),
        (FLOAT64, float("inf"), '"Infinity"'),
        (FLOAT32, float("-inf"), '"-Infinity"'),
        (FLOAT64, -0.0, "-0.0"),
        (FLOAT64, 5e-324, "5e-324"),
        (FLOAT64, 3, "3.0"),
        (FLOAT32, 3.4028234663852886e38, "3.4028235e+38"),
        (FLOAT32, 16777216.0, "16777216.0"),
        (FLOAT32, 1.401298464324817e-45, "1e-45"),
        (FLOAT32, 123456.78125, "123456.78"),
        (decimal(2), Decimal("1.50"), '"AJY="'),
        (decimal(2), Decimal("-0.05"), '"+w=="'),
        (decimal(-3), Decimal("1E+3"), '"AQ=="'),
        (decimal(2), Decimal("123456789012345678901234567890.12"), '"AJvTCjxkWUPdFpCgOhQ="'),
        (decimal(9), Decimal("0E-9"), '"AA=="'),
        (decimal(0), Decimal(-1), '"/w=="'),
        (decimal(0), Decimal(100), '"ZA=="'),
        (decimal(2), Decimal("1.5"), '"AJY="'),  # the JVM asks for the same scale
        (BYTES, bytearray(b"\1\2"), '"AQI="'),
        (BYTES, memoryview(b"\1\2"), '"AQI="'),
        (None, b"\1\2", '"AQI="'),
        (None, {"a": None, 1: 2, None: 3}, '[["a",null],[1,2],[null,3]]'),
        (None, [float("nan"), None, {"x": b"\1"}], '["NaN",null,{"x":"AQ=="}]'),
        (None, {"x": float("inf")}, '{"x":"Infinity"}'),
        (map_of(OPTIONAL_STRING, INT32.as_optional()), {None: None}, '{"null":null}'),
        (map_of(INT32, BYTES), {1: b"\1"}, '[[1,"AQ=="]]'),
        (array(array(decimal(1))), [[Decimal("0.5")], []], '[["BQ=="],[]]'),
        (struct({}), {}, "{}"),
        (struct({"a": INT32, "b": OPTIONAL_STRING}), {"a": 1}, '{"a":1,"b":null}'),
        (struct({"a": INT32, "b": OPTIONAL_STRING}), {"b": "x", "a": 1}, '{"a":1,"b":"x"}'),
        (struct({"a": INT32.with_(default=4)}), {}, '{"a":4}'),
    ],
)
async def test_payloads(schema: Schema | None, value: Any, expected: str) -> None:
    assert await write(schema, value, schemas_enable="false") == [expected]


@pytest.mark.parametrize(
    "number", ["1.50", "1E+3", "1E-10", "1E-7", "0.000001", "0E-9", "1.2E+30", "-0.05", "100"]
)
async def test_decimal_numbers_are_written_as_big_decimal_does(number: str) -> None:
    texts = await write(
        decimal(2), Decimal(number), schemas_enable="false", decimal_format="NUMERIC"
    )
    assert texts == [number]


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        (INT32, "x", "INT32: found a string"),
        (INT32, True, "INT32: found a boolean"),
        (INT32, 2**31, "not in the range"),
        (INT8, -129, "not in the range"),
        (INT64, 2**63, "not in the range"),
        (FLOAT32, 1e39, "too large"),
        (FLOAT64, 10**400, "too large"),
        (STRING, 1, "STRING: found an integer"),
        (STRING, "a\ud800b", "surrogates"),
        (BYTES, "x", "BYTES: found a string"),
        (decimal(1), Decimal("1.25"), "scale"),
        (decimal(1), Decimal("NaN"), "finite"),
        (decimal(1), 1.5, "Decimal: found a number"),
        (decimal(1).with_(parameters={}), Decimal(1), "scale"),
        (TIME_SCHEMA, 86_400_001, "Time"),
        (array(INT32), {}, "ARRAY: found an object"),
        (array(INT32), [None], "null value"),
        (map_of(STRING, INT32), {1: 1}, "STRING: found an integer"),
        (struct({"a": INT32}), {"a": 1, "b": 2}, "b is not a valid field name"),
        (struct({"a": INT32}), [1], "STRUCT: found an array"),
        (None, 2**64, "64-bit"),
        (None, Decimal(1), "JSON has no form for a decimal number"),
        (None, {"x": {1, 2}}, "JSON has no form for a Python set"),
    ],
)
async def test_what_has_no_place_is_refused(schema: Schema | None, value: Any, words: str) -> None:
    with pytest.raises((BatchError, DataError), match=words):
        await write(schema, value, schemas_enable="false")


async def test_values_nested_too_deeply_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(BatchError, match="nested too deeply"):
        await write(None, deep)


async def test_bad_values_are_named_and_no_others() -> None:
    values: list[Any] = list(range(30))
    values[4] = values[20] = "x"
    with pytest.raises(BatchError) as caught:
        await write(INT32, *values)
    assert list(caught.value.failures) == [4, 20]


async def test_schemaless_nulls_among_values() -> None:
    assert await write(None, 1, None, "x", schemas_enable="false") == ["1", None, '"x"']


@pytest.mark.parametrize("scale", [0, 2, 38, -3])
@given(unscaled=st.integers(-(10**60), 10**60))
def test_decimal_bytes_round_trip(scale: int, unscaled: int) -> None:
    data = to_bytes(Decimal(unscaled), 0)
    assert int.from_bytes(data, "big", signed=True) == unscaled
    assert from_bytes(data, 0) == unscaled
    assert to_bytes(from_bytes(data, scale), scale) == data
    # The shortest two's complement: dropping a byte changes the number.
    if len(data) > 1:
        assert int.from_bytes(data[1:], "big", signed=True) != unscaled


LEAVES: dict[Schema, st.SearchStrategy[Any]] = {
    INT8: st.integers(-(2**7), 2**7 - 1),
    INT64: st.integers(-(2**63), 2**63 - 1),
    FLOAT64: st.floats(allow_nan=False),
    BOOLEAN: st.booleans(),
    STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    BYTES: st.binary(max_size=5),
    decimal(3): st.integers(-(10**30), 10**30).map(
        lambda n: from_bytes(to_bytes(Decimal(n), 0), 3)
    ),
    TIMESTAMP_SCHEMA: st.integers(-(2**63), 2**63 - 1),
}


def values_of(schema: Schema) -> st.SearchStrategy[Any]:
    present: st.SearchStrategy[Any]
    match schema.type:
        case Type.STRUCT:
            present = st.fixed_dictionaries(
                {member.name: values_of(member.schema) for member in schema.fields}
            )
        case Type.ARRAY if schema.values is not None:
            present = st.lists(values_of(schema.values), max_size=3)
        case Type.MAP if schema.keys is not None and schema.values is not None:
            present = st.dictionaries(values_of(schema.keys), values_of(schema.values), max_size=3)
        case _:
            present = LEAVES[schema.with_(optional=False)]
    return st.none() | present if schema.optional else present


def either(schema: Schema) -> st.SearchStrategy[Schema]:
    return st.sampled_from([schema, schema.as_optional()])


schemas = st.recursive(
    st.sampled_from(list(LEAVES)).flatmap(either),
    lambda inner: st.one_of(
        inner.map(array).flatmap(either),
        inner.map(lambda values: map_of(STRING, values)).flatmap(either),
        inner.map(lambda values: map_of(INT8, values)).flatmap(either),
        st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3)
        .map(struct)
        .flatmap(either),
    ),
    max_leaves=5,
)


@given(st.data())
def test_any_value_round_trips(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    values = data.draw(st.lists(values_of(schema), min_size=1, max_size=4))
    converter = configured(
        JsonConverter, decimal_format=data.draw(st.sampled_from(["BASE64", "NUMERIC"]))
    )

    async def round_trip() -> Any:
        return await converter.to_connect("t", await converter.from_connect("t", schema, values))

    column = asyncio.run(round_trip())
    assert column.values == values
    assert column.schemas == [schema]

"""SimpleHeaderConverter, against what the one of Kafka Connect 4.3.1 makes of the same text."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import ConfigSpec, DataError, Header, Schema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT8,
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
from coracle.converters.header_adapter import ConverterAsHeaderConverter
from coracle.converters.header_values import parse
from coracle.converters.json import JsonConverter
from coracle.converters.simple_header import SimpleHeaderConverter
from coracle.converters.string import StringConverter
from tests.unit.converters.forms import golden, schema_form, value_form

# Text that the JVM bends or cuts; the right-hand side is what we make of it.
TEXT = "string"
DIFFERENCES: dict[str, tuple[str, Any]] = {
    "null": ("-", None),
    "1e-400": ("bytes:Decimal{scale=400}", "decimal 1E-400"),
    "123456789.123456789": ("bytes:Decimal{scale=9}", "decimal 123456789.123456789"),
    "12345678901234567890.5": ("bytes:Decimal{scale=1}", "decimal 12345678901234567890.5"),
    "16777217.5": ("float64", 16777217.5),
    "0.30000001": ("float64", 0.30000001),
    "0.3000000000000001": ("float64", 0.3000000000000001),
    "1e-46": ("float64", 1e-46),
    "1e-45": ("float32", 1e-45),
    "12345.678901234567": ("float64", 12345.678901234567),
    "2.718281828459045": ("float64", 2.718281828459045),
    "12345678.9": ("float64", 12345678.9),
    "33333333.3": ("float64", 33333333.3),
    "1.00000001": ("float64", 1.00000001),
    "0001-01-01": ("int32:Date", -719162),
    **{
        text: (TEXT, text)
        for text in (
            "1]",
            "[1] x",
            "[1][2]",
            '{"a":1 "b":2}',
            '{"a":1}x',
            "{[1]:2}",
            "2019-13-01",
            "2019-02-30",
            "24:00:00.000Z",
            "14:34:54.346",
            "14:34:54",
            "1,2",
            "\u0661",
            "1\0",
            "true\0",
        )
    },
}
LINES = list(golden("header_values.tsv"))


def converter() -> SimpleHeaderConverter:
    simple = SimpleHeaderConverter()
    simple.configure(SimpleHeaderConverter.spec.parse({}))
    return simple


@pytest.mark.parametrize(("text", "schema", "expected"), LINES)
def test_reads_as_kafka_connect_does(text: str, schema: str, expected: Any) -> None:
    schema, expected = DIFFERENCES.get(text, (schema, expected))
    header = converter().to_connect_header("t", "h", text.encode())
    assert schema_form(header.schema) == schema
    found = value_form(header.schema, header.value)
    assert (found, repr(found).count(".")) == (expected, repr(expected).count("."))


def test_the_list_of_differences_is_true() -> None:
    jvm = {text: (schema, value) for text, schema, value in LINES}
    assert jvm.keys() >= DIFFERENCES.keys()
    assert [text for text, ours in DIFFERENCES.items() if jvm[text] == ours] == []


def test_nothing_and_invalid_utf8() -> None:
    assert converter().to_connect_header("t", "h", None) == Header("h", None, None)
    assert converter().to_connect_header("t", "h", b"\xff") == Header("h", STRING, "\ufffd")


# The texts are those of SimpleHeaderConverter 4.3.1, except where a comment says otherwise.
WRITTEN: list[tuple[Schema | None, Any, str | None]] = [
    (None, None, None),
    (OPTIONAL_STRING, None, None),
    (STRING, "abc", "abc"),
    (STRING, 'a"b\\c', 'a"b\\c'),
    (STRING, "", ""),
    (None, "abc", "abc"),
    (INT32, 5, "5"),
    (FLOAT64, 1e10, "1.0E10"),
    (FLOAT32, 0.10000000149011612, "0.1"),
    (BOOLEAN, True, "true"),
    (BYTES, b"\1\2\xff", "AQL/"),
    (decimal(2), Decimal("1.50"), "1.50"),
    (decimal(-3), Decimal("1E+3"), "1E+3"),
    (DATE_SCHEMA, 3, "1970-01-04"),
    (TIME_SCHEMA, 1234, "00:00:01.234Z"),
    (TIMESTAMP_SCHEMA, 1566570894346, "2019-08-23T14:34:54.346Z"),
    (TIMESTAMP_SCHEMA, 5, "1970-01-01T00:00:00.005Z"),  # 4.3.1 writes a time
    (TIMESTAMP_SCHEMA, 1566518400000, "2019-08-23T00:00:00.000Z"),  # 4.3.1 writes a date
    (array(STRING), ["a", 'b"c', None], '["a","b\\"c",null]'),
    (array(INT32), [1, 2], "[1,2]"),
    (array(BYTES), [b"\1"], '["AQ=="]'),
    (array(array(STRING)), [["q"]], '[["q"]]'),
    (map_of(STRING, INT32), {"a": 1}, '{"a":1}'),
    (map_of(INT32, STRING), {1: "x"}, '{1:"x"}'),
    (map_of(STRING, array(FLOAT64)), {"a": [1.0]}, '{"a":[1.0]}'),
    (struct({"a": INT32, "b": OPTIONAL_STRING}), {"a": 1, "b": "x"}, '{"a":1,"b":"x"}'),
    (array(struct({"a": INT32, "b": OPTIONAL_STRING})), [{"a": 1}], '[{"a":1,"b":null}]'),
    (INT64, "x", "x"),
    (STRING, 5, "5"),
]


@pytest.mark.parametrize(("schema", "value", "text"), WRITTEN)
def test_writes_as_kafka_connect_does(schema: Schema | None, value: Any, text: str | None) -> None:
    data = converter().from_connect_header("t", Header("h", schema, value))
    assert data == (None if text is None else text.encode())


@pytest.mark.parametrize(
    ("schema", "value"),
    [(TIMESTAMP_SCHEMA, 2**62), (DATE_SCHEMA, -(2**31)), (None, {1, 2}), (STRING, "\ud800")],
)
def test_what_has_no_text_is_refused(schema: Schema | None, value: Any) -> None:
    with pytest.raises(DataError):
        converter().from_connect_header("t", Header("h", schema, value))


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    schema, value = parse(text)
    assert schema is not None or value is None
    if schema == STRING:
        assert value == text


@given(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(lambda value: (INT64, value)),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: (FLOAT64, value)),
        st.booleans().map(lambda value: (BOOLEAN, value)),
        st.integers(-719162, 2932896).map(lambda value: (DATE_SCHEMA, value)),
        st.integers(0, 86_399_999).map(lambda value: (TIME_SCHEMA, value)),
        st.integers(-62135596800000, 253402300799999).map(lambda value: (TIMESTAMP_SCHEMA, value)),
        st.lists(st.integers(-128, 127)).map(lambda value: (array(INT8), value)),
        st.dictionaries(st.from_regex(r"[a-z\"\\]{1,4}", fullmatch=True), st.booleans()).map(
            lambda value: (map_of(STRING, BOOLEAN), value)
        ),
    )
)
def test_values_round_trip(typed: tuple[Schema, Any]) -> None:
    schema, value = typed
    data = converter().from_connect_header("t", Header("h", schema, value))
    header = converter().to_connect_header("t", "h", data)
    if schema == FLOAT64:  # 1.0E16 is read as an integer, which may have more digits than the float
        assert float(header.value) == value
    else:
        assert header.value == value
    if schema.name:
        assert header.schema == schema


@pytest.mark.parametrize(
    "text", ["[" * 5000, "[" * 5000 + "]" * 5000, "[1," * 20_000, "1e999999999"]
)
def test_hostile_text_is_text(text: str) -> None:
    assert parse(text) == (STRING, text)


def test_any_converter_converts_headers() -> None:
    adapter = ConverterAsHeaderConverter(StringConverter())
    adapter.configure(StringConverter.spec.parse({}))
    assert adapter.to_connect_header("t", "h", b"1") == Header("h", OPTIONAL_STRING, "1")
    assert adapter.to_connect_header("t", "h", None) == Header("h", OPTIONAL_STRING, None)
    assert adapter.from_connect_header("t", Header("h", INT8, 1)) == b"1"
    adapter = ConverterAsHeaderConverter(JsonConverter())
    adapter.configure(JsonConverter.spec.parse({}))
    with pytest.raises(DataError, match=r"schemas\.enable"):
        adapter.to_connect_header("t", "h", b"{}")
    with pytest.raises(DataError, match="INT8"):
        adapter.from_connect_header("t", Header("h", INT8, "x"))


def test_a_converter_that_waits_cannot_convert_headers() -> None:
    class Waiting(StringConverter):
        spec = ConfigSpec([])

        async def from_connect(self, topic: str, schema: Schema | None, values: Any) -> Any:
            await asyncio.sleep(0)

    with pytest.raises(Exception, match="Waiting has to wait for the network"):
        ConverterAsHeaderConverter(Waiting()).from_connect_header("t", Header("h", None, "x"))

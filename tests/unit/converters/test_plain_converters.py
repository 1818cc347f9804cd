"""String, bytes, boolean and number converters, against Kafka Connect 4.3.1.

Texts, bytes and messages were printed by the converter classes of connect-api and connect-runtime
4.3.1 on Java 17.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from coracle.api import BatchError, ConfigError, Converter, Schema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    OPTIONAL_BYTES,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP_SCHEMA,
    array,
    decimal,
    map_of,
    struct,
)
from coracle.converters.boolean import BooleanConverter
from coracle.converters.bytes import ByteArrayConverter
from coracle.converters.number import (
    DoubleConverter,
    FloatConverter,
    IntegerConverter,
    LongConverter,
    ShortConverter,
)
from coracle.converters.string import StringConverter
from tests.unit.converters.forms import configured

ROW = struct(
    {
        "a": INT32,
        "b": OPTIONAL_STRING,
        "l": array(FLOAT64).as_optional(),
        "m": map_of(STRING, BOOLEAN).as_optional(),
    }
)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (None, None, None),
        (None, 1, b"1"),
        (BOOLEAN, True, b"true"),
        (None, 1.0, b"1.0"),
        (FLOAT64, 1e10, b"1.0E10"),
        (FLOAT64, 12345678.9, b"1.23456789E7"),
        (FLOAT64, 9999999.0, b"9999999.0"),
        (FLOAT64, 1e-5, b"1.0E-5"),
        (FLOAT64, 9.9e-4, b"9.9E-4"),
        (FLOAT64, 0.001, b"0.001"),
        (FLOAT64, -0.0, b"-0.0"),
        (FLOAT64, 1.5e300, b"1.5E300"),
        (FLOAT64, float("nan"), b"NaN"),
        (FLOAT64, float("-inf"), b"-Infinity"),
        (FLOAT32, 0.10000000149011612, b"0.1"),
        (FLOAT32, 3.4028234663852886e38, b"3.4028235E38"),
        (decimal(2), Decimal("1.50"), b"1.50"),
        (decimal(-3), Decimal("1E+3"), b"1E+3"),
        (STRING, "café€😀", "café€😀".encode()),
        (None, [1, None, "x"], b"[1, null, x]"),
        (None, {"a": 1}, b"{a=1}"),
        (None, {}, b"{}"),
        (
            ROW,
            {"a": 1, "b": "x", "l": [1.0], "m": {"k": True}},
            b"Struct{a=1,b=x,l=[1.0],m={k=true}}",
        ),
        (ROW, {"a": 1, "b": None}, b"Struct{a=1}"),
        (TIMESTAMP_SCHEMA, 0, b"Thu Jan 01 00:00:00 UTC 1970"),
        (DATE_SCHEMA, 19000, b"Sat Jan 08 00:00:00 UTC 2022"),
    ],
)
async def test_strings_are_java_text(schema: Schema | None, value: Any, text: bytes) -> None:
    assert await configured(StringConverter).from_connect("t", schema, [value]) == [text]


# Computed by StringConverter 4.3.1: the number of U+FFFD per malformed sequence.
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("eda080", "\ufffd"),
        ("edbfbf41", "\ufffdA"),
        ("eda0bdedb880", "\ufffd\ufffd"),
        ("eda0", "\ufffd"),
        ("ed80", "\ufffd"),
        ("f0808080", "\ufffd" * 4),
        ("f4908080", "\ufffd" * 4),
        ("c080", "\ufffd" * 2),
        ("f09f98", "\ufffd"),
        ("e28241", "\ufffdA"),
        ("e2e282ac", "\ufffd€"),
        ("61ffe28262eda080f09f", "a\ufffd\ufffdb\ufffd\ufffd"),
        ("", ""),
    ],
)
async def test_malformed_utf8_is_replaced_as_java_does(data: str, text: str) -> None:
    column = await configured(StringConverter).to_connect("t", [bytes.fromhex(data), b"x"])
    assert column == ([text, "x"], [OPTIONAL_STRING], None)


async def test_other_encodings() -> None:
    latin = configured(StringConverter, converter_encoding="ISO-8859-1")
    assert (await latin.to_connect("t", [b"\xe9", None])).values == ["é", None]
    assert await latin.from_connect("t", None, ["é", None]) == [b"\xe9", None]
    with pytest.raises(BatchError, match="cannot be written as iso8859-1") as caught:
        await latin.from_connect("t", None, ["é", "€", "x"])
    assert list(caught.value.failures) == [1]


@pytest.mark.parametrize("encoding", ["nope", "base64", "UTF-16", "utf_32"])
def test_encodings_that_are_refused(encoding: str) -> None:
    with pytest.raises(ConfigError, match=r"converter\.encoding") as caught:
        configured(StringConverter, converter_encoding=encoding)
    assert caught.value.field == "converter.encoding"


@pytest.mark.parametrize("value", [b"x", "\ud800", {1}, [b"x"]])
async def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(BatchError) as caught:
        await configured(StringConverter).from_connect("t", None, ["good", value])
    assert list(caught.value.failures) == [1]


async def test_bytes_pass_through() -> None:
    converter = configured(ByteArrayConverter)
    data = [b"\1", None, b""]
    assert await converter.to_connect("t", data) == (data, [OPTIONAL_BYTES], None)
    assert await converter.from_connect("t", BYTES, data) == data
    assert await converter.from_connect("t", None, [bytearray(b"x"), memoryview(b"y")]) == [
        b"x",
        b"y",
    ]
    with pytest.raises(BatchError, match="Invalid schema type for ByteArrayConverter: STRING"):
        await converter.from_connect("t", STRING, ["x", None])
    with pytest.raises(BatchError, match="not compatible with objects of type str") as caught:
        await converter.from_connect("t", None, [b"x", "y"])
    assert list(caught.value.failures) == [1]
    with pytest.raises(BatchError, match="not compatible with objects of type Decimal"):
        await converter.from_connect("t", decimal(2), [Decimal("1.50")])


async def test_booleans() -> None:
    converter = configured(BooleanConverter)
    column = await converter.to_connect("t", [b"\1", None, b"\0"])
    assert column == ([True, None, False], [BOOLEAN.as_optional()], None)
    assert await converter.from_connect("t", BOOLEAN, [True, None, False]) == [b"\1", None, b"\0"]
    with pytest.raises(BatchError) as caught:
        await converter.to_connect("t", [b"\1", b"\2", b"", b"\0\0"])
    assert list(caught.value.failures) == [1, 2, 3]
    assert "Unexpected byte received by BooleanDeserializer: 2" in str(caught.value.failures[1])
    assert "Size of data received by BooleanDeserializer is not 1" in str(caught.value.failures[2])
    with pytest.raises(BatchError, match="Invalid schema type for BooleanConverter: STRING"):
        await converter.from_connect("t", STRING, [None])
    with pytest.raises(BatchError, match="not compatible"):
        await converter.from_connect("t", None, [1])


NUMBERS: list[tuple[type[Converter], Schema, Any, str]] = [
    (ShortConverter, INT16, -2, "fffe"),
    (IntegerConverter, INT32, -2, "fffffffe"),
    (LongConverter, INT64, -2, "fffffffffffffffe"),
    (FloatConverter, FLOAT32, -1.5, "bfc00000"),
    (DoubleConverter, FLOAT64, -1.5, "bff8000000000000"),
]


@pytest.mark.parametrize(("kind", "schema", "value", "data"), NUMBERS)
async def test_numbers(kind: type[Converter], schema: Schema, value: Any, data: str) -> None:
    converter = configured(kind)
    raw = bytes.fromhex(data)
    assert await converter.from_connect("t", schema, [value, None]) == [raw, None]
    assert await converter.from_connect("t", None, [value]) == [raw]
    for batch in ([raw, raw], [raw, None]):
        column = await converter.to_connect("t", batch)
        assert column == ([value, value if batch[1] else None], [schema.as_optional()], None)
    assert await converter.to_connect("t", []) == ([], [schema.as_optional()], None)
    with pytest.raises(BatchError, match=f"is not {len(raw)} but {len(raw) + 1}") as caught:
        await converter.to_connect("t", [raw, raw + b"\0", b""])
    assert list(caught.value.failures) == [1, 2]
    with pytest.raises(BatchError, match="Failed to serialize to") as caught:
        await converter.from_connect("t", None, [value, "x", True])
    assert list(caught.value.failures) == [1, 2]
    assert await converter.from_connect("t", STRING, [None]) == [None]
    with pytest.raises(BatchError, match="was STRING"):
        await converter.from_connect("t", STRING, [value])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ShortConverter, 2**15),
        (IntegerConverter, 2**31),
        (LongConverter, 2**63),
        (FloatConverter, 1e39),
    ],
)
async def test_numbers_out_of_range(kind: type[Converter], value: Any) -> None:
    with pytest.raises(BatchError, match="out of range"):
        await configured(kind).from_connect("t", None, [value])


async def test_dates_are_no_numbers() -> None:
    with pytest.raises(BatchError, match=r"was org\.apache\.kafka\.connect\.data\.Date"):
        await configured(IntegerConverter).from_connect("t", DATE_SCHEMA, [1])

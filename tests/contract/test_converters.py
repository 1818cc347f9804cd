"""What every converter promises, checked for each one that is installed.

A plugin's own tests can run this suite too: the converters come from the entry points.
"""

from __future__ import annotations

import pickle
from importlib.metadata import entry_points
from typing import Any

import pytest

from coracle.api import BatchError, Converter, DataError, Header, HeaderConverter, Schema
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    STRING,
    struct,
)
from coracle.converters.header_adapter import ConverterAsHeaderConverter

ROW = struct({"id": INT64, "name": STRING.as_optional()}, name="row")
BAD = object()  # no converter knows what this is

# Per converter: values of one schema that it can write, and bytes that it cannot read (None: none).
SAMPLES: dict[str, tuple[Schema, list[Any], bytes | None]] = {
    "JsonConverter": (
        ROW,
        [{"id": n, "name": None if n == 3 else f"n{n}"} for n in range(7)],
        b"{",
    ),
    "StringConverter": (STRING, [f"text {n}" for n in range(7)], None),
    "ByteArrayConverter": (BYTES, [bytes([n]) for n in range(7)], None),
    "BooleanConverter": (BOOLEAN, [n % 2 == 0 for n in range(7)], b"\7"),
    "ShortConverter": (INT16, list(range(-3, 4)), b"abc"),
    "IntegerConverter": (INT32, list(range(-3, 4)), b"abc"),
    "LongConverter": (INT64, list(range(-3, 4)), b"abc"),
    "FloatConverter": (FLOAT32, [n / 2 for n in range(7)], b"abc"),
    "DoubleConverter": (FLOAT64, [n / 2 for n in range(7)], b"abc"),
}
CONVERTERS = {point.name: point for point in entry_points(group="coracle.converters")}
UNREADABLE = [name for name in CONVERTERS if SAMPLES[name.rpartition(".")[2]][2] is not None]


def load(name: str) -> tuple[Converter, Schema, list[Any], bytes | None]:
    converter: Converter = CONVERTERS[name].load()()
    converter.configure(converter.spec.parse({}), "value")
    return converter, *SAMPLES[name.rpartition(".")[2]]


every_converter = pytest.mark.parametrize("name", CONVERTERS)


def test_every_converter_has_samples() -> None:
    assert {name.rpartition(".")[2] for name in CONVERTERS} == SAMPLES.keys()


@every_converter
async def test_null_in_null_out(name: str) -> None:
    converter, *_ = load(name)
    assert await converter.from_connect("t", None, [None, None]) == [None, None]
    column = await converter.to_connect("t", [None, None])
    assert column.values == [None, None]
    assert all(schema is None or schema.optional for schema in column.schemas)


@every_converter
async def test_nothing_in_nothing_out(name: str) -> None:
    converter, schema, *_ = load(name)
    assert await converter.from_connect("t", schema, []) == []
    assert (await converter.to_connect("t", [])).values == []


@every_converter
async def test_values_round_trip(name: str) -> None:
    converter, schema, values, _ = load(name)
    data = await converter.from_connect("t", schema, values)
    column = await converter.to_connect("t", data)
    assert column.values == values
    assert [type(value) for value in column.values] == [type(value) for value in values]
    (read,) = column.schemas
    assert read is not None
    assert read.with_(optional=False) == schema


@every_converter
async def test_as_many_values_out_as_in(name: str) -> None:
    converter, schema, values, _ = load(name)
    data = await converter.from_connect("t", schema, values)
    batch = [None, *data, None, data[0]]
    column = await converter.to_connect("t", batch)
    assert column.values == [None, *values, None, values[0]]
    codes = column.codes or [0] * len(batch)
    assert len(codes) == len(batch)
    assert max(codes) < len(column.schemas)


@every_converter
async def test_the_same_bytes_have_the_same_schema_object(name: str) -> None:
    converter, schema, values, _ = load(name)
    data = await converter.from_connect("t", schema, values)
    first = (await converter.to_connect("t", data)).schemas[0]
    assert (await converter.to_connect("u", data[:1])).schemas[0] is first


@pytest.mark.parametrize("name", UNREADABLE)
async def test_unreadable_records_are_named_exactly(name: str) -> None:
    converter, schema, values, bad = load(name)
    data = await converter.from_connect("t", schema, values)
    data[2] = data[5] = bad
    with pytest.raises(BatchError) as caught:
        await converter.to_connect("t", data)
    assert list(caught.value.failures) == [2, 5]
    assert all(isinstance(error, DataError) for error in caught.value.failures.values())
    good = [record for index, record in enumerate(data) if index not in caught.value.failures]
    expected = [value for index, value in enumerate(values) if index not in (2, 5)]
    assert (await converter.to_connect("t", good)).values == expected


@every_converter
@pytest.mark.parametrize("schemaless", [False, True])
async def test_unwritable_values_are_named_exactly(name: str, schemaless: bool) -> None:
    converter, schema, values, _ = load(name)
    batch = list(values)
    batch[2] = batch[5] = BAD
    with pytest.raises(BatchError) as caught:
        await converter.from_connect("t", None if schemaless else schema, batch)
    assert list(caught.value.failures) == [2, 5]
    assert all(isinstance(error, DataError) for error in caught.value.failures.values())


@every_converter
async def test_arguments_are_left_alone(name: str) -> None:
    converter, schema, values, _ = load(name)
    before = pickle.dumps(values)
    data = await converter.from_connect("t", schema, values)
    assert pickle.dumps(values) == before
    kept = list(data)
    await converter.to_connect("t", data)
    assert data == kept


@every_converter
def test_keys_are_documented(name: str) -> None:
    for key in CONVERTERS[name].load().spec.keys:
        assert key.doc, key.name


@every_converter
def test_every_converter_converts_headers_too(name: str) -> None:
    _, schema, values, _ = load(name)
    headers = ConverterAsHeaderConverter(CONVERTERS[name].load()())
    headers.configure(headers.converter.spec.parse({}))
    assert_header_round_trip(headers, schema, values[1])


@pytest.mark.parametrize("point", entry_points(group="coracle.header_converters"), ids=str)
def test_header_converters(point: Any) -> None:
    headers: HeaderConverter = point.load()()
    headers.configure(headers.spec.parse({}))
    assert_header_round_trip(headers, STRING, "some text")
    with pytest.raises(DataError):
        headers.from_connect_header("t", Header("h", None, BAD))


def assert_header_round_trip(headers: HeaderConverter, schema: Schema, value: Any) -> None:
    data = headers.from_connect_header("t", Header("h", schema, value))
    header = headers.to_connect_header("t", "h", data)
    assert (header.key, header.value) == ("h", value)
    assert headers.from_connect_header("t", Header("h", None, None)) is None
    assert headers.to_connect_header("t", "h", None).value is None

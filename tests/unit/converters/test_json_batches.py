"""Reading batches: frames, interleaved schemas, bad records among good ones."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import BatchError, DataError, Type
from coracle.converters.json import JsonConverter
from tests.unit.converters.forms import configured


def envelope(field: str, value: Any, **extra: Any) -> bytes:
    schema = {"type": "struct", "fields": [{"type": "int32", "field": field}], **extra}
    return orjson.dumps({"schema": schema, "payload": {field: value}})


async def test_one_schema_needs_no_codes() -> None:
    column = await configured(JsonConverter).to_connect("t", [envelope("a", n) for n in range(50)])
    assert column.values == [{"a": n} for n in range(50)]
    assert len(column.schemas) == 1
    assert column.codes is None


async def test_interleaved_schemas_become_codes() -> None:
    for kinds in (2, 3, 20):
        data = [envelope(f"f{n % kinds}", n) for n in range(100)]
        column = await configured(JsonConverter).to_connect("t", data)
        assert column.values == [{f"f{n % kinds}": n} for n in range(100)]
        assert len(column.schemas) == kinds
        assert column.codes is not None
        for n, code in enumerate(column.codes):
            schema = column.schemas[code]
            assert schema is not None
            assert schema.field_names == (f"f{n % kinds}",)


async def test_tombstones_have_no_schema() -> None:
    column = await configured(JsonConverter).to_connect("t", [None, envelope("a", 1), None])
    assert column.values == [None, {"a": 1}, None]
    assert [schema and schema.type for schema in column.schemas] == [None, Type.STRUCT]
    assert column.codes == [0, 1, 0]
    assert await configured(JsonConverter).to_connect("t", [None, None]) == (
        [None] * 2,
        [None],
        None,
    )
    assert await configured(JsonConverter).to_connect("t", []) == ([], [None], None)


async def test_equal_schemas_are_one_object_however_they_are_written() -> None:
    converter = configured(JsonConverter)
    texts = [
        b'{"schema":{"type":"int32","optional":false},"payload":1}',
        b'{"schema": {"type": "int32"}, "payload": 2}',
        b'{"payload":3,"schema":{"type":"int32"}}',
        b' {"schema":{"type":"int32"},"payload":4} ',
    ]
    column = await converter.to_connect("t", texts)
    assert (column.values, column.codes) == ([1, 2, 3, 4], None)
    again = await converter.to_connect("other", texts[2:])
    assert again.schemas[0] is column.schemas[0]


async def test_the_cache_is_bounded_and_forgetting_is_harmless() -> None:
    converter = configured(JsonConverter, schemas_cache_size="2")
    data = [envelope(f"f{n % 7}", n) for n in range(70)]
    for _ in range(2):
        column = await converter.to_connect("t", data)
        assert column.values == [{f"f{n % 7}": n} for n in range(70)]
        assert len(column.schemas) == 7


async def test_bad_records_are_named_and_no_others() -> None:
    data: list[bytes | None] = [envelope("ab"[n % 2], n) for n in range(64)]
    data[3] = envelope("b", "x")
    data[10] = b"{"
    data[11] = b'{"a":1}'
    data[40] = envelope("a", 1)[:-1]
    data[41] = envelope("b", 1)[:-1] + b"x"
    data[42] = envelope("a", 1)[:-1] + b',"extra":1}'
    data[50] = b'{"schema":{"type":"nonsense"},"payload":1}'
    data[51] = b""
    data[52] = None
    with pytest.raises(BatchError) as caught:
        await configured(JsonConverter).to_connect("t", data)
    assert list(caught.value.failures) == [3, 10, 11, 40, 41, 42, 50, 51]
    assert all(type(error) is DataError for error in caught.value.failures.values())


async def test_the_word_payload_may_occur_anywhere() -> None:
    schema = {
        "type": "struct",
        "doc": '"payload":',
        "parameters": {"payload": "x"},
        "fields": [{"type": "string", "field": "payload"}],
    }
    data = [orjson.dumps({"schema": schema, "payload": {"payload": '"payload":'}})] * 3
    column = await configured(JsonConverter).to_connect("t", data)
    assert column.values == [{"payload": '"payload":'}] * 3


@pytest.mark.parametrize(
    "text",
    [
        b'{"schema":{"type":"int8"},"payload":1,"payload":2}',
        b'{"payload":1,"schema":{"type":"int8"},"payload":2}',
        b'{"schema":{"type":"int32"},"payload":2,"schema":{"type":"int8"}}',
    ],
)
async def test_the_last_of_equal_keys_wins(text: bytes) -> None:
    """As in the JVM."""
    column = await configured(JsonConverter).to_connect("t", [text, text])
    assert column.values == [2, 2]
    assert [schema and schema.type for schema in column.schemas] == [Type.INT8]


async def test_schemas_may_be_nested_as_deep_as_python_can_follow_and_no_deeper() -> None:
    converter = configured(JsonConverter)
    for depth, good in ((50, True), (450, False)):
        schema = b'{"type":"array","items":' * depth + b'{"type":"int8"}' + b"}" * depth
        data = [b'{"schema":%s,"payload":[]}' % schema] * 2
        if good:
            assert (await converter.to_connect("t", data)).values == [[], []]
        else:
            with pytest.raises(BatchError, match="nested too deeply") as caught:
                await converter.to_connect("t", data)
            assert list(caught.value.failures) == [0, 1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from("ab"), json_values), min_size=1, max_size=12))
def test_a_batch_is_read_like_its_records_one_by_one(records: list[tuple[str, Any]]) -> None:
    data = [
        json.dumps(
            {
                "schema": {
                    "type": "struct",
                    "fields": [
                        {"type": "int32", "field": field},
                        {"type": "string", "optional": True, "field": "s"},
                    ],
                },
                "payload": value,
            }
        ).encode()
        for field, value in records
    ]

    def read(batch: list[bytes]) -> Any:
        try:
            return asyncio.run(configured(JsonConverter).to_connect("t", batch))
        except BatchError as error:
            return {index: str(cause) for index, cause in error.failures.items()}

    together = read(data)
    alone = [read([record]) for record in data]
    failures = {index: one[0] for index, one in enumerate(alone) if isinstance(one, dict)}
    if failures:
        assert together == failures
    else:
        assert together.values == [one.values[0] for one in alone]
        codes = together.codes or [0] * len(data)
        assert [together.schemas[code] for code in codes] == [one.schemas[0] for one in alone]


async def test_batches_are_freed_without_the_garbage_collector() -> None:
    """A reference cycle would keep megabytes until the next full collection, minutes later."""
    converter = configured(JsonConverter)
    column = await converter.to_connect("t", [envelope("a", n) for n in range(50)])
    gc.collect()
    gc.disable()
    try:
        await converter.from_connect("t", column.schemas[0], column.values)
        await converter.to_connect("t", [envelope("a", n) for n in range(50)])
        assert gc.collect() == 0
    finally:
        gc.enable()

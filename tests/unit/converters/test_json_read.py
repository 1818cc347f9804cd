"""Reading envelopes, against what Kafka Connect 4.3.1 does with the same bytes."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import orjson
import pytest

from coracle.api import BatchError, ConfigError, DataError
from coracle.api.schema import TIMESTAMP, Type
from coracle.converters.json import JsonConverter
from tests.unit.converters.forms import configured, golden, schema_form, value_form

# Where the JVM alters a value without a word, the record is refused, or read as what it says.
REFUSED = {
    ('{"type":"int32"}', "3.7"),
    ('{"type":"int32"}', "3000000000"),
    ('{"type":"int8"}', "300"),
    ('{"type":"int32"}', '"x"'),
    ('{"type":"int32"}', "true"),
    ('{"type":"int32","default":"x"}', "null"),
    ('{"type":"int32","default":5.5}', "null"),
    ('{"type":"int64"}', "123456789012345678901234567890"),
    ('{"type":"double"}', "1e400"),
    ('{"type":"float"}', "1e40"),
    ('{"type":"boolean"}', "1"),
    ('{"type":"boolean"}', '"true"'),
    ('{"type":"string"}', "1"),
    ('{"type":"string","optional":true}', "1"),
    ('{"type":"string"}', "{}"),
    ('{"type":"bytes"}', "3"),
    ('{"type":"array","items":{"type":"int32"}}', "{}"),
    ('{"type":"array","items":{"type":"int32"}}', '"x"'),
    ('{"type":"struct","fields":[{"type":"boolean","field":"a"}]}', '{"a":"x"}'),
    # Python's dicts cannot have such keys.
    (
        '{"type":"map","keys":{"type":"struct","fields":[{"type":"int32","field":"x"}]},'
        '"values":{"type":"int32"}}',
        '[[{"x":1},2]]',
    ),
    (
        '{"type":"map","keys":{"type":"array","items":{"type":"int32"}},"values":{"type":"int32"}}',
        "[[[1],2]]",
    ),
}
REFUSED_ENVELOPES = {f'{{"schema":{schema},"payload":{payload}}}' for schema, payload in REFUSED}
READ = {
    '{"schema":{"type":"double"},"payload":"NaN"}',
    # 4.3.1 cannot use defaults of structs.
    '{"schema":{"type":"struct","fields":[{"type":"struct","field":"a","default":{"x":1},'
    '"fields":[{"type":"int8","field":"x"}]}]},"payload":{}}',
}
LINES = list(golden("json_read.tsv"))


@pytest.mark.parametrize(
    ("envelope", "schema", "expected"), [line for line in LINES if line[0] not in READ]
)
async def test_reads_as_kafka_connect_does(envelope: str, schema: str, expected: Any) -> None:
    converter = configured(JsonConverter)
    if schema == "!!" or envelope in REFUSED_ENVELOPES:
        with pytest.raises(BatchError) as caught:
            await converter.to_connect("t", [envelope.encode()])
        assert type(caught.value.first) is DataError
        if envelope.endswith("}") and '"schema"' not in envelope:
            assert str(caught.value.first) == expected
        return
    column = await converter.to_connect("t", [envelope.encode()])
    assert schema_form(column.schemas[0]) == schema
    assert value_form(column.schemas[0], column.values[0]) == expected
    assert str(value_form(column.schemas[0], column.values[0])) == str(expected)  # 1 is not 1.0


def test_the_list_of_differences_is_true() -> None:
    inputs = {line[0]: line[1] for line in LINES}
    assert inputs.keys() >= REFUSED_ENVELOPES | READ
    assert all(inputs[envelope] != "!!" for envelope in REFUSED_ENVELOPES)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("kind", ["float", "double"])
async def test_floats_that_json_has_no_number_for(kind: str, text: str) -> None:
    data = b'{"schema":{"type":"%s"},"payload":"%s"}' % (kind.encode(), text.encode())
    (value,) = (await configured(JsonConverter).to_connect("t", [data])).values
    assert str(value) == str(float(text))


async def test_default_of_a_struct() -> None:
    envelope = next(line for line in READ if "struct" in line)
    column = await configured(JsonConverter).to_connect("t", [envelope.encode()])
    assert column.values == [{"a": {"x": 1}}]


async def test_messages_name_the_field_and_the_way_out() -> None:
    converter = configured(JsonConverter)
    schema = (
        b'{"type":"struct","fields":[{"type":"struct","field":"a","fields":'
        b'[{"type":"int32","field":"b"}]},{"type":"array","items":{"type":"string"},"field":"c"}]}'
    )
    for payload, message in {
        b'{"a":{"b":"x"},"c":[]}': 'Invalid value for INT32: found a string at "a.b".',
        b'{"a":{"b":1.5},"c":[]}': 'Invalid value for INT32: found a decimal number at "a.b".',
        b'{"a":{},"c":[]}': 'Invalid null value for required INT32 field at "a.b".',
        b'{"a":{"b":1},"c":[1]}': 'Invalid value for STRING: found an integer at "c.[]".',
        b'{"a":{"b":2147483648},"c":[]}': (
            "Invalid value for INT32: the integer is not in the range -2147483648 to 2147483647"
            ' at "a.b".'
        ),
        b"3": "Structs should be encoded as JSON objects, but found an integer.",
    }.items():
        with pytest.raises(BatchError) as caught:
            await converter.to_connect("t", [b'{"schema":%s,"payload":%s}' % (schema, payload)])
        assert caught.value.first.message == message  # type: ignore[attr-defined]
        assert "correct the producer" in str(caught.value.first)


NO_JSON = [b"[1", b"nonsense", b'{"a":1} x', b'"\xff"', b'"\\ud800"', b"NaN", b'"a\tb"', b"[" * 900]


@pytest.mark.parametrize(
    ("schemas_enable", "data"),
    [("true", b""), *((enable, data) for enable in ("true", "false") for data in NO_JSON)],
)
async def test_what_is_no_json(schemas_enable: str, data: bytes) -> None:
    with pytest.raises(BatchError) as caught:
        await configured(JsonConverter, schemas_enable=schemas_enable).to_connect("t", [data])
    message = str(caught.value.first)
    assert message.startswith(
        "Converting byte[] to Kafka Connect data failed due to serialization error: the"
        f" {len(data)} bytes are not JSON ("
    )
    assert "Use the converter" in message


async def test_bytes_of_a_schema_registry_are_recognised() -> None:
    with pytest.raises(BatchError, match="schema registry"):
        await configured(JsonConverter).to_connect("t", [b"\0\0\0\0\1\2"])


async def test_a_byte_order_mark_is_ignored_as_in_the_jvm() -> None:
    bom = b"\xef\xbb\xbf"
    plain = configured(JsonConverter, schemas_enable="false")
    assert (await plain.to_connect("t", [bom + b"{}"])).values == [{}]
    envelope = bom + b'{"schema":{"type":"int8"},"payload":1}'
    assert (await configured(JsonConverter).to_connect("t", [envelope])).values == [1]


async def test_schemaless_values() -> None:
    converter = configured(JsonConverter, schemas_enable="false")
    texts = [b"3", b"null", None, b"", b'{"schema":null,"payload":1}', b"[1.5,true]", b"-0", b"1e2"]
    column = await converter.to_connect("t", texts)
    assert column == (
        [3, None, None, None, {"schema": None, "payload": 1}, [1.5, True], 0, 100.0],
        [None],
        None,
    )


async def test_one_schema_for_all_and_no_envelopes() -> None:
    """KIP-1054: schema.content."""
    converter = configured(
        JsonConverter,
        schema_content='{"type":"struct","fields":[{"type":"int32","field":"a"}]}',
    )
    column = await converter.to_connect("t", [b'{"a":1}', None, b'{"a":2,"b":3}'])
    assert column.values == [{"a": 1}, None, {"a": 2}]
    assert [schema and schema.type for schema in column.schemas] == [None, Type.STRUCT]
    assert column.codes == [1, 0, 1]
    with pytest.raises(BatchError) as caught:
        await converter.to_connect("t", [b'{"a":1}', b'{"schema":null,"payload":{"a":1}}', b"x"])
    assert list(caught.value.failures) == [1, 2]


@pytest.mark.parametrize("content", ["{x", '{"type":"int3"}', "3", '{"type":"array"}'])
def test_schema_content_that_is_no_schema(content: str) -> None:
    with pytest.raises(ConfigError, match=r"schema\.content") as caught:
        configured(JsonConverter, schema_content=content)
    assert caught.value.field == "schema.content"


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        ('{"type":"int32","default":5,"optional":true}', "null", None),
        (
            '{"type":"struct","fields":[{"type":"int32","field":"a","default":4,"optional":true}]}',
            "{}",
            {"a": None},
        ),
    ],
)
async def test_nulls_may_stay_null(schema: str, payload: str, expected: Any) -> None:
    """KIP-581: replace.null.with.default."""
    converter = configured(JsonConverter, replace_null_with_default="false")
    data = f'{{"schema":{schema},"payload":{payload}}}'.encode()
    assert (await converter.to_connect("t", [data])).values == [expected]
    required = data.replace(b',"optional":true', b"")
    with pytest.raises(BatchError, match="Invalid null value for required INT32 field"):
        await converter.to_connect("t", [required])


async def test_decimals_as_numbers_keep_their_digits() -> None:
    schema = (
        b'{"type":"struct","fields":[{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal",'
        b'"version":1,"parameters":{"scale":"2"},"field":"d"},{"type":"double","field":"f"}]}'
    )
    data = [
        b'{"schema":%s,"payload":{"d":%s,"f":0.5}}' % (schema, number)
        for number in (b"12345678901234567890.12", b"0.10", b'"AJY="', b"7")
    ]
    values = (await configured(JsonConverter).to_connect("t", data)).values
    numbers = ["12345678901234567890.12", "0.10", "1.50", "7"]
    assert [str(value["d"]) for value in values] == numbers
    assert all(type(value["d"]) is Decimal for value in values)
    assert all(type(value["f"]) is float for value in values)


async def test_structs_have_exactly_their_fields_in_order() -> None:
    schema = (
        b'{"type":"struct","fields":[{"type":"int32","field":"a"},'
        b'{"type":"string","optional":true,"field":"b"},{"type":"int8","default":7,"field":"c"}]}'
    )
    payloads = [
        b'{"a":1,"b":"x","c":2}',
        b'{"c":2,"b":"x","a":1}',
        b'{"a":1}',
        b'{"a":1,"zzz":[],"b":null,"c":null}',
    ]
    data = [b'{"schema":%s,"payload":%s}' % (schema, payload) for payload in payloads]
    for batch in ([0], [1], [2], [3], [0, 1, 2, 3]):
        column = await configured(JsonConverter).to_connect("t", [data[index] for index in batch])
        expected = [("a", 1), ("b", "x"), ("c", 2)], [("a", 1), ("b", None), ("c", 7)]
        assert [list(value.items()) for value in column.values] == [
            expected[index // 2] for index in batch
        ]


@pytest.mark.parametrize("payload", [b'["a","b"]', b'"ab"', b"null", b"5", b"[]"])
async def test_what_iterates_like_the_keys_of_a_struct_is_none(payload: bytes) -> None:
    schema = (
        b'{"type":"struct","fields":[{"type":"string","field":"a"},{"type":"string","field":"b"}]}'
    )
    good = b'{"schema":%s,"payload":{"a":"1","b":"2"}}' % schema
    with pytest.raises(BatchError) as caught:
        await configured(JsonConverter).to_connect(
            "t", [good, b'{"schema":%s,"payload":%s}' % (schema, payload), good]
        )
    assert list(caught.value.failures) == [1]


async def test_sizes_of_dicts_cannot_make_up_for_each_other() -> None:
    schema = b'{"type":"struct","fields":[{"type":"int8","field":"a"},{"type":"int8","field":"b"}]}'
    data = [
        b'{"schema":%s,"payload":%s}' % (schema, payload)
        for payload in (b'{"a":1}', b'{"b":2,"a":1}', b'{"b":2}')
    ]
    with pytest.raises(BatchError) as caught:
        await configured(JsonConverter).to_connect("t", data)
    assert list(caught.value.failures) == [0, 2]


async def test_times_lie_within_a_day() -> None:
    schema = b'{"type":"int32","name":"org.apache.kafka.connect.data.Time","version":1}'
    converter = configured(JsonConverter)
    data = [b'{"schema":%s,"payload":%d}' % (schema, millis) for millis in (0, 86400000)]
    assert (await converter.to_connect("t", data)).values == [0, 86400000]
    with pytest.raises(BatchError, match="range 0 to 86400000"):
        await converter.to_connect("t", [b'{"schema":%s,"payload":86400001}' % schema])


async def test_far_timestamps_are_read() -> None:
    data = orjson.dumps(
        {"schema": {"type": "int64", "name": TIMESTAMP, "version": 1}, "payload": -(2**63)}
    )
    assert (await configured(JsonConverter).to_connect("t", [data])).values == [-(2**63)]


async def test_floats_need_not_have_a_point() -> None:
    data = b'{"schema":{"type":"double"},"payload":3}'
    (value,) = (await configured(JsonConverter).to_connect("t", [data])).values
    assert type(value) is float
    assert math.isclose(value, 3.0)

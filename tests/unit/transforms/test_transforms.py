"""What each transform does, option by option; Kafka 4.3.1 does the same."""

from __future__ import annotations

from typing import Any

import pytest

from coracle.api import BatchError, ConfigErrors, RecordBatch, RecordSchema, Schema, Type
from coracle.api.schema import (
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP_SCHEMA,
    map_of,
    struct,
)
from coracle.transforms.extract_field import ExtractFieldKey, ExtractFieldValue, parse_path
from coracle.transforms.insert_field import InsertFieldKey, InsertFieldValue
from coracle.transforms.predicates import TopicNameMatches
from coracle.transforms.regex_router import RegexRouter
from coracle.transforms.replace_field import ReplaceFieldValue
from coracle.transforms.timestamp_router import TimestampRouter
from coracle.transforms.value_to_key import ValueToKey
from tests.unit.transforms.support import NOON, batch, made

DEFAULTED = Schema(Type.STRING, optional=True, default="none")
ORDER = struct({"id": INT64, "note": DEFAULTED, "city": OPTIONAL_STRING}, name="order", version=2)
ROW = {"id": 1, "note": None, "city": "Oslo"}


def value_schema(result: RecordBatch) -> Schema | None:
    (schema,) = result.schemas
    return schema.value


def failure(transform: Any, given: RecordBatch, index: int = 0) -> str:
    with pytest.raises(BatchError) as caught:
        transform.apply(given)
    return str(caught.value.failures[index])


class TestReplaceField:
    @pytest.mark.parametrize(
        ("settings", "row"),
        [
            ({}, {"id": 1, "note": "none", "city": "Oslo"}),
            ({"exclude": "note"}, {"id": 1, "city": "Oslo"}),
            ({"blacklist": "note"}, {"id": 1, "city": "Oslo"}),
            ({"include": "city,id"}, {"id": 1, "city": "Oslo"}),
            ({"whitelist": "city"}, {"city": "Oslo"}),
            ({"include": "city,id", "exclude": "id"}, {"city": "Oslo"}),
            ({"renames": "city:town,id:no"}, {"no": 1, "note": "none", "town": "Oslo"}),
            ({"include": "city", "renames": "city:id"}, {"id": "Oslo"}),
            ({"renames": "id:city,city:id", "exclude": "note"}, {"city": 1, "id": "Oslo"}),
            ({"replace_null_with_default": "false"}, ROW),
            ({"renames": "other:city", "exclude": "note"}, {"id": 1, "city": "Oslo"}),
            ({"renames": "note:city", "exclude": "note"}, {"id": 1, "city": "Oslo"}),
        ],
    )
    def test_structs_and_maps(self, settings: dict[str, str], row: dict[str, Any]) -> None:
        transform = made(ReplaceFieldValue, **settings)
        result = transform.apply(batch(ROW, schema=ORDER))
        schema = value_schema(result)
        assert schema is not None
        assert result.values == [row]
        assert list(schema.field_names) == list(row)
        assert (schema.name, schema.version) == ("order", 2)
        without_default = {key: None if value == "none" else value for key, value in row.items()}
        assert transform.apply(batch(ROW)).values == [without_default]

    def test_the_schema_is_required_and_has_no_default(self) -> None:
        optional = ORDER.with_(optional=True, default={"id": 0})
        schema = value_schema(
            made(ReplaceFieldValue, exclude="note").apply(batch(ROW, schema=optional))
        )
        assert schema == struct({"id": INT64, "city": OPTIONAL_STRING}, name="order", version=2)

    def test_a_null_keeps_its_schema(self) -> None:
        optional = ORDER.as_optional()
        given = batch(ROW, None, schema=optional)
        result = made(ReplaceFieldValue, exclude="note").apply(given)
        assert result.schema_of(1).value == optional
        assert result.schema_of(0).value != optional

    def test_an_unchanged_schema_stays_the_same_object(self) -> None:
        plain = struct({"id": INT64})
        result = made(ReplaceFieldValue, renames="a:b").apply(batch({"id": 1}, schema=plain))
        assert value_schema(result) is plain

    def test_two_fields_of_one_name(self) -> None:
        transform = made(ReplaceFieldValue, renames="city:id")
        assert "Cannot create field because of field name duplication id" in failure(
            transform, batch(ROW, schema=ORDER)
        )
        assert transform.apply(batch({"id": 1, "city": "Oslo"})).values == [{"id": "Oslo"}]

    def test_a_field_left_out_is_null(self) -> None:
        result = made(ReplaceFieldValue, exclude="city").apply(batch({"id": 1}, schema=ORDER))
        assert result.values == [{"id": 1, "note": "none"}]

    @pytest.mark.parametrize(
        ("value", "schema", "words"),
        [
            (
                "text",
                None,
                "Only Map objects supported in absence of schema for [field replacement], "
                "found: java.lang.String",
            ),
            (7, None, "found: java.lang.Long"),
            ([1], None, "found: java.util.ArrayList"),
            (
                {"a": "b"},
                map_of(STRING, STRING),
                "Only Struct objects supported for [field replacement], found: java.util.HashMap",
            ),
            (1, INT32, "found: java.lang.Integer"),
        ],
    )
    def test_other_values_are_errors_in_javas_words(
        self, value: Any, schema: Schema | None, words: str
    ) -> None:
        assert words in failure(made(ReplaceFieldValue, exclude="x"), batch(value, schema=schema))

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"renames": "a"}, "renames"),
            ({"renames": "a:b:c"}, "renames"),
            ({"exclude": "a,,b"}, "exclude"),
        ],
    )
    def test_wrong_settings(self, settings: dict[str, str], named: str) -> None:
        with pytest.raises(ConfigErrors, match=f"configuration {named}"):
            made(ReplaceFieldValue, **settings)

    def test_field_names_are_only_ever_names(self) -> None:
        name = "'] + __import__('os').getcwd() + v['\\\n{}\""
        schema = struct({name: INT64, "b": INT64})
        transform = made(ReplaceFieldValue, renames="b:c")
        assert transform.apply(batch({name: 1, "b": 2}, schema=schema)).values == [
            {name: 1, "c": 2}
        ]


ALL_INSERTIONS = {
    "topic_field": "t",
    "partition_field": "p!",
    "offset_field": "o?",
    "timestamp_field": "ts!",
    "static_field": "s",
    "static_value": "x",
}


class TestInsertField:
    def test_everything_into_a_struct(self) -> None:
        result = made(InsertFieldValue, **ALL_INSERTIONS).apply(batch(ROW, ROW, schema=ORDER))
        added = {"t": "orders", "p": 5, "ts": NOON, "s": "x"}
        assert result.values == [
            {"id": 1, "note": "none", "city": "Oslo", **added, "o": 10},
            {"id": 1, "note": "none", "city": "Oslo", **added, "o": 11},
        ]
        schema = value_schema(result)
        assert schema is not None
        assert list(schema.by_name.items())[3:] == [
            ("t", OPTIONAL_STRING),
            ("p", INT32),
            ("o", INT64.as_optional()),
            ("ts", TIMESTAMP_SCHEMA),
            ("s", OPTIONAL_STRING),
        ]
        assert list(result.values[0]) == list(schema.field_names)

    def test_everything_into_a_map(self) -> None:
        result = made(InsertFieldValue, **ALL_INSERTIONS).apply(batch({"id": 1, "t": "old"}))
        assert result.values == [{"id": 1, "t": "orders", "p": 5, "o": 10, "ts": NOON, "s": "x"}]

    def test_into_the_key(self) -> None:
        transform = made(InsertFieldKey, static_field="s", static_value="x")
        result = transform.apply(batch("text", None, keys=[{"id": 1}, None]))
        assert (result.keys, result.values) == ([{"id": 1, "s": "x"}, None], ["text", None])

    def test_a_source_without_partition_and_timestamp(self) -> None:
        transform = made(InsertFieldValue, partition_field="p", timestamp_field="ts")
        source: dict[str, Any] = {"origin": None, "timestamps": [None, 7]}
        schema = struct({"id": INT64})
        rows = ({"id": 1}, {"id": 2})
        assert transform.apply(batch(*rows, **source)).values == [{"id": 1}, {"id": 2, "ts": 7}]
        assert transform.apply(batch(*rows, **source, partitions=[3, None])).values == [
            {"id": 1, "p": 3},
            {"id": 2, "ts": 7},
        ]
        assert transform.apply(batch(*rows, schema=schema, **source)).values == [
            {"id": 1, "p": None, "ts": None},
            {"id": 2, "p": None, "ts": 7},
        ]

    def test_sources_have_no_offsets(self) -> None:
        words = failure(made(InsertFieldValue, offset_field="o"), batch(ROW, origin=None))
        assert words.startswith(
            "Only SinkRecord supported for [field insertion], "
            "found: org.apache.kafka.connect.source.SourceRecord"
        )
        nulls = batch(None, origin=None)
        assert made(InsertFieldValue, offset_field="o").apply(nulls).values == [None]

    def test_a_field_that_is_there_already(self) -> None:
        transform = made(InsertFieldValue, topic_field="id")
        assert "duplication id" in failure(transform, batch(ROW, schema=ORDER))
        assert transform.apply(batch({"id": 1})).values == [{"id": "orders"}]

    def test_topics_of_interleaved_schemas(self) -> None:
        given = batch(
            ROW, ROW, {"id": 1}, schemas=[RecordSchema("a"), RecordSchema("b")], codes=[1, 0, 1]
        )
        result = made(InsertFieldValue, topic_field="t").apply(given)
        assert [value["t"] for value in result.values] == ["b", "a", "b"]

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({}, "No field insertion configured"),
            ({"static_value": "x"}, "No field insertion configured"),
            ({"static_field": "s"}, "No value specified for static field: s"),
        ],
    )
    def test_wrong_settings(self, settings: dict[str, str], words: str) -> None:
        with pytest.raises(ConfigErrors, match=words):
            made(InsertFieldValue, **settings)


class TestExtractField:
    INNER = struct({"lat": INT64, "geo.x": OPTIONAL_STRING}, optional=True)
    OUTER = struct({"address": INNER, "address.lat": INT64, "note": DEFAULTED})

    @pytest.mark.parametrize(
        ("settings", "value", "schema"),
        [
            ({"field": "address.lat"}, 7, INT64),
            ({"field": "address.lat", "field_syntax_version": "v2"}, 1, INT64),
            ({"field": "`address.lat`", "field_syntax_version": "V2"}, 7, INT64),
            ({"field": "address.`geo.x`", "field_syntax_version": "V2"}, "x", OPTIONAL_STRING),
            ({"field": "note"}, "none", DEFAULTED),
            ({"field": "note", "replace_null_with_default": "false"}, None, DEFAULTED),
        ],
    )
    def test_structs(self, settings: dict[str, str], value: Any, schema: Schema) -> None:
        row = {"address": {"lat": 1, "geo.x": "x"}, "address.lat": 7, "note": None}
        transform = made(ExtractFieldValue, **settings)
        result = transform.apply(batch(row, schema=self.OUTER))
        assert (result.values, value_schema(result)) == ([value], schema)
        schemaless = None if value == "none" else value
        assert transform.apply(batch(row)).values == [schemaless]

    def test_nulls_on_the_way(self) -> None:
        transform = made(ExtractFieldValue, field="address.lat", field_syntax_version="V2")
        rows = [{"address": None, "address.lat": 7, "note": None}, None]
        assert transform.apply(batch(*rows, schema=self.OUTER.as_optional())).values == [None, None]
        assert transform.apply(batch(*rows, {})).values == [None, None, None]

    def test_keys(self) -> None:
        result = made(ExtractFieldKey, field="id").apply(batch("v", keys=[{"id": 3}]))
        assert (result.keys, result.values) == ([3], ["v"])

    def test_unknown_fields(self) -> None:
        assert "Unknown field: nope" in failure(
            made(ExtractFieldValue, field="nope"), batch(ROW, schema=ORDER)
        )
        assert made(ExtractFieldValue, field="nope").apply(batch(ROW)).values == [None]
        nested = made(ExtractFieldValue, field="id.x", field_syntax_version="V2")
        assert "Cannot look up fields on non-struct type" in failure(
            nested, batch(ROW, schema=ORDER)
        )
        assert (
            "Only Map objects supported in absence of schema for [nested field access], "
            "found: java.lang.Long"
        ) in failure(nested, batch({}, ROW), 1)

    @pytest.mark.parametrize(
        ("path", "steps"),
        [
            ("a", ["a"]),
            ("a.b", ["a", "b"]),
            ("a.", ["a", ""]),
            (".a", ["", "a"]),
            ("a..b", ["a", "", "b"]),
            ("`a.b`.c", ["a.b", "c"]),
            ("a.`b.c`", ["a", "b.c"]),
            ("a`b.c", ["a`b", "c"]),
            ("`a`b`.c", ["a`b", "c"]),
            (r"`a\`.b`.c", ["a`.b", "c"]),
            ("`a.b`.", ["a.b", ""]),
            ("``", [""]),
        ],
    )
    def test_paths(self, path: str, steps: list[str]) -> None:
        assert parse_path(path) == steps

    @pytest.mark.parametrize("path", ["`a", "a.`b", r"`a\`", "`a.b`c.d"])
    def test_backticks_that_are_never_closed(self, path: str) -> None:
        with pytest.raises(ConfigErrors, match="Incomplete backtick pair in path"):
            made(ExtractFieldValue, field=path, field_syntax_version="V2")

    def test_unknown_syntax_version(self) -> None:
        with pytest.raises(ConfigErrors, match=r"field\.syntax\.version"):
            made(ExtractFieldValue, field="a", field_syntax_version="V3")


class TestValueToKey:
    def test_structs(self) -> None:
        result = made(ValueToKey, fields="note,id,id").apply(batch(ROW, schema=ORDER))
        (schema,) = result.schemas
        assert result.keys == [{"note": "none", "id": 1}]
        assert schema.key == struct({"note": DEFAULTED, "id": INT64})
        assert schema.value is ORDER
        assert result.values == [ROW]

    def test_maps(self) -> None:
        result = made(ValueToKey, fields="id,nope").apply(batch(ROW))
        assert result.keys == [{"id": 1, "nope": None}]

    def test_errors(self) -> None:
        transform = made(ValueToKey, fields="nope")
        assert failure(transform, batch(ROW, schema=ORDER)) == "Field does not exist: nope"
        assert (
            "Only Map objects supported in absence of schema for "
            "[copying fields from value to key], found: null"
        ) in failure(transform, batch(ROW, None), 1)

    @pytest.mark.parametrize("fields", ["", "a,,b"])
    def test_wrong_settings(self, fields: str) -> None:
        with pytest.raises(ConfigErrors, match="configuration fields"):
            made(ValueToKey, fields=fields)


class TestTimestampRouter:
    def test_days_are_told_apart(self) -> None:
        day = 86_400_000
        given = batch(1, 2, 3, timestamps=[NOON, NOON + day, NOON + 1])
        result = made(TimestampRouter).apply(given)
        topics = [result.schema_of(index).topic for index in range(3)]
        assert topics == ["orders-20261227", "orders-20261228", "orders-20261227"]
        one_month = made(TimestampRouter, timestamp_format="yyyyMM").apply(given)
        assert ([s.topic for s in one_month.schemas], one_month.codes) == (["orders-202612"], None)
        assert result.values is given.values

    def test_both_placeholders_anywhere(self) -> None:
        transform = made(
            TimestampRouter, topic_format="${timestamp}.${topic}.${topic}", timestamp_format="yy"
        )
        assert transform.apply(batch(1)).schemas[0].topic == "26.orders.orders"

    def test_records_without_a_timestamp_are_errors(self) -> None:
        given = batch(1, 2, 3, timestamps=[NOON, None, NOON])
        with pytest.raises(BatchError) as caught:
            made(TimestampRouter).apply(given)
        assert list(caught.value.failures) == [1]
        assert "Timestamp missing on record" in str(caught.value.failures[1])

    def test_wrong_format(self) -> None:
        with pytest.raises(ConfigErrors, match="Illegal pattern character 'b'"):
            made(TimestampRouter, timestamp_format="bbb")


class TestRegexRouter:
    def test_topics_that_become_one(self) -> None:
        schemas = [RecordSchema("a-1"), RecordSchema("a-2"), RecordSchema("b")]
        given = batch(1, 2, 3, 4, schemas=schemas, codes=[0, 2, 1, 0])
        result = made(RegexRouter, regex="(a)-.*", replacement="$1").apply(given)
        assert [schema.topic for schema in result.schemas] == ["a", "b"]
        assert result.codes == [0, 1, 0, 0]

    def test_nothing_matches(self) -> None:
        given = batch(1)
        assert made(RegexRouter, regex="order", replacement="x").apply(given) is given

    def test_the_first_match_is_replaced_not_the_whole(self) -> None:
        transform = made(RegexRouter, regex="o|orders", replacement="0")
        assert transform.apply(batch(1)).schemas[0].topic == "0rders"

    @pytest.mark.parametrize(
        ("regex", "replacement", "named"),
        [("a(", "x", "regex"), (r"\p{IsGreek}", "x", "regex"), ("a", "$1", "replacement")],
    )
    def test_wrong_settings(self, regex: str, replacement: str, named: str) -> None:
        with pytest.raises(ConfigErrors, match=f"configuration {named}"):
            made(RegexRouter, regex=regex, replacement=replacement)


def test_topic_name_matches_the_whole_name() -> None:
    schemas = [RecordSchema("orders"), RecordSchema("orders-2")]
    given = batch(1, 2, 3, schemas=schemas, codes=[0, 1, 0])
    assert made(TopicNameMatches, pattern="orders").matches(given) == [True, False, True]
    assert made(TopicNameMatches, pattern="order").matches(batch(1)) == [False]
    with pytest.raises(ConfigErrors, match="configuration pattern"):
        made(TopicNameMatches, pattern="")

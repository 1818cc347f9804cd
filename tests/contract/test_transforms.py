"""What every transform promises, whatever it does: the suite that each one runs.

Sources of the rules: ``coracle.api.plugin.Transform`` and ``coracle.api.record.RecordBatch``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from typing import Any

import pytest

from coracle.api import (
    BatchError,
    DataError,
    RecordBatch,
    RecordSchema,
    Schema,
    SourceOffset,
    TopicPartition,
    Transform,
)
from coracle.api.schema import INT64, OPTIONAL_STRING, STRING, struct

DAY = 86_400_000
NOON = 1_700_000_000_000 // DAY * DAY + DAY // 2

ORDER = struct({"id": INT64, "note": OPTIONAL_STRING, "city": STRING}, name="order")
USER = struct({"id": INT64, "mail": OPTIONAL_STRING, "note": OPTIONAL_STRING}, optional=True)


@dataclass(frozen=True)
class Case:
    """One transform, configured.

    Attributes:
        side: what it reads, so that a value there which is no struct is bad; ``None`` if nothing.
        refuses_null: whether a null there is bad, too.
        drops: whether records may go missing.
    """

    name: str
    config: Mapping[str, str]
    side: str | None = None
    refuses_null: bool = False
    drops: bool = False

    def transform(self) -> Transform:
        (entry,) = entry_points(group="coracle.transforms", name=f"{PACKAGE}.{self.name}")
        transform: Transform = entry.load()()
        transform.configure(transform.spec.parse(self.config))
        return transform


PACKAGE = "org.apache.kafka.connect.transforms"
INSERTS = {
    "topic.field": "t",
    "partition.field": "p!",
    "offset.field": "o",
    "timestamp.field": "ts?",
    "static.field": "s",
    "static.value": "x",
}
CASES = [
    Case("TimestampRouter", {"timestamp.format": "YYYYMM"}),
    Case("TimestampRouter", {"timestamp.format": "HHmmss.SSS"}),
    Case("RegexRouter", {"regex": "(.*)-topic", "replacement": "$1-routed"}),
    *(
        Case(f"{name}${side.title()}", config, side)
        for side in ("key", "value")
        for name, config in [
            ("ReplaceField", {"exclude": "note"}),
            ("ReplaceField", {"renames": "id:number"}),
            ("ReplaceField", {"include": "nothing"}),
            ("InsertField", INSERTS),
            ("ExtractField", {"field": "id"}),
            ("ExtractField", {"field": "id", "field.syntax.version": "V2"}),
        ]
    ),
    Case("ValueToKey", {"fields": "id,note"}, "value", refuses_null=True),
    Case("Filter", {}, drops=True),
]


def case_name(case: Case) -> str:
    return f"{case.name} {dict(case.config)}"


@pytest.fixture(params=CASES, ids=case_name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def order(index: int) -> dict[str, Any]:
    return {"id": index, "note": None if index % 2 else "hi", "city": f"city {index}"}


def user(index: int) -> dict[str, Any]:
    return {"id": index, "mail": f"{index}@example.org", "note": None}


def batch_of(
    rows: Sequence[tuple[RecordSchema, Any, Any]], step: int = 1_000, **changes: Any
) -> RecordBatch:
    """A sink's batch of (schema, key, value), with gaps between the offsets."""
    table = list(dict.fromkeys(schema for schema, _, _ in rows))
    codes = [table.index(schema) for schema, _, _ in rows]
    columns: dict[str, Any] = {
        "schemas": table,
        "keys": [key for _, key, _ in rows],
        "values": [value for _, _, value in rows],
        "offsets": [40 + 3 * index for index in range(len(rows))],
        "timestamps": [NOON + step * index for index in range(len(rows))],
        "codes": codes if len(table) > 1 else None,
        "origin": TopicPartition("orders-topic", 5),
        "position": 1_000,
        "source_offsets": [SourceOffset({"table": "orders"}, {"id": 7})],
        "nbytes": 100,
    }
    return RecordBatch(**{**columns, **changes})


def schemaless(index: int) -> tuple[RecordSchema, Any, Any]:
    return RecordSchema("orders-topic"), order(index), order(index)


def structs(index: int) -> tuple[RecordSchema, Any, Any]:
    return RecordSchema("orders-topic", ORDER, ORDER), order(index), order(index)


def interleaved(index: int) -> tuple[RecordSchema, Any, Any]:
    if index % 2:
        return RecordSchema("users-topic", USER, USER), user(index), user(index)
    return structs(index)


SHAPES = {"schemaless": schemaless, "structs": structs, "interleaved": interleaved}


@pytest.fixture(params=SHAPES)
def batch(request: pytest.FixtureRequest) -> RecordBatch:
    shape = SHAPES[request.param]
    return batch_of([shape(index) for index in range(12)])


def assert_consistent(batch: RecordBatch) -> None:
    """The columns fit together, and every value has the fields that its schema says."""
    for column in (batch.keys, batch.offsets, batch.timestamps):
        assert len(column) == len(batch)
    if batch.codes is None:
        assert len(batch) == 0 or len(batch.schemas) == 1
    else:
        assert len(batch.codes) == len(batch)
        assert all(0 <= code < len(batch.schemas) for code in batch.codes)
    assert len(set(batch.schemas)) == len(batch.schemas)
    for index in range(len(batch)):
        schema = batch.schema_of(index)
        assert_value(schema.key, batch.keys[index])
        assert_value(schema.value, batch.values[index])


def assert_value(schema: Schema | None, value: Any) -> None:
    if schema is not None and schema.fields and value is not None:
        assert list(value) == list(schema.field_names)
    if schema == INT64:
        assert value is None or isinstance(value, int)


def test_every_transform_is_here() -> None:
    names = {entry.name for entry in entry_points(group="coracle.transforms")}
    assert names == {f"{PACKAGE}.{case.name}" for case in CASES}


def test_origin_position_and_offsets_stay(case: Case, batch: RecordBatch) -> None:
    result = case.transform().apply(batch)
    assert (result.origin, result.position) == (batch.origin, batch.position)
    assert result.source_offsets is batch.source_offsets
    assert list(result.offsets) == sorted(set(result.offsets) & set(batch.offsets))
    if not case.drops:
        assert list(result.offsets) == list(batch.offsets)
        assert list(result.timestamps) == list(batch.timestamps)


def test_columns_and_schemas_fit(case: Case, batch: RecordBatch) -> None:
    assert_consistent(case.transform().apply(batch))


def test_what_it_is_given_is_not_changed(case: Case, batch: RecordBatch) -> None:
    before = copy.deepcopy(batch)
    case.transform().apply(batch)
    for column in fields(RecordBatch):
        assert getattr(batch, column.name) == getattr(before, column.name), column.name


def test_the_same_schema_objects_come_out_of_every_batch(case: Case, batch: RecordBatch) -> None:
    transform = case.transform()
    first, second = transform.apply(batch), transform.apply(copy.deepcopy(batch))
    for one, other in zip(first.schemas, second.schemas, strict=True):
        assert one == other
        # The copy has schemas of its own: whatever is made from them is made once.
        if one.key not in (ORDER, USER):
            assert one.key is other.key
        if one.value not in (ORDER, USER):
            assert one.value is other.value


def test_the_same_batch_gives_the_same_schema_objects(case: Case, batch: RecordBatch) -> None:
    transform = case.transform()
    first, second = transform.apply(batch), transform.apply(batch)
    for one, other in zip(first.schemas, second.schemas, strict=True):
        assert one.key is other.key
        assert one.value is other.value


def test_an_empty_batch_stays_empty_and_keeps_its_position(case: Case) -> None:
    empty = batch_of([])
    result = case.transform().apply(empty)
    assert len(result) == 0
    assert result.position == empty.position


def test_interleaved_schemas_are_as_good_as_apart(case: Case) -> None:
    rows = [interleaved(index) for index in range(12)]
    transform = case.transform()
    mixed = transform.apply(batch_of(rows))
    for index, record in enumerate(mixed.records()):
        alone = transform.apply(
            batch_of(
                [rows[index]],
                offsets=[40 + 3 * index],
                timestamps=[NOON + 1_000 * index],
            )
        )
        assert record == alone.record(0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_bad_record_is_named_and_no_other(case: Case, shape: Any) -> None:
    rows = [shape(index) for index in range(12)]
    schema, _, _ = rows[7]
    rows[7] = (schema, "no struct", "no struct")
    bad = batch_of(rows)
    if case.side is None:
        case.transform().apply(bad)
        return
    with pytest.raises(BatchError) as caught:
        case.transform().apply(bad)
    assert list(caught.value.failures) == [7]
    assert isinstance(caught.value.failures[7], DataError)
    assert "found: java.lang.String" in str(caught.value.failures[7])
    # Without it, the others go through.
    case.transform().apply(bad.without(caught.value.failures))


def test_a_whole_schema_that_does_not_fit_fails_its_records_only(case: Case) -> None:
    rows = [structs(index) for index in range(4)]
    for index in (1, 3):
        rows[index] = (RecordSchema("orders-topic", STRING, STRING), "text", "text")
    if case.side is None:
        case.transform().apply(batch_of(rows))
        return
    with pytest.raises(BatchError) as caught:
        case.transform().apply(batch_of(rows))
    assert list(caught.value.failures) == [1, 3]


@pytest.mark.parametrize("tombstone", [None, USER], ids=["schemaless", "optional struct"])
def test_nulls_pass_or_are_named(case: Case, tombstone: Schema | None) -> None:
    rows = [structs(index) for index in range(6)]
    for index in (2, 5):
        rows[index] = (RecordSchema("orders-topic", tombstone, tombstone), None, None)
    if case.refuses_null:
        with pytest.raises(BatchError) as caught:
            case.transform().apply(batch_of(rows))
        assert list(caught.value.failures) == [2, 5]
        return
    result = case.transform().apply(batch_of(rows))
    assert_consistent(result)
    for record in result.records():
        assert (record.value is None) == (record.offset in (46, 55))
        assert (record.key is None) == (record.offset in (46, 55))


def test_a_batch_of_nothing_but_tombstones_keeps_their_schemas(case: Case) -> None:
    batch = batch_of([(RecordSchema("orders-topic"), None, None)] * 3)
    if case.refuses_null:
        with pytest.raises(BatchError) as caught:
            case.transform().apply(batch)
        assert list(caught.value.failures) == [0, 1, 2]
        return
    result = case.transform().apply(batch)
    assert result.values == [None] * len(result)
    assert all((schema.key, schema.value) == (None, None) for schema in result.schemas)


def test_headers_and_chosen_partitions_stay_with_their_records(case: Case) -> None:
    batch = batch_of(
        [structs(index) for index in range(4)],
        headers=[(), ("a",), (), ("b", "c")],
        partitions=[0, None, 2, 3],
    )
    result = case.transform().apply(batch)
    assert result.headers is not None
    assert result.partitions is not None
    kept = [batch.offsets.index(offset) for offset in result.offsets]
    assert list(result.headers) == [batch.headers[index] for index in kept]
    assert list(result.partitions) == [batch.partitions[index] for index in kept]

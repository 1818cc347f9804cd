import pytest

from coracle.api import BatchError, RecordSchema
from coracle.api.schema import INT64, OPTIONAL_STRING, STRING, Schema, Type, struct
from tests.unit.jdbc.sink_case import batch, gatherer

A = struct({"id": INT64})
B = struct({"id": INT64, "name": OPTIONAL_STRING})
KEYED = {"pk_mode": "record_key", "pk_fields": "id", "delete_enabled": "true"}


def failures(*batches, **more: str) -> dict[int, str]:
    with pytest.raises(BatchError) as caught:
        gatherer(**more).gather(batches)
    return {index: str(error) for index, error in caught.value.failures.items()}


def test_one_group_for_all_partitions_however_schemas_interleave():
    batches = [
        batch(
            [(None, None, A if i % 2 else B, {"id": i, "name": "x"}) for i in range(4)], partition=p
        )
        for p in range(3)
    ]
    groups = gatherer().gather(batches)
    assert [len(group) for group in groups] == [6, 6]
    assert groups[0].positions() == [0, 2, 4, 6, 8, 10]
    assert groups[1].positions() == [1, 3, 5, 7, 9, 11]
    assert [value["id"] for value in groups[1].values] == [1, 3] * 3


def test_schemas_of_the_same_columns_from_two_topics_share_a_table_and_a_group():
    first, second = batch([(None, None, A, {"id": 1})]), batch([(None, None, A, {"id": 2})], "more")
    [group] = gatherer(table_name_format="t").gather([first, second])
    assert [value["id"] for value in group.values] == [1, 2]


def test_kafka_columns_are_topic_partition_and_offset():
    batches = [
        batch([(None, None, A, {"id": 1}), (None, None, A, {"id": 2})], partition=3, first=70),
        batch([(None, None, A, {"id": 3})], partition=5, first=9),
    ]
    [group] = gatherer(pk_mode="kafka").gather(batches)
    columns = [group.column(field) for field in group.layout.fields]
    assert columns == [["orders"] * 3, [3, 3, 5], [70, 71, 9], [1, 2, 3]]


def test_records_without_a_value_are_deletes():
    found = gatherer(**KEYED).gather(
        [batch([(INT64, 1, A, {"id": 1}), (INT64, 2, None, None), (INT64, 3, A, None)])]
    )
    assert {group.layout.delete: group.positions() for group in found} == {
        False: [0],
        True: [1, 2],
    }


def test_records_of_two_topics_in_one_batch_stay_in_order():
    first, second = (
        batch([(None, None, A, {"id": i}) for i in range(4)]),
        RecordSchema("b", None, A),
    )
    mixed = first.with_(schemas=[*first.schemas, second], codes=[1, 0, 1, 0])
    [group] = gatherer(table_name_format="t", pk_mode="kafka").gather([mixed, first])
    assert group.positions() == list(range(8))
    columns = [group.column(field) for field in group.layout.fields]
    assert columns[0][:4] == ["b", "orders", "b", "orders"]
    assert columns[3] == [0, 1, 2, 3] * 2


def test_an_empty_struct_is_no_missing_value():
    [group] = gatherer(**KEYED).gather([batch([(INT64, 1, struct({}), {})])])
    assert not group.layout.delete


def test_a_field_that_a_value_lacks_is_null():
    [group] = gatherer().gather(
        [batch([(None, None, B, {"id": 1}), (None, None, B, {"name": "x"})])]
    )
    assert [group.column(field) for field in group.layout.fields] == [[1, None], [None, "x"]]


def test_a_tombstone_without_deletes_says_where_it_is():
    found = failures(
        batch([(None, None, A, {"id": 1})]),
        batch([(None, None, A, {"id": 1}), (None, None, None, None)], partition=2, first=40),
    )
    assert list(found) == [2]
    assert found[2].startswith(
        "Sink connector 'orders-sink' is configured with 'delete.enabled=false' and 'pk.mode=none' "
        "and therefore requires records with a non-null Struct value and non-null Struct schema, "
        "but found record at (topic='orders',partition=2,offset=41,timestamp=1700000000000) with a "
        "null value and null value schema."
    )
    assert "delete.enabled=true" in found[2]


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        (None, {"id": 1}, "with a HashMap value and null value schema."),
        (INT64, 5, "with a Long value and int64 value schema."),
        (Schema(Type.BYTES), b"x", "with a byte[] value and bytes value schema."),
    ],
)
def test_values_must_be_structs(schema: Schema | None, value: object, words: str):
    found = failures(batch([(None, None, A, {"id": 1}), (None, None, schema, value)]))
    assert list(found) == [1]
    assert words in found[1]


def test_schemaless_values_are_refused_with_deletes_too():
    found = failures(batch([(INT64, 1, None, {"id": 1})]), **KEYED)
    assert "with a HashMap value and null value schema." in found[0]


def test_a_missing_key():
    found = failures(batch([(INT64, 1, A, {"id": 1}), (INT64, None, A, {"id": 2})]), **KEYED)
    assert list(found) == [1]
    assert (
        "requires records with a non-null key and non-null Struct or primitive key schema"
        in found[1]
    )
    assert "with a null key and int64 key schema." in found[1]


def test_every_record_of_a_schema_that_cannot_be_written():
    found = failures(
        batch([(None, None, A, {"id": 1}), (None, None, STRING, "x"), (None, None, A, {"id": 2})]),
        pk_mode="record_value",
        pk_fields="id",
    )
    assert list(found) == [1]
    assert "pk.mode record_value needs struct values" in found[1]

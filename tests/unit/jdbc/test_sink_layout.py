import pytest

from coracle.api import DataError, RecordSchema, Schema
from coracle.api.schema import (
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP_SCHEMA,
    array,
    struct,
)
from coracle.connectors.jdbc.dialects import TableId
from coracle.connectors.jdbc.sinks.layout import Layout, Origin, compile_layout
from tests.unit.jdbc.sink_case import settings

TABLE = TableId(None, None, "orders")
KEY = struct({"id": INT64, "region": STRING})
VALUE = struct({"name": STRING, "id": INT64, "note": OPTIONAL_STRING})


def layout(
    key: Schema | None = KEY, value: Schema | None = VALUE, delete: bool = False, **more: str
) -> Layout:
    return compile_layout(
        TABLE, RecordSchema("orders", key, value), settings(**more), delete=delete
    )


def refusal(key: Schema | None = KEY, value: Schema | None = VALUE, **more: str) -> str:
    with pytest.raises(DataError) as caught:
        layout(key, value, **more)
    return str(caught.value)


def test_without_a_key_all_value_fields_are_columns():
    found = layout()
    assert found.names == ("name", "id", "note")
    assert found.key_names == ()
    assert {field.origin for field in found.fields} == {Origin.VALUE_FIELD}


def test_kafka_columns_come_first():
    found = layout(pk_mode="kafka")
    assert found.names == (
        *("__connect_topic", "__connect_partition", "__connect_offset"),
        *("name", "id", "note"),
    )
    assert layout(pk_mode="kafka", pk_fields="t,p,o").key_names == ("t", "p", "o")


def test_key_fields_stand_where_the_value_has_them_and_else_at_the_end_by_name():
    found = layout(pk_mode="record_key")
    assert found.names == ("name", "id", "note", "region")
    assert found.key_names == ("id", "region")
    origins = {field.name: field.origin for field in found.fields}
    assert origins["id"] is Origin.KEY_FIELD


def test_some_key_fields():
    assert layout(pk_mode="record_key", pk_fields="region").key_names == ("region",)


def test_a_primitive_key_takes_the_one_name():
    found = layout(INT32, pk_mode="record_key", pk_fields="order_id")
    assert found.key_names == ("order_id",)
    assert found.fields[found.key_indexes[0]].origin is Origin.KEY


def test_record_value_keys():
    assert layout(pk_mode="record_value", pk_fields="id").key_names == ("id",)
    assert layout(pk_mode="record_value").key_names == ("name", "id", "note")


def test_the_whitelist_spares_keys():
    found = layout(pk_mode="record_value", pk_fields="id", fields_whitelist="note")
    assert found.names == ("id", "note")


def test_a_string_value_is_one_column():
    assert layout(value=STRING).names == ("record_value",)
    assert layout(value=STRING, string_output_value_column_name="line").names == ("line",)


def test_timestamp_fields_have_a_unit():
    value = struct({"at": INT64, "n": INT64, "t": TIMESTAMP_SCHEMA})
    found = layout(
        value=value, timestamp_fields_list="at,t", timestamp_precision_mode="nanoseconds"
    )
    assert [field.unit for field in found.fields] == [1000, 0, 0]


def test_deletes_have_the_key_only():
    found = layout(value=None, delete=True, pk_mode="record_key", delete_enabled="true")
    assert found.delete
    assert found.names == ("id", "region")


def test_messages_are_the_jdbc_connectors():
    assert (
        "Need exactly one PK column defined since the key schema for records is a primitive type, "
        "defined columns are: []" in refusal(INT32, pk_mode="record_key")
    )
    assert "PK mode for table 'orders' is RECORD_KEY, but record key schema is missing" in refusal(
        None, pk_mode="record_key"
    )
    assert (
        "PK mode for table 'orders' is RECORD_KEY with configured PK fields [x], but record key "
        "schema does not contain field: x"
    ) in refusal(pk_mode="record_key", pk_fields="x")
    assert (
        "PK mode for table 'orders' is RECORD_VALUE with configured PK fields [x], but record "
        "value schema does not contain field: x"
    ) in refusal(pk_mode="record_value", pk_fields="x")
    assert "Key schema must be primitive type or Struct" in refusal(
        array(INT32), pk_mode="record_key"
    )
    assert "No fields found using key and value schemas for table: orders" in refusal(
        fields_whitelist="x"
    )
    assert (
        "Write to table 'orders' in UPSERT mode requires key field names to be known, check the "
        "primary key configuration"
    ) in refusal(struct({}), pk_mode="record_key", insert_mode="upsert")

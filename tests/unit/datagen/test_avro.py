import json
from decimal import Decimal
from random import Random

import pytest

from coracle.api.schema import DECIMAL, FLOAT64, INT32, INT64, STRING, TIMESTAMP, Type
from coracle.connectors.datagen.avro import SchemaError, compile_record, load
from coracle.connectors.datagen.quickstarts import QUICKSTARTS


def record(**fields):
    return {
        "type": "record",
        "name": "r",
        "namespace": "n.s",
        "fields": [{"name": name, "type": type_} for name, type_ in fields.items()],
    }


def of(type_, **properties):
    return {"type": type_, "arg.properties": properties}


def values(avro, count=500, start=0):
    """The values of the only field."""
    rows = compile_record(record(f=avro)).column(Random(3), range(start, start + count))
    assert len(rows) == count
    return [row["f"] for row in rows]


def field_schema(avro):
    return compile_record(record(f=avro)).schema.by_name["f"]


def test_a_record_is_a_named_struct_of_its_fields():
    schema = compile_record(record(a="int", b="string", c="double", d="long")).schema
    assert schema.name == "n.s.r"
    assert dict(schema.by_name) == {"a": INT32, "b": STRING, "c": FLOAT64, "d": INT64}


def test_ranges_are_half_open():
    assert set(values(of("int", range={"min": -1, "max": 2}))) == {-1, 0, 1}
    reals = values(of("double", range={"min": 5, "max": 6}))
    assert all(5 <= value < 6 for value in reals)
    assert all(isinstance(value, float) for value in reals)


def test_unannotated_numbers_fill_the_type():
    assert all(-(2**31) <= value < 2**31 for value in values("int"))
    assert max(values("long")) > 2**60
    assert all(0 <= value < 1 for value in values("float"))


def test_iteration_depends_on_the_iteration_number_alone():
    assert values(of("int", iteration={"start": 0}), 3, start=1000) == [1000, 1001, 1002]
    assert values(of("long", iteration={"start": 1, "step": 10}), 3) == [1, 11, 21]
    assert values(of("string", iteration={"start": 7}), 2) == ["7", "8"]
    assert values(of("double", iteration={"start": 0}), 2) == [0.0, 1.0]


def test_iteration_starts_again():
    assert values(of("int", iteration={"start": 0, "restart": 3}), 5) == [0, 1, 2, 0, 1]
    assert values(of("int", iteration={"start": 3, "restart": 0}), 5) == [3, 2, 1, 3, 2]
    again = of("int", iteration={"start": 0, "restart": 3, "initial": 2})
    assert values(again, 3) == [2, 0, 1]
    assert values(of("int", iteration={"start": 0}), 2, start=2**31 - 2) == [2**31 - 2, 0]


def test_booleans():
    assert values(of("boolean", iteration={"start": True}), 3) == [True, False, True]
    assert set(values(of("boolean", odds=0.0))) == {False}
    assert set(values("boolean")) == {True, False}


def test_strings():
    assert set(values(of("string", options=["a", "b"]))) == {"a", "b"}
    assert {len(text) for text in values("string")} == set(range(8, 16))
    assert {len(text) for text in values(of("string", length=3))} == {3}
    assert {len(text) for text in values(of("string", length={"min": 1, "max": 3}))} == {1, 2}
    assert set(values(of("string", regex="[ab]", prefix="<", suffix=">"))) == {"<a>", "<b>"}


def test_options_from_a_file(tmp_path):
    path = tmp_path / "options.json"
    path.write_text('["x", "y"]')
    options = {"file": str(path), "encoding": "json"}
    assert set(values(of("string", options=options))) == {"x", "y"}


def test_nullable_fields():
    assert field_schema(["null", "string"]) == STRING.as_optional()
    made = values(["null", of("int", options=[1])])
    assert set(made) == {None, 1}


def test_arrays_and_maps():
    array = {"type": "array", "items": of("int", options=[1])} | {
        "arg.properties": {"length": {"min": 0, "max": 3}}
    }
    assert {tuple(value) for value in values(array)} == {(), (1,), (1, 1)}
    map_ = {
        "type": "map",
        "values": "long",
        "arg.properties": {"length": 2, "keys": {"options": ["a"]}},
    }
    assert all(list(value) == ["a"] for value in values(map_))
    assert field_schema(map_).values == INT64


def test_nested_and_named_types():
    inner = {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "int"}]}
    schema = compile_record(record(a=inner, b="inner", c="n.s.inner")).schema
    assert schema.by_name["a"] == schema.by_name["b"] == schema.by_name["c"]
    assert schema.by_name["a"].name == "n.s.inner"


def test_enums_and_fixed_keep_their_names():
    enum = {"type": "enum", "name": "e", "symbols": ["A", "B"]}
    schema = field_schema(enum)
    assert (schema.type, schema.name) == (Type.STRING, "n.s.e")
    assert schema.parameters["io.confluent.connect.avro.Enum.A"] == "A"
    assert set(values(enum)) == {"A", "B"}
    fixed = {"type": "fixed", "name": "f", "size": 4}
    assert {len(value) for value in values(fixed)} == {4}


def test_logical_types():
    assert field_schema({"type": "long", "logicalType": "timestamp-millis"}).name == TIMESTAMP
    named = {"type": "long", "connect.name": TIMESTAMP, "connect.version": 1}
    assert field_schema(named).name == TIMESTAMP
    money = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    assert field_schema(money).name == DECIMAL
    assert all(
        isinstance(v, Decimal) and v < 100 and v.as_tuple().exponent == -2 for v in values(money)
    )


def test_documentation_and_defaults():
    avro = record(a="int")
    avro["doc"] = "of the record"
    avro["fields"][0] |= {"doc": "of the field", "default": 5}
    schema = compile_record(avro).schema
    assert schema.doc == "of the record"
    assert (schema.by_name["a"].doc, schema.by_name["a"].default) == ("of the field", 5)


@pytest.mark.parametrize(
    ("avro", "message"),
    [
        ("nonsense", "no Avro type 'nonsense'"),
        ({"x": 1}, "is no Avro type"),
        (["null", "int", "string"], "unions of null and one type"),
        (of("string", distribution={}), "'distribution' is not supported for the type string"),
        (of("bytes", options=["x"]), "'options' is not supported"),
        (of("int", options=["x"]), "the option 'x' is no int"),
        (of("int", options=[True]), "the option True is no int"),
        (of("int", options=[]), "at least one value"),
        (of("int", range={"min": 2, "max": 2}), "is empty"),
        (of("int", iteration={}), "needs a start"),
        (of("int", iteration={"start": 1, "restart": 1}), "never moves"),
        (of("int", iteration={"start": 1, "restart": 9, "step": -1}), "away from its restart"),
        (of("string", regex="("), r"missing '\)'"),
        (of("string", length={"min": 4, "max": 2}), "is empty"),
        (of("string", options={"file": "/nowhere", "encoding": "json"}), "cannot read"),
        ({"type": "array", "items": of("int", iteration={"start": 0})}, "inside arrays and maps"),
        ({"type": "enum", "name": "e", "symbols": []}, "needs symbols"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_field(avro, message):
    with pytest.raises(SchemaError, match=f"the field f: .*{message}"):
        compile_record(record(f=avro))


def test_only_records_stand_alone():
    with pytest.raises(SchemaError, match="must be an Avro record"):
        load(json.dumps("int"))
    with pytest.raises(SchemaError, match="not JSON"):
        load("{")


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_quickstarts_compile_and_have_their_key(name):
    quickstart = QUICKSTARTS[name]
    schema, column = compile_record(quickstart.schema)
    rows = column(Random(1), range(100))
    assert quickstart.key in schema.by_name
    assert all(tuple(row) == schema.field_names for row in rows)

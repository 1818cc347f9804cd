"""A schema as the JSON object that Kafka Connect's envelopes carry.

    {"type": "int32", "optional": false, "name": …, "version": …, "doc": …, "parameters": {…},
     "default": …, "items": …, "keys": …, "values": …, "fields": [{…, "field": "id"}]}

``type`` is spelled as in ``TYPES``. Written keys and their order are the JVM's, byte for byte.
Source: ``JsonConverter.asConnectSchema`` and ``asJsonSchema`` of Kafka Connect 4.3.
"""

from __future__ import annotations

from typing import Any

from coracle.api.errors import DataError
from coracle.api.schema import Field, Schema, Type
from coracle.converters.json_columns import MismatchError
from coracle.converters.json_read import compile_reader
from coracle.converters.json_write import compile_writer

TYPES = {
    "boolean": Type.BOOLEAN,
    "int8": Type.INT8,
    "int16": Type.INT16,
    "int32": Type.INT32,
    "int64": Type.INT64,
    "float": Type.FLOAT32,
    "double": Type.FLOAT64,
    "bytes": Type.BYTES,
    "string": Type.STRING,
    "array": Type.ARRAY,
    "map": Type.MAP,
    "struct": Type.STRUCT,
}
_NAMES = {type_: name for name, type_ in TYPES.items()}


def schema_from_json(node: Any, *, replace_null: bool = True) -> Schema | None:
    """The schema that a JSON object describes; ``None`` for null.

    Args:
        node: parsed with ``json_read.exact_loads``, so that defaults keep their digits.
        replace_null: the converter's ``replace.null.with.default``, which holds for defaults too.

    Raises:
        DataError: in Kafka Connect's words, when the object is no schema.
    """
    if node is None:
        return None
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        raise DataError("Schema must contain 'type' field")
    if node["type"] not in TYPES:
        raise DataError(
            f"Unknown schema type: {node['type']}", fix=f"Known types: {', '.join(TYPES)}."
        )
    type_ = TYPES[node["type"]]
    schema = Schema(
        type_,
        optional=node.get("optional") is True,
        name=_typed(node, "name", str),
        version=_typed(node, "version", int),
        doc=_typed(node, "doc", str),
        parameters=_parameters(node.get("parameters")),
        fields=_fields(node, replace_null) if type_ is Type.STRUCT else (),
        keys=_part(node, "keys", "Map schema did not specify the key type", replace_null)
        if type_ is Type.MAP
        else None,
        values=_values(node, type_, replace_null),
    )
    default = node.get("default")
    if default is None:
        return schema
    try:
        read = compile_reader(schema, replace_null=replace_null)
        return schema.with_(default=read([default])[0])
    except MismatchError as error:
        raise DataError(f"Invalid default value in schema: {error}") from None


def _typed(node: dict[str, Any], key: str, kind: type) -> Any:
    value = node.get(key)
    return value if type(value) is kind else None


def _parameters(node: Any) -> dict[str, str]:
    if not isinstance(node, dict):
        return {}
    if not all(isinstance(value, str) for value in node.values()):
        raise DataError("Schema parameters must have string values.")
    return node


def _values(node: dict[str, Any], type_: Type, replace_null: bool) -> Schema | None:
    if type_ is Type.ARRAY:
        return _part(node, "items", "Array schema did not specify the element type", replace_null)
    if type_ is Type.MAP:
        return _part(node, "values", "Map schema did not specify the value type", replace_null)
    return None


def _part(node: dict[str, Any], key: str, missing: str, replace_null: bool) -> Schema:
    schema = schema_from_json(node.get(key), replace_null=replace_null)
    if schema is None:
        raise DataError(missing)
    return schema


def _fields(node: dict[str, Any], replace_null: bool) -> tuple[Field, ...]:
    members = node.get("fields")
    if not isinstance(members, list):
        raise DataError('Struct schema\'s "fields" argument is not an array.')
    fields: dict[str, Field] = {}
    for member in members:
        name = member.get("field") if isinstance(member, dict) else None
        if not isinstance(name, str):
            raise DataError("Struct schema's field name not specified properly")
        if name in fields:
            raise DataError(f"Cannot create field because of field name duplication {name}")
        schema = schema_from_json(member, replace_null=replace_null)
        assert schema is not None  # only null has no schema
        fields[name] = Field(name, schema)
    return tuple(fields.values())


def schema_to_json(schema: Schema | None, *, numeric: bool) -> dict[str, Any] | None:
    """The JSON object that describes a schema, ready for ``json_write.dump``.

    Args:
        numeric: whether decimal defaults become numbers instead of base64.

    Raises:
        DataError: when a default contradicts the schema, or an array or map has no element type.
    """
    if schema is None:
        return None
    node: dict[str, Any] = {"type": _NAMES[schema.type]}
    if schema.type is Type.ARRAY:
        node["items"] = _part_to_json(schema.values, numeric)
    elif schema.type is Type.MAP:
        node["keys"] = _part_to_json(schema.keys, numeric)
        node["values"] = _part_to_json(schema.values, numeric)
    elif schema.type is Type.STRUCT:
        node["fields"] = [
            {**_part_to_json(member.schema, numeric), "field": member.name}
            for member in schema.fields
        ]
    node["optional"] = schema.optional
    if schema.name is not None:
        node["name"] = schema.name
    if schema.version is not None:
        node["version"] = schema.version
    if schema.doc is not None:
        node["doc"] = schema.doc
    if schema.parameters:
        node["parameters"] = dict(schema.parameters)
    if schema.default is not None:
        try:
            write = compile_writer(schema, numeric=numeric, replace_null=True)
            node["default"] = write([schema.default])[0]
        except MismatchError as error:
            raise DataError(f"Invalid default value in schema: {error}") from None
    return node


def _part_to_json(schema: Schema | None, numeric: bool) -> dict[str, Any]:
    node = schema_to_json(schema, numeric=numeric)
    if node is None:
        raise DataError("A schema in JSON needs an element type for every array and map")
    return node

"""Schemas and values in the notation of the golden files (see golden/Golden.java)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from coracle.api import Converter, Schema, Type

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Iterator[tuple[str, str, Any]]:
    """Input, schema (``!!`` for an error) and value (or message) of each line of a golden file."""
    for line in (GOLDEN / name).read_text(encoding="utf-8").split("\n"):
        if line:
            source, schema, value = line.split("\t")
            yield json.loads(source), schema, json.loads(value)


def schema_form(schema: Schema | None) -> str:
    if schema is None:
        return "-"
    text = schema.type.value.lower()
    if schema.name:
        text += ":" + schema.name.replace("org.apache.kafka.connect.data.", "")
    if schema.parameters:
        text += "{" + ", ".join(f"{key}={value}" for key, value in schema.parameters.items()) + "}"
    if schema.type is Type.ARRAY:
        text += f"<{schema_form(schema.values)}>"
    if schema.type is Type.MAP:
        text += f"<{schema_form(schema.keys)},{schema_form(schema.values)}>"
    if schema.type is Type.STRUCT:
        members = (f"{member.name} {schema_form(member.schema)}" for member in schema.fields)
        text += f"<{','.join(members)}>"
    return text + ("?" if schema.optional else "")


def value_form(schema: Schema | None, value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"decimal {value}"
    if isinstance(value, bytes):
        return f"bytes {value.hex()}"
    if isinstance(value, list):
        element = schema.values if schema else None
        return [value_form(element, item) for item in value]
    if isinstance(value, dict):
        if schema is not None and schema.type is Type.STRUCT:
            return {name: value_form(schema.by_name[name], item) for name, item in value.items()}
        keys, values = (schema.keys, schema.values) if schema else (None, None)
        return {"map": [[value_form(keys, k), value_form(values, v)] for k, v in value.items()]}
    return value


def configured(kind: type[Converter], **settings: str) -> Converter:
    """A converter with settings; underscores stand for the dots of their names."""
    props = {name.replace("_", "."): value for name, value in settings.items()}
    converter = kind()
    converter.configure(kind.spec.parse(props), "value")
    return converter

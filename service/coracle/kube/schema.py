"""The OpenAPI schema of a model, as strict as Kubernetes wants it.

pydantic writes JSON Schema: references to definitions, ``anyOf`` with null for what may be left
out, titles. A CRD takes a *structural* schema: everything in one place, one type each, nothing
optional but what ``required`` leaves out.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coracle.kube.model.base import NO_EFFECT, STORED, Model

_PRESERVED = "x-kubernetes-preserve-unknown-fields"
_FIRST = ("description", "type", "format", "default", "enum", "required", "properties")

Schema = dict[str, Any]


def structural(model: type[Model]) -> Schema:
    """The schema of a model and all that is in it."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    plain = _without_null(_dereferenced(schema, definitions), definitions)
    if not plain.pop(STORED, False):
        plain.pop("default", None)
    for key in ("title", "$defs", NO_EFFECT):
        plain.pop(key, None)
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "description" in plain:
        plain["description"] = _flowing(plain["description"])
    if plain.get(_PRESERVED):
        plain.pop("additionalProperties", None)
    elif isinstance(values := plain.get("additionalProperties"), Mapping):
        plain["additionalProperties"] = _plain(values, definitions)
    if properties := plain.get("properties"):
        plain["properties"] = {name: _plain(each, definitions) for name, each in properties.items()}
    if items := plain.get("items"):
        plain["items"] = _plain(items, definitions)
        plain["items"].pop("description", None)
    order = {key: place for place, key in enumerate(_FIRST)}
    return dict(sorted(plain.items(), key=lambda item: order.get(item[0], len(order))))


def _dereferenced(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    plain = dict(schema)
    if name := plain.pop("$ref", None):
        return {**definitions[name.rpartition("/")[2]], **plain}
    return plain


def _without_null(schema: Schema, definitions: Mapping[str, Any]) -> Schema:
    """What may be null may be left out; the API server drops or refuses a null."""
    if "x-kubernetes-int-or-string" in schema:
        return schema
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    return {
        **_dereferenced(kinds[0], definitions),
        **{k: v for k, v in schema.items() if k != "anyOf"},
    }


def _flowing(text: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))

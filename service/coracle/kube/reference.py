"""The page that documents the custom resources, made from their definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_HEAD = """\
# Custom resources

Every field of KafkaConnector and KafkaConnect, as `kubectl explain kafkaconnector.spec` shows them.
This page is made from the model in `service/coracle/kube/model` by `make crds`. A field marked *
has to be there.
"""


def markdown(definitions: Iterable[Mapping[str, Any]]) -> str:
    """The whole page.

    Args:
        definitions: CustomResourceDefinitions.
    """
    return "\n".join([_HEAD, *(_resource(definition) for definition in definitions)])


def _resource(definition: Mapping[str, Any]) -> str:
    named = definition["spec"]["names"]
    version = definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        f"## {named['kind']}",
        "",
        schema["description"],
        "",
        f"`{definition['spec']['group']}/{version['name']}`, "
        f"short name `{named['shortNames'][0]}`.",
    ]
    for part in ("spec", "status"):
        part_schema = schema["properties"][part]
        lines += ["", f"### {named['kind']}.{part}", "", _escaped(part_schema["description"]), ""]
        lines += ["| Field | Type | Meaning |", "| --- | --- | --- |"]
        lines += _rows(part_schema, "")
        if said := list(_rules(part_schema, part)):
            lines += ["", "The API server also holds it to these rules:", ""]
            lines += [f"- `{place}`: {message}." for place, message in said]
    if said := [each["message"] for each in schema.get("x-kubernetes-validations", ())]:
        lines += ["", f"### {named['kind']} as a whole", ""]
        lines += [f"- {message}." for message in said]
    return "\n".join([*lines, ""])


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        star = "*" if name in required else ""
        text = _escaped(each.get("description", ""))
        yield f"| `{prefix}{name}`{star} | {_type(each)} | {text} |"
        inner = each.get("items", each)
        mark = "[]." if "items" in each else "."
        yield from _rows(inner, f"{prefix}{name}{mark}")


def _escaped(text: str) -> str:
    """Text for a cell of a table, where ``<name>`` is no HTML and ``*`` no emphasis."""
    for character, written in (("<", "&lt;"), ("|", "\\|"), ("*", "\\*"), ("\n\n", "<br>")):
        text = text.replace(character, written)
    return text


def _rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for each in schema.get("x-kubernetes-validations", ()):
        yield path, each["message"]
    for name, each in schema.get("properties", {}).items():
        yield from _rules(each, f"{path}.{name}")
    if items := schema.get("items"):
        yield from _rules(items, f"{path}[]")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "items" in schema:
        return f"list of {_type(schema['items'])}s"
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        return f"map to {_type(values)}"
    return schema.get("format") or schema["type"]

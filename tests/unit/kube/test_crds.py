"""The CRDs and their page are what the model says, and fit Kubernetes' rules for schemas."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from coracle.kube import crds

ROOT = Path(__file__).parents[3]
DEFINITIONS = crds.definitions()


@pytest.mark.parametrize("path", sorted(crds.files()))
def test_written_files_are_fresh(path: str) -> None:
    written = ROOT / path
    assert written.is_file(), f"{path} is missing: run `make crds`"
    assert written.read_text("utf-8") == crds.files()[path], f"{path} is stale: run `make crds`"


def schema(kind: str) -> dict[str, Any]:
    return DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def parts(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from parts(each, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(each := schema.get(key), Mapping):
            yield from parts(each, f"{path}[]")


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_schemas_are_structural(kind: str) -> None:
    for path, part in parts(schema(kind)):
        assert "$ref" not in part, path
        assert "title" not in part, path
        assert "type" in part or part.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in part and "additionalProperties" in part), path
        assert not any(key.startswith("x-coracle") for key in part), path


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_every_field_is_described(kind: str) -> None:
    for path, part in parts(schema(kind)):
        if path and not path.endswith("[]") and path != ".metadata":
            assert part.get("description", "").endswith("."), path


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_lists_with_rules_are_bounded(kind: str) -> None:
    """The API server refuses a CRD whose rules might cost too much."""
    for path, part in parts(schema(kind)):
        if part.get("type") == "array" and "x-kubernetes-validations" in part["items"]:
            assert part["maxItems"] > 0, path


def test_only_what_scaling_and_gitops_need_is_written_into_resources() -> None:
    stored = {
        (kind, path): part["default"]
        for kind in DEFINITIONS
        for path, part in parts(schema(kind))
        if "default" in part
    }
    assert stored == {
        ("KafkaConnector", ".spec.tasksMax"): 1,
        ("KafkaConnect", ".spec.replicas"): 1,
        ("KafkaConnect", ".spec.allowedNamespaces.from"): "Same",
    }


STRIMZI = {
    "KafkaConnector": "class tasksMax version autoRestart config state pause "
    "listOffsets alterOffsets",
    "KafkaConnect": "version replicas image bootstrapServers groupId configStorageTopic "
    "statusStorageTopic offsetStorageTopic tls authentication config resources livenessProbe "
    "readinessProbe jvmOptions jmxOptions logging clientRackInitImage rack metricsConfig tracing "
    "build plugins template",
}


@pytest.mark.parametrize("kind", STRIMZI)
def test_every_field_of_strimzis_spec_has_a_place(kind: str) -> None:
    fields = schema(kind)["properties"]["spec"]["properties"]
    assert set(STRIMZI[kind].split()) <= set(fields)


def test_pyyaml_writes_no_anchors() -> None:
    assert not any("&id" in text for text in crds.files().values())

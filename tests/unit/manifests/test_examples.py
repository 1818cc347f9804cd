"""The connectors in k8s/ are right: each field is one we know, each configuration one that runs."""

from typing import Any

import pytest

from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle.kube.validation import check, offline_worker
from tests.unit.manifests.resources import ROOT, resources

OURS = [
    pytest.param(resource, id=f"{path.parent.name}/{path.stem}-{resource['kind']}")
    for folder in ("k8s/examples", "k8s/gitops")
    for path, resource in resources(folder)
    if resource.get("apiVersion", "").split("/")[0] in ("coracle.dev", "kafka.strimzi.io")
]
CONNECTORS = [each for each in OURS if each.values[0]["kind"] == "KafkaConnector"]


def unknown(given: Any, understood: Any, path: str = "spec") -> list[str]:
    """What was written and is not in what the model makes of it."""
    if isinstance(given, dict):
        return [
            name
            for key, value in given.items()
            for name in (
                unknown(value, understood[key], f"{path}.{key}")
                if key in understood
                else [f"{path}.{key}"]
            )
        ]
    if isinstance(given, list):
        return [
            name
            for index, (value, other) in enumerate(zip(given, understood, strict=True))
            for name in unknown(value, other, f"{path}[{index}]")
        ]
    return [] if given == understood else [path]


def test_there_are_examples() -> None:
    assert len(CONNECTORS) >= 8


def test_unknown_fields_are_found() -> None:
    assert unknown({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}) == ["spec.a[0].c"]


@pytest.mark.parametrize("resource", OURS)
def test_every_field_is_known(resource: dict[str, Any]) -> None:
    model = {"KafkaConnector": KafkaConnector, "KafkaConnect": KafkaConnect}[resource["kind"]]
    understood = model.model_validate(resource)
    assert unknown(resource["spec"], understood.to_json()["spec"]) == []


@pytest.mark.parametrize("resource", CONNECTORS)
def test_every_configuration_is_right(resource: dict[str, Any]) -> None:
    connector = KafkaConnector.model_validate(resource)
    config = {"connector.class": connector.spec.class_, **connector.spec.settings()}
    worker = offline_worker({"bootstrap.servers": "kafka:9092"})
    verdict = check(
        connector.connector_name,
        config,
        connector.spec.tasks_max,
        worker=worker,
        namespace=connector.metadata.namespace,
    )
    assert verdict.errors == []
    assert verdict.warnings == []


def test_kustomizations_name_every_file() -> None:
    for path, kustomization in resources("k8s"):
        if path.name == "kustomization.yaml":
            folder = ROOT / path.parent
            named = {name for name in kustomization["resources"] if name.endswith(".yaml")}
            assert named == {file.name for file in folder.glob("*.yaml")} - {path.name}, path

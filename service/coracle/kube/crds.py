"""The CustomResourceDefinitions, made from the typed model.

``make crds`` (``python -m coracle.kube.crds``) writes them to ``k8s/crds``, for the chart to
``helm/coracle/files/crds``, and as a page of documentation. A test fails when one of these is not
what the model says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle.kube.model.base import Model
from coracle.kube.reference import markdown
from coracle.kube.schema import structural

_NOTE = "# Made from service/coracle/kube/model by `make crds`. Change it there.\n"


def definitions() -> dict[str, dict[str, Any]]:
    """The two CustomResourceDefinitions by kind, ready for the API server."""
    return {
        names.KAFKA_CONNECTOR: _definition(
            names.KAFKA_CONNECTOR,
            "cconn",
            KafkaConnector,
            scale=(".spec.tasksMax", ".status.replicas"),
            columns=[
                _column("Class", ".spec.class", "The connector's class"),
                _column("Tasks", ".spec.tasksMax", "Most tasks there may be", "integer"),
                _column("Actual", ".status.tasksMax", "Tasks there are", "integer"),
                _column(
                    "State", ".status.connectorStatus.connector.state", "The connector's state"
                ),
                _condition("Ready", "status"),
                _AGE,
                _column("Pods", ".status.replicas", "Pods there are", "integer", wide=True),
                _condition("Reason", "reason", wide=True),
                _condition("Message", "message", wide=True),
            ],
        ),
        names.KAFKA_CONNECT: _definition(
            names.KAFKA_CONNECT,
            "cconnect",
            KafkaConnect,
            scale=(".spec.replicas", ".status.replicas"),
            columns=[
                _column("Bootstrap", ".spec.bootstrapServers", "Kafka brokers to connect to first"),
                _column("Replicas", ".status.replicas", "api pods there are", "integer"),
                _condition("Ready", "status"),
                _AGE,
                _column("Url", ".status.url", "Where the api answers", wide=True),
                _condition("Reason", "reason", wide=True),
                _condition("Message", "message", wide=True),
            ],
        ),
    }


def files() -> dict[str, str]:
    """What ``make crds`` writes: texts by path in the project."""
    texts: dict[str, str] = {}
    for kind, definition in definitions().items():
        text = _NOTE + as_yaml(definition)
        for directory in ("k8s/crds", "helm/coracle/files/crds"):
            texts[f"{directory}/{names.GROUP}_{kind.lower()}s.yaml"] = text
    texts["docs/kubernetes-reference.md"] = markdown(definitions().values())
    return texts


def as_yaml(definition: Mapping[str, Any]) -> str:
    """A definition as a YAML document, without anchors: people read and compare it."""
    return yaml.dump(definition, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)


def main() -> None:
    """Write the files below the current directory."""
    for path, text in files().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _definition(
    kind: str,
    short_name: str,
    model: type[Model],
    *,
    scale: tuple[str, str],
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    wanted, found = scale
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{names.GROUP}",
            "labels": {names.NAME_LABEL: names.APP_NAME},
        },
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short_name],
                "categories": [names.APP_NAME],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root(structural(model))},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": wanted,
                            "statusReplicasPath": found,
                            "labelSelectorPath": ".status.labelSelector",
                        },
                    },
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a whole resource; the API server has its own for what all resources share."""
    shared = {
        "apiVersion": {
            "type": "string",
            "description": f"Version of the schema: {names.API_VERSION}.",
        },
        "kind": {"type": "string", "description": "Kind of the resource."},
        "metadata": {"type": "object"},
    }
    properties = {name: shared.get(name, each) for name, each in schema["properties"].items()}
    return {**schema, "properties": properties, "required": ["spec"]}


def _column(
    name: str,
    path: str,
    description: str,
    type: str = "string",  # noqa: A002
    *,
    wide: bool = False,
) -> dict[str, Any]:
    column = {"name": name, "type": type, "description": description, "jsonPath": path}
    return {**column, "priority": 1} if wide else column


def _condition(name: str, field: str, *, wide: bool = False) -> dict[str, Any]:
    path = f'.status.conditions[?(@.type=="Ready")].{field}'
    return _column(name, path, f"The Ready condition's {field}", wide=wide)


_AGE = _column("Age", ".metadata.creationTimestamp", "Time since it was made", "date")

if __name__ == "__main__":
    main()

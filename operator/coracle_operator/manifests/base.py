"""What all manifests have in common: names, labels, owners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle_operator.cluster import Kind, Object

PORT = 8083
"""Where pods listen, as Kafka Connect does."""


def connector_labels(connector: KafkaConnector, connect: KafkaConnect | None) -> dict[str, str]:
    """Labels of what belongs to a connector."""
    labels = {
        **_common(connector.metadata.name, "task"),
        names.CONNECTOR_LABEL: names.label_value(connector.metadata.name),
    }
    if connect is not None:
        labels[names.CONNECT_LABEL] = names.label_value(connect.metadata.name)
    return labels


def connect_labels(connect: KafkaConnect) -> dict[str, str]:
    """Labels of what belongs to a KafkaConnect itself."""
    return {
        **_common(connect.metadata.name, "api"),
        names.CONNECT_LABEL: names.label_value(connect.metadata.name),
    }


def _common(name: str, component: str) -> dict[str, str]:
    return {
        names.NAME_LABEL: names.APP_NAME,
        names.MANAGED_BY_LABEL: names.MANAGED_BY,
        names.COMPONENT_LABEL: component,
        names.INSTANCE_LABEL: names.label_value(name),
    }


def connector_selector(connector: KafkaConnector) -> dict[str, str]:
    """What tells a connector's task pods from all others of its namespace."""
    return {
        names.COMPONENT_LABEL: "task",
        names.CONNECTOR_LABEL: names.label_value(connector.metadata.name),
    }


def connect_selector(connect: KafkaConnect) -> dict[str, str]:
    """What tells the api pods of a KafkaConnect from all others of its namespace."""
    return {
        names.COMPONENT_LABEL: "api",
        names.CONNECT_LABEL: names.label_value(connect.metadata.name),
    }


def selector_text(selector: Mapping[str, str]) -> str:
    """A label selector as text, as ``status.labelSelector`` holds it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def connector_object_name(connector: KafkaConnector) -> str:
    """The name of all objects of a connector."""
    return names.object_name(connector.metadata.name, names.CONNECTOR_SUFFIX)


def connect_object_name(connect: KafkaConnect) -> str:
    """The name of all objects of a KafkaConnect."""
    return names.object_name(connect.metadata.name, names.CONNECT_API_SUFFIX)


def owned(
    kind: Kind,
    owner: KafkaConnector | KafkaConnect,
    name: str,
    labels: Mapping[str, str],
    **content: Any,
) -> Object:
    """An object that goes when its owner goes.

    Args:
        kind: of the object.
        owner: the custom resource.
        name: of the object.
        labels: of the object.
        content: its fields, such as ``spec``.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": dict(labels),
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KAFKA_CONNECTOR
                    if isinstance(owner, KafkaConnector)
                    else names.KAFKA_CONNECT,
                    "name": owner.metadata.name,
                    "uid": owner.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        **content,
    }

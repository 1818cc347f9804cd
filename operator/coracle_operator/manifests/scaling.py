"""Autoscalers. They set ``spec.tasksMax`` of the KafkaConnector through its scale subresource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coracle.kube import names
from coracle.kube.model import Autoscaling, KafkaConnector
from coracle_operator.cluster import Object
from coracle_operator.kinds import AUTOSCALER, SCALED_OBJECT
from coracle_operator.manifests.base import owned


def autoscaler(
    connector: KafkaConnector,
    name: str,
    labels: Mapping[str, str],
    settings: Mapping[str, str],
    worker: Mapping[str, str],
) -> Object | None:
    """A HorizontalPodAutoscaler for a CPU target, a ScaledObject of KEDA for lag.

    It may ask for more tasks than there are partitions: pods are never more than can be busy, and a
    bound that follows what the autoscaler itself has set would go back and forth with it.

    Args:
        connector: whose ``spec.autoscaling`` it is.
        name: of the object.
        labels: of the object.
        settings: the connector's.
        worker: the worker's.
    """
    wanted = connector.spec.autoscaling
    if wanted is None:
        return None
    bounds = (wanted.min_tasks, wanted.max_tasks)
    if wanted.lag is not None:
        return _keda(connector, name, labels, settings, worker, bounds, wanted)
    target = {"apiVersion": names.API_VERSION, "kind": names.KAFKA_CONNECTOR}
    metric = {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": wanted.cpu},
    }
    spec = {
        "scaleTargetRef": {**target, "name": connector.metadata.name},
        "minReplicas": bounds[0],
        "maxReplicas": bounds[1],
        "metrics": [{"type": "Resource", "resource": metric}],
    }
    return owned(AUTOSCALER, connector, name, labels, spec=spec)


def _keda(
    connector: KafkaConnector,
    name: str,
    labels: Mapping[str, str],
    settings: Mapping[str, str],
    worker: Mapping[str, str],
    bounds: tuple[int, int],
    wanted: Autoscaling,
) -> Object:
    """https://keda.sh/docs/latest/scalers/apache-kafka/."""
    metadata: dict[str, Any] = {
        "bootstrapServers": worker["bootstrap.servers"],
        "consumerGroup": consumer_group(connector.connector_name, settings),
        "lagThreshold": str(wanted.lag),
        "offsetResetPolicy": "earliest",
    }
    topics = settings.get("topics", "")
    if topics and "," not in topics:
        metadata["topic"] = topics.strip()
    if worker.get("security.protocol", "").endswith("SSL"):
        metadata["tls"] = "enable"
    spec = {
        "scaleTargetRef": {
            "apiVersion": names.API_VERSION,
            "kind": names.KAFKA_CONNECTOR,
            "name": connector.metadata.name,
        },
        "minReplicaCount": bounds[0],
        "maxReplicaCount": bounds[1],
        "triggers": [{"type": "kafka", "metadata": metadata}],
    }
    return owned(SCALED_OBJECT, connector, name, labels, spec=spec)


def consumer_group(connector_name: str, settings: Mapping[str, str]) -> str:
    """The consumer group of a sink."""
    return settings.get("consumer.override.group.id") or f"connect-{connector_name}"

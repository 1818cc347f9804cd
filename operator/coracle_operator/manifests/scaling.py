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
    useful: int | None,
) -> Object | None:
    """A HorizontalPodAutoscaler for a CPU target, a ScaledObject of KEDA for lag.

    Args:
        connector: whose ``spec.autoscaling`` it is. name: of the object. labels: of the object.
            settings: the connector's. worker: the worker's. useful: how many pods can be busy, None
            while nobody knows. When that is fewer than the tasks
            there may be now, partitions or the source are the limit, and so the autoscaler's.
    """
    wanted = connector.spec.autoscaling
    if wanted is None:
        return None
    most = wanted.max_tasks
    if useful is not None and useful < connector.spec.tasks_max:
        most = max(1, min(most, useful))
    least = min(wanted.min_tasks, most)
    if wanted.lag is not None:
        return _keda(connector, name, labels, settings, worker, (least, most), wanted)
    target = {"apiVersion": names.API_VERSION, "kind": names.KAFKA_CONNECTOR}
    metric = {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": wanted.cpu},
    }
    spec = {
        "scaleTargetRef": {**target, "name": connector.metadata.name},
        "minReplicas": least,
        "maxReplicas": most,
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

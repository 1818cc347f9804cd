"""What the Prometheus operator is told, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping

from coracle.kube.model import KafkaConnector
from coracle_operator.cluster import Kind, Object
from coracle_operator.kinds import POD_MONITOR, SERVICE_MONITOR
from coracle_operator.manifests.base import owned


def monitor(
    kind: Kind,
    connector: KafkaConnector,
    name: str,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
) -> Object:
    """A ServiceMonitor or PodMonitor of a connector's pods."""
    endpoints = {SERVICE_MONITOR: "endpoints", POD_MONITOR: "podMetricsEndpoints"}[kind]
    spec = {
        "selector": {"matchLabels": dict(selector)},
        endpoints: [{"port": "http", "path": "/metrics"}],
    }
    return owned(kind, connector, name, labels, spec=spec)

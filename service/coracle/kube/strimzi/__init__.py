"""Strimzi's resources, as ours and back.

``kafka.strimzi.io`` KafkaConnect and KafkaConnector, of v1 and v1beta2, become ``coracle.dev/v1``
ones (``resources.py``), and the status of ours becomes one as Strimzi writes it (``status.py``).
Nothing here reads or writes a cluster. What the fields mean:
https://strimzi.io/docs/operators/latest/configuring
"""

from coracle.kube.strimzi.resources import (
    ANNOTATIONS,
    CLUSTER_LABEL,
    Remark,
    Translation,
    connect,
    connector,
)
from coracle.kube.strimzi.status import connect_status, connector_status

GROUP = "kafka.strimzi.io"
VERSIONS = ("v1", "v1beta2")

__all__ = [
    "ANNOTATIONS",
    "CLUSTER_LABEL",
    "GROUP",
    "VERSIONS",
    "Remark",
    "Translation",
    "connect",
    "connect_status",
    "connector",
    "connector_status",
]

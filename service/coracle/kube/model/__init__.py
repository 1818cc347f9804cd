"""The custom resources KafkaConnector and KafkaConnect, ``coracle.dev/v1``, as typed objects.

    >>> KafkaConnector.model_validate(resource).spec.tasks_max
    3

They take every field of Strimzi's resources of the same names, ``plugins`` excepted, which here are
Python packages. ``without_effect`` names those in use that have no meaning here.
"""

from coracle.kube.model.base import Model, unknown_fields, without_effect
from coracle.kube.model.connect import (
    Authentication,
    KafkaConnect,
    KafkaConnectSpec,
    KafkaConnectStatus,
    Logging,
    Plugins,
    Tls,
)
from coracle.kube.model.connector import (
    TRACE_LIMIT,
    AutoRestart,
    AutoRestartStatus,
    Autoscaling,
    ConnectorState,
    ConnectorStatus,
    KafkaConnector,
    KafkaConnectorSpec,
    KafkaConnectorStatus,
    TaskStatus,
    strings,
)
from coracle.kube.model.objects import Condition, ObjectMeta
from coracle.kube.model.pods import ContainerTemplate, PodTemplate, Resources, Template

__all__ = [
    "TRACE_LIMIT",
    "Authentication",
    "AutoRestart",
    "AutoRestartStatus",
    "Autoscaling",
    "Condition",
    "ConnectorState",
    "ConnectorStatus",
    "ContainerTemplate",
    "KafkaConnect",
    "KafkaConnectSpec",
    "KafkaConnectStatus",
    "KafkaConnector",
    "KafkaConnectorSpec",
    "KafkaConnectorStatus",
    "Logging",
    "Model",
    "ObjectMeta",
    "Plugins",
    "PodTemplate",
    "Resources",
    "TaskStatus",
    "Template",
    "Tls",
    "strings",
    "unknown_fields",
    "without_effect",
]

"""The kinds of object that the operator has to do with."""

from __future__ import annotations

from coracle.kube import names
from coracle_operator.cluster import Kind

CONNECTOR = Kind(names.API_VERSION, names.KAFKA_CONNECTOR, "kafkaconnectors")
CONNECT = Kind(names.API_VERSION, names.KAFKA_CONNECT, "kafkaconnects")

POD = Kind("v1", "Pod", "pods")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("v1", "Event", "events")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
JOB = Kind("batch/v1", "Job", "jobs")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", optional=True)
SERVICE_MONITOR = Kind(
    "monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", optional=True
)
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", optional=True)

STRIMZI_CONNECTOR = Kind("kafka.strimzi.io/v1", "KafkaConnector", "kafkaconnectors", optional=True)
STRIMZI_CONNECT = Kind("kafka.strimzi.io/v1", "KafkaConnect", "kafkaconnects", optional=True)

OWNED = (
    SERVICE_ACCOUNT,
    ROLE,
    CONFIG_MAP,
    SERVICE,
    NETWORK_POLICY,
    DISRUPTION_BUDGET,
    DEPLOYMENT,
    ROLE_BINDING,
    JOB,
    AUTOSCALER,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    POD_MONITOR,
)
"""What is made for a resource, in the order in which it is applied."""

WATCHED = (*OWNED, POD)

BY_NAME = {(kind.api_version, kind.name): kind for kind in (*WATCHED, EVENT, CONNECTOR, CONNECT)}


def kind_of(obj: dict[str, object]) -> Kind:
    """The kind of an object.

    Raises:
        KeyError: when it is none of these.
    """
    return BY_NAME[str(obj["apiVersion"]), str(obj["kind"])]

"""Names, labels and annotations of everything Coracle has in a Kubernetes cluster.

Kafka Connect lets a connector be called almost anything, Kubernetes does not. The rule is one for
all places: a name that Kubernetes allows there is used as it is, any other becomes a *slug* that
resembles it, followed by eight hexadecimal digits of its SHA-256, so that different names stay
different. Which names are allowed where:
https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import hashlib
import re

GROUP = "coracle.dev"
"""The API group of the custom resources, and the prefix of labels and annotations."""
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"

KAFKA_CONNECTOR = "KafkaConnector"
KAFKA_CONNECT = "KafkaConnect"

# Labels that every object carries:
# https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
NAME_LABEL = "app.kubernetes.io/name"
"""Always ``APP_NAME``."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
"""Always ``MANAGED_BY``."""
COMPONENT_LABEL = "app.kubernetes.io/component"
"""``task``, ``api``, ``operator`` or ``webhook``."""
INSTANCE_LABEL = "app.kubernetes.io/instance"
"""``label_value`` of the custom resource's name."""
APP_NAME = "coracle"
MANAGED_BY = "coracle-operator"

CONNECTOR_LABEL = f"{GROUP}/connector"
"""On the objects of a KafkaConnector: ``label_value`` of its name."""
CONNECT_LABEL = f"{GROUP}/connect"
"""On objects: ``label_value`` of the name of the KafkaConnect they belong to."""
CLUSTER_LABEL = f"{GROUP}/cluster"
"""On a KafkaConnector: the name of its KafkaConnect, for those who prefer a label to a field."""

RESTART = f"{GROUP}/restart"
"""``true``, ``includeTasks``, ``onlyFailed`` or ``includeTasks,onlyFailed``: restart once."""
RESTART_TASK = f"{GROUP}/restart-task"
"""The id of a task: restart it once."""
PAUSE_RECONCILIATION = f"{GROUP}/pause-reconciliation"
"""``true``: the operator leaves the resource and its objects as they are."""
CONFIG_HASH = f"{GROUP}/config-hash"
"""On a pod: the configuration it was started for, see ``references.config_hash``."""
FINALIZER = f"{GROUP}/stop"
"""Keeps a deleted KafkaConnector until its tasks have stopped."""

CONNECTOR_FAILED = "ConnectorFailed"
"""Reason of a Ready condition: the connector itself is FAILED."""
TASK_FAILED = "TaskFailed"
"""Reason of a Ready condition: a task is FAILED."""

CONNECTOR_SUFFIX = "connector"
"""Every object of the KafkaConnector ``x`` is called ``object_name("x", CONNECTOR_SUFFIX)``."""
CONNECT_API_SUFFIX = "connect-api"
"""Every object of the KafkaConnect ``x`` is called ``object_name("x", CONNECT_API_SUFFIX)``."""

LABEL_LIMIT = 63
SUBDOMAIN_LIMIT = 253

# Services may have no dots and must begin with a letter (RFC 1035); all else would take more.
_OBJECT = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DIGITS = 8


def object_name(cr_name: str, suffix: str = "") -> str:
    """The name of an object that belongs to a custom resource, legal for objects of every kind.

    Args:
        cr_name: ``metadata.name`` of the custom resource.
        suffix: what the object is for; appended with a hyphen.

    Returns:
        At most 63 lower case letters, digits and hyphens; the first is a letter.
    """
    tail = f"-{suffix}" if suffix else ""
    name = cr_name + tail
    if len(name) <= LABEL_LIMIT and _OBJECT.fullmatch(name):
        return name
    return _slug(cr_name, LABEL_LIMIT - len(tail)) + tail


def resource_name(connector_name: str) -> str:
    """The ``metadata.name`` for a connector of Kafka Connect; ``spec.name`` has the real one.

    Returns:
        The name itself if Kubernetes allows it, else at most 63 characters.
    """
    if len(connector_name) <= SUBDOMAIN_LIMIT and _SUBDOMAIN.fullmatch(connector_name):
        return connector_name
    return _slug(connector_name, LABEL_LIMIT)


def label_value(name: str) -> str:
    """A label's value that stands for a name."""
    if len(name) <= LABEL_LIMIT and _LABEL_VALUE.fullmatch(name):
        return name
    return _slug(name, LABEL_LIMIT)


def _slug(name: str, limit: int) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not readable[:1].isalpha():
        readable = f"c-{readable}".rstrip("-")
    return f"{readable[: limit - _DIGITS - 1].rstrip('-')}-{digest}"

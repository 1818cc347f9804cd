"""How the pods look that the operator makes: what ``spec.template`` and ``spec.resources`` hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, WithJsonSchema

from coracle.kube.model.base import IntOrString, Long, Model, Verbatim, rule, rules

_QUANTITY = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"  # noqa: E501

Quantity = Annotated[
    int | float | str,
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": _QUANTITY,
        }
    ),
]
"""An amount of CPU (``250m``, ``2``) or memory (``256Mi``)."""


class Resources(Model):
    """CPU and memory of a container."""

    requests: Mapping[str, Quantity] = Field(
        default_factory=dict,
        description="What the scheduler reserves, for example {cpu: 100m, memory: 128Mi}. "
        "An autoscaler on CPU measures against requests.cpu.",
    )
    limits: Mapping[str, Quantity] = Field(
        default_factory=dict,
        description="What the container may use at most, for example {memory: 512Mi}. "
        "Above its memory limit it is killed, and its tasks move to the other pods.",
    )


class Metadata(Model):
    """Labels and annotations to add."""

    labels: Mapping[str, str] = Field(
        default_factory=dict, description="Labels to add. Coracle's own cannot be replaced."
    )
    annotations: Mapping[str, str] = Field(
        default_factory=dict, description="Annotations to add. Coracle's own cannot be replaced."
    )


class LocalObjectReference(Model):
    """An object of the same namespace."""

    name: str = Field(min_length=1, description="Name of the object.")


class Toleration(Model):
    """A taint that does not keep the pods off a node."""

    key: str | None = Field(default=None, description="Key of the taint; every key when empty.")
    operator: str | None = Field(
        default=None, description="Exists, or Equal (default): whether value is compared."
    )
    value: str | None = Field(default=None, description="Value of the taint.")
    effect: str | None = Field(
        default=None,
        description="NoSchedule, PreferNoSchedule or NoExecute; every effect when empty.",
    )
    toleration_seconds: Long | None = Field(
        default=None, description="How long a NoExecute taint is tolerated, in seconds."
    )


class EnvVar(Model):
    """An environment variable."""

    model_config = rules(
        rule(
            "!(has(self.value) && has(self.valueFrom))",
            "an environment variable has a value or a valueFrom, not both",
        )
    )
    name: str = Field(min_length=1, max_length=1024, description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value, as it is.")
    value_from: Verbatim | None = Field(
        default=None,
        description="Where its value comes from, as in a pod: secretKeyRef, configMapKeyRef, "
        "fieldRef or resourceFieldRef.",
    )


class PodTemplate(Model):
    """Where and how the pods run."""

    metadata: Metadata | None = Field(
        default=None, description="Labels and annotations of the pods."
    )
    affinity: Verbatim | None = Field(
        default=None,
        description="On which nodes, and beside which pods, to run: nodeAffinity, podAffinity and "
        "podAntiAffinity as in a pod.",
    )
    node_selector: Mapping[str, str] = Field(
        default_factory=dict, description="Labels that a node must have, for example {disk: ssd}."
    )
    tolerations: Sequence[Toleration] = Field(
        default=(), description="Taints of nodes that do not keep the pods away."
    )
    topology_spread_constraints: Sequence[Verbatim] = Field(
        default=(),
        description="How to spread the pods over zones or nodes, as in a pod. A constraint without "
        "labelSelector is given the one of these pods.",
    )
    image_pull_secrets: Sequence[LocalObjectReference] = Field(
        default=(), description="Secrets of the same namespace to pull the image with."
    )
    priority_class_name: str | None = Field(default=None, description="PriorityClass of the pods.")
    scheduler_name: str | None = Field(
        default=None, description="Scheduler that places the pods; the cluster's own by default."
    )
    termination_grace_period_seconds: int | None = Field(
        default=None,
        ge=0,
        description="How long a pod may take to finish what it is writing and commit, in seconds, "
        "before it is killed. Default: 30.",
    )
    security_context: Verbatim | None = Field(
        default=None,
        description="Pod-level security settings, as in a pod, over Coracle's own: not root (user "
        "10001), the runtime's default seccomp profile.",
    )
    volumes: Sequence[Verbatim] = Field(
        default=(),
        description="Further volumes, as in a pod; container.volumeMounts says where they appear.",
    )


class ContainerTemplate(Model):
    """The container that runs Coracle."""

    env: Sequence[EnvVar] = Field(
        default=(),
        json_schema_extra={"maxItems": 500},
        description="Further environment variables. A configuration reads one with ${env:NAME}.",
    )
    resources: Resources | None = Field(
        default=None, description="CPU and memory; takes precedence over spec.resources."
    )
    security_context: Verbatim | None = Field(
        default=None,
        description="Container-level security settings, as in a pod, over Coracle's own: read-only "
        "root file system, no capabilities, no privilege escalation.",
    )
    volume_mounts: Sequence[Verbatim] = Field(
        default=(), description="Where pod.volumes appear, as in a container."
    )


class Template(Model):
    """What the operator's objects look like beyond what Coracle needs."""

    pod: PodTemplate | None = Field(default=None, description="Where and how the pods run.")
    container: ContainerTemplate | None = Field(
        default=None, description="The container of the pods that runs Coracle."
    )
    service_account: MetadataTemplate | None = Field(
        default=None,
        description="The pods' ServiceAccount, for example annotated with the cloud role that the "
        "connector acts as.",
    )


class MetadataTemplate(Model):
    """An object of which only labels and annotations can be set."""

    metadata: Metadata | None = Field(default=None, description="Its labels and annotations.")


class Selector(Model):
    """Chooses objects by their labels; all of its requirements must hold."""

    match_labels: Mapping[str, str] = Field(
        default_factory=dict,
        description="Labels that must be there, for example {kubernetes.io/metadata.name: shop}.",
    )
    match_expressions: Sequence[Requirement] = Field(
        default=(), description="Requirements that are more than equality."
    )


class Requirement(Model):
    """One requirement on a label."""

    key: str = Field(description="The label.")
    operator: str = Field(
        description="In, NotIn, Exists or DoesNotExist.",
        json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
    )
    values: Sequence[str] = Field(default=(), description="Values for In and NotIn.")


MaxUnavailable = IntOrString

for _model in (Template, Selector):
    _model.model_rebuild()

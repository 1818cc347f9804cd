"""The objects of a KafkaConnector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from coracle.api import ConfigError
from coracle.kube import names
from coracle.kube.control import CONNECTOR_JSON, CONTROL_JSON
from coracle.kube.model import KafkaConnect, KafkaConnector, without_effect
from coracle.kube.references import config_hash, provider_kinds, references
from coracle_operator.cluster import Kind, Object
from coracle_operator.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD_MONITOR,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    kind_of,
)
from coracle_operator.manifests import access, pod
from coracle_operator.manifests.base import (
    connector_labels,
    connector_object_name,
    connector_selector,
    owned,
)
from coracle_operator.manifests.monitoring import monitor
from coracle_operator.manifests.scaling import autoscaler
from coracle_operator.worker import Worker, worker

# A ConfigMap holds 1 MiB, with its metadata; the rest is for control.json.
CONFIG_LIMIT = 900_000

_OWN_FIELDS = {
    "name": "spec.name says it",
    "connector.class": "spec.class says it",
    "tasks.max": "spec.tasksMax says it",
    "connector.plugin.version": "spec.version says it",
}


class ConfigTooLargeError(ConfigError):
    """A configuration that no ConfigMap can hold."""


@dataclass(frozen=True)
class Plan:
    """What there shall be for a connector.

    Attributes:
        objects: in the order in which they are made.
        config_hash: of the configuration that the pods run.
        replicas: how many pods there shall be.
        settings: the connector's, as Kafka Connect has them.
        worker: the worker's.
        warnings: what was asked for and has no effect, with what to do about it.
    """

    objects: Sequence[Object]
    config_hash: str
    replicas: int
    settings: Mapping[str, str]
    worker: Mapping[str, str]
    warnings: Sequence[str] = field(default_factory=tuple)


def replicas(connector: KafkaConnector) -> int:
    """How many pods can have something to do.

    One, until the connector has said how many tasks or partitions there are.
    """
    if connector.spec.target == "stopped":
        return 0
    reported = connector.status and connector.status.connector_status
    useful = reported.connector.useful if reported and reported.connector else None
    return max(1, min(connector.spec.tasks_max, useful or 1))


def connector_manifests(
    connector: KafkaConnector,
    connect: KafkaConnect,
    *,
    image: str,
    restarts: Mapping[str, Any],
    known_kinds: set[Kind],
) -> Plan:
    """All objects of a connector.

    Args:
        connector: what is wanted.
        connect: its KafkaConnect.
        image: of the pods, when neither of the two names one.
        restarts: ``restart`` and ``restartTasks`` of control.json.
        known_kinds: those of the optional kinds that the cluster knows.

    Raises:
        ConfigErrors: with every setting that is no text, and every reference that no pod could
            follow. ConfigTooLargeError: when the settings are too much for a ConfigMap.
    """
    shared = worker(connect)
    settings, warnings = _settings(connector)
    warnings = [*shared.warnings, *warnings]
    warnings += [
        f"{place} has no effect: {why}." for place, why in without_effect(connector.spec).items()
    ]
    text = _connector_json(connector, settings, shared)
    digest = config_hash(text)
    name = connector_object_name(connector)
    labels = connector_labels(connector, connect)
    selector = connector_selector(connector)
    template = pod.template(connect, connector)
    count = replicas(connector)
    data = {
        CONNECTOR_JSON: text,
        CONTROL_JSON: orjson.dumps(
            _control(connector, connect, restarts), option=orjson.OPT_SORT_KEYS
        ).decode(),
    }
    spec = {
        "replicas": count,
        "revisionHistoryLimit": 1,
        # Never two versions of a configuration at once.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector},
        "template": task_pod(connector, connect, settings, shared, digest, image),
    }
    objects = [
        *access.identity(
            connector, name, labels, access.connector_rules(connector.metadata.name, name), template
        ),
        owned(CONFIG_MAP, connector, name, labels, data=data),
        access.service(connector, name, labels, selector, "http", headless=True),
    ]
    monitored = {
        SERVICE_MONITOR: connect.spec.service_monitor,
        POD_MONITOR: connect.spec.pod_monitor,
    }
    if connect.spec.network_policy is None or connect.spec.network_policy.enabled:
        everyone = any(one and one.enabled for one in monitored.values())
        objects.append(access.network_policy(connector, name, labels, selector, everyone=everyone))
    objects.append(access.disruption_budget(connector, name, labels, selector))
    objects.append(owned(DEPLOYMENT, connector, name, labels, spec=spec))
    for kind, one in monitored.items():
        if one and one.enabled:
            if kind in known_kinds:
                objects.append(monitor(kind, connector, name, labels, selector))
            else:
                warnings.append(
                    f"There is no {kind.name}: the Prometheus operator is not installed, or the "
                    "operator may not use it (features.monitors of the chart)."
                )
    scaler, refused = _autoscaler(connector, name, labels, settings, shared, known_kinds)
    warnings += refused
    if scaler is not None and kind_of(scaler) == AUTOSCALER:
        reserved = pod.resources(connect, connector)
        if not any("cpu" in (reserved.get(part) or {}) for part in ("requests", "limits")):
            warnings.append(
                "spec.autoscaling.cpu is a part of resources.requests.cpu, which is not set: unless"
                " a LimitRange sets it, nothing is scaled."
            )
    if scaler is not None:
        objects.append(scaler)
    return Plan(objects, digest, count, settings, shared.properties, warnings)


def _autoscaler(
    connector: KafkaConnector,
    name: str,
    labels: Mapping[str, str],
    settings: Mapping[str, str],
    shared: Worker,
    known_kinds: set[Kind],
) -> tuple[Object | None, list[str]]:
    wanted = connector.spec.autoscaling
    if wanted is None or connector.spec.target == "stopped":
        return None, []
    if wanted.lag is not None:
        if SCALED_OBJECT not in known_kinds:
            return None, [
                "spec.autoscaling.lag is refused: it needs KEDA, which is not installed or which "
                "the operator may not use (features.keda of the chart). Install KEDA, or scale by "
                "cpu."
            ]
        if not settings.get("topics") and not settings.get("topics.regex"):
            return None, [
                "spec.autoscaling.lag is refused: a source connector has no lag. Scale by cpu."
            ]
    return autoscaler(connector, name, labels, settings, shared.properties), []


def _settings(connector: KafkaConnector) -> tuple[dict[str, str], list[str]]:
    """The settings as the pods get them: what has a field of its own comes from there."""
    given = connector.spec.settings()
    warnings = [
        f"spec.config {key} is ignored: {why}." for key, why in _OWN_FIELDS.items() if key in given
    ]
    settings = {key: text for key, text in given.items() if key not in _OWN_FIELDS}
    settings["connector.class"] = connector.spec.class_
    if connector.spec.version:
        settings["connector.plugin.version"] = connector.spec.version
    return settings, warnings


def _connector_json(connector: KafkaConnector, settings: Mapping[str, str], shared: Worker) -> str:
    content = {"name": connector.connector_name, "config": settings, "worker": shared.properties}
    text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    if len(text.encode()) > CONFIG_LIMIT:
        raise ConfigTooLargeError(
            f"The connector's settings are {len(text.encode()):,} bytes, but a ConfigMap holds no "
            f"more than 1 MiB, and Coracle {CONFIG_LIMIT:,} of them.",
            field="spec.config",
            fix="Divide the connector into several, or put what is long into a ConfigMap of its "
            "own and refer to it with ${configmaps:<name>:<key>}.",
        )
    return text


def _control(
    connector: KafkaConnector, connect: KafkaConnect, restarts: Mapping[str, Any]
) -> dict[str, Any]:
    loggers = {
        **(connect.spec.logging.loggers if connect.spec.logging else {}),
        **(connector.spec.logging.loggers if connector.spec.logging else {}),
    }
    return {
        "tasksMax": connector.spec.tasks_max,
        "state": connector.spec.target,
        "loggers": loggers,
        **restarts,
    }


def task_pod(
    connector: KafkaConnector,
    connect: KafkaConnect,
    settings: Mapping[str, str],
    shared: Worker,
    digest: str,
    image: str,
    *,
    args: Sequence[str] = ("task",),
    component: str = "task",
) -> dict[str, Any]:
    """The pod template of the task pods, or of a Job that needs the same settings."""
    kinds = provider_kinds(shared.properties)
    found = references(
        {**shared.properties, **settings}, namespace=connector.metadata.namespace, kinds=kinds
    )
    volumes, mounts = pod.mounted(found, shared.whole_secrets)
    name = connector_object_name(connector)
    return pod.pod(
        name=component,
        image=connector.spec.image or connect.spec.image or image,
        connect=connect,
        template=pod.template(connect, connector),
        resources=pod.resources(connect, connector),
        args=args,
        env=[
            {"name": "CORACLE_NAMESPACE", "value": connector.metadata.namespace},
            {"name": "CORACLE_RESOURCE", "value": connector.metadata.name},
            # For a resource of Strimzi's too: its counterpart of ours is what pods know.
            {"name": "CORACLE_API_VERSION", "value": names.API_VERSION},
            {"name": "CORACLE_KIND", "value": names.KAFKA_CONNECTOR},
            {"name": "CORACLE_CONFIG_MAP", "value": name},
            {"name": "CORACLE_CONFIG_HASH", "value": digest},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        labels={**connector_labels(connector, connect), names.COMPONENT_LABEL: component},
        annotations={names.CONFIG_HASH: digest},
        selector=connector_selector(connector),
        service_account=name,
        volumes=volumes,
        mounts=mounts,
        probes=component == "task",
    )


def reset_job(connector: KafkaConnector, connect: KafkaConnect, *, image: str) -> Object:
    """A Job that forgets how far a connector has come.

    Raises:
        ConfigErrors: as ``connector_manifests``.
    """
    shared = worker(connect)
    settings, _ = _settings(connector)
    digest = config_hash(_connector_json(connector, settings, shared))
    template = task_pod(
        connector,
        connect,
        settings,
        shared,
        digest,
        image,
        args=("offsets", "reset"),
        component="offsets",
    )
    template["spec"]["restartPolicy"] = "Never"
    labels = {**connector_labels(connector, connect), names.COMPONENT_LABEL: "offsets"}
    spec = {"backoffLimit": 4, "template": template}
    return owned(JOB, connector, connector_object_name(connector), labels, spec=spec)

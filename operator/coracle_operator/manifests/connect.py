"""The objects of a KafkaConnect: its api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from coracle.kube import names
from coracle.kube.model import KafkaConnect
from coracle.kube.references import config_hash
from coracle_operator.cluster import Object
from coracle_operator.kinds import CONFIG_MAP, DEPLOYMENT
from coracle_operator.manifests import access, pod
from coracle_operator.manifests.base import (
    connect_labels,
    connect_object_name,
    connect_selector,
    owned,
)

_WORKER = "/etc/coracle"


def connect_manifests(
    connect: KafkaConnect, properties: Mapping[str, str], *, image: str, strimzi: bool = False
) -> list[Object]:
    """All objects of a KafkaConnect, in the order in which they are made.

    Args:
        connect: what is wanted.
        properties: its worker settings, references unresolved. The api pods mount no Secret: what
            they check needs none.
        image: of the pods, when it names none.
        strimzi: whether the operator deals with Strimzi's resources.
    """
    name = connect_object_name(connect)
    labels = connect_labels(connect)
    selector = connect_selector(connect)
    template = pod.template(connect)
    rest = bool(connect.spec.rest and connect.spec.rest.enabled)
    text = orjson.dumps(dict(properties), option=orjson.OPT_SORT_KEYS).decode()
    spec: dict[str, Any] = {
        "replicas": connect.spec.replicas,
        "revisionHistoryLimit": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
        "selector": {"matchLabels": selector},
        "template": pod.pod(
            name="api",
            image=connect.spec.image or image,
            connect=connect,
            template=template,
            resources=pod.resources(connect),
            args=("api",),
            env=[
                {"name": "CORACLE_NAMESPACE", "value": connect.metadata.namespace},
                {"name": "CORACLE_CONNECT", "value": connect.metadata.name},
                {"name": "CORACLE_REST", "value": "true" if rest else "false"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            labels=labels,
            annotations={names.CONFIG_HASH: config_hash(text)},
            selector=selector,
            service_account=name,
            volumes=[{"name": "worker", "configMap": {"name": name}}],
            mounts=[{"name": "worker", "mountPath": _WORKER, "readOnly": True}],
        ),
    }
    objects = [
        *access.identity(
            connect, name, labels, access.connect_rules(connect, strimzi=strimzi), template
        ),
        owned(CONFIG_MAP, connect, name, labels, data={"worker.json": text}),
        access.service(connect, name, labels, selector, "rest-api"),
    ]
    if connect.spec.network_policy is None or connect.spec.network_policy.enabled:
        objects.append(access.network_policy(connect, name, labels, selector, everyone=rest))
    objects.append(access.disruption_budget(connect, name, labels, selector))
    objects.append(owned(DEPLOYMENT, connect, name, labels, spec=spec))
    return objects

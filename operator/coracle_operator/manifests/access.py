"""Who may do what: the identity of pods, and who may reach and evict them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle.kube.strimzi import GROUP as STRIMZI_GROUP
from coracle_operator.cluster import Object
from coracle_operator.kinds import (
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
)
from coracle_operator.manifests.base import PORT, owned

Owner = KafkaConnector | KafkaConnect


def identity(
    owner: Owner,
    name: str,
    labels: Mapping[str, str],
    rules: Sequence[Mapping[str, Any]],
    template: Mapping[str, Any],
) -> list[Object]:
    """A ServiceAccount that may do what the rules say, and nothing else."""
    metadata = (template.get("serviceAccount") or {}).get("metadata") or {}
    account = owned(SERVICE_ACCOUNT, owner, name, {**metadata.get("labels", {}), **labels})
    if metadata.get("annotations"):
        account["metadata"]["annotations"] = dict(metadata["annotations"])
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": owner.metadata.namespace}
    return [
        account,
        owned(ROLE, owner, name, labels, rules=[dict(rule) for rule in rules]),
        owned(ROLE_BINDING, owner, name, labels, roleRef=reference, subjects=[subject]),
    ]


def connector_rules(resource: str, config_map: str) -> list[dict[str, Any]]:
    """What a task pod may: watch its ConfigMap, and say how it is doing."""
    return [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [config_map],
            "verbs": ["get", "watch"],
        },
        {
            "apiGroups": [names.GROUP],
            "resources": ["kafkaconnectors/status"],
            "resourceNames": [resource],
            "verbs": ["patch"],
        },
    ]


def connect_rules(connect: KafkaConnect, *, strimzi: bool = False) -> list[dict[str, Any]]:
    """What an api pod may: read its KafkaConnect and connectors; over REST, change these.

    The right to create Secrets is for passwords that come over REST; it cannot read any. A
    connector that is made from one of Strimzi's is changed there.

    Args:
        connect: whose api it is.
        strimzi: whether the operator deals with Strimzi's resources: what it may not do itself, it
            cannot allow others.
    """
    rest = bool(connect.spec.rest and connect.spec.rest.enabled)
    write = ["create", "patch", "delete"] if rest else []
    rules: list[dict[str, Any]] = [
        {
            "apiGroups": [names.GROUP],
            "resources": ["kafkaconnects"],
            "resourceNames": [connect.metadata.name],
            "verbs": ["get"],
        },
        {
            "apiGroups": [names.GROUP],
            "resources": ["kafkaconnectors"],
            "verbs": ["get", "list", "watch", *write],
        },
    ]
    if rest:
        rules.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]})
    if rest and strimzi and connect.spec.strimzi and connect.spec.strimzi.enabled:
        rules.append(
            {
                "apiGroups": [STRIMZI_GROUP],
                "resources": ["kafkaconnectors"],
                "verbs": ["get", "patch", "delete"],
            }
        )
    return rules


def disruption_budget(
    owner: Owner, name: str, labels: Mapping[str, str], selector: Mapping[str, str]
) -> Object:
    """Drains take one pod at a time, and also the only one: its tasks are back within seconds."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": dict(selector)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return owned(DISRUPTION_BUDGET, owner, name, labels, spec=spec)


def service(
    owner: Owner,
    name: str,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    port: str,
    *,
    headless: bool = False,
) -> Object:
    """The address of the pods inside the cluster."""
    spec: dict[str, Any] = {
        "selector": dict(selector),
        "ports": [{"name": port, "port": PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    if headless:
        # Of use to find pods, for metrics: none of them speaks for the connector.
        spec |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    return owned(SERVICE, owner, name, labels, spec=spec)


def network_policy(
    owner: Owner,
    name: str,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    everyone: bool,
) -> Object:
    """Who may open a connection to the pods; what they open themselves is not limited.

    Args:
        everyone: all pods of the cluster, to scrape metrics or use the REST API; else Coracle's
            own, of any namespace, because operator and webhook have one of their own.
    """
    own = {"matchLabels": {names.NAME_LABEL: names.APP_NAME}}
    peer = {"namespaceSelector": {}, **({} if everyone else {"podSelector": own})}
    spec = {
        "podSelector": {"matchLabels": dict(selector)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [peer], "ports": [{"port": PORT, "protocol": "TCP"}]}],
    }
    return owned(NETWORK_POLICY, owner, name, labels, spec=spec)

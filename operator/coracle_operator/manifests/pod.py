"""The pod templates of tasks and api: one container, the mounts, and what the user adds.

What a user gives is laid over what Coracle needs, the KafkaConnector's field by field over the
KafkaConnect's; labels and selectors of ours always stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from coracle.kube.model import KafkaConnect, KafkaConnector, Plugins, Template
from coracle.kube.references import MOUNTS, Kind, Reference, keys
from coracle_operator.manifests.base import PORT

USER = 10001
PLUGINS = "/plugins"

# pip's --prefix puts packages below the interpreter's version, which only the image knows; what is
# not there Python passes over.
_PLUGIN_PATH = ":".join(
    f"{PLUGINS}/lib/python{version}/site-packages" for version in ("3.11", "3.12", "3.13")
)

_POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def template(connect: KafkaConnect, connector: KafkaConnector | None = None) -> dict[str, Any]:
    """``spec.template`` of a connector over that of its KafkaConnect, as JSON.

    Pod and container are merged field by field, labels, annotations and environment variables one
    by one; what stands in any other field is replaced as a whole.
    """
    base = _json(connect.spec.template)
    return _over(base, _json(connector.spec.template)) if connector else base


def _json(given: Template | None) -> dict[str, Any]:
    return given.to_json() if given else {}


def _over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for part in ("pod", "container", "serviceAccount"):
        if part not in top:
            continue
        below, above = merged.get(part) or {}, top[part]
        both = {**below, **above}
        if "metadata" in below and "metadata" in above:
            both["metadata"] = {
                field: {**below["metadata"].get(field, {}), **above["metadata"].get(field, {})}
                for field in ("labels", "annotations")
            }
        if "env" in below and "env" in above:
            both["env"] = list(
                {each["name"]: each for each in (*below["env"], *above["env"])}.values()
            )
        merged[part] = both
    return merged


def resources(connect: KafkaConnect, connector: KafkaConnector | None = None) -> dict[str, Any]:
    """CPU and memory: the most particular that was given."""
    for one in (connector, connect):
        if one is not None:
            own = one.spec.template and one.spec.template.container
            if own and own.resources:
                return own.resources.to_json()
            if one.spec.resources:
                return one.spec.resources.to_json()
    return {}


def pod(
    *,
    name: str,
    image: str,
    connect: KafkaConnect,
    template: Mapping[str, Any],
    resources: Mapping[str, Any],
    args: Sequence[str],
    env: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    selector: Mapping[str, str],
    service_account: str,
    volumes: Sequence[Mapping[str, Any]] = (),
    mounts: Sequence[Mapping[str, Any]] = (),
    probes: bool = True,
) -> dict[str, Any]:
    """A pod template: ``metadata`` and ``spec``.

    Args:
        name: of the container.
        image: of the container.
        connect: for the pull policy and the plugins.
        template: see ``template``.
        resources: see ``resources``.
        args: of the command ``coracle``.
        env: of the container, besides the user's own.
        labels, annotations: ours; the user's are laid below.
        selector: labels that tell the pods from all others.
        service_account: its name.
        volumes, mounts: besides /tmp, the plugins and the user's own.
        probes: whether the container listens.
    """
    own, container = template.get("pod") or {}, template.get("container") or {}
    metadata = own.get("metadata") or {}
    main: dict[str, Any] = {
        "name": name,
        "image": image,
        "command": ["coracle"],
        "args": list(args),
        "env": [*container.get("env", ()), *env],
        "resources": dict(resources),
        "securityContext": {**_CONTAINER_SECURITY, **container.get("securityContext", {})},
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            *mounts,
            *container.get("volumeMounts", ()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if connect.spec.image_pull_policy:
        main["imagePullPolicy"] = connect.spec.image_pull_policy
    if probes:
        main |= {"ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}], **_PROBES}
        if name == "api":  # it joins no group: it is ready when it answers
            main["readinessProbe"] = _probe("/health", 2, 3)
    spec: dict[str, Any] = {
        "serviceAccountName": service_account,
        "enableServiceLinks": False,
        # Linux keeps a signal without a handler from a process 1, and so a pod that is deleted
        # while its Python still starts would run until it is killed. Here, 1 is Kubernetes' own.
        "shareProcessNamespace": True,
        "securityContext": {**_POD_SECURITY, **own.get("securityContext", {})},
        "containers": [main],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes, *own.get("volumes", ())],
        "terminationGracePeriodSeconds": own.get("terminationGracePeriodSeconds", 30),
    }
    for field in (
        "affinity",
        "nodeSelector",
        "tolerations",
        "imagePullSecrets",
        "priorityClassName",
        "schedulerName",
    ):
        if own.get(field):
            spec[field] = own[field]
    if own.get("topologySpreadConstraints"):
        spec["topologySpreadConstraints"] = [
            {"labelSelector": {"matchLabels": dict(selector)}, **each}
            for each in own["topologySpreadConstraints"]
        ]
    if connect.spec.plugins and connect.spec.plugins.packages:
        _install(connect.spec.plugins, main, spec)
    return {
        "metadata": {
            "labels": {**metadata.get("labels", {}), **labels},
            "annotations": {**metadata.get("annotations", {}), **annotations},
        },
        "spec": spec,
    }


def _probe(path: str, period: int, failures: int, delay: int = 0) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


# Each probe that fails is a Warning for people to worry about: they begin when a start that goes
# well is over. Nobody waits for them: a task works as soon as it is assigned.
_START_SECONDS = 5
_PROBES = {
    "startupProbe": _probe("/health", 1, 60, _START_SECONDS),
    "livenessProbe": _probe("/health", 10, 6),
    "readinessProbe": _probe("/ready", 2, 3, _START_SECONDS + 1),
}


_PLAIN_URL = re.compile(r"http://(?:[^/@]*@)?(?P<host>\[[^]/]*\]|[^[/:]+)", re.IGNORECASE)


def _install(plugins: Plugins, main: dict[str, Any], spec: dict[str, Any]) -> None:
    """An init container that installs wheels where the main one looks for packages.

    pip's --prefix leaves out what the image has already, Coracle itself above all.
    """
    command = ["python3", "-m", "pip", "install", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--no-warn-script-location"]
    command += ["--only-binary=:all:", f"--prefix={PLUGINS}"]
    env: list[dict[str, Any]] = [{"name": "HOME", "value": "/tmp"}]  # noqa: S108
    if plugins.find_links:
        command += ["--no-index", f"--find-links={plugins.find_links}"]
    url = plugins.index_url or ("" if plugins.find_links else "https://pypi.org/simple")
    if url:
        if plugins.index_secret:
            scheme, _, rest = url.partition("://")
            for variable, key in (("INDEX_USERNAME", "username"), ("INDEX_PASSWORD", "password")):
                source = {"name": plugins.index_secret.name, "key": key}
                env.append({"name": variable, "valueFrom": {"secretKeyRef": source}})
            url = f"{scheme}://$(INDEX_USERNAME):$(INDEX_PASSWORD)@{rest}"
        env.append({"name": "PIP_INDEX_URL", "value": url})
    # pip passes over what has no TLS, unless it is told that this is meant.
    plain = [_PLAIN_URL.match(each) for each in (plugins.index_url, plugins.find_links) if each]
    if hosts := [found["host"] for found in plain if found]:
        env.append({"name": "PIP_TRUSTED_HOST", "value": " ".join(hosts)})
    spec["initContainers"] = [
        {
            "name": "plugins",
            "image": main["image"],
            **({"imagePullPolicy": main["imagePullPolicy"]} if "imagePullPolicy" in main else {}),
            "command": [*command, "--", *plugins.packages],
            "env": env,
            "resources": main["resources"],
            "securityContext": main["securityContext"],
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                {"name": "plugins", "mountPath": PLUGINS},
            ],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]
    spec["volumes"].insert(1, {"name": "plugins", "emptyDir": {}})
    main["volumeMounts"].insert(1, {"name": "plugins", "mountPath": PLUGINS, "readOnly": True})
    main["env"].append({"name": "PYTHONPATH", "value": _PLUGIN_PATH})


def mounted(
    found: Sequence[Reference], whole_secrets: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts of what a configuration refers to: one of each per Secret or ConfigMap.

    All are optional: a Secret that comes later appears in the running pod.
    """
    places: dict[tuple[Kind, str], list[str] | None] = {**keys(found)}
    places |= dict.fromkeys(((Kind.SECRET, name) for name in whole_secrets), None)
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    for number, ((kind, name), wanted) in enumerate(sorted(places.items(), key=lambda p: p[0])):
        volume = f"reference-{number}"
        source: dict[str, Any] = {"name": name, "optional": True}
        if wanted is not None:
            source["items"] = [{"key": key, "path": key} for key in wanted]
        projected = {"secret" if kind is Kind.SECRET else "configMap": source}
        volumes.append(
            {"name": volume, "projected": {"defaultMode": 0o440, "sources": [projected]}}
        )
        mounts.append({"name": volume, "mountPath": str(MOUNTS / kind / name), "readOnly": True})
    return volumes, mounts

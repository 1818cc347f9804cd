"""Strimzi's KafkaConnector and KafkaConnect, translated to ours.

Most fields are the same and go over as they are. What v1beta2 has elsewhere is moved to its place,
what Strimzi itself ignores is left out, and whatever has no counterpart is left out and named in a
remark: nobody should have to guess why a field does nothing.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector, Model, unknown_fields, without_effect
from coracle.kube.model.connect import LOG_LEVELS
from coracle.kube.reserved import is_reserved

Json = dict[str, Any]

_PREFIX = "strimzi.io/"
CLUSTER_LABEL = f"{_PREFIX}cluster"
"""On a KafkaConnector: the name of its KafkaConnect."""

ANNOTATIONS: Mapping[str, str] = {
    f"{_PREFIX}restart": names.RESTART,
    f"{_PREFIX}restart-task": names.RESTART_TASK,
    f"{_PREFIX}pause-reconciliation": names.PAUSE_RECONCILIATION,
}
"""Annotations of Strimzi with the ones of ours that mean the same."""

_NO_ANNOTATION = (
    f"{_PREFIX}connector-offsets",
    f"{_PREFIX}force-rebuild",
    f"{_PREFIX}manual-rolling-update",
)

_FORBIDDEN_OPTIONS = {"name", "connector.class", "tasks.max", "connector.plugin.version"}

_TOPICS_AND_GROUP = {
    # v1's field: (v1beta2's key of spec.config, what Strimzi takes without either)
    "groupId": ("group.id", "connect-cluster"),
    "offsetStorageTopic": ("offset.storage.topic", "connect-cluster-offsets"),
    "configStorageTopic": ("config.storage.topic", "connect-cluster-configs"),
    "statusStorageTopic": ("status.storage.topic", "connect-cluster-status"),
}

_PROVIDERS = {
    "strimzienv": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "strimzifile": "org.apache.kafka.common.config.provider.FileConfigProvider",
    "strimzidir": "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    "strimzisecrets": "io.strimzi.kafka.KubernetesSecretConfigProvider",
}
"""Providers that Strimzi declares in every worker."""

_ROOT_LOGGERS = ("rootLogger.level", "connect.root.logger.level")
"""The level of all loggers that have none of their own, in Log4j's two notations."""

_EXTERNAL = "/opt/kafka/external-configuration"
"""Where Strimzi mounts the volumes of externalConfiguration; configurations name files there."""


@dataclass(frozen=True)
class Remark:
    """Something that was asked for and has no effect. Becomes a Warning condition.

    Attributes:
        reason: one word: ``ForbiddenConfiguration`` or ``UnsupportedFields``.
        message: what it is, and why.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Translation:
    """One of our resources that says what Strimzi's did.

    Attributes:
        resource: apiVersion, kind, metadata (name, namespace, labels, annotations) and spec.
        remarks: what has no effect.
    """

    resource: Json
    remarks: tuple[Remark, ...]


def connector(resource: Mapping[str, Any]) -> Translation:
    """A KafkaConnector of Strimzi as ours.

    Raises:
        pydantic.ValidationError: when a field is none that Strimzi's CRD would have let in.
    """
    spec = _spec(resource)
    remarks = _annotation_remarks(resource)
    if config := spec.get("config"):
        ignored = [key for key in config if key.lower() in _FORBIDDEN_OPTIONS]
        spec["config"] = {key: value for key, value in config.items() if key not in ignored}
        remarks += [_forbidden(key, "a field of spec says it") for key in ignored]
    if cluster := _labels(resource).get(CLUSTER_LABEL):
        spec["connect"] = {"name": cluster}
    return _translation(names.KAFKA_CONNECTOR, KafkaConnector, resource, spec, remarks)


def connect(resource: Mapping[str, Any]) -> Translation:
    """A KafkaConnect of Strimzi as ours; raises like ``connector``."""
    spec = _spec(resource)
    remarks = _annotation_remarks(resource)
    config = dict(spec.get("config") or {})
    for field, (key, default) in _TOPICS_AND_GROUP.items():
        if not spec.get(field):
            spec[field] = str(config.pop(key, "")) or default
    ignored = [key for key in config if is_reserved(key)]
    remarks += [_forbidden(key, "Coracle or a field of spec sets it") for key in ignored]
    spec["config"] = _with_providers({k: v for k, v in config.items() if k not in ignored})
    for field, why in (
        ("image", "it holds a JVM, set the image of Coracle's own KafkaConnect"),
        ("plugins", "they are for a JVM"),
    ):
        if spec.pop(field, None) is not None:
            remarks.append(_unsupported(f"spec.{field}", why))
    _move_loggers(spec, remarks)
    _move_template(spec)
    _move_external_configuration(spec)
    _move_oauth(spec, remarks)
    return _translation(names.KAFKA_CONNECT, KafkaConnect, resource, spec, remarks)


def _translation(
    kind: str,
    model: type[Model],
    resource: Mapping[str, Any],
    spec: Json,
    remarks: list[Remark],
) -> Translation:
    spec_model = model.model_fields["spec"].annotation
    assert isinstance(spec_model, type)
    unused = dict.fromkeys(unknown_fields(spec_model, spec), "Coracle has no such setting")
    unused |= without_effect(spec_model.model_validate(spec))
    for place, why in unused.items():
        remarks.append(_unsupported(place, why))
        _remove(spec, place.split(".")[1:])
    metadata = resource["metadata"]
    made = {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {
            "name": metadata["name"],
            **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
            "labels": {
                key: value
                for key, value in _labels(resource).items()
                if not key.startswith(_PREFIX)
            },
            "annotations": {
                ANNOTATIONS[key]: value
                for key, value in _annotations(resource).items()
                if key in ANNOTATIONS
            },
        },
        "spec": spec,
    }
    return Translation(made, tuple(remarks))


def _spec(resource: Mapping[str, Any]) -> Json:
    return copy.deepcopy(dict(resource.get("spec") or {}))


def _labels(resource: Mapping[str, Any]) -> Mapping[str, str]:
    return resource["metadata"].get("labels") or {}


def _annotations(resource: Mapping[str, Any]) -> Mapping[str, str]:
    return resource["metadata"].get("annotations") or {}


def _annotation_remarks(resource: Mapping[str, Any]) -> list[Remark]:
    return [
        _unsupported(f"The annotation {key}", "Coracle does not act on it yet")
        for key in _NO_ANNOTATION
        if key in _annotations(resource)
    ]


def _forbidden(key: str, why: str) -> Remark:
    return Remark("ForbiddenConfiguration", f"spec.config {key} is ignored: {why}.")


def _unsupported(place: str, why: str) -> Remark:
    return Remark("UnsupportedFields", f"{place} has no effect: {why}.")


def _with_providers(config: Json) -> Json:
    own = [name.strip() for name in str(config.get("config.providers", "")).split(",")]
    missing = {name: cls for name, cls in _PROVIDERS.items() if name not in own}
    declared = {f"config.providers.{name}.class": cls for name, cls in missing.items()}
    return {
        **config,
        "config.providers": ",".join([*missing, *filter(None, own)]),
        **declared,
    }


def _move_loggers(spec: Json, remarks: list[Remark]) -> None:
    """The root's level; the others are of Java's classes."""
    logging = spec.get("logging")
    if not logging or not logging.get("loggers"):
        return
    kept: dict[str, str] = {}
    for key, value in logging["loggers"].items():
        level = str(value).upper()
        if key in _ROOT_LOGGERS and level in LOG_LEVELS:
            kept["root"] = level
        else:
            remarks.append(
                _unsupported(f"spec.logging.loggers.{key}", "it is no level of a logger there is")
            )
    logging["loggers"] = kept


def _move_template(spec: Json) -> None:
    template = spec.get("template")
    if template and "connectContainer" in template:
        template["container"] = template.pop("connectContainer")


def _move_external_configuration(spec: Json) -> None:
    """Its environment and volumes, to where v1 has them."""
    external = spec.pop("externalConfiguration", None)
    if not external:
        return
    template = spec.setdefault("template", {})
    pod, container = template.setdefault("pod", {}), template.setdefault("container", {})
    if env := external.get("env"):
        container["env"] = [*container.get("env", ()), *env]
    for volume in external.get("volumes") or ():
        name = "ext-conf-" + re.sub(r"[^a-z0-9-]", "-", volume["name"].lower())
        pod.setdefault("volumes", []).append({**volume, "name": name})
        container.setdefault("volumeMounts", []).append(
            {"name": name, "mountPath": f"{_EXTERNAL}/{volume['name']}", "readOnly": True}
        )


def _move_oauth(spec: Json, remarks: list[Remark]) -> None:
    """Authentication of type oauth, as the settings of Kafka's own client (KIP-768, KIP-1139)."""
    given = spec.get("authentication") or {}
    if given.get("type") != "oauth":
        return
    given = dict(given)
    given.pop("type")
    config = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.token.endpoint.url": given.pop("tokenEndpointUri", None),
        "sasl.oauthbearer.client.credentials.client.id": given.pop("clientId", None),
        "sasl.oauthbearer.client.credentials.client.secret": _secret(
            given.pop("clientSecret", None)
        ),
        "sasl.oauthbearer.scope": given.pop("scope", None),
        "sasl.jaas.config": _login_module(
            {
                "oauth.access.token": _secret(given.pop("accessToken", None)),
                "oauth.access.token.location": given.pop("accessTokenLocation", None),
                "oauth.audience": given.pop("audience", None),
                **_endpoint_trust(given, remarks),
            }
        ),
    }
    spec["authentication"] = {
        "type": "custom",
        "sasl": True,
        "config": {key: value for key, value in config.items() if value is not None},
    }
    remarks += [
        _unsupported(f"spec.authentication.{field}", "Coracle has no such setting")
        for field in given
    ]


def _endpoint_trust(given: Json, remarks: list[Remark]) -> dict[str, str | None]:
    """Whom to trust at the token endpoint; takes its fields out of ``given``."""
    certificates: list[str] = []
    for place in given.pop("tlsTrustedCertificates", None) or ():
        if "certificate" in place:
            certificates.append(f"${{secrets:{place['secretName']}:{place['certificate']}}}")
        else:
            remarks.append(
                _unsupported(
                    "spec.authentication.tlsTrustedCertificates.pattern",
                    "name each file with certificate",
                )
            )
    trust: dict[str, str | None] = {}
    if certificates:
        trust["oauth.ssl.truststore.type"] = "PEM"
        trust["oauth.ssl.truststore.certificates"] = "\n".join(certificates)
    if given.pop("disableTlsHostnameVerification", False):
        trust["oauth.ssl.endpoint.identification.algorithm"] = ""
    return trust


def _secret(place: Mapping[str, str] | None) -> str | None:
    return f"${{secrets:{place['secretName']}:{place['key']}}}" if place else None


def _login_module(options: Mapping[str, str | None]) -> str:
    module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    return " ".join([module, *(_option(k, v) for k, v in options.items() if v is not None)]) + ";"


def _option(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{escaped}"'


def _remove(part: Any, place: list[str]) -> None:
    """Take out one field, of each entry where a list stands in between."""
    if isinstance(part, list):
        for each in part:
            _remove(each, place)
    elif isinstance(part, dict):
        if len(place) == 1:
            part.pop(place[0], None)
        else:
            _remove(part.get(place[0]), place[1:])

"""A KafkaConnector resource as Kafka Connect's REST API shows it, and back.

All of it is pure. What the resource has fields of its own for (class, ``tasksMax``, version, state)
is a setting in Kafka Connect. Passwords never become part of a resource: ``withheld`` moves them to
a Secret and leaves references, which is also what is shown later, so that reading, changing and
writing a configuration keeps them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coracle.api import ConfigError
from coracle.api.config import to_text
from coracle.kube.model import KafkaConnector
from coracle.kube.names import object_name
from coracle.kube.validation import type_of
from coracle.store import ConnectorInfo, ConnectorStatus, ConnectorType, State, TaskStatus

OWN_FIELDS = {
    "name": "metadata.name",
    "connector.class": "spec.class",
    "tasks.max": "spec.tasksMax",
    "connector.plugin.version": "spec.version",
}
"""Settings that are fields of the resource, and so have no effect in its ``spec.config``."""

# Slow on purpose: the name that it makes can be seen by people who may not see the password.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 4}


def config_of(connector: KafkaConnector) -> dict[str, str]:
    """The connector's settings in Kafka Connect; what is no scalar is left out."""
    spec = connector.spec
    config = {
        "name": connector.connector_name,
        "connector.class": spec.class_,
        "tasks.max": str(spec.tasks_max),
    }
    if spec.version:
        config["connector.plugin.version"] = spec.version
    return config | {
        key: to_text(value)
        for key, value in spec.config.items()
        if key not in OWN_FIELDS and isinstance(value, str | int | float)
    }


def info_of(connector: KafkaConnector) -> ConnectorInfo:
    """Settings and task ids."""
    config = config_of(connector)
    reported = connector.status and connector.status.connector_status
    tasks = [task.id for task in reported.tasks] if reported else []
    return ConnectorInfo(connector.connector_name, config, _type_of(connector, config), tasks)


def status_of(connector: KafkaConnector) -> ConnectorStatus:
    """States as the pods reported them.

    Before they did, the connector is UNASSIGNED, and its trace is why it does not become ready.
    """
    name = connector.connector_name
    type_ = _type_of(connector, config_of(connector))
    reported = connector.status and connector.status.connector_status
    if not reported or not reported.connector or not reported.connector.state:
        stopped = connector.spec.target == "stopped"
        return ConnectorStatus(
            name,
            State.STOPPED if stopped else State.UNASSIGNED,
            "",
            type_,
            "" if stopped else _why_not_ready(connector),
        )
    own = reported.connector
    return ConnectorStatus(
        name,
        State(own.state or State.UNASSIGNED),
        own.worker_id or "",
        type_,
        own.trace or "",
        own.version or "",
        [
            TaskStatus(
                task.id,
                State(task.state or State.UNASSIGNED),
                task.worker_id or "",
                task.trace or "",
                task.version or "",
            )
            for task in sorted(reported.tasks, key=lambda task: task.id)
        ],
    )


def spec_of(config: Mapping[str, str], current: KafkaConnector | None = None) -> dict[str, Any]:
    """The part of ``spec`` that a configuration says, as a merge patch over the current resource.

    ``tasks.max`` is 1 when the configuration does not say it, as in Kafka Connect, unless something
    scales the connector: then it is left to that.

    Raises:
        ConfigError: when ``tasks.max`` is no number but a reference to one.
    """
    spec: dict[str, Any] = {"class": config["connector.class"]}
    if "tasks.max" in config or not (current and current.spec.autoscaling):
        try:
            spec["tasksMax"] = int(config.get("tasks.max", "1"))
        except ValueError:
            raise ConfigError(
                f"Invalid value {config['tasks.max']} for configuration tasks.max: must be a number"
                " on Kubernetes, where spec.tasksMax says it.",
                field="tasks.max",
            ) from None
    wanted = {key: value for key, value in config.items() if key not in OWN_FIELDS}
    before = current.spec.config if current else {}
    spec["config"] = {**{key: None for key in before if key not in wanted}, **wanted}
    version = config.get("connector.plugin.version")
    if version or (current and current.spec.version):
        spec["version"] = version
    return spec


@dataclass(frozen=True)
class Withheld:
    """Passwords on their way from a configuration into a Secret.

    Attributes:
        secret: the Secret's name.
        data: its content.
        config: the configuration with references to it.
    """

    secret: str
    data: Mapping[str, str] = field(repr=False)
    config: Mapping[str, str]


def withheld(
    config: Mapping[str, str],
    passwords: frozenset[str],
    *,
    resource: str,
    salt: str,
    provider: str,
) -> Withheld:
    """Move passwords out of a configuration.

    The Secret's name follows from what is in it: the same passwords again are the same Secret and
    the same configuration, and a changed one changes the configuration, so that pods start anew.

    Args:
        config: settings.
        passwords: the keys whose values are to be moved; at least one.
        resource: ``metadata.name`` of the KafkaConnector.
        salt: random, and the same for the life of the resource.
        provider: the config provider that reads Secrets.
    """
    ordered = sorted(passwords)
    content = "\0".join(f"{key}\0{config[key]}" for key in ordered)
    digest = hashlib.scrypt(content.encode(), salt=salt.encode(), **_SCRYPT).hex()
    secret = object_name(resource, digest)
    data: dict[str, str] = {}
    references: dict[str, str] = {}
    for key in ordered:
        data_key = re.sub(r"[^-._a-zA-Z0-9]", "_", key)
        while data_key in data:
            data_key += "_"
        data[data_key] = config[key]
        references[key] = f"${{{provider}:{secret}:{data_key}}}"
    return Withheld(secret, data, {**config, **references})


def _type_of(connector: KafkaConnector, config: Mapping[str, str]) -> ConnectorType:
    reported = connector.status and connector.status.connector_status
    match reported.type if reported else None:
        case "source":
            return "source"
        case "sink":
            return "sink"
        case _:
            return type_of(config)


def _why_not_ready(connector: KafkaConnector) -> str:
    conditions = connector.status.conditions if connector.status else ()
    return next(
        (
            f"{condition.reason}: {condition.message}"
            for condition in conditions
            if condition.type == "Ready" and condition.status == "False" and condition.message
        ),
        "",
    )

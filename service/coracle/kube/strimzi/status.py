"""The status of our resources, in the shape in which Strimzi writes it.

Dashboards, alerts and scripts read it: ``connectorStatus`` is what the REST API answers, and a
resource that is not ready has a condition ``NotReady`` whose status is *True*. What is returned is
a merge patch of ``status``: ``None`` takes out what was there before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coracle.kube import names
from coracle.kube.model import (
    AutoRestartStatus,
    Condition,
    ConnectorStatus,
    KafkaConnectorStatus,
    KafkaConnectStatus,
)
from coracle.kube.strimzi.resources import Remark

Json = dict[str, Any]


def connector_status(
    status: KafkaConnectorStatus,
    *,
    name: str,
    generation: int,
    remarks: Iterable[Remark] = (),
    paused: bool = False,
) -> Json:
    """``status`` of a KafkaConnector.

    Args:
        status: of our counterpart.
        name: of the connector.
        generation: of Strimzi's resource, as far as it is translated.
        remarks: of the translation.
        paused: whether reconciliation is paused by annotation.
    """
    return {
        "observedGeneration": generation,
        "conditions": _conditions(status.conditions, remarks, paused, _failure(status)),
        "connectorStatus": _reported(status.connector_status, name),
        "tasksMax": status.tasks_max,
        "topics": sorted(status.topics),
        "autoRestart": _auto_restart(status.auto_restart, name),
    }


def connect_status(
    status: KafkaConnectStatus,
    *,
    generation: int,
    remarks: Iterable[Remark] = (),
    paused: bool = False,
) -> Json:
    """``status`` of a KafkaConnect; arguments as for ``connector_status``."""
    return {
        "observedGeneration": generation,
        "conditions": _conditions(status.conditions, remarks, paused),
        "url": status.url,
        "connectorPlugins": [plugin.to_json() for plugin in status.connector_plugins],
        "replicas": status.replicas,
        "labelSelector": status.label_selector,
    }


def _reported(reported: ConnectorStatus | None, name: str) -> Json | None:
    """What the REST API answers; there is nothing before the connector has started."""
    if reported is None or reported.connector is None:
        return None
    return {
        "name": reported.name or name,
        "connector": _state(reported.connector.to_json()),
        "tasks": [
            {"id": task.id, **_state(task.to_json())}
            for task in sorted(reported.tasks, key=lambda task: task.id)
        ],
        "type": reported.type or "unknown",
    }


def _auto_restart(restarts: AutoRestartStatus | None, name: str) -> Json | None:
    if restarts is None:
        return None
    return {
        "count": restarts.count,
        "connectorName": restarts.connector_name or name,
        "lastRestartTimestamp": restarts.last_restart_timestamp,
    }


_REST_FIELDS = ("state", "worker_id", "trace", "version")


def _state(reported: Mapping[str, Any]) -> Json:
    """What the REST API shows of a connector or task; trace and version only if there is one."""
    return {
        "state": "UNASSIGNED",
        "worker_id": "",
        **{key: reported[key] for key in _REST_FIELDS if reported.get(key)},
    }


def _failure(status: KafkaConnectorStatus) -> str:
    """What has failed, in Strimzi's words."""
    reported = status.connector_status
    if reported is None or (reported.connector and reported.connector.state == "FAILED"):
        what = "Connector has failed"
    else:
        failed = sorted(task.id for task in reported.tasks if task.state == "FAILED")
        what = f"The following tasks have failed: {', '.join(map(str, failed))}"
    return f"{what}, see connectorStatus for more details."


def _conditions(
    conditions: Sequence[Condition],
    remarks: Iterable[Remark],
    paused: bool,
    failure: str = "",
) -> list[Json]:
    ours = {condition.type: condition for condition in conditions}
    written: list[Json] = []
    ready = ours.get("Ready")
    since = ready.last_transition_time if ready else None
    if paused:
        written.append(_condition("ReconciliationPaused", since))
    elif ready is not None and ready.status == "True":
        written.append(_condition("Ready", since))
    elif ready is not None and ready.reason in (names.CONNECTOR_FAILED, names.TASK_FAILED):
        written.append(_condition("NotReady", since, "Throwable", failure))
    elif ready is not None:
        written.append(_condition("NotReady", since, ready.reason, ready.message))
    warning = ours.get("Warning")
    if warning is not None and warning.status == "True":
        written.append(
            _condition("Warning", warning.last_transition_time, warning.reason, warning.message)
        )
    written += [_condition("Warning", since, one.reason, one.message) for one in remarks]
    return written


def _condition(type: str, since: str | None, reason: str = "", message: str = "") -> Json:  # noqa: A002
    written = {"type": type, "status": "True", "lastTransitionTime": since}
    written |= {"reason": reason, "message": message}
    return {key: value for key, value in written.items() if value}

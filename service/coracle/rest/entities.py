"""How the store's objects look in JSON, key by key as Kafka Connect's ``runtime.rest.entities``."""

from __future__ import annotations

from typing import Any

from coracle.store import ConnectorInfo, ConnectorStatus, TaskStatus


def connector_info(info: ConnectorInfo) -> dict[str, Any]:
    """``ConnectorInfo``: configuration, task ids, type."""
    return {
        "name": info.name,
        "config": dict(info.config),
        "tasks": [task_id(info.name, task) for task in info.tasks],
        "type": info.type,
    }


def task_id(connector: str, task: int) -> dict[str, Any]:
    """``ConnectorTaskId``."""
    return {"connector": connector, "task": task}


def connector_status(status: ConnectorStatus) -> dict[str, Any]:
    """``ConnectorStateInfo``: the states of a connector and of its tasks."""
    return {
        "name": status.name,
        "connector": _state(status),
        "tasks": [task_status(task) for task in status.tasks],
        "type": status.type,
    }


def task_status(task: TaskStatus) -> dict[str, Any]:
    """``TaskState``."""
    return {"id": task.id, **_state(task)}


def _state(status: ConnectorStatus | TaskStatus) -> dict[str, Any]:
    state: dict[str, Any] = {"state": status.state.value, "worker_id": status.worker_id}
    if status.version:
        state["version"] = status.version
    if status.trace:
        state["trace"] = status.trace
    return state

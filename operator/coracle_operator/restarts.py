"""Restarts that somebody asked for with an annotation, or that are due by themselves.

A restart becomes an id in control.json, which pods act on once. The ids of the past have to stay
there. An annotation is taken away when its id has been written; until its absence is seen the same
id is used, so that trouble in between restarts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from coracle.kube import names
from coracle.kube.autorestart import Decision, decide
from coracle.kube.model import AutoRestartStatus, KafkaConnector

_WORDS = {"includeTasks", "onlyFailed"}


@dataclass(frozen=True)
class Restarts:
    """What control.json is to say.

    Attributes:
        control: ``restart`` and ``restartTasks``.
        annotations: those that can go once it is written.
        auto: what is to be kept in ``status.autoRestart``, and when to look again.
        warnings: annotations that nobody understands.
    """

    control: Mapping[str, Any]
    annotations: tuple[str, ...]
    auto: Decision
    warnings: tuple[str, ...]


class RestartBook:
    """Remembers the ids given out.

    Args:
        new_id: makes ids.
    """

    def __init__(self, new_id: Callable[[], str] = lambda: uuid4().hex[:12]) -> None:
        self._new_id = new_id
        self._given: dict[str, dict[tuple[str, str], str]] = {}
        self._auto: dict[str, AutoRestartStatus] = {}

    def forget(self, uid: str) -> None:
        """The connector is gone."""
        self._given.pop(uid, None)
        self._auto.pop(uid, None)

    def accepted(self, uid: str) -> None:
        """The annotations are gone: if one comes back, it is another wish."""
        self._given.pop(uid, None)

    def restarts(
        self, connector: KafkaConnector, written: Mapping[str, Any], *, failed: bool, now: datetime
    ) -> Restarts:
        """What to write now.

        Args:
            connector: with its annotations.
            written: ``restart`` and ``restartTasks`` as they stand in control.json.
            failed: whether the connector or one of its tasks is FAILED.
            now: the time.
        """
        uid, annotations = connector.metadata.uid, connector.metadata.annotations
        control, warnings, accepted = dict(written), [], []
        given = self._given.setdefault(uid, {})
        wishes = {
            (name, annotations[name])
            for name in (names.RESTART, names.RESTART_TASK)
            if name in annotations
        }
        for gone in given.keys() - wishes:
            del given[gone]
        auto = self._automatic(connector, failed, now)
        if auto.restart and auto.status is not None:
            control["restart"] = {
                "id": f"auto-{auto.status.count}-{auto.status.last_restart_timestamp}",
                "connector": True,
                "includeTasks": True,
                "onlyFailed": True,
            }
        for name, value in sorted(wishes):
            wish = _parse(name, value)
            if wish is None:
                warnings.append(
                    f"The annotation {name}: {value} is not understood. Write true, includeTasks, "
                    "onlyFailed or includeTasks,onlyFailed."
                    if name == names.RESTART
                    else f"The annotation {name}: {value} is not understood. Write a task's number."
                )
                continue
            number = given.setdefault((name, value), self._new_id())
            accepted.append(name)
            if name == names.RESTART:
                control["restart"] = {"id": number, **wish}
            else:
                control["restartTasks"] = {**control.get("restartTasks", {}), value.strip(): number}
        return Restarts(control, tuple(accepted), auto, tuple(warnings))

    def _automatic(self, connector: KafkaConnector, failed: bool, now: datetime) -> Decision:
        status = connector.status.auto_restart if connector.status else None
        ours = self._auto.get(connector.metadata.uid)
        # What we decided last stands, even while the status does not say so yet.
        if ours is not None and (
            status is None
            or (status.last_restart_timestamp or "") < (ours.last_restart_timestamp or "")
        ):
            status = ours
        decision = decide(
            connector.spec.auto_restart,
            status,
            failed=failed,
            now=now,
            connector_name=connector.connector_name,
        )
        if decision.restart and decision.status is not None:
            self._auto[connector.metadata.uid] = decision.status
        elif decision.status is None:
            self._auto.pop(connector.metadata.uid, None)
        return decision


def _parse(name: str, value: str) -> Mapping[str, bool] | None:
    if name == names.RESTART_TASK:
        return {} if value.strip().isdecimal() else None
    words = {word.strip() for word in value.split(",")}
    if words == {"true"}:
        words = set()
    elif not words <= _WORDS:
        return None
    return {
        "connector": True,
        "includeTasks": "includeTasks" in words,
        "onlyFailed": "onlyFailed" in words,
    }

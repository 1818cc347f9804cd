"""Entries of tasks in the status that no pod stands behind any more.

Pods write their own entries; what is left to do is to remove those of tasks that there are no
longer, and to mark those whose pod is gone. Both wait a moment: a pod may report before its address
is known here. They are written under the entry's own field manager and epoch, so that a newer owner
who has written meanwhile wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from coracle.kube import names
from coracle.kube.model import KafkaConnector
from coracle.kube.status import CONNECTOR_MANAGER, task_manager
from coracle_operator.cluster import Cluster, ClusterError, Object
from coracle_operator.conditions import address

GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class Correction:
    """An entry that is to say something else.

    Attributes:
        manager: whose field it is.
        status: what it is to say, empty to remove it.
        about: what in the status made it wrong: while that stays, the doubt is the same.
    """

    manager: str
    status: Mapping[str, Any]
    about: tuple[Any, ...]


def corrections(connector: KafkaConnector, alive: set[str]) -> list[Correction]:
    """What is wrong in ``status.connectorStatus``.

    Args:
        connector: with its status.
        alive: addresses of its pods.
    """
    reported = connector.status and connector.status.connector_status
    if not reported:
        return []
    stopped = connector.spec.target == "stopped" and not alive
    found: list[Correction] = []
    own = reported.connector
    wanted = "STOPPED" if stopped else "UNASSIGNED"
    if own is not None and address(own.worker_id) not in alive and own.state != wanted:
        state: dict[str, Any] = {"state": wanted, "worker_id": own.worker_id or ""}
        if own.epoch is not None:
            state["epoch"] = own.epoch
        if own.version:
            state["version"] = own.version
        # How many pods had something to do is the best guess for when it runs again.
        if own.useful is not None:
            state["useful"] = own.useful
        if stopped:
            state["tasks"] = 0
        elif own.tasks is not None:
            state["tasks"] = own.tasks
        content = {"name": reported.name, "type": reported.type, "connector": state}
        status = {"connectorStatus": {key: each for key, each in content.items() if each}}
        found.append(
            Correction(CONNECTOR_MANAGER, status, (own.state, own.worker_id, own.epoch, wanted))
        )
    count = own.tasks if own else None
    for task in reported.tasks:
        about = (task.state, task.worker_id, task.epoch)
        if stopped or (count is not None and task.id >= count):
            found.append(Correction(task_manager(task.id), {}, (*about, "gone", count)))
        elif address(task.worker_id) not in alive and task.state != "UNASSIGNED":
            entry: dict[str, Any] = {
                "id": task.id,
                "state": "UNASSIGNED",
                "worker_id": task.worker_id or "",
            }
            if task.epoch is not None:
                entry["epoch"] = task.epoch
            found.append(
                Correction(task_manager(task.id), {"connectorStatus": {"tasks": [entry]}}, about)
            )
    return found


class Corrector:
    """Writes corrections that stay due for a moment.

    Args:
        cluster: where to.
        clock: seconds, of any clock that never goes back.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._doubts: dict[str, dict[str, tuple[tuple[Any, ...], float]]] = {}

    def forget(self, uid: str) -> None:
        """The connector is gone."""
        self._doubts.pop(uid, None)

    async def correct(
        self, connector: KafkaConnector, alive: set[str]
    ) -> tuple[Object | None, float | None]:
        """Write what is due.

        Returns:
            The resource as the last write left it, and seconds until the next is due.
        """
        uid, now = connector.metadata.uid, self._clock()
        before = self._doubts.pop(uid, {})
        latest: Object | None = None
        waits: list[float] = []
        doubts: dict[str, tuple[tuple[Any, ...], float]] = {}
        for one in corrections(connector, alive):
            about, since = before.get(one.manager, (one.about, now))
            if about != one.about:
                since = now
            left = since + GRACE_SECONDS - now
            if left > 0:
                doubts[one.manager] = (one.about, since)
                waits.append(left)
            else:
                latest = await self._write(connector, one) or latest
        if doubts:
            self._doubts[uid] = doubts
        return latest, min(waits, default=None)

    async def _write(self, connector: KafkaConnector, one: Correction) -> Object | None:
        body: Object = {
            "apiVersion": names.API_VERSION,
            "kind": names.KAFKA_CONNECTOR,
            "metadata": {
                "name": connector.metadata.name,
                "namespace": connector.metadata.namespace,
            },
            "status": dict(one.status),
        }
        try:
            return await self._cluster.apply(body, manager=one.manager, subresource="status")
        except ClusterError as error:
            # A newer owner has written since, or the connector has gone.
            if error.status in (404, 422):
                return None
            raise

"""The operator's part of a resource's status, written only when it says something new."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from coracle.kube import names
from coracle.kube.model import Condition, KafkaConnect, KafkaConnector
from coracle_operator.cache import Cache, Key
from coracle_operator.cluster import Cluster
from coracle_operator.conditions import Json, Verdict
from coracle_operator.events import Events
from coracle_operator.objects import MANAGER

# Reasons on the way that a person may have to do something about; the others pass by themselves.
_TELLING = frozenset({"ConnectMissing", "NotAllowed"})

# What passes by itself within this time is not worth a write: a thousand connectors that start at
# once would write thousands of statuses nobody reads.
_SETTLE_SECONDS = 1.0


class StatusWriter:
    """Writes statuses, and an Event for each transition.

    Args:
        cluster: where to.
        cache: where what was written is remembered.
        events: what people read.
        clock: seconds, of any clock that never goes back.
    """

    def __init__(
        self, cluster: Cluster, cache: Cache, events: Events, clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._events = events
        self._clock = clock
        self._unsettled: dict[Key, float] = {}

    async def write(
        self, key: Key, resource: KafkaConnector | KafkaConnect, status: Json, verdict: Verdict
    ) -> float:
        """Write a status under the operator's field manager.

        Args:
            key: of the resource.
            resource: as it was read.
            status: all that the operator has to say; what is ``None`` is not said.
            verdict: what the status is made from.

        Returns:
            After how many seconds to come again, because what is on its way may have arrived then.
        """
        wanted = {field: value for field, value in status.items() if value is not None}
        raw = self._cache.resources.get(key)
        there: Mapping[str, Any] = (raw or {}).get("status") or {}
        if raw is None or all(_same(there.get(field), value) for field, value in status.items()):
            self._unsettled.pop(key, None)
            return math.inf
        if (left := self._unsettled_for(key, resource, verdict)) > 0:
            return left
        before = resource.status.conditions if resource.status else ()
        body = {
            "apiVersion": names.API_VERSION,
            "kind": key.kind.name,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "status": wanted,
        }
        written = await self._cluster.apply(body, manager=MANAGER, subresource="status")
        self._cache.put_resource(key.kind, written)
        await self._tell(resource, before, verdict)
        return math.inf

    def _unsettled_for(
        self, key: Key, resource: KafkaConnector | KafkaConnect, verdict: Verdict
    ) -> float:
        """How long to hold a status back that says no more than that something is on its way."""
        before = resource.status.conditions if resource.status else ()
        was_ready = any(one.type == "Ready" and one.status == "True" for one in before)
        if verdict.ready or verdict.stalled or was_ready or verdict.reason in _TELLING:
            self._unsettled.pop(key, None)
            return 0.0
        since = self._unsettled.setdefault(key, self._clock())
        left = since + _SETTLE_SECONDS - self._clock()
        if left <= 0:
            del self._unsettled[key]
        return left

    async def _tell(
        self,
        resource: KafkaConnector | KafkaConnect,
        before: tuple[Condition, ...] | Any,
        verdict: Verdict,
    ) -> None:
        was = next(((one.status, one.reason) for one in before if one.type == "Ready"), None)
        if was == (str(verdict.ready), verdict.reason):
            return
        if verdict.ready:
            await self._events.tell(resource, "Normal", verdict.reason, verdict.message)
        elif verdict.stalled or verdict.reason in _TELLING:
            await self._events.tell(resource, "Warning", verdict.reason, verdict.message)


def _same(there: Any, wanted: Any) -> bool:
    # What is empty is not in what the API server returns.
    return there == wanted or (not there and not wanted and there != 0 and wanted != 0)

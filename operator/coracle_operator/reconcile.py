"""Brings one custom resource to where its spec says: level-based, idempotent, a step at a time.

A reconciliation reads what the cache holds, works out what there shall be, and writes the
difference. It never waits for anything to happen: what it started changes something that it will be
called for again. So the operator may be killed between any two requests, and the next one goes on.
Whatever fails is raised and tried again by the queue.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coracle_operator.cache import Cache, Key
from coracle_operator.cluster import Cluster
from coracle_operator.events import Events
from coracle_operator.kinds import CONNECT, CONNECTOR
from coracle_operator.objects import Objects
from coracle_operator.reconcile_connect import ConnectReconciler
from coracle_operator.reconcile_connector import ConnectorReconciler
from coracle_operator.reconcile_strimzi import STRIMZI_KINDS, StrimziReconciler
from coracle_operator.status import StatusWriter


@dataclass(frozen=True)
class Settings:
    """What the operator is told when it starts.

    Attributes:
        image: of pods for which no resource names one.
        resync: after how many seconds a resource is looked at although nothing changed.
        fetch_plugins: asks a KafkaConnect's api for its plugins; ``None`` asks nobody.
        strimzi: whether Strimzi's resources are dealt with.
    """

    image: str
    resync: float = 600.0
    fetch_plugins: Callable[[str], Awaitable[Sequence[dict[str, Any]]]] | None = None
    strimzi: bool = False


class Reconciler:
    """Reconciles custom resources of every kind.

    Args:
        cluster: where to write.
        cache: where to read.
        settings: see there.
        requeue: has another resource looked at.
        now: the time, with its zone.
        clock: seconds, of any clock that never goes back.
    """

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        settings: Settings,
        requeue: Callable[[Key], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        objects = Objects(cluster, cache)
        events = Events(cluster, clock)
        status = StatusWriter(cluster, cache, events, clock)
        connectors = ConnectorReconciler(
            cluster, cache, objects, status, events, settings.image, requeue, now, clock
        )
        connects = ConnectReconciler(cache, objects, status, settings, now, clock)
        strimzi = StrimziReconciler(cluster, cache, requeue)
        self.prime = connectors.prime
        self._resync = settings.resync
        self._by_kind: Mapping = {
            CONNECTOR: connectors.reconcile,
            CONNECT: connects.reconcile,
            **dict.fromkeys(STRIMZI_KINDS, strimzi.reconcile),
        }

    async def reconcile(self, key: Key) -> float | None:
        """Go one step; returns after how many seconds to look again, ``None`` for never.

        Raises:
            ClusterError: when the API server refused or did not answer.
        """
        again = await self._by_kind[key.kind](key)
        return None if again is None else min(again, self._resync)

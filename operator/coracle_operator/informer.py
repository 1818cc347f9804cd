"""Keeps the cache in step with the objects that the operator made, and says whose changed.

Custom resources come through kopf, which also notices when their kind is defined. What the operator
makes is ten times as much and is watched here: only by label, only what the cache keeps, and
without a task for each object. A watch goes on from the last version seen; when that is too old
everything is listed anew, and what the list no longer has is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from coracle.kube import names
from coracle.kube.client import WATCH_SECONDS, Backoff
from coracle_operator.cache import Cache, Key, names_of, version_of
from coracle_operator.cluster import ClusterError, Kind, Object

logger = logging.getLogger(__name__)

OURS = {names.MANAGED_BY_LABEL: names.MANAGED_BY}

_OPTIONAL_SECONDS = 60.0


class Source(Protocol):
    """Where objects are listed and watched."""

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> tuple[list[Object], int]:
        """Objects, and the version at which they are so."""
        ...

    def watch(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str], version: int
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens after that."""
        ...


class Informer:
    """Watches one kind in one namespace, or in all.

    Args:
        source: the API server.
        kind: what is watched.
        namespace: where; ``None`` is everywhere.
        cache: what is kept up to date.
        changed: told of each custom resource something of which changed.
        appeared: told when an optional kind turns out to be there.
    """

    def __init__(
        self,
        source: Source,
        kind: Kind,
        namespace: str | None,
        cache: Cache,
        changed: Callable[[Key], None],
        appeared: Callable[[Kind], None],
    ) -> None:
        self._source = source
        self._kind = kind
        self._namespace = namespace
        self._cache = cache
        self._changed = changed
        self._appeared = appeared
        self.synced = asyncio.Event()
        """Set once everything there was is in the cache, or the kind is known to be absent."""

    async def run(self) -> None:
        """Watch until cancelled."""
        backoff = Backoff()
        while True:
            try:
                version = await self._list()
                backoff.reset()
                await self._watch(version, backoff)
            except ClusterError as error:
                wait = self._after(error, backoff)
            except Exception:
                logger.exception("watching %s failed", self._kind.plural)
                wait = backoff.seconds()
            else:
                wait = 0.0
            await asyncio.sleep(wait)

    def _after(self, error: ClusterError, backoff: Backoff) -> float:
        if error.status == 410:
            return 0.0
        if self._kind.optional and error.status in (403, 404):
            self._cache.there.discard(self._kind)
            self.synced.set()
            return _OPTIONAL_SECONDS
        wait = backoff.seconds()
        logger.warning("%s; trying again in %.1f s", error, wait)
        return wait

    async def _list(self) -> int:
        found, version = await self._source.list(self._kind, self._namespace, OURS)
        for obj in found:
            self._put(obj)
        listed = names_of(self._kind, found)
        for name in self._cache.forget_others(self._kind, self._namespace, version, listed):
            if (owner := self._cache.owner(name)) is not None:
                self._tell(owner)
        if self._kind.optional and self._kind not in self._cache.there:
            self._cache.there.add(self._kind)
            self._appeared(self._kind)
        self.synced.set()
        return version

    def _tell(self, owner: tuple[str, str, str]) -> None:
        """By the label, which is the name unless that was too long; the resync finds those."""
        kind, namespace, label = owner
        for key in self._cache.resources:
            if (key.kind.name, key.namespace, names.label_value(key.name)) == (
                kind,
                namespace,
                label,
            ):
                self._changed(key)

    async def _watch(self, version: int, backoff: Backoff) -> None:
        """Follow from a version on; returns never, raises when a new list is needed."""
        while True:
            try:
                # The server ends a watch; one that outlives that by far is a dead connection.
                async with asyncio.timeout(WATCH_SECONDS + 30):
                    events = self._source.watch(self._kind, self._namespace, OURS, version)
                    async for event, obj in events:
                        version = max(version, version_of(obj))
                        if event == "DELETED":
                            if key := self._cache.remove(self._kind, obj):
                                self._changed(key)
                        else:
                            self._put(obj)
            except TimeoutError:
                continue
            except ClusterError as error:
                if error.status in (410, 404, 403):
                    raise
                wait = backoff.seconds()
                logger.warning("%s; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)
            else:
                backoff.reset()

    def _put(self, obj: Object) -> None:
        if key := self._cache.put(self._kind, obj):
            self._changed(key)

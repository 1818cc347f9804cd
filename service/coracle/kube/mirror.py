"""All resources of one kind in one namespace, held in memory and kept current by a watch.

Reading costs no request. Whoever writes a resource hands in the answer, so that it reads its own
writes although the watch tells it a moment later; which of two states is the newer is told by their
``resourceVersion``, a number that only grows.
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coracle.kube.client import WATCH_SECONDS, Backoff, status_code

if TYPE_CHECKING:
    from lightkube import AsyncClient

logger = logging.getLogger(__name__)

Resource = Mapping[str, Any]
"""A resource as JSON."""

_GONE = 410
_HEALTHY_SECONDS = 30.0


class Mirror:
    """The resources by ``metadata.name``.

    Args:
        client: for the API server.
        kind: lightkube's class of the resource.
        namespace: where to look.

    Attributes:
        resources: all of them, as of now.
        synced: set once they were read for the first time.
    """

    def __init__(self, client: AsyncClient, kind: Any, namespace: str) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._changed = asyncio.Condition()
        self.resources: dict[str, Resource] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Follow the API server, for ever. Its troubles are logged and outlived."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await self._follow(await self._read())
            except Exception as error:
                if loop.time() - started > _HEALTHY_SECONDS:
                    backoff.reset()
                wait = backoff.seconds()
                # 410: the watch's place in history is forgotten, and all is read anew.
                level = logging.DEBUG if status_code(error) == _GONE else logging.WARNING
                logger.log(
                    level,
                    "what is in the namespace %s may be out of date: %s; trying again in %.1f s",
                    self._namespace,
                    error or type(error).__name__,
                    wait,
                )
                await asyncio.sleep(wait)

    async def put(self, resource: Resource) -> None:
        """Take in a state of a resource, unless a newer one is known."""
        name = resource["metadata"]["name"]
        known = self.resources.get(name)
        if known is None or _version(resource) > _version(known):
            self.resources[name] = resource
            await self._notify()

    async def forget(self, name: str, version: int) -> None:
        """A resource was deleted, at this version."""
        known = self.resources.get(name)
        if known is not None and _version(known) <= version:
            del self.resources[name]
            await self._notify()

    async def change(self, seconds: float) -> None:
        """Wait for the next change, or until the time is up."""
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _read(self) -> str:
        listed = self._client.list(self._kind, namespace=self._namespace)
        found = {one["metadata"]["name"]: one async for one in listed}
        version = listed.resourceVersion
        for name, known in list(self.resources.items()):
            if name not in found:
                await self.forget(name, int(version))
            elif _version(known) > _version(found[name]):
                del found[name]
        self.resources.update(found)
        self.synced.set()
        await self._notify()
        return version

    async def _follow(self, version: str) -> None:
        watch = self._client.watch(
            self._kind,
            namespace=self._namespace,
            resource_version=version,
            server_timeout=WATCH_SECONDS,
        )
        async for event, resource in watch:
            if event == "DELETED":
                await self.forget(resource["metadata"]["name"], _version(resource))
            elif event in ("ADDED", "MODIFIED"):
                await self.put(resource)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _version(resource: Resource) -> int:
    return int(resource["metadata"]["resourceVersion"])

"""``coracle-operator run``: watches, cache, queue and reconciler put together.

One replica is enough: no connector runs through it, and all it does can be done again. It lists
everything once before it writes anything, so that it never acts on half a view.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvloop

from coracle import __version__
from coracle.kube.client import Backoff
from coracle_operator import metrics
from coracle_operator.api_server import ApiServer
from coracle_operator.cache import Cache, Key, names_of, version_of
from coracle_operator.certificates import keep_certificates
from coracle_operator.cluster import ClusterError, Kind
from coracle_operator.informer import Informer
from coracle_operator.kinds import CONNECT, CONNECTOR, WATCHED
from coracle_operator.queue import WorkQueue
from coracle_operator.reconcile import Reconciler, Settings
from coracle_operator.serving import PORT, serve
from coracle_operator.watches import Watches

logger = logging.getLogger(__name__)

_DEFAULT_IMAGE = f"localhost/coracle:{__version__}"
_WORKERS = 16


@dataclass(frozen=True)
class Environment:
    """What the environment says.

    Attributes:
        image: of pods for which no resource names one.
        namespaces: where to look after resources; none is everywhere.
        strimzi: whether to look at Strimzi's kinds.
        port: for health and metrics.
        resync: seconds after which a resource is looked at although nothing changed.
        webhook: Secret, Service and configuration whose certificate is looked after, if any.
        namespace: the operator's own.
    """

    image: str = _DEFAULT_IMAGE
    namespaces: Sequence[str] = ()
    strimzi: bool = False
    port: int = PORT
    resync: float = 600.0
    webhook: tuple[str, str, str] | None = None
    namespace: str = ""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Environment:
        """Read ``CORACLE_…`` and ``OPERATOR_NAMESPACE``.

        Raises:
            ValueError: when a number is none.
        """
        names = (
            "CORACLE_WEBHOOK_SECRET",
            "CORACLE_WEBHOOK_SERVICE",
            "CORACLE_WEBHOOK_CONFIGURATION",
        )
        webhook = tuple(variables.get(name, "") for name in names)
        return cls(
            image=variables.get("CORACLE_IMAGE") or _DEFAULT_IMAGE,
            namespaces=[
                one.strip()
                for one in variables.get("CORACLE_NAMESPACES", "").split(",")
                if one.strip()
            ],
            strimzi=variables.get("CORACLE_STRIMZI", "").lower() == "true",
            port=int(variables.get("CORACLE_OPERATOR_PORT") or PORT),
            resync=float(variables.get("CORACLE_RESYNC_SECONDS") or 600),
            webhook=(webhook[0], webhook[1], webhook[2]) if all(webhook) else None,
            namespace=variables.get("OPERATOR_NAMESPACE", ""),
        )


class Operator:
    """The operator.

    Args:
        environment: see there.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._api = ApiServer()
        self._cache = Cache()
        settings = Settings(
            environment.image, environment.resync, fetch_plugins, strimzi=environment.strimzi
        )
        self._reconciler = Reconciler(self._api, self._cache, settings, self._add)
        self._queue: WorkQueue[Key] = WorkQueue(
            self._reconciler.reconcile, workers=_WORKERS, watcher=metrics.Observer()
        )
        self._watches = Watches(self._cache, self._add, strimzi_too=environment.strimzi)
        places = list(environment.namespaces) or [None]
        self._informers = [
            Informer(self._api, kind, place, self._cache, self._add, self._appeared)
            for kind in WATCHED
            for place in places
        ]
        self._ready = False

    def _add(self, key: Key) -> None:
        self._queue.add(key)

    def _appeared(self, kind: Kind) -> None:
        """An optional kind is there now: whoever asked for objects of it can have them."""
        if self._ready:
            logger.info("there are %s now", kind.plural)
            for key in self._cache.resources_of(CONNECTOR):
                self._queue.add(key)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        http = await serve(self._environment.port, ready=lambda: self._ready, refresh=self._measure)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one.run()) for one in self._informers]
                tasks.append(group.create_task(self._work()))
                if self._environment.webhook:
                    secret, service, configuration = self._environment.webhook
                    tasks.append(
                        group.create_task(
                            keep_certificates(
                                self._api.client,
                                self._environment.namespace,
                                service,
                                configuration,
                                secret=secret,
                            )
                        )
                    )
                # kopf listens for signals, and returns when there is one.
                await self._watches.run(self._environment.namespaces)
                for task in tasks:
                    task.cancel()
        finally:
            await http.cleanup()
            await self._api.close()

    async def _work(self) -> None:
        """Reconcile, once everything there is has been seen."""
        for informer in self._informers:
            await informer.synced.wait()
        await self._list_resources()
        self._reconciler.prime()
        self._ready = True
        logger.info("started: %d resources", len(self._cache.resources))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._list_again())

    async def _list_again(self) -> None:
        """Find out now and then what kopf could not tell: it overlooks a deletion while away."""
        while True:
            await asyncio.sleep(self._environment.resync)
            await self._list_resources()

    async def _list_resources(self) -> None:
        backoff = Backoff()
        todo = [
            (kind, place)
            for kind in (CONNECT, CONNECTOR)
            for place in list(self._environment.namespaces) or [None]
        ]
        while todo:
            kind, place = todo[0]
            try:
                found, version = await self._api.list(kind, place, {})
            except ClusterError as error:
                wait = backoff.seconds()
                logger.warning("%s; trying again in %.1f s", error, wait)
                await asyncio.sleep(wait)
                continue
            todo.pop(0)
            listed = {(name.namespace, name.name) for name in names_of(kind, found)}
            for obj in found:
                self._watches.seen(kind, False, obj)
            for key in self._cache.resources_of(kind):
                known = self._cache.resources[key]
                if (
                    place in (None, key.namespace)
                    and (key.namespace, key.name) not in listed
                    and version_of(known) <= version
                ):
                    self._watches.seen(kind, True, known)

    def _measure(self) -> None:
        """Bring the gauges up to date."""
        metrics.queue_depth.set(len(self._queue))
        metrics.busy.set(self._queue.busy)
        counts = Counter((key.kind.name, _ready(obj)) for key, obj in self._cache.resources.items())
        metrics.resources.clear()
        for (kind, ready), count in counts.items():
            metrics.resources.labels(kind, ready).set(count)


def _ready(obj: Mapping[str, Any]) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one["status"] for one in conditions if one["type"] == "Ready"), "Unknown")


async def fetch_plugins(url: str) -> list[dict[str, Any]]:
    """The plugins of a KafkaConnect's image, as its api lists them.

    Args:
        url: of the api.

    Raises:
        OSError: when it does not answer, or not with a list.
    """
    timeout = aiohttp.ClientTimeout(total=3.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/connector-plugins") as answer,
        ):
            answer.raise_for_status()
            found = await answer.json()
    except (aiohttp.ClientError, ValueError) as error:
        raise OSError(str(error)) from error
    return [
        {field: str(one[field]) for field in ("class", "type", "version") if one.get(field)}
        for one in found
    ]


def run() -> None:
    """Run the operator that the environment describes.

    Raises:
        ConnectError: when there is no way to the API server.
    """

    async def operate() -> None:
        await Operator(Environment.of(os.environ)).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(operate())

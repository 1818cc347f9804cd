"""The custom resources, through kopf: handlers that fill the cache and the work queue, nothing
else.

kopf lists and watches, reconnects, and notices when a kind is defined. What it can do beyond that
is kept off: it has no change-detecting handlers, so it writes no annotation and no finalizer, and
its raw-event handlers, which it never repeats, do nothing that can fail.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from coracle.kube import names, strimzi
from coracle.kube.client import WATCH_SECONDS
from coracle.kube.model import KafkaConnector
from coracle_operator.cache import Cache, Key
from coracle_operator.cluster import Kind
from coracle_operator.kinds import CONNECT, CONNECTOR, STRIMZI_CONNECT, STRIMZI_CONNECTOR
from coracle_operator.reconcile_connector import connect_key
from coracle_operator.reconcile_strimzi import counterpart

# An API server that is away is waited for, for days if need be.
_BACKOFFS = (0.5, 1, 2, 3, *([5] * 100_000))


class Watches:
    """What an event of a custom resource means.

    Args:
        cache: what is kept up to date.
        add: puts a resource into the work queue.
        strimzi_too: whether Strimzi's kinds are watched.
    """

    def __init__(self, cache: Cache, add: Callable[[Key], None], *, strimzi_too: bool) -> None:
        self._cache = cache
        self._add = add
        self._kinds: dict[Kind, str] = {
            CONNECTOR: names.GROUP,
            CONNECT: names.GROUP,
            **(
                {STRIMZI_CONNECTOR: strimzi.GROUP, STRIMZI_CONNECT: strimzi.GROUP}
                if strimzi_too
                else {}
            ),
        }

    async def run(self, namespaces: Sequence[str]) -> None:
        """Watch until a signal ends the process or the task is cancelled.

        Args:
            namespaces: where; none is everywhere.
        """
        registry = kopf.OperatorRegistry()
        for kind, group in self._kinds.items():
            kopf.on.event(group, kind.plural, registry=registry, id=f"{group}/{kind.plural}")(
                self._handler(kind)
            )
        for login in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
            kopf.on.login(registry=registry, id=login.__name__)(login)
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.watching.server_timeout = WATCH_SECONDS
        settings.watching.client_timeout = WATCH_SECONDS + 30
        settings.networking.error_backoffs = _BACKOFFS
        settings.queueing.idle_timeout = 1.0
        logging.getLogger("kopf").setLevel(logging.WARNING)
        await kopf.operator(
            registry=registry,
            settings=settings,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
        )

    def _handler(self, kind: Kind) -> Any:
        async def handle(event: Any, **_: Any) -> None:
            self.seen(kind, event["type"] == "DELETED", event["object"])

        return handle

    def seen(self, kind: Kind, gone: bool, obj: Any) -> None:
        """A resource is new, has changed or has gone."""
        metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
        found = {**obj, "metadata": metadata}
        key = Key(kind, metadata["namespace"], metadata["name"])
        before = self._cache.resources.get(key)
        if gone:
            self._cache.remove_resource(kind, found)
        else:
            self._cache.put_resource(kind, found)
        self._add(key)
        after = self._cache.resources.get(key)
        if kind == CONNECT and _aspect(before) != _aspect(after):
            self._connect_changed(key)
        theirs = counterpart(key)
        if theirs in self._cache.resources:
            self._add(theirs)

    def _connect_changed(self, connect: Key) -> None:
        """Its connectors have to be looked at, and those of Strimzi's that may be let in now."""
        for key in self._cache.resources_of(CONNECTOR):
            connector = KafkaConnector.model_validate(self._cache.resources[key])
            if connect_key(connector) == connect:
                self._add(key)
        for key in self._cache.resources_of(STRIMZI_CONNECTOR):
            labels = self._cache.resources[key]["metadata"].get("labels") or {}
            if (key.namespace, labels.get(strimzi.CLUSTER_LABEL)) == connect[1:]:
                self._add(key)


def _aspect(obj: Any) -> Any:
    """What of a KafkaConnect its connectors depend on: all but its status."""
    return obj and (obj["metadata"].get("uid"), obj["spec"], obj["metadata"].get("labels"))

"""One KafkaConnect: see ``reconcile.py``. Its connectors are reconciled by themselves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coracle.api import ConfigError
from coracle.kube import names
from coracle.kube.model import KafkaConnect, without_effect
from coracle_operator.cache import Cache, Key, Name
from coracle_operator.cluster import ClusterError
from coracle_operator.conditions import Verdict, conditions, connect_verdict, refused, stalled
from coracle_operator.kinds import DEPLOYMENT
from coracle_operator.manifests import connect_manifests
from coracle_operator.manifests.base import (
    PORT,
    connect_object_name,
    connect_selector,
    selector_text,
)
from coracle_operator.objects import Objects
from coracle_operator.status import StatusWriter
from coracle_operator.worker import worker

if TYPE_CHECKING:
    from coracle_operator.reconcile import Settings

logger = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 30.0

Plugins = Sequence[dict[str, Any]]


class ConnectReconciler:
    """Reconciles KafkaConnects. Arguments as ``Reconciler``'s, and what these have in common."""

    def __init__(
        self,
        cache: Cache,
        objects: Objects,
        status: StatusWriter,
        settings: Settings,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._objects = objects
        self._status = status
        self._settings = settings
        self._now = now
        self._clock = clock
        # What the api said, by the generation of the Deployment that said it.
        self._plugins: dict[Key, tuple[int, Plugins]] = {}
        self._asked: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Go one step with one KafkaConnect."""
        raw = self._cache.resources.get(key)
        if raw is None:
            self._objects.forget(key)
            self._plugins.pop(key, None)
            self._asked.pop(key, None)
            return None
        connect = KafkaConnect.model_validate(raw)
        if connect.metadata.deletion_timestamp:
            return math.inf
        if connect.metadata.annotations.get(names.PAUSE_RECONCILIATION) == "true":
            return math.inf
        warnings = [
            f"{place} has no effect: {why}." for place, why in without_effect(connect.spec).items()
        ]
        again = math.inf
        try:
            shared = worker(connect)
            manifests = connect_manifests(
                connect,
                shared.properties,
                image=self._settings.image,
                strimzi=self._settings.strimzi,
            )
        except ConfigError as error:
            verdict, ready = stalled("ConfigInvalid", str(error)), 0
        else:
            warnings += shared.warnings
            try:
                await self._objects.ensure(key, connect.metadata.uid, manifests)
            except ClusterError as error:
                if (refusal := refused(error)) is not None:
                    await self._report(key, connect, refusal, warnings, ready=0)
                raise
            known = self._cache.known_object(
                Name(DEPLOYMENT, key.namespace, connect_object_name(connect))
            )
            facts = known.facts if known else {}
            ready = facts.get("ready", 0)
            observed = known is not None and facts["observed"] >= known.state
            verdict = connect_verdict(
                connect.spec.replicas,
                min(ready, facts.get("updated", 0)) if observed else 0,
                self._cache.pods(key),
                observed=observed,
                trouble=facts.get("trouble", ""),
            )
            if verdict.ready and ready and known is not None:
                again = await self._learn_plugins(key, connect, known.state)
        return min(again, await self._report(key, connect, verdict, warnings, ready=ready))

    async def _report(
        self,
        key: Key,
        connect: KafkaConnect,
        verdict: Verdict,
        warnings: Sequence[str],
        *,
        ready: int,
    ) -> float:
        before = connect.status
        there = (self._cache.resources.get(key) or {}).get("status") or {}
        status = {
            "observedGeneration": connect.metadata.generation,
            "conditions": conditions(
                verdict,
                warnings,
                generation=connect.metadata.generation,
                before=before.conditions if before else (),
                now=self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            ),
            "url": url(connect),
            "replicas": ready,
            "labelSelector": selector_text(connect_selector(connect)),
            "connectorPlugins": list(
                self._plugins.get(key, (0, there.get("connectorPlugins")))[1] or ()
            ),
        }
        return await self._status.write(key, connect, status, verdict)

    async def _learn_plugins(self, key: Key, connect: KafkaConnect, generation: int) -> float:
        """Ask the api which plugins its image has, once for each version of the Deployment."""
        if self._settings.fetch_plugins is None or self._plugins.get(key, (0,))[0] == generation:
            return math.inf
        now = self._clock()
        if now - self._asked.get(key, -math.inf) < _ASK_AGAIN_SECONDS:
            return _ASK_AGAIN_SECONDS
        self._asked[key] = now
        try:
            found = await self._settings.fetch_plugins(url(connect))
        except OSError as error:
            logger.warning("the api of %s does not say which plugins it has: %s", key, error)
            return _ASK_AGAIN_SECONDS
        self._plugins[key] = (generation, found)
        return math.inf


def url(connect: KafkaConnect) -> str:
    """Where the api answers inside the cluster."""
    return f"http://{connect_object_name(connect)}.{connect.metadata.namespace}.svc:{PORT}"

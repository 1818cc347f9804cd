"""Events that a person reads with ``kubectl describe``: one for each transition, never a stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle_operator.cluster import Cluster, ClusterError
from coracle_operator.kinds import EVENT
from coracle_operator.objects import MANAGER

logger = logging.getLogger(__name__)

_BURST = 10
_SECONDS_EACH = 60.0
_MESSAGE_LIMIT = 1000  # of the API server


class Events:
    """Writes Events about custom resources, at most ten at once and one a minute for each.

    Args:
        cluster: where to.
        clock: seconds, of any clock that never goes back.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}

    async def tell(
        self,
        about: KafkaConnector | KafkaConnect,
        kind: Literal["Normal", "Warning"],
        reason: str,
        message: str,
    ) -> None:
        """Write an Event. One that cannot be written is logged and nothing else happens."""
        metadata = about.metadata
        logger.info("%s/%s: %s: %s", metadata.namespace, metadata.name, reason, message)
        if not self._may(metadata.uid):
            return
        now = datetime.now(UTC)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {
                "name": f"{names.object_name(metadata.name)}.{int(now.timestamp() * 1e6):x}",
                "namespace": metadata.namespace,
            },
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": about.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MESSAGE_LIMIT],
            "source": {"component": MANAGER},
            "reportingComponent": f"{names.GROUP}/operator",
            "reportingInstance": MANAGER,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            await self._cluster.create(event)
        except ClusterError as error:
            logger.warning("an Event was not written: %s", error)

    def _may(self, uid: str) -> bool:
        now = self._clock()
        tokens, at = self._tokens.get(uid, (float(_BURST), now))
        tokens = min(float(_BURST), tokens + (now - at) / _SECONDS_EACH)
        self._tokens[uid] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1

    def forget(self, uid: str) -> None:
        """The custom resource is gone."""
        self._tokens.pop(uid, None)

"""The Kubernetes API as a pod uses it: two requests, one watch, and an API server that may be away.

lightkube is imported when a client is made: what does not run on Kubernetes does not pay for it.

A watch is one answer that never ends, so no timeout of ours can tell a quiet one from a dead one.
Two things do: the server ends it after ``WATCH_SECONDS``, and TCP keep-alives find a peer that has
vanished without a word. Whoever calls repeats with ``Backoff``; nothing here retries by itself.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, Any

from coracle.api import ConnectError
from coracle.kube.names import GROUP, KAFKA_CONNECTOR, VERSION

if TYPE_CHECKING:
    from lightkube import AsyncClient

WATCH_SECONDS = 1800
"""How long the API server is asked to let a watch last."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_CONNECTIONS = 4
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


def pod_client(namespace: str) -> AsyncClient:
    """A client for one namespace: the pod's service account, or ``KUBECONFIG`` outside of a pod.

    Raises:
        ConnectError: when there is neither.
    """
    import httpx2
    from lightkube import AsyncClient, KubeConfig
    from lightkube.config.client_adapter import verify_cluster
    from lightkube.core.exceptions import ConfigError

    try:
        config = KubeConfig.from_env().get()
        assert config is not None
        assert config.user is not None
        tls = verify_cluster(config.cluster, config.user, config.abs_file)
    except (ConfigError, OSError, AssertionError) as error:
        raise ConnectError(
            f"There is no way to the Kubernetes API: {error or 'no cluster is configured'}",
            fix="Run this in a pod, or name a kubeconfig file in KUBECONFIG.",
        ) from error
    return AsyncClient(
        config,
        namespace,
        timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        transport=httpx2.AsyncHTTPTransport(
            verify=tls,
            limits=httpx2.Limits(max_connections=_CONNECTIONS),
            socket_options=_KEEP_ALIVE,
        ),
    )


def connector_resource() -> Any:
    """The class that stands for KafkaConnectors; ``.Status`` is that of their status."""
    from lightkube.generic_resource import create_namespaced_resource

    return create_namespaced_resource(GROUP, VERSION, KAFKA_CONNECTOR, "kafkaconnectors")


def status_code(error: Exception) -> int | None:
    """The HTTP status of a refusal; ``None`` when there was no answer at all."""
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code
    return getattr(getattr(error, "status", None), "code", None)


class Backoff:
    """How long to wait before trying again: twice as long each time, and never for all the same.

    Args:
        first, longest: seconds.
    """

    def __init__(self, first: float = 0.2, longest: float = 8.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def seconds(self) -> float:
        """The next wait."""
        wait, self._next = self._next, min(2 * self._next, self._longest)
        return wait * random.uniform(0.75, 1.25)  # noqa: S311

    def reset(self) -> None:
        """Something worked: begin with a short wait again."""
        self._next = self._first

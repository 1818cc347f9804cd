"""The real cluster: lightkube's client behind ``Cluster``, its refusals turned into our errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.core.exceptions import ApiError
from lightkube.core.exceptions import ConfigError as KubeConfigError
from lightkube.core.resource import ApiInfo
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    GenericNamespacedStatus,
    create_api_info,
)
from lightkube.types import CascadeType, PatchType

from coracle.api import ConnectError
from coracle.kube.client import WATCH_SECONDS
from coracle_operator import metrics
from coracle_operator.cluster import ClusterError, Kind, Object
from coracle_operator.kinds import kind_of

# At once, each on a connection that is kept: TLS handshakes would cost the most, and the pool looks
# at every connection for every request.
_REQUESTS = 12
_CHUNK = 500
_NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)


class ApiServer:
    """The API server of ``KUBECONFIG`` or of the pod's service account.

    Raises:
        ConnectError: when there is neither.
    """

    def __init__(self) -> None:
        try:
            config = KubeConfig.from_env().get()
            assert config is not None
            assert config.user is not None
            tls = verify_cluster(config.cluster, config.user, config.abs_file)
        except (KubeConfigError, OSError, AssertionError) as error:
            raise ConnectError(
                f"There is no way to the Kubernetes API: {error or 'no cluster is configured'}",
                fix="Run this in a pod, or name a kubeconfig file in KUBECONFIG.",
            ) from error
        self.client = _client(config, tls, _REQUESTS)
        """lightkube's client, for requests."""
        # Watches have connections of their own, or requests would wait for them.
        self._watching = _client(config, tls, None)
        self._free = asyncio.Semaphore(_REQUESTS)

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()
        await self._watching.close()

    async def apply(self, obj: Object, *, manager: str, subresource: str = "") -> Object:
        """See ``Cluster``."""
        kind = kind_of(obj)
        resource = _resource(kind)
        metadata = obj["metadata"]
        async with self._free, _asking("apply", kind, metadata["name"]):
            return await self.client.patch(
                resource.Status if subresource == "status" else resource,
                metadata["name"],
                obj,
                namespace=metadata.get("namespace"),
                patch_type=PatchType.APPLY,
                field_manager=manager,
                force=True,
            )

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> Object:
        """See ``Cluster``."""
        resource = _resource(kind)
        async with self._free, _asking("patch", kind, name):
            return await self.client.patch(
                resource.Status if subresource == "status" else resource,
                name,
                dict(patch),
                namespace=namespace,
                patch_type=PatchType.MERGE,
            )

    async def create(self, obj: Object) -> Object:
        """See ``Cluster``."""
        kind = kind_of(obj)
        metadata = obj["metadata"]
        async with self._free, _asking("create", kind, metadata.get("name", "")):
            return await self.client.create(
                _resource(kind)(obj), namespace=metadata.get("namespace")
            )

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """See ``Cluster``."""
        try:
            async with self._free, _asking("delete", kind, name):
                await self.client.delete(
                    _resource(kind), name, namespace=namespace, cascade=CascadeType.BACKGROUND
                )
        except ClusterError as error:
            if error.status != 404:
                raise

    async def labels(self, namespace: str) -> Mapping[str, str]:
        """See ``Cluster``."""
        async with self._free, _asking("get", _NAMESPACE, namespace):
            found = await self.client.get(_resource(_NAMESPACE), namespace)
        return found["metadata"].get("labels") or {}

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> tuple[list[Object], int]:
        """Objects by labels, and the version at which they are so; ``None`` is every namespace."""
        async with _asking("list", kind, ""):
            pages = self._watching.list(
                _resource(kind), namespace=namespace or "*", labels=labels, chunk_size=_CHUNK
            )
            # A list does not say of each entry what it is.
            what = {"apiVersion": kind.api_version, "kind": kind.name}
            found = [{**what, **obj} async for obj in pages]
            return found, int(pages.resourceVersion)

    async def watch(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str], version: int
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens after a version: ADDED, MODIFIED or DELETED, and the object.

        Ends when the API server ends it; raises ``ClusterError`` with status 410 when the version
        is too old.
        """
        async with _asking("watch", kind, ""):
            events = self._watching.watch(
                _resource(kind),
                namespace=namespace or "*",
                labels=labels,
                server_timeout=WATCH_SECONDS,
                resource_version=str(version),
            )
            async with contextlib.aclosing(events):
                async for event, obj in events:
                    yield event, obj


def _client(config: Any, tls: Any, connections: int | None) -> Any:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return AsyncClient(
        config,
        timeout=httpx2.Timeout(10.0, connect=5.0),
        transport=httpx2.AsyncHTTPTransport(verify=tls, limits=limits),
    )


@contextlib.asynccontextmanager
async def _asking(verb: str, kind: Kind, name: str) -> AsyncIterator[None]:
    metrics.requests.labels(verb, kind.plural).inc()
    try:
        yield
    except ApiError as error:
        status = error.status
        metrics.request_errors.labels(verb, str(status.code)).inc()
        raise ClusterError(
            f"{verb} {kind.name} {name}: {status.message}".replace("  ", " "),
            status=status.code or 0,
            reason=status.reason or "",
        ) from error
    except httpx2.HTTPStatusError as error:
        code = error.response.status_code
        metrics.request_errors.labels(verb, str(code)).inc()
        raise ClusterError(f"{verb} {kind.name} {name}: HTTP {code}", status=code) from error
    except httpx2.HTTPError as error:
        metrics.request_errors.labels(verb, "none").inc()
        raise ClusterError(
            f"{verb} {kind.name} {name}: the API server does not answer "
            f"({type(error).__name__} {error})".rstrip()
        ) from error


@cache
def _resource(kind: Kind) -> Any:
    """Lightkube's class for a kind whose objects are plain dictionaries.

    Not from its registry, which knows the core kinds as typed ones already.
    """
    group, _, version = kind.api_version.rpartition("/")
    info = create_api_info(group, version, kind.name, kind.plural)
    parent = GenericNamespacedResource if kind.namespaced else GenericGlobalResource
    status = ApiInfo(info.resource, info.plural, ["get", "patch"], info.resource, "status")
    made = type(kind.name, (parent,), {"_api_info": info})
    made.Status = type(f"{kind.name}Status", (GenericNamespacedStatus,), {"_api_info": status})
    return made

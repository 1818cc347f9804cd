"""The seam to Kubernetes: what reconciling needs of a cluster, and nothing else.

Objects are plain dictionaries as Kubernetes writes them. ``api_server.py`` is the real thing; unit
tests have one in memory. Reading is not here: reconciling reads from ``cache.py``, which informers
fill, so that a cluster in which nothing changes costs no requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from coracle.api import RetriableError

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        api_version: group and version.
        name: as in an object's ``kind``.
        plural: as in a URL.
        namespaced: whether its objects are in namespaces.
        optional: whether a cluster may not know it.
    """

    api_version: str
    name: str
    plural: str
    namespaced: bool = True
    optional: bool = False


class ClusterError(RetriableError):
    """The API server refused a request, or did not answer.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        reason: Kubernetes' word for it, such as ``Conflict``.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Cluster(Protocol):
    """What can be done to a cluster. Every method may raise ``ClusterError``."""

    async def apply(self, obj: Object, *, manager: str, subresource: str = "") -> Object:
        """Server-side apply, taking over fields that others own; returns the whole object."""
        ...

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> Object:
        """JSON merge patch; returns the whole object."""
        ...

    async def create(self, obj: Object) -> Object:
        """Make an object that must not exist yet."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object and, in the background, what it owns. One that is gone is fine."""
        ...

    async def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        ...

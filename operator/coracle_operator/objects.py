"""Makes the objects of a custom resource be what its manifests say, with as few requests as
possible.

An object is applied when its manifest differs from the one applied last (its hash is an annotation
of the object) or when somebody changed it since. What carries the resource's labels and is in no
manifest is deleted. Both are repeated for ever by whoever calls, so that nothing here needs to be
undone.
"""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson

from coracle_operator.cache import APPLIED, Cache, Key, Known, Name
from coracle_operator.cluster import Cluster, ClusterError, Object
from coracle_operator.kinds import DEPLOYMENT, OWNED, ROLE_BINDING, kind_of

MANAGER = "coracle-operator"
"""The field manager of what the operator writes."""


class Objects:
    """Applies and prunes.

    Args:
        cluster: where to.
        cache: what is there.
    """

    def __init__(self, cluster: Cluster, cache: Cache) -> None:
        self._cluster = cluster
        self._cache = cache
        # The state in which we left each object: another one means that somebody else changed it.
        self._left: dict[Name, tuple[str, int]] = {}

    async def ensure(
        self, key: Key, uid: str, wanted: Sequence[Object], keep: Collection[Name] = ()
    ) -> int:
        """Make it so; returns how many requests that took.

        Args:
            key: the custom resource.
            uid: of the custom resource: what an earlier one of its name owns is not its own.
            wanted: manifests, in the order in which they are made.
            keep: objects that are left alone.
        """
        there = self._cache.objects(key)
        names = {name_of(obj) for obj in wanted}
        due = [obj for obj in wanted if not self._is_so(obj, uid, there.get(name_of(obj)))]
        # What a pod needs exists before the pod; the objects of one stage do not need each other.
        for stage in _stages(due):
            await asyncio.gather(*(self._apply(obj) for obj in stage))
        extra = [name for name in there if name not in names and name not in keep]
        for name in reversed(extra):
            if not there[name].deleting:
                await self._cluster.delete(*name)
                self._left.pop(name, None)
        return len(due) + len(extra)

    def _is_so(self, obj: Object, uid: str, known: Known | None) -> bool:
        if known is None or known.deleting or known.owner != uid:
            return False
        digest = digest_of(obj)
        if known.applied != digest:
            return False
        left = self._left.setdefault(name_of(obj), (digest, known.state))
        return left == (digest, known.state)

    async def _apply(self, obj: Object) -> None:
        digest = digest_of(obj)
        metadata = obj["metadata"]
        annotated = {
            **obj,
            "metadata": {
                **metadata,
                "annotations": {**metadata.get("annotations", {}), APPLIED: digest},
            },
        }
        kind = kind_of(obj)
        try:
            applied = await self._cluster.apply(annotated, manager=MANAGER)
        except ClusterError as error:
            if not _is_immutable(error):
                raise
            # Such as a RoleBinding's role or a Deployment's selector: another one takes its place.
            await self._cluster.delete(kind, metadata["namespace"], metadata["name"])
            raise
        self._cache.put(kind, applied)
        known = self._cache.known_object(name_of(obj))
        if known is not None:
            self._left[name_of(obj)] = (digest, known.state)

    def forget(self, key: Key) -> None:
        """The custom resource is gone."""
        for name in self._cache.objects(key):
            self._left.pop(name, None)


def _is_immutable(error: ClusterError) -> bool:
    return error.status == 422 and (
        "immutable" in str(error) or "cannot change roleRef" in str(error)
    )


def _stages(objects: Iterable[Object]) -> list[list[Object]]:
    stages: dict[int, list[Object]] = {}
    for obj in objects:
        stages.setdefault(bisect_right(_STAGES, OWNED.index(kind_of(obj))), []).append(obj)
    return [stages[number] for number in sorted(stages)]


# What a pod refers to comes before the Deployment. The binding of its role comes right after: the
# API server looks the role up in a copy that is a moment old, and refuses a binding of one that it
# does not find there; a pod takes longer to start than the request.
_STAGES = (OWNED.index(DEPLOYMENT), OWNED.index(ROLE_BINDING))


def name_of(obj: Object) -> Name:
    """The name of an object."""
    return Name(kind_of(obj), obj["metadata"]["namespace"], obj["metadata"]["name"])


def digest_of(obj: Mapping[str, object]) -> str:
    """What tells one manifest from another."""
    text = orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]

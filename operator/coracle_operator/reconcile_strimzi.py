"""Resources of Strimzi's, run as ours: see ``reconcile.py``.

A KafkaConnect of Strimzi's with the annotation ``coracle.dev/adopt: "true"`` gets a KafkaConnect of
ours of the same name, which it owns. A KafkaConnector of Strimzi's whose ``strimzi.io/cluster`` is
a KafkaConnect of ours with ``spec.strimzi.enabled`` gets a KafkaConnector of ours in the same way.
Those are reconciled like any other, so pods, field managers and epochs are the same for both; what
becomes of them is copied back in Strimzi's words. Nothing else of Strimzi's is ever touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from coracle.kube import names, strimzi
from coracle.kube.model import KafkaConnector, KafkaConnectorStatus, KafkaConnectStatus
from coracle_operator.cache import APPLIED, Cache, Key
from coracle_operator.cluster import Cluster, Kind, Object
from coracle_operator.kinds import CONNECT, CONNECTOR, STRIMZI_CONNECT, STRIMZI_CONNECTOR
from coracle_operator.objects import digest_of

STRIMZI_KINDS = (STRIMZI_CONNECTOR, STRIMZI_CONNECT)

ADOPT = f"{names.GROUP}/adopt"
"""Annotation of a KafkaConnect of Strimzi's: ``true`` lets Coracle run it."""

# Not the operator's usual one, which owns the finalizer of the same resource: what a manager does
# not repeat is taken away.
_MANAGER = "coracle-strimzi"

_OURS = {STRIMZI_CONNECTOR: CONNECTOR, STRIMZI_CONNECT: CONNECT}


def counterpart(key: Key) -> Key:
    """The resource of ours for one of Strimzi's, and the other way round."""
    kinds = {**_OURS, **{ours: theirs for theirs, ours in _OURS.items()}}
    return Key(kinds[key.kind], key.namespace, key.name)


class StrimziReconciler:
    """Reconciles Strimzi's kinds. Arguments as ``Reconciler``'s."""

    def __init__(self, cluster: Cluster, cache: Cache, requeue: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._cache = cache
        self._requeue = requeue

    async def reconcile(self, key: Key) -> float | None:
        """Go one step with one resource of Strimzi's."""
        raw = self._cache.resources.get(key)
        if raw is None:
            return None
        ours_key = counterpart(key)
        ours = self._cache.resources.get(ours_key)
        mine = ours is not None and _is_owned(ours, raw)
        if not self._is_adopted(key, raw) or raw["metadata"].get("deletionTimestamp"):
            # What it owns goes with it; what is only disowned has to be asked to go.
            if mine and not ours["metadata"].get("deletionTimestamp"):  # type: ignore[index]
                await self._cluster.delete(*ours_key)
            return math.inf
        if ours is not None and not mine:
            await self._refuse(key, raw, ours_key)
            return math.inf
        translate = strimzi.connector if key.kind == STRIMZI_CONNECTOR else strimzi.connect
        translation = translate(raw)
        annotations = raw["metadata"].get("annotations") or {}
        wanted = _wanted(raw, translation.resource)
        if key.kind == STRIMZI_CONNECT:
            wanted["spec"] = {**wanted["spec"], "strimzi": {"enabled": True}}
        digest = digest_of(wanted)
        applied = ((ours or {}).get("metadata", {}).get("annotations") or {}).get(APPLIED)
        restarts = [
            theirs
            for theirs in annotations
            if theirs in _RESTARTS and key.kind == STRIMZI_CONNECTOR
        ]
        if applied != digest or restarts:
            wanted["metadata"]["annotations"] = {
                **wanted["metadata"]["annotations"],
                **{_RESTARTS[theirs]: annotations[theirs] for theirs in restarts},
                APPLIED: digest,
            }
            ours = await self._cluster.apply(wanted, manager=_MANAGER)
            self._cache.put_resource(ours_key.kind, ours)
            self._requeue(ours_key)
            if key.kind == STRIMZI_CONNECT:
                self._requeue_connectors(key)
        if restarts:
            gone: dict[str, Any] = {"metadata": {"annotations": dict.fromkeys(restarts)}}
            latest = await self._cluster.merge(_served(raw), key.namespace, key.name, gone)
            self._cache.put_resource(key.kind, latest)
        await self._mirror(key, raw, ours or {}, translation.remarks)
        return math.inf

    def _is_adopted(self, key: Key, raw: Object) -> bool:
        metadata = raw["metadata"]
        if key.kind == STRIMZI_CONNECT:
            return (metadata.get("annotations") or {}).get(ADOPT) == "true"
        cluster = (metadata.get("labels") or {}).get(strimzi.CLUSTER_LABEL)
        connect = self._cache.resources.get(Key(CONNECT, key.namespace, cluster or ""))
        return bool(connect and ((connect["spec"].get("strimzi") or {}).get("enabled")))

    def _requeue_connectors(self, connect: Key) -> None:
        """They may be adopted now. No event says so: the cache knows what was just applied."""
        for key in self._cache.resources_of(STRIMZI_CONNECTOR):
            labels = self._cache.resources[key]["metadata"].get("labels") or {}
            if (key.namespace, labels.get(strimzi.CLUSTER_LABEL)) == (
                connect.namespace,
                connect.name,
            ):
                self._requeue(key)

    async def _mirror(self, key: Key, raw: Object, ours: Object, remarks: Any) -> None:
        generation = raw["metadata"].get("generation", 0)
        paused = (raw["metadata"].get("annotations") or {}).get(
            "strimzi.io/pause-reconciliation"
        ) == "true"
        there = ours.get("status") or {}
        if key.kind == STRIMZI_CONNECTOR:
            status = strimzi.connector_status(
                KafkaConnectorStatus.model_validate(there),
                name=KafkaConnector.model_validate(ours).connector_name,
                generation=generation,
                remarks=remarks,
                paused=paused,
            )
        else:
            status = strimzi.connect_status(
                KafkaConnectStatus.model_validate(there),
                generation=generation,
                remarks=remarks,
                paused=paused,
            )
        await self._write(key, raw, status)

    async def _refuse(self, key: Key, raw: Object, ours_key: Key) -> None:
        condition = {
            "type": "NotReady",
            "status": "True",
            "reason": "InvalidResourceException",
            "message": f"There is a {ours_key.kind.name} {key.name} of {names.API_VERSION} "
            "already, which was not made for this resource. Delete one of the two.",
        }
        there = {
            one.get("type"): one.get("lastTransitionTime")
            for one in (raw.get("status") or {}).get("conditions") or ()
        }
        if since := there.get("NotReady"):
            condition["lastTransitionTime"] = since
        await self._write(key, raw, {"conditions": [condition]})

    async def _write(self, key: Key, raw: Object, status: dict[str, Any]) -> None:
        there = raw.get("status") or {}
        if all(there.get(field) == value for field, value in status.items()):
            return
        # Strimzi's lists cannot be merged entry by entry; a merge patch replaces them.
        latest = await self._cluster.merge(
            _served(raw), key.namespace, key.name, {"status": status}, subresource="status"
        )
        self._cache.put_resource(key.kind, latest)


def _served(raw: Object) -> Kind:
    """The kind in the version in which the resource came: older clusters have only v1beta2."""
    kind = STRIMZI_CONNECTOR if raw["kind"] == STRIMZI_CONNECTOR.name else STRIMZI_CONNECT
    return replace(kind, api_version=raw["apiVersion"])


_RESTARTS = {
    "strimzi.io/restart": names.RESTART,
    "strimzi.io/restart-task": names.RESTART_TASK,
}


def _is_owned(ours: Object, theirs: Object) -> bool:
    uid = theirs["metadata"].get("uid")
    return any(one.get("uid") == uid for one in ours["metadata"].get("ownerReferences") or ())


def _wanted(theirs: Object, translated: Object) -> Object:
    metadata = translated["metadata"]
    kept = {k: v for k, v in metadata["annotations"].items() if k not in _RESTARTS.values()}
    return {
        "apiVersion": translated["apiVersion"],
        "kind": translated["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": theirs["metadata"]["namespace"],
            "labels": metadata["labels"],
            "annotations": kept,
            "ownerReferences": [
                {
                    "apiVersion": theirs["apiVersion"],
                    "kind": theirs["kind"],
                    "name": metadata["name"],
                    "uid": theirs["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": translated["spec"],
    }

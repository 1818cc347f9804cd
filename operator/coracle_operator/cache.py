"""What the operator knows of the cluster, kept up to date by watches.

Reconciling reads here and never asks the API server. Of each object only what decides anything is
kept: a thousand connectors are ten thousand objects. A write is remembered as soon as the API
server has answered, so that reconciling never acts on what it has itself changed since; an event
that is older than what is known is ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from coracle.kube import names
from coracle.kube.control import CONTROL_JSON
from coracle_operator.cluster import Kind, Object
from coracle_operator.kinds import CONFIG_MAP, CONNECT, CONNECTOR, DEPLOYMENT, JOB, POD

APPLIED = f"{names.GROUP}/applied"
"""Annotation: hash of what was applied."""


class Key(NamedTuple):
    """A custom resource."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}"


class Name(NamedTuple):
    """An object."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of an object that the operator made.

    Attributes:
        applied: hash of the manifest that was applied.
        state: number that changes when what is wanted of the object does: its generation or, for
            kinds without one, its version; 0 when neither tells.
        version: ``resourceVersion``.
        facts: what else decides something, by kind.
    """

    uid: str
    owner: str
    applied: str
    state: int
    version: int
    deleting: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod.

    Attributes:
        config_hash: of the configuration it was started for.
        waiting: why one of its containers does not run, and the runtime's words for it.
        crashed: what a container that ended last said, with its exit code; empty if none did.
        restarts: of its containers.
        unschedulable: why no node takes it, empty when one did.
        in_init: whether it is an init container that waits or crashed.
    """

    name: str
    ip: str
    phase: str
    ready: bool
    deleting: bool
    config_hash: str
    component: str
    waiting: tuple[str, str] = ("", "")
    crashed: str = ""
    restarts: int = 0
    unschedulable: str = ""
    in_init: bool = False

    @property
    def live(self) -> bool:
        """Whether a process of it can still be at work."""
        return self.phase in ("Pending", "Running", "Unknown")


V = TypeVar("V")


@dataclass
class _Table(Generic[V]):
    """Objects by owner, and the versions at which they were seen."""

    by_owner: dict[tuple[str, str, str], dict[Name, V]] = field(default_factory=dict)
    owners: dict[Name, tuple[str, str, str]] = field(default_factory=dict)
    versions: dict[Name, int] = field(default_factory=dict)

    def put(self, name: Name, owner: tuple[str, str, str], version: int, value: V) -> None:
        self.remove(name)
        self.owners[name] = owner
        self.versions[name] = version
        self.by_owner.setdefault(owner, {})[name] = value

    def remove(self, name: Name) -> None:
        owner = self.owners.pop(name, None)
        self.versions.pop(name, None)
        if owner is not None:
            values = self.by_owner[owner]
            del values[name]
            if not values:
                del self.by_owner[owner]


class Cache:
    """The objects known, by the custom resource they belong to."""

    def __init__(self) -> None:
        self.resources: dict[Key, Object] = {}
        self.there: set[Kind] = set()
        """Optional kinds that the cluster knows."""
        self._objects: _Table[Known] = _Table()
        self._pods: _Table[Pod] = _Table()

    # -- custom resources ------------------------------------------------------------------------

    def put_resource(self, kind: Kind, obj: Object) -> Key:
        """Remember a custom resource, unless a newer version of it is known."""
        metadata = obj["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        known = self.resources.get(key)
        if known is None or version_of(known) <= version_of(obj):
            metadata.pop("managedFields", None)
            self.resources[key] = obj
        return key

    def remove_resource(self, kind: Kind, obj: Object) -> Key:
        """Forget a custom resource, unless it has been made anew since."""
        metadata = obj["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        known = self.resources.get(key)
        if known is not None and known["metadata"].get("uid") == metadata.get("uid"):
            del self.resources[key]
        return key

    def resources_of(self, kind: Kind) -> list[Key]:
        """The custom resources of a kind."""
        return [key for key in self.resources if key.kind == kind]

    # -- what belongs to them --------------------------------------------------------------------

    def put(self, kind: Kind, obj: Object) -> Key | None:
        """Remember an object; returns whose it is, None when nobody's or nothing new."""
        owner = owner_of(obj)
        if owner is None:
            return None
        metadata = obj["metadata"]
        name = Name(kind, metadata["namespace"], metadata["name"])
        place = (owner.kind.name, owner.namespace, names.label_value(owner.name))
        version = version_of(obj)
        table: _Table[Any] = self._pods if kind == POD else self._objects
        if version < table.versions.get(name, -1):
            return None
        value: Any = pod(obj) if kind == POD else known(kind, obj)
        before = table.by_owner.get(place, {}).get(name)
        table.put(name, place, version, value)
        return None if before is not None and _same(before, value) else owner

    def remove(self, kind: Kind, obj: Object) -> Key | None:
        """Forget an object; returns whose it was."""
        metadata = obj["metadata"]
        name = Name(kind, metadata["namespace"], metadata["name"])
        table: _Table[Any] = self._pods if kind == POD else self._objects
        if version_of(obj) < table.versions.get(name, -1):
            return None
        table.remove(name)
        return owner_of(obj)

    def forget_others(
        self, kind: Kind, namespace: str | None, version: int, listed: Collection[Name]
    ) -> Iterator[Name]:
        """Forget what a list does not have and no later event has brought; yields what that is."""
        table: _Table[Any] = self._pods if kind == POD else self._objects
        for name, seen in list(table.versions.items()):
            if (
                name.kind == kind
                and namespace in (None, name.namespace)
                and seen <= version
                and name not in listed
            ):
                yield name
                table.remove(name)

    def owner(self, name: Name) -> tuple[str, str, str] | None:
        """Kind, namespace and label of the resource that an object belongs to."""
        return self._pods.owners.get(name) or self._objects.owners.get(name)

    def objects(self, key: Key) -> Mapping[Name, Known]:
        """What belongs to a custom resource, without its pods."""
        return self._objects.by_owner.get(_place(key), {})

    def known_object(self, name: Name) -> Known | None:
        """One object."""
        owner = self._objects.owners.get(name)
        return self._objects.by_owner[owner][name] if owner else None

    def pods(self, key: Key) -> list[Pod]:
        """Its pods."""
        return list(self._pods.by_owner.get(_place(key), {}).values())


def _place(key: Key) -> tuple[str, str, str]:
    return (key.kind.name, key.namespace, names.label_value(key.name))


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, Pod):
        return before == after
    return (
        before.uid == after.uid
        and before.applied == after.applied
        and before.state == after.state
        and before.deleting == after.deleting
        and before.facts == after.facts
    )


def version_of(obj: Object) -> int:
    """``resourceVersion`` as a number: a larger one is a later one."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def owner_of(obj: Object) -> Key | None:
    """The custom resource that an object's labels say it belongs to."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    if connector := labels.get(names.CONNECTOR_LABEL):
        kind, label = CONNECTOR, connector
    elif connect := labels.get(names.CONNECT_LABEL):
        kind, label = CONNECT, connect
    else:
        return None
    # Owner references have the whole name where the label had to cut it; pods have others' there.
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("kind") == kind.name and str(reference.get("apiVersion", "")).startswith(
            names.GROUP
        ):
            return Key(kind, metadata["namespace"], reference["name"])
    return Key(kind, metadata["namespace"], label)


# Kinds whose objects nobody but their owner changes: each new version is a change of what is
# wanted.
_STILL = frozenset({"ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Service"})


def known(kind: Kind, obj: Object) -> Known:
    """What is kept of an object."""
    metadata = obj["metadata"]
    version = version_of(obj)
    state = int(metadata.get("generation") or (version if kind.name in _STILL else 0))
    return Known(
        uid=str(metadata.get("uid", "")),
        owner=next((str(r.get("uid")) for r in metadata.get("ownerReferences") or ()), ""),
        applied=(metadata.get("annotations") or {}).get(APPLIED, ""),
        state=state,
        version=version,
        deleting="deletionTimestamp" in metadata,
        facts=_facts(kind, obj),
    )


def _facts(kind: Kind, obj: Object) -> dict[str, Any]:
    status = obj.get("status") or {}
    if kind == DEPLOYMENT:
        return {
            "replicas": status.get("replicas", 0),
            "ready": status.get("readyReplicas", 0),
            "updated": status.get("updatedReplicas", 0),
            "wanted": (obj.get("spec") or {}).get("replicas", 1),
            "observed": status.get("observedGeneration", 0),
            # A quota, for example: why the cluster makes no pods at all.
            "trouble": next(
                (
                    str(each.get("message", ""))
                    for each in status.get("conditions") or ()
                    if each.get("type") == "ReplicaFailure" and each.get("status") == "True"
                ),
                "",
            ),
        }
    if kind == JOB:
        ended = {
            str(each.get("type")): str(each.get("message", ""))
            for each in status.get("conditions") or ()
            if each.get("status") == "True"
        }
        return {"done": "Complete" in ended, "failed": "Failed" in ended}
    if kind == CONFIG_MAP:
        return {"control": _restarts((obj.get("data") or {}).get(CONTROL_JSON, ""))}
    return {}


def _restarts(text: str) -> dict[str, Any]:
    """The restarts that a control.json asks for: those of the past have to stay in it."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return {
        key: content[key]
        for key in ("restart", "restartTasks")
        if isinstance(content, dict) and key in content
    }


def pod(obj: Object) -> Pod:
    """What is kept of a pod."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    waiting, crashed, restarts, in_init = ("", ""), "", 0, False
    for part in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(part) or ():
            state, last = container.get("state") or {}, container.get("lastState") or {}
            restarts += container.get("restartCount", 0)
            if wait := state.get("waiting"):
                reason = str(wait.get("reason", ""))
                if not waiting[0] and reason not in ("PodInitializing", "ContainerCreating"):
                    waiting = (reason, str(wait.get("message", "")))
                    in_init = part == "initContainerStatuses"
            ended = state.get("terminated") or last.get("terminated")
            if ended and (ended.get("exitCode") or 0) != 0:
                crashed = crashed or _ended(ended)
    scheduled = conditions.get("PodScheduled") or {}
    labels = metadata.get("labels") or {}
    return Pod(
        name=metadata["name"],
        ip=str(status.get("podIP", "")),
        phase=str(status.get("phase", "Pending")),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        config_hash=(metadata.get("annotations") or {}).get(names.CONFIG_HASH, ""),
        component=labels.get(names.COMPONENT_LABEL, ""),
        waiting=waiting,
        crashed=crashed,
        restarts=restarts,
        unschedulable=(
            str(scheduled.get("message", ""))
            if scheduled.get("reason") == "Unschedulable" and not spec.get("nodeName")
            else ""
        ),
        in_init=in_init,
    )


def _ended(ended: Mapping[str, Any]) -> str:
    code = ended.get("exitCode")
    reason = ended.get("reason") or "Error"
    if reason == "OOMKilled":
        return "it used more memory than resources.limits.memory allows (OOMKilled)"
    return f"exit code {code} ({reason})"


def names_of(kind: Kind, objects: Iterable[Object]) -> set[Name]:
    """The names of listed objects."""
    return {
        Name(kind, each["metadata"].get("namespace", ""), each["metadata"]["name"])
        for each in objects
    }

"""A cluster in memory, behind the operator's own seam."""

import copy
import itertools
from datetime import UTC, datetime, timedelta

from coracle.kube import names
from coracle_operator.cache import Cache, Key
from coracle_operator.cluster import ClusterError
from coracle_operator.kinds import (
    CONNECT,
    CONNECTOR,
    DEPLOYMENT,
    EVENT,
    OWNED,
    POD,
    STRIMZI_CONNECT,
    STRIMZI_CONNECTOR,
    kind_of,
)
from coracle_operator.manifests.base import connector_object_name
from coracle_operator.reconcile import Reconciler, Settings

RESOURCES = (CONNECTOR, CONNECT, STRIMZI_CONNECTOR, STRIMZI_CONNECT)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FakeCluster:
    """Objects by kind, namespace and name; server-side apply is replacement, status apart."""

    def __init__(self):
        self.objects = {}
        self.requests = []
        self.fail = None
        self.namespaces = {}
        self._versions = itertools.count(1)

    def _ask(self, verb, kind, name):
        self.requests.append((verb, kind.name, name))
        if self.fail is not None and (error := self.fail(verb, kind.name)):
            raise error

    def _store(self, key, obj):
        before = self.objects.get(key)
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(next(self._versions))
        metadata.setdefault(
            "uid", before["metadata"]["uid"] if before else f"uid-{len(self.objects)}"
        )
        changed = before is None or before.get("spec") != obj.get("spec")
        generation = before["metadata"].get("generation", 0) if before else 0
        metadata["generation"] = generation + changed
        self.objects[key] = obj
        return copy.deepcopy(obj)

    async def apply(self, obj, *, manager, subresource=""):
        kind = kind_of(obj)
        metadata = obj["metadata"]
        key = (kind, metadata["namespace"], metadata["name"])
        self._ask("apply", kind, metadata["name"])
        before = self.objects.get(key)
        if subresource:
            if before is None:
                raise ClusterError("not found", status=404)
            status = _merged(before.get("status", {}), obj.get("status", {}), manager)
            return self._store(key, {**before, "status": status})
        if kind in (CONNECTOR, CONNECT) and "spec" not in obj:
            if before is None:
                raise ClusterError("conflict", status=409)
            finalizers = metadata.get("finalizers", [])
            stored = {**before, "metadata": {**before["metadata"], "finalizers": finalizers}}
            if not finalizers and before["metadata"].get("deletionTimestamp"):
                del self.objects[key]
                return stored
            return self._store(key, stored)
        kept = {"status": before["status"]} if before and "status" in before else {}
        uid = {"uid": before["metadata"]["uid"]} if before else {}
        return self._store(key, {**obj, **kept, "metadata": {**metadata, **uid}})

    async def merge(self, kind, namespace, name, patch, *, subresource=""):
        self._ask("patch", kind, name)
        key = (kind, namespace, name)
        if key not in self.objects:
            raise ClusterError("not found", status=404)
        return self._store(key, _merge(self.objects[key], patch))

    async def create(self, obj):
        kind = kind_of(obj)
        self._ask("create", kind, obj["metadata"]["name"])
        return self._store((kind, obj["metadata"]["namespace"], obj["metadata"]["name"]), obj)

    async def delete(self, kind, namespace, name):
        self._ask("delete", kind, name)
        self.objects.pop((kind, namespace, name), None)

    async def labels(self, namespace):
        return self.namespaces.get(namespace, {})


def _merge(base, patch):
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged


def _merged(there, given, manager):
    """What a manager says replaces what it said: its own fields of the status."""
    status = copy.deepcopy(there)
    if manager == "coracle-operator":
        for field in (
            "conditions",
            "replicas",
            "labelSelector",
            "tasksMax",
            "topics",
            "autoRestart",
        ):
            status.pop(field, None)
        return {**status, **given}
    reported = status.setdefault("connectorStatus", {})
    if manager == "coracle-connector":
        return {**status, "connectorStatus": {**reported, **given.get("connectorStatus", {})}}
    number = int(manager.removeprefix("coracle-task-"))
    tasks = {task["id"]: task for task in reported.get("tasks", [])}
    old = tasks.pop(number, {})
    for task in given.get("connectorStatus", {}).get("tasks", []):
        if task.get("epoch", 0) < old.get("epoch", 0):
            raise ClusterError("a newer leader has reported since", status=422)
        tasks[task["id"]] = task
    reported["tasks"] = [tasks[number] for number in sorted(tasks)]
    return status


class World:
    """A cluster, the operator's view of it, and a clock; time passes when told to."""

    def __init__(self):
        self.cluster = FakeCluster()
        self.cache = Cache()
        self.seconds = 0.0
        self.queued = set()
        self.reconciler = self.restart()

    def restart(self):
        """A new operator process: all that it knew is gone, and is listed anew."""
        self.cache = Cache()
        self.reconciler = Reconciler(
            self.cluster,
            self.cache,
            Settings("localhost/coracle:test"),
            self.queued.add,
            now=lambda: START + timedelta(seconds=self.seconds),
            clock=lambda: self.seconds,
        )
        self.sync()
        self.reconciler.prime()
        return self.reconciler

    def sync(self):
        """What watches would do: the cache becomes what the cluster is."""
        for kind in RESOURCES:
            there = {(key[1], key[2]) for key in self.cluster.objects if key[0] == kind}
            for key in self.cache.resources_of(kind):
                if (key.namespace, key.name) not in there:
                    del self.cache.resources[key]
        for (kind, _, _), obj in list(self.cluster.objects.items()):
            if kind in RESOURCES:
                self.cache.put_resource(kind, copy.deepcopy(obj))
            elif kind in (*OWNED, POD):
                self.cache.put(kind, copy.deepcopy(obj))
        for kind in (*OWNED, POD):
            listed = {key for key in self.cluster.objects if key[0] == kind}
            list(self.cache.forget_others(kind, None, 10**9, listed))

    def add(self, kind, name, spec, *, namespace="shop", created=0, **metadata):
        obj = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"{namespace}-{name}",
                "creationTimestamp": f"2026-01-31T10:00:{created:02}Z",
                **metadata,
            },
            "spec": spec,
        }
        self.cluster._store((kind, namespace, name), obj)
        self.sync()
        return Key(kind, namespace, name)

    def connect(self, name="lab", namespace="shop", **spec):
        return self.add(CONNECT, name, {"bootstrapServers": "k:9092", **spec}, namespace=namespace)

    def connector(self, name="orders", *, namespace="shop", created=0, metadata=None, **spec):
        spec = {"class": "JdbcSinkConnector", "config": {"topics": "t"}, "tasksMax": 1, **spec}
        spec.setdefault("connect", {"name": "lab"})
        return self.add(
            CONNECTOR, name, spec, namespace=namespace, created=created, **(metadata or {})
        )

    async def reconcile(self, key, times=1):
        again = None
        for _ in range(times):
            self.sync()
            again = await self.reconciler.reconcile(key)
            self.sync()
        return again

    async def settle(self, key, seconds=2.0):
        """Reconcile, and again once what is on its way would be written."""
        await self.reconcile(key)
        self.seconds += seconds
        return await self.reconcile(key)

    def get(self, kind, name, namespace="shop"):
        return self.cluster.objects.get((kind, namespace, name))

    def edit(self, key, change):
        obj = copy.deepcopy(self.cluster.objects[tuple(key)])
        change(obj)
        self.cluster._store(tuple(key), obj)

    def status(self, key):
        return self.cluster.objects[tuple(key)].get("status", {})

    def condition(self, key, kind="Ready"):
        return next((c for c in self.status(key).get("conditions", []) if c["type"] == kind), None)

    def events(self):
        return [
            (obj["type"], obj["reason"])
            for key, obj in self.cluster.objects.items()
            if key[0] == EVENT
        ]

    def pod(self, key, number=0, *, ip=None, ready=True, config_hash=None, **status):
        """A task pod as the kubelet would show it."""
        from coracle.kube.model import KafkaConnector

        connector = KafkaConnector.model_validate(self.cluster.objects[tuple(key)])
        deployment = self.get(DEPLOYMENT, connector_object_name(connector), key.namespace)
        template = deployment["spec"]["template"]["metadata"]
        annotations = dict(template["annotations"])
        if config_hash:
            annotations[names.CONFIG_HASH] = config_hash
        obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{key.name}-{number}",
                "namespace": key.namespace,
                "labels": template["labels"],
                "annotations": annotations,
            },
            "spec": {"nodeName": "n"},
            "status": {
                "phase": "Running",
                "podIP": ip or f"10.0.0.{number + 1}",
                "conditions": [{"type": "Ready", "status": str(ready)}],
                **status,
            },
        }
        self.cluster._store((POD, key.namespace, obj["metadata"]["name"]), obj)

    def report(
        self,
        key,
        *,
        state="RUNNING",
        tasks=("RUNNING",),
        epoch=1,
        ips=None,
        count=None,
        useful=None,
    ):
        """What pods say of connector and tasks."""
        ips = ips or ["10.0.0.1"] * max(1, len(tasks))
        obj = self.cluster.objects[tuple(key)]
        reported = {
            "name": key.name,
            "type": "sink",
            "connector": {
                "state": state,
                "worker_id": f"{ips[0]}:8083",
                "epoch": epoch,
                "tasks": len(tasks) if count is None else count,
                **({} if useful is None else {"useful": useful}),
            },
            "tasks": [
                {"id": number, "state": task, "worker_id": f"{ip}:8083", "epoch": epoch}
                for number, (task, ip) in enumerate(zip(tasks, ips, strict=True))
            ],
        }
        self.cluster._store(
            tuple(key), {**obj, "status": {**obj.get("status", {}), "connectorStatus": reported}}
        )

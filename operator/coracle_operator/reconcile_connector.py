"""One KafkaConnector: see ``reconcile.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coracle.api import ConfigError, ConfigErrors
from coracle.kube import names
from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle_operator.cache import Cache, Key, Name, Pod
from coracle_operator.cluster import Cluster, ClusterError, Object
from coracle_operator.conditions import (
    Verdict,
    address,
    conditions,
    connector_verdict,
    refused,
    stalled,
    waiting,
)
from coracle_operator.events import Events
from coracle_operator.groups import Groups, group_of
from coracle_operator.kinds import CONFIG_MAP, CONNECT, CONNECTOR, DEPLOYMENT, JOB
from coracle_operator.manifests import Plan, connector_manifests, reset_job
from coracle_operator.manifests.base import (
    connector_object_name,
    connector_selector,
    selector_text,
)
from coracle_operator.manifests.connector import ConfigTooLargeError
from coracle_operator.objects import MANAGER, Objects
from coracle_operator.restarts import RestartBook, Restarts
from coracle_operator.selectors import matches
from coracle_operator.status import StatusWriter
from coracle_operator.tasks import Corrector
from coracle_operator.worker import worker

# Labels of namespaces are not watched: whoever was let in by them is looked at this often.
_LABELS_SECONDS = 60.0


class HeldUpError(Exception):
    """There is no plan for a connector at the moment, and why."""

    def __init__(self, verdict: Verdict, *, remove: bool = False, again: float = math.inf) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict
        self.remove = remove
        self.again = again


@dataclass(frozen=True)
class _Situation:
    """What is known of a connector when it is reconciled."""

    key: Key
    connector: KafkaConnector
    pods: list[Pod]
    alive: set[str]


class ConnectorReconciler:
    """Reconciles KafkaConnectors. Arguments as ``Reconciler``'s, and what these have in common."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        objects: Objects,
        status: StatusWriter,
        events: Events,
        image: str,
        requeue: Callable[[Key], None],
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._objects = objects
        self._status = status
        self._events = events
        self._image = image
        self._requeue = requeue
        self._now = now
        self._groups: Groups[Key] = Groups()
        self._restarts = RestartBook()
        self._corrector = Corrector(cluster, clock)
        self._uids: dict[Key, str] = {}
        self._connects: dict[Key, tuple[str, KafkaConnect]] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Go one step with one connector."""
        raw = self._cache.resources.get(key)
        if raw is None:
            self._forget(key)
            return None
        connector = KafkaConnector.model_validate(raw)
        if self._uids.get(key) not in (None, connector.metadata.uid):
            self._forget(key)
        self._uids[key] = connector.metadata.uid
        pods = [pod for pod in self._cache.pods(key) if pod.component == "task"]
        alive = {pod.ip for pod in pods if pod.live and pod.ip}
        now = _Situation(key, connector, pods, alive)
        if connector.metadata.deletion_timestamp:
            return await self._delete(now)
        if connector.metadata.annotations.get(names.PAUSE_RECONCILIATION) == "true":
            return await self._leave_alone(now)
        if names.FINALIZER not in connector.metadata.finalizers:
            await self._set_finalizer(now, [names.FINALIZER])
        return await self._run(now)

    def prime(self) -> None:
        """Note who claims which group, before anything is made for the first time.

        Later, a newcomer is always the younger; now, the elder may not have had its turn yet.
        """
        for key in self._cache.resources_of(CONNECTOR):
            connector = KafkaConnector.model_validate(self._cache.resources[key])
            place = connect_key(connector)
            raw = self._cache.resources.get(place) if place else None
            if raw is None:
                continue
            try:
                properties = worker(KafkaConnect.model_validate(raw)).properties
                group = group_of(connector, connector.spec.settings(), properties)
            except ConfigError:
                continue
            self._groups.claim(key, group, connector.metadata.creation_timestamp or "")

    # -- running ---------------------------------------------------------------------------------

    async def _run(self, now: _Situation) -> float:
        restarts = self._restarts.restarts(
            now.connector,
            self._written(now),
            failed=_has_failed(now.connector, now.alive),
            now=self._now(),
        )
        again = math.inf
        plan = None
        try:
            plan, again = await self._plan(now, restarts)
        except HeldUpError as held:
            if held.remove:
                await self._objects.ensure(now.key, now.connector.metadata.uid, [])
            verdict, again = held.verdict, held.again
        else:
            try:
                await self._objects.ensure(now.key, now.connector.metadata.uid, plan.objects)
            except ClusterError as error:
                if (refusal := refused(error)) is not None:
                    await self._report(now, plan, restarts, refusal)
                raise
            await self._accept(now, restarts)
            verdict = connector_verdict(
                now.connector, now.pods, plan.config_hash, trouble=self._trouble(now)
            )
        latest, doubtful = await self._corrector.correct(now.connector, now.alive)
        if latest is not None:
            self._cache.put_resource(CONNECTOR, latest)
        unsettled = await self._report(now, plan, restarts, verdict)
        waits = [again, unsettled, doubtful or math.inf]
        if restarts.auto.again is not None:
            waits.append(max(1.0, (restarts.auto.again - self._now()).total_seconds()))
        return min(waits)

    async def _plan(self, now: _Situation, restarts: Restarts) -> tuple[Plan, float]:
        """What there shall be, and when to look again even if nothing changes."""
        connector = now.connector
        connect, again = await self._connect_of(connector)
        try:
            plan = connector_manifests(
                connector,
                connect,
                image=self._image,
                restarts=restarts.control,
                known_kinds=self._cache.there,
            )
        except ConfigTooLargeError as error:
            raise HeldUpError(stalled("ConfigTooLarge", str(error))) from error
        except ConfigError as error:
            errors = error.errors if isinstance(error, ConfigErrors) else (error,)
            message = " ".join(str(each) for each in errors)
            raise HeldUpError(stalled("ConfigInvalid", message)) from error
        group = group_of(connector, plan.settings, plan.worker)
        since = connector.metadata.creation_timestamp or ""
        for other in self._groups.claim(now.key, group, since):
            self._requeue(other)
        holder = self._groups.holder(now.key)
        if holder != now.key:
            raise HeldUpError(
                stalled(
                    "GroupConflict",
                    f"{holder.name} in the namespace {holder.namespace} is older and uses the same "
                    f"group {group.name} on the same Kafka cluster. Give one of the two another "
                    "name with spec.name, or a sink another group with consumer.override.group.id.",
                ),
                remove=True,
            )
        return plan, again

    async def _connect_of(self, connector: KafkaConnector) -> tuple[KafkaConnect, float]:
        """The KafkaConnect of a connector.

        Raises:
            HeldUpError: when there is none, or it does not let the connector in.
        """
        key = connect_key(connector)
        if key is None:
            raise HeldUpError(
                stalled(
                    "ConnectMissing",
                    "The connector names no KafkaConnect. Set spec.connect.name, or the label "
                    f"{names.CLUSTER_LABEL}.",
                )
            )
        raw = self._cache.resources.get(key)
        if raw is None:
            raise HeldUpError(
                waiting(
                    "ConnectMissing",
                    f"There is no KafkaConnect {key.name} in the namespace {key.namespace} yet. "
                    "What runs goes on running.",
                )
            )
        version = raw["metadata"].get("resourceVersion", "")
        known = self._connects.get(key)
        if known is None or known[0] != version:
            known = self._connects[key] = (version, KafkaConnect.model_validate(raw))
        connect = known[1]
        namespace = connector.metadata.namespace
        if namespace == key.namespace:
            return connect, math.inf
        allowed = connect.spec.allowed_namespaces
        if allowed is not None and allowed.from_ == "All":
            return connect, math.inf
        if (
            allowed is not None
            and allowed.from_ == "Selector"
            and allowed.selector is not None
            and matches(allowed.selector, await self._cluster.labels(namespace))
        ):
            return connect, _LABELS_SECONDS
        raise HeldUpError(
            stalled(
                "NotAllowed",
                f"KafkaConnect {key.name} in the namespace {key.namespace} does not let connectors "
                f"of {namespace} in. Its spec.allowedNamespaces says which it does.",
            ),
            again=_LABELS_SECONDS,
        )

    def _written(self, now: _Situation) -> dict[str, Any]:
        """The restarts that the ConfigMap asks for already."""
        name = Name(CONFIG_MAP, now.key.namespace, connector_object_name(now.connector))
        known = self._cache.known_object(name)
        return dict(known.facts.get("control", {})) if known else {}

    def _deployment(self, now: _Situation) -> dict[str, Any] | None:
        name = Name(DEPLOYMENT, now.key.namespace, connector_object_name(now.connector))
        known = self._cache.known_object(name)
        return {**known.facts, "state": known.state} if known else None

    def _trouble(self, now: _Situation) -> str:
        return (self._deployment(now) or {}).get("trouble", "")

    async def _accept(self, now: _Situation, restarts: Restarts) -> None:
        """Take away the annotations of restarts that are written."""
        if not restarts.annotations:
            return
        gone = dict.fromkeys(restarts.annotations)
        latest = await self._cluster.merge(
            CONNECTOR, now.key.namespace, now.key.name, {"metadata": {"annotations": gone}}
        )
        self._cache.put_resource(CONNECTOR, latest)
        self._restarts.accepted(now.connector.metadata.uid)
        await self._events.tell(
            now.connector, "Normal", "Restarting", "The restart that was asked for has begun."
        )

    # -- status ----------------------------------------------------------------------------------

    async def _report(
        self, now: _Situation, plan: Plan | None, restarts: Restarts, verdict: Verdict
    ) -> float:
        connector = now.connector
        reported = connector.status and connector.status.connector_status
        own = reported.connector if reported else None
        auto = restarts.auto.status
        warnings = [*(plan.warnings if plan else ()), *restarts.warnings]
        status = {
            **self._common(now, verdict, warnings),
            "tasksMax": 0 if connector.spec.target == "stopped" else (own.tasks if own else None),
            "topics": _topics(connector),
            "autoRestart": auto.to_json() if auto else None,
        }
        return await self._status.write(now.key, connector, status, verdict)

    def _common(
        self, now: _Situation, verdict: Verdict, warnings: list[str], *, paused: bool = False
    ) -> dict[str, Any]:
        connector = now.connector
        return {
            "observedGeneration": connector.metadata.generation,
            "conditions": conditions(
                verdict,
                warnings,
                generation=connector.metadata.generation,
                before=connector.status.conditions if connector.status else (),
                now=self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                paused=paused,
            ),
            "replicas": sum(1 for pod in now.pods if pod.live and not pod.deleting),
            "labelSelector": selector_text(connector_selector(connector)),
        }

    async def _leave_alone(self, now: _Situation) -> float:
        """Reconciliation is paused: say so, and leave everything else."""
        connector = now.connector
        ready = next(
            (
                one
                for one in (connector.status.conditions if connector.status else ())
                if one.type == "Ready"
            ),
            None,
        )
        verdict = (
            Verdict(ready.status == "True", ready.reason, ready.message)
            if ready
            else waiting("ReconciliationPaused", "Nothing was made yet.")
        )
        there = (self._cache.resources[now.key].get("status")) or {}
        status = {**self._common(now, verdict, [], paused=True)}
        for field in ("tasksMax", "topics", "autoRestart"):
            status[field] = there.get(field)
        # What was seen of the spec is what was acted on.
        status["observedGeneration"] = there.get("observedGeneration")
        await self._status.write(now.key, connector, status, verdict)
        return math.inf

    # -- deletion --------------------------------------------------------------------------------

    async def _delete(self, now: _Situation) -> float | None:
        connector = now.connector
        if names.FINALIZER not in connector.metadata.finalizers:
            return math.inf
        if (left := await self._stop(now)) is not None:
            return left
        policy = connector.spec.deletion_policy
        forget = policy is not None and policy.offsets == "Delete"
        if forget and (left := await self._reset_offsets(now)) is not None:
            return left
        await self._set_finalizer(now, [])
        return math.inf

    async def _stop(self, now: _Situation) -> float | None:
        """Have the pods end in order; ``None`` once the last one has."""
        deployment = self._deployment(now)
        name = connector_object_name(now.connector)
        if deployment is not None and deployment["wanted"] != 0:
            try:
                latest = await self._cluster.merge(
                    DEPLOYMENT, now.key.namespace, name, {"spec": {"replicas": 0}}
                )
            except ClusterError as error:
                if error.status != 404:
                    raise
            else:
                self._cache.put(DEPLOYMENT, latest)
            deployment = self._deployment(now)
        settled = deployment is None or (
            deployment["observed"] >= deployment["state"] and deployment["replicas"] == 0
        )
        if settled and not now.pods:
            return None
        waits_for = ", ".join(sorted(pod.name for pod in now.pods)) or "the Deployment"
        verdict = waiting("Deleting", f"Waiting for {waits_for} to finish.")
        await self._report_deletion(now, verdict)
        return 5.0

    async def _report_deletion(self, now: _Situation, verdict: Verdict) -> None:
        there = self._cache.resources.get(now.key, {}).get("status") or {}
        status = self._common(now, verdict, [])
        for field in ("tasksMax", "topics", "autoRestart"):
            status[field] = there.get(field)
        try:
            await self._status.write(now.key, now.connector, status, verdict)
        except ClusterError as error:
            if error.status != 404:
                raise

    async def _reset_offsets(self, now: _Situation) -> float | None:
        """Run the Job that forgets the offsets; ``None`` once it has, or can never."""
        connector = now.connector
        name = Name(JOB, now.key.namespace, connector_object_name(connector))
        job = self._cache.known_object(name)
        if job is not None and job.facts["done"]:
            return None
        if job is not None and job.facts["failed"]:
            await self._report_deletion(
                now,
                stalled(
                    "OffsetsNotDeleted",
                    f"The Job {name.name} could not delete the offsets; its pods' logs say why. "
                    "Delete the Job to try again, or set spec.deletionPolicy.offsets to Retain.",
                ),
            )
            return 60.0
        if job is None:
            try:
                connect, _ = await self._connect_of(connector)
                made = reset_job(connector, connect, image=self._image)
                await self._objects.ensure(
                    now.key,
                    connector.metadata.uid,
                    [made],
                    keep=self._cache.objects(now.key).keys(),
                )
            except (HeldUpError, ConfigError) as error:
                await self._events.tell(
                    connector, "Warning", "OffsetsRetained", f"The offsets stay in Kafka: {error}"
                )
                return None
            except ClusterError as error:
                # The namespace itself is going: nothing can be made in it any more.
                if error.status != 403 or "terminat" not in str(error):
                    raise
                return None
        await self._report_deletion(
            now, waiting("DeletingOffsets", f"Waiting for the Job {name.name}.")
        )
        return 10.0

    async def _set_finalizer(self, now: _Situation, finalizers: list[str]) -> None:
        metadata: dict[str, Any] = {
            "name": now.key.name,
            "namespace": now.key.namespace,
            # Without it, a resource that has gone meanwhile would be made anew.
            "uid": now.connector.metadata.uid,
        }
        if finalizers:
            metadata["finalizers"] = finalizers
        body: Object = {
            "apiVersion": names.API_VERSION,
            "kind": names.KAFKA_CONNECTOR,
            "metadata": metadata,
        }
        try:
            # Of its own manager: the spec of a counterpart of Strimzi's is MANAGER's, and would go.
            latest = await self._cluster.apply(body, manager=f"{MANAGER}-finalizer")
        except ClusterError as error:
            if finalizers or error.status not in (404, 409):
                raise
            return
        if finalizers:
            self._cache.put_resource(CONNECTOR, latest)

    def _forget(self, key: Key) -> None:
        self._objects.forget(key)
        for other in self._groups.release(key):
            self._requeue(other)
        if (uid := self._uids.pop(key, None)) is not None:
            self._restarts.forget(uid)
            self._corrector.forget(uid)
            self._events.forget(uid)


def connect_key(connector: KafkaConnector) -> Key | None:
    """The KafkaConnect that a connector names."""
    reference = connector.spec.connect
    if reference is not None:
        namespace = reference.namespace or connector.metadata.namespace
        return Key(CONNECT, namespace, reference.name)
    if label := connector.metadata.labels.get(names.CLUSTER_LABEL):
        return Key(CONNECT, connector.metadata.namespace, label)
    return None


def _topics(connector: KafkaConnector) -> list[str]:
    topics = str(connector.spec.config.get("topics") or "")
    return sorted({name.strip() for name in topics.split(",") if name.strip()})


def _has_failed(connector: KafkaConnector, alive: set[str]) -> bool:
    reported = connector.status and connector.status.connector_status
    if not reported or connector.spec.target != "running":
        return False
    entries = [*reported.tasks, *([reported.connector] if reported.connector else [])]
    return any(one.state == "FAILED" and address(one.worker_id) in alive for one in entries)

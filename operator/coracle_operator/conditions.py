"""How a resource is doing, in the words that Kubernetes' tools understand. All of it is pure.

``Ready`` is always there, True or False. ``Reconciling`` and ``Stalled`` are there only while they
hold, as kstatus reads them: on its way, or not going to get there without a change. A state that
ends by itself once something else appears (a KafkaConnect, a node with room) is not stalled.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coracle.kube.model import Condition, KafkaConnector
from coracle.kube.model.connector import TaskStatus
from coracle_operator.cache import Pod
from coracle_operator.cluster import ClusterError

Json = dict[str, Any]

_MESSAGE_LIMIT = 2000

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
    }
)
_CRASH = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
# How often a container may end badly before anybody is told: a broker that restarts is no crash
# loop.
_CRASHES = 2

# The rest passes by itself, or is an error of ours.
_REFUSALS = (403, 422)


@dataclass(frozen=True)
class Verdict:
    """How a resource is doing.

    Attributes:
        ready: it does what its spec says.
        reason: one word for programs.
        message: for people: what happened and what to do.
        stalled: without a change it will not get there. Neither ready nor stalled is on its way.
    """

    ready: bool
    reason: str
    message: str
    stalled: bool = False


def waiting(reason: str, message: str) -> Verdict:
    """Not there yet."""
    return Verdict(False, reason, message)


def stalled(reason: str, message: str) -> Verdict:
    """Not going to get there."""
    return Verdict(False, reason, message, stalled=True)


def refused(error: ClusterError) -> Verdict | None:
    """What a quota or a policy answered, which may be another answer later; None if none did."""
    if error.status not in _REFUSALS:
        return None
    return waiting("Refused", f"Kubernetes refuses an object that is needed: {error}")


def connector_verdict(
    connector: KafkaConnector, pods: Sequence[Pod], config_hash: str, *, trouble: str = ""
) -> Verdict:
    """How a connector is doing whose objects are all there.

    Args:
        connector: with the status that its pods reported.
        pods: its task pods.
        config_hash: of the configuration they are to run. What others reported is not about it.
        trouble: why Kubernetes makes no pods, from the Deployment.
    """
    target = connector.spec.target
    alive = [pod for pod in pods if pod.live]
    if target == "stopped":
        if alive:
            return waiting("Stopping", f"{_pods(len(alive))} to finish.")
        return Verdict(True, "Stopped", "The connector is stopped, as spec.state says.")
    current = [pod for pod in alive if pod.config_hash == config_hash and not pod.deleting]
    reported = connector.status and connector.status.connector_status
    own = reported.connector if reported else None
    tasks = list(reported.tasks) if reported else []
    addresses = {pod.ip for pod in current if pod.ip}
    led = own is not None and address(own.worker_id) in addresses
    if led and own and own.state == "FAILED":
        return stalled(
            "ConnectorFailed",
            "Connector has failed, see connectorStatus for more details." + _first_line(own.trace),
        )
    if failed := sorted(
        (task for task in tasks if task.state == "FAILED" and address(task.worker_id) in addresses),
        key=lambda task: task.id,
    ):
        numbers = ", ".join(str(task.id) for task in failed)
        return stalled(
            "TaskFailed",
            f"The following tasks have failed: {numbers}, see connectorStatus for more details."
            + _first_line(failed[0].trace),
        )
    if led and own and own.state is not None:
        done = _as_asked(target, own.state, own.tasks, tasks, addresses)
        if done is not None:
            return done
    if found := pod_trouble(current):
        return found
    if not alive:
        if trouble:
            return waiting("PodsMissing", f"Kubernetes makes no pods: {trouble}")
        return waiting("PodsMissing", "There is no pod yet.")
    if not current:
        return waiting("Rolling", f"{_pods(len(alive))} of the configuration before to finish.")
    if not any(pod.ready for pod in current):
        return waiting("PodsStarting", f"{_pods(len(current))} to start.")
    return _on_its_way(target, led, tasks, addresses)


def _as_asked(
    target: str,
    state: str,
    count: int | None,
    tasks: Sequence[TaskStatus],
    addresses: set[str],
) -> Verdict | None:
    """Ready, if connector and tasks do what was asked for."""
    wanted = {"running": "RUNNING", "paused": "PAUSED"}[target]
    if state != wanted or count is None:
        return None
    done = {
        task.id for task in tasks if task.state == wanted and address(task.worker_id) in addresses
    }
    if not done >= set(range(count)):
        return None
    if target == "paused":
        return Verdict(True, "Paused", "The connector is paused, as spec.state says.")
    return Verdict(True, "Running", f"{count} task{'' if count == 1 else 's'} running.")


def _on_its_way(
    target: str, led: bool, tasks: Sequence[TaskStatus], addresses: set[str]
) -> Verdict:
    if not led:
        return waiting("GroupForming", "The pods are joining their group.")
    missing = sorted(task.id for task in tasks if address(task.worker_id) not in addresses)
    if missing:
        numbers = ", ".join(map(str, missing))
        return waiting("TasksUnassigned", f"Tasks {numbers} are on no pod at the moment.")
    doing = {"running": "Starting", "paused": "Pausing"}[target]
    return waiting(doing, "Not all tasks are there yet.")


def address(worker_id: str | None) -> str:
    """The pod's address in a worker id, without its port."""
    return (worker_id or "").rpartition(":")[0].strip("[]")


def pod_trouble(pods: Sequence[Pod]) -> Verdict | None:
    """What keeps pods from running, the most telling first."""
    for pod in pods:
        reason, message = pod.waiting
        if reason in _IMAGE:
            return stalled(
                "ImagePull", f"Pod {pod.name} has no image: {reason}. {message}".rstrip()
            )
        if reason in ("CreateContainerConfigError", "CreateContainerError"):
            return stalled("PodConfig", f"Pod {pod.name} cannot start: {message or reason}.")
    for pod in pods:
        crashing = pod.waiting[0] in _CRASH or (pod.crashed and pod.restarts >= _CRASHES)
        if crashing and not pod.ready:
            what = "installing plugins" if pod.in_init else "its container"
            return stalled(
                "CrashLoop",
                f"Pod {pod.name} keeps crashing: {what} ended with {pod.crashed or 'an error'} "
                f"(restarts: {pod.restarts}). See: kubectl logs {pod.name} --previous"
                + (" -c plugins" if pod.in_init else ""),
            )
    for pod in pods:
        if pod.unschedulable:
            return waiting("Unschedulable", f"No node takes pod {pod.name}: {pod.unschedulable}")
    return None


def connect_verdict(
    wanted: int, ready: int, pods: Sequence[Pod], *, observed: bool, trouble: str = ""
) -> Verdict:
    """How a KafkaConnect is doing: whether its api answers.

    Args:
        wanted: how many api pods there shall be.
        ready: how many are.
        pods: all of them.
        observed: whether the Deployment's numbers are about what is wanted now.
        trouble: why Kubernetes makes no pods.
    """
    if wanted == 0:
        return Verdict(True, "NoApi", "spec.replicas is 0: connectors run, nothing checks them.")
    if observed and ready >= wanted:
        return Verdict(True, "Available", f"{_api(ready)} ready.")
    if found := pod_trouble([pod for pod in pods if pod.live and not pod.deleting]):
        return found
    if trouble:
        return waiting("PodsMissing", f"Kubernetes makes no pods: {trouble}")
    return waiting("PodsStarting", f"{_api(ready)} of {wanted} ready.")


def _api(count: int) -> str:
    return f"{count} api pod{'' if count == 1 else 's'}"


def _pods(count: int) -> str:
    return f"Waiting for {count} pod{'' if count == 1 else 's'}"


def _first_line(trace: str | None) -> str:
    line = (trace or "").strip().partition("\n")[0][:500]
    return f" {line}" if line else ""


def conditions(
    verdict: Verdict,
    warnings: Sequence[str],
    *,
    generation: int,
    before: Sequence[Condition],
    now: str,
    paused: bool = False,
) -> list[Json]:
    """``status.conditions``.

    Args:
        verdict: how the resource is doing.
        warnings: what was asked for and has no effect.
        generation: of the resource that the verdict is about.
        before: the conditions as they are; one whose status stays keeps its time.
        now: the time, as RFC 3339 writes it.
        paused: whether the operator leaves the resource alone.
    """
    # (type, status, reason, message)
    found = [("Ready", str(verdict.ready), verdict.reason, verdict.message)]
    if verdict.stalled:
        found.append(("Stalled", "True", verdict.reason, verdict.message))
    elif not verdict.ready:
        found.append(("Reconciling", "True", verdict.reason, verdict.message))
    if warnings:
        found.append(("Warning", "True", "WithoutEffect", " ".join(warnings)))
    if paused:
        found.append(
            (
                "ReconciliationPaused",
                "True",
                "Annotation",
                "The annotation coracle.dev/pause-reconciliation keeps changes from taking effect.",
            )
        )
    since = {(one.type, one.status): one.last_transition_time for one in before}
    return [
        {
            "type": kind,
            "status": status,
            "observedGeneration": generation,
            "lastTransitionTime": since.get((kind, status)) or now,
            "reason": reason,
            "message": message[:_MESSAGE_LIMIT],
        }
        for kind, status, reason, message in found
    ]

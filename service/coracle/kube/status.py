"""A connector's state on its KafkaConnector, written by its pods with server-side apply.

The owner of a field is not the pod but what the field is about: ``coracle-task-3`` owns the entry
of task 3 and ``coracle-connector`` what the leader says of the connector. So a task that moves to
another pod needs no hand-over, and the list of managed fields does not grow.
https://kubernetes.io/docs/reference/using-api/server-side-apply/

Every entry carries the epoch of the assignment by which the pod has the task, and the CRD refuses
an older one than it holds. So a pod that slept through a rebalance cannot overwrite what the task's
new owner says; it drops the entry and is silent about that task until it is given it anew.

A change of state is written within ``COALESCE_SECONDS``; numbers, which always change, at most once
in ``NUMBERS_SECONDS`` for all tasks of a connector together. Only the last state is ever sent:
while the API server is away nothing piles up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from coracle.kube.client import Backoff, connector_resource, status_code
from coracle.kube.names import API_VERSION, KAFKA_CONNECTOR
from coracle.store import ConnectorStatus, TaskProgress, TaskStatus

if TYPE_CHECKING:
    from lightkube import AsyncClient

logger = logging.getLogger(__name__)

COALESCE_SECONDS = 0.1
NUMBERS_SECONDS = 60.0
_LOOK_SECONDS = 0.5
TRACE_BYTES = 4096

CONNECTOR_MANAGER = "coracle-connector"
_TASK_MANAGER = "coracle-task-"

_CUT = "\t… cut here; the whole trace is in the pod's log\n"


@dataclass(frozen=True)
class Entry:
    """What one field manager says.

    Attributes:
        epoch: of the assignment that makes it ours to say, in milliseconds.
        status: the content of the resource's ``status``, without numbers.
        numbers: what is added to the entry, and is no reason to write it at once.
        patience: seconds to wait at least before other numbers are such a reason.
    """

    epoch: int
    status: Mapping[str, Any]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    patience: float = NUMBERS_SECONDS

    def patch(self, name: str, namespace: str) -> dict[str, Any]:
        """The body to apply: all that this manager owns."""
        status: dict[str, Any] = dict(self.status)
        if self.numbers:
            [task] = status["connectorStatus"]["tasks"]
            status["connectorStatus"] = {"tasks": [{**task, **self.numbers}]}
        return {
            "apiVersion": API_VERSION,
            "kind": KAFKA_CONNECTOR,
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }


def task_entry(
    task: TaskStatus, epoch: int, progress: TaskProgress | None = None, *, tasks: int = 1
) -> Entry:
    """The entry of a task, under the manager ``task_manager(task.id)``.

    Args:
        task: its state.
        epoch: of the assignment.
        progress: its numbers.
        tasks: how many tasks take turns in writing theirs.
    """
    status = {"id": task.id, **_state(task.state, task.worker_id, task.trace, task.version, epoch)}
    return Entry(
        epoch,
        {"connectorStatus": {"tasks": [status]}},
        _numbers(progress),
        NUMBERS_SECONDS * max(1, tasks),
    )


def connector_entry(
    connector: ConnectorStatus, epoch: int, *, tasks: int | None = None, useful: int | None = None
) -> Entry:
    """What the leader says of the connector, under ``CONNECTOR_MANAGER``.

    Args:
        connector: its state.
        epoch: of the leader.
        tasks: how many tasks the connector makes, if it is known.
        useful: how many pods can have something to do, if it is known.
    """
    state = _state(connector.state, connector.worker_id, connector.trace, connector.version, epoch)
    if tasks is not None:
        state["tasks"] = tasks
    if useful is not None:
        state["useful"] = useful
    content = {"name": connector.name, "type": connector.type, "connector": state}
    return Entry(epoch, {"connectorStatus": content})


def task_manager(task: int) -> str:
    """The field manager that owns a task's entry."""
    return f"{_TASK_MANAGER}{task}"


def cut(trace: str) -> str:
    """At most ``TRACE_BYTES`` bytes of a trace: whole lines of its head, where the error is."""
    encoded = trace.encode()
    if len(encoded) <= TRACE_BYTES:
        return trace
    room = encoded[: TRACE_BYTES - len(_CUT.encode())]
    lines, newline, _ = room.rpartition(b"\n")
    return (lines + newline if newline else room).decode(errors="ignore") + _CUT


def _state(state: str, worker_id: str, trace: str, version: str, epoch: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"state": str(state), "worker_id": worker_id, "epoch": epoch}
    if trace:
        entry["trace"] = cut(trace)
    if version:
        entry["version"] = version
    return entry


def _numbers(progress: TaskProgress | None) -> dict[str, Any]:
    if progress is None:
        return {}
    numbers: dict[str, Any] = {"records": progress.records}
    if progress.lag is not None:
        numbers["lag"] = progress.lag
    if progress.last_commit is not None:
        committed = datetime.fromtimestamp(progress.last_commit, UTC)
        numbers["lastCommit"] = committed.strftime("%Y-%m-%dT%H:%M:%SZ")
    return numbers


@dataclass
class _Sent:
    """What the API server was last told under one manager, and when."""

    entry: Entry
    at: float


class StatusReporter:
    """Keeps the entries of one pod up to date on its KafkaConnector.

    Args:
        client: for the resource's namespace.
        name, namespace: of the resource.
        snapshot: the entries as of now, by field manager. What is not in it is not ours to say.
    """

    def __init__(
        self,
        client: AsyncClient,
        name: str,
        namespace: str,
        snapshot: Callable[[], Mapping[str, Entry]],
    ) -> None:
        self._client = client
        self._name = name
        self._namespace = namespace
        self._snapshot = snapshot
        self._resource = connector_resource().Status
        self._changed = asyncio.Event()
        self._sent: dict[str, _Sent] = {}
        self._refused: dict[str, int] = {}
        self._backoff = Backoff()
        self._gone = False

    def changed(self) -> None:
        """Something in the snapshot may be another: look soon."""
        self._changed.set()

    async def run(self) -> None:
        """Write what changes, for ever. No trouble of the API server ends it."""
        while True:
            try:
                # What a rebalance says, such as an epoch, changes without anybody's telling.
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(COALESCE_SECONDS)
            self._changed.clear()
            if await self.flush():
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.seconds())

    async def flush(self) -> bool:
        """Write once what is due; ``False`` when some of it has to be tried again."""
        entries = self._snapshot()
        for manager in self._sent.keys() - entries.keys():
            # Another owner may write it now: what we last said is no longer what it holds.
            del self._sent[manager]
        done = await asyncio.gather(
            *(
                self._write(manager, entry)
                for manager, entry in entries.items()
                if self._due(manager, entry)
            )
        )
        return all(done)

    def _due(self, manager: str, entry: Entry) -> bool:
        if entry.epoch <= self._refused.get(manager, -1):
            return False
        sent = self._sent.get(manager)
        if sent is None or sent.entry.status != entry.status:
            return True
        waited = time.monotonic() - sent.at
        return sent.entry.numbers != entry.numbers and waited >= entry.patience

    async def _write(self, manager: str, entry: Entry) -> bool:
        """Apply one entry; ``False`` when it has to be tried again."""
        from lightkube.types import PatchType

        try:
            await self._client.patch(
                self._resource,
                self._name,
                entry.patch(self._name, self._namespace),
                namespace=self._namespace,
                patch_type=PatchType.APPLY,
                field_manager=manager,
                # What this manager's fields say is for nobody else to say.
                force=True,
            )
        except Exception as error:
            if not self._is_final(manager, entry, error):
                return False
        else:
            self._gone = False
        self._sent[manager] = _Sent(entry, time.monotonic())
        return True

    def _is_final(self, manager: str, entry: Entry, error: Exception) -> bool:
        """Say what went wrong, and whether trying again is of no use."""
        code = status_code(error)
        if code == 404:
            if not self._gone:
                logger.info(
                    "KafkaConnector %s is gone: its status is no longer written", self._name
                )
            self._gone = True
            return True
        if code == 422 and "epoch" in str(error):
            self._refused[manager] = entry.epoch
            logger.warning(
                "the status of %s has a newer owner than this pod: entry of epoch %d dropped",
                manager.removeprefix("coracle-"),
                entry.epoch,
            )
            return True
        if code in (400, 422):
            logger.error("the API server refuses the status of %s: %s", manager, error)
            return True
        fix = (
            f"; the pod's service account must be allowed to patch kafkaconnectors/status of "
            f"{self._name}"
            if code in (401, 403)
            else ""
        )
        logger.warning(
            "the status of %s is not written and will be, later: %s%s",
            manager.removeprefix("coracle-"),
            f"{code} {error}" if code else f"{type(error).__name__} {error}".rstrip(),
            fix,
        )
        return False

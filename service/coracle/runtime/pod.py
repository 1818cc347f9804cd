"""One pod of a connector on Kubernetes: does what its ConfigMap says, says what it does on the CR.

Three loops, none of which waits for another: one hears what is wanted (``kube/control.py``), one
writes what is (``kube/status.py``), and one looks at mounted files. The connector lives beside them
and needs none of them: with the API server gone records keep moving, and what was wanted meanwhile
is heard when it is back.

Whatever is wrong with a configuration makes the connector FAILED and leaves the pod alive: a
restart of the process would change nothing, and hide the reason.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coracle.api import ConfigError
from coracle.config.mounted import MountWatch, hide_secrets, mounts
from coracle.config.worker import load_worker
from coracle.kube.control import Control, Definition, parse, watch_config_map
from coracle.kube.status import (
    CONNECTOR_MANAGER,
    Entry,
    StatusReporter,
    connector_entry,
    task_entry,
    task_manager,
)
from coracle.kube.validation import type_of
from coracle.runtime.connector import ConnectorLife
from coracle.runtime.context import connector_context
from coracle.runtime.failure import format_trace
from coracle.runtime.sharing import GroupSharing
from coracle.store import ConnectorStatus, State, TaskStatus

if TYPE_CHECKING:
    from lightkube import AsyncClient

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often mounted files are looked at; the kubelet changes them once a minute at most."""

_OUTSIDE = (State.FAILED, State.STOPPED)

SetLevels = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True)
class PodIdentity:
    """Who this pod is, as the operator wrote it into its environment.

    Attributes:
        namespace: of the pod and all it speaks of.
        resource: name of the KafkaConnector.
        config_map: name of the ConfigMap that says what to do.
        config_hash: the version of the connector's definition that this pod was started for.
        worker_id: ``address:port`` that others reach this pod by.
    """

    namespace: str
    resource: str
    config_map: str
    config_hash: str
    worker_id: str


class Pod:
    """Runs this pod's share of one connector.

    Args:
        identity: who it is.
        client: for its namespace.
        set_levels: called with the levels of loggers that are not to be the default.

    Attributes:
        graceful_seconds: how long its tasks may take to stop.
    """

    def __init__(self, identity: PodIdentity, client: AsyncClient, set_levels: SetLevels) -> None:
        self._identity = identity
        self._client = client
        self._set_levels = set_levels
        self._definition: Definition | None = None
        self._control: Control | None = None
        self._sharing = GroupSharing(identity.config_hash)
        self._life: ConnectorLife | None = None
        self._failure: ConnectorStatus | None = None
        # Of the time in which this pod led, or led nothing because it never came to join.
        self._own_epoch = 0
        self._stopping = False
        self.graceful_seconds = 5.0
        self._shown: dict[str, str] = {}
        self._reporter = StatusReporter(
            client, identity.resource, identity.namespace, self._entries
        )
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen. The connector starts as soon as the ConfigMap has said what it is."""
        # Before anything is read: a change in between must be seen.
        mounted = MountWatch(mounts())
        self._loops = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("control", self._listen()),
                ("status", self._reporter.run()),
                ("mounts", self._look(mounted)),
            )
        ]

    async def broken(self) -> BaseException:
        """Returns only when the pod can no longer hear or say anything, with what is to blame."""
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).exception() or RuntimeError("a loop that never ends has ended")

    async def stop(self) -> None:
        """Leave the group and stop the tasks in order, within the graceful time."""
        self._stopping = True
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._life is not None:
            await self._life.close()

    # -- what it is ------------------------------------------------------------------------------

    def unready(self) -> str:
        """Why the pod has no share of the work yet; empty when it is ready."""
        if self._stopping:
            return "The pod is stopping."
        if self._failure is not None:
            return "The connector cannot start; see its trace."
        if self._life is None:
            return (
                f"Waiting for ConfigMap {self._identity.config_map} to hold the configuration "
                f"{self._identity.config_hash}."
            )
        if self._sharing.error is not None:
            return f"Not in the connector's group: {self._sharing.error}"
        return "" if self._sharing.work is not None else "Joining the connector's group."

    def status(self) -> ConnectorStatus | None:
        """State of the connector as far as this pod knows, and of its own tasks."""
        status = self._failure
        if status is None and self._life is not None:
            status = self._life.status()
        return None if status is None else self._presentable(status)

    def task_configs(self) -> Sequence[Mapping[str, str]] | None:
        """The configuration of every task; ``None`` unless this pod leads and has shared them out.

        References to secrets stay references.
        """
        if self._life is None or not self._sharing.is_leader:
            return None
        configs = self._life.task_configs()
        return configs if len(configs) == self._sharing.task_count else None

    def _presentable(self, status: ConnectorStatus) -> ConnectorStatus:
        """The same without secrets. Looking for them takes some reading: once for each trace."""
        traces = {status.trace, *(task.trace for task in status.tasks)} - {""}
        self._shown = {trace: self._shown.get(trace) or hide_secrets(trace) for trace in traces} | {
            "": ""
        }
        return replace(
            status,
            trace=self._shown[status.trace],
            tasks=[replace(task, trace=self._shown[task.trace]) for task in status.tasks],
        )

    def _entries(self) -> dict[str, Entry]:
        """What this pod has to say on the CR, by field manager."""
        status, sharing = self.status(), self._sharing
        if status is None or self._stopping:
            return {}
        progress = self._life.progress() if self._life is not None else {}
        entries = {
            task_manager(task.id): task_entry(
                task, sharing.epoch, progress.get(task.id), tasks=sharing.task_count or 1
            )
            for task in status.tasks
        }
        if sharing.is_leader:
            self._own_epoch = sharing.epoch
            entries[CONNECTOR_MANAGER] = connector_entry(
                status, sharing.epoch, tasks=sharing.task_count, useful=sharing.useful
            )
        elif status.state in _OUTSIDE and sharing.epoch in (0, self._own_epoch):
            # A connector outside of its group has no leader to say why: it is said by who led last,
            # or by everybody when nobody ever did.
            self._own_epoch = self._own_epoch or time.time_ns() // 1_000_000
            entries[CONNECTOR_MANAGER] = connector_entry(status, self._own_epoch)
        return entries

    # -- what is wanted --------------------------------------------------------------------------

    async def _listen(self) -> None:
        texts: AsyncIterator[Mapping[str, str]] = watch_config_map(
            self._client, self._identity.config_map
        )
        async for data in texts:
            try:
                desired = parse(data, self._identity.config_hash)
            except ConfigError as error:
                logger.error("%s", error)
                continue
            try:
                await self._apply(desired.definition, desired.control)
            except Exception:
                # Nothing that one version asks for may keep the next from being heard.
                logger.exception("what the ConfigMap asks for could not be done")

    async def _apply(self, definition: Definition | None, control: Control) -> None:
        before, self._control = self._control, control
        if before is None or before.loggers != control.loggers:
            self._set_levels(control.loggers)
        if self._definition is None:
            if definition is None:
                logger.warning(
                    "the ConfigMap holds another configuration than %s, which this pod is for: "
                    "waiting, or being replaced",
                    self._identity.config_hash,
                )
                return
            self._definition = definition
            await self._begin()
        elif self._life is not None and before is not None:
            _follow(self._life, before, control, leader=self._sharing.is_leader)
        self._reporter.changed()

    async def _begin(self) -> None:
        """Start the connector, in place of the one there was."""
        if self._life is not None:
            await self._life.close()
            self._life = None
        definition, control = self._definition, self._control
        assert definition is not None
        assert control is not None
        self._sharing = GroupSharing(self._identity.config_hash)
        # For what the loop that has come here says from now on.
        connector_context.set(f"[{definition.name}|worker] ")
        try:
            worker = load_worker(overrides=definition.worker)
        except ConfigError as error:
            self._fail(definition, error)
            return
        for warning in worker.warnings:
            logger.warning("%s", warning)
        self.graceful_seconds = worker.config["task.shutdown.graceful.timeout.ms"] / 1000
        self._failure = None
        props = {
            **definition.config,
            "name": definition.name,
            "tasks.max": str(control.tasks_max),
        }
        self._life = ConnectorLife(
            definition.name,
            props,
            type_of(props),
            control.state,
            worker,
            lambda: self._identity.worker_id,
            lambda life: self._reporter.changed(),
            sharing=self._sharing,
        )

    def _fail(self, definition: Definition, error: ConfigError) -> None:
        """Show what is wrong with the worker's settings, without which nothing can be begun."""
        logger.error("the worker's configuration is wrong: %s", error)
        self._failure = ConnectorStatus(
            definition.name,
            State.FAILED,
            self._identity.worker_id,
            type_of(definition.config),
            format_trace(error, definition.name, None),
        )
        self._reporter.changed()

    # -- mounted files ---------------------------------------------------------------------------

    async def _look(self, mounted: MountWatch) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            changes = mounted.changes()
            if changes and self._definition is not None:
                logger.info("%s changed: the connector starts anew", ", ".join(changes))
                try:
                    await self._begin()
                except Exception:
                    logger.exception("the connector could not be started anew")
                self._reporter.changed()


def _follow(life: ConnectorLife, before: Control, control: Control, *, leader: bool) -> None:
    """Make a running connector what ``control.json`` says now."""
    if control.tasks_max != before.tasks_max:
        logger.info("tasksMax is %d now", control.tasks_max)
        life.set_tasks_max(control.tasks_max)
    if control.state != before.state:
        logger.info("the connector is to be %s", control.state)
        life.set_target(control.state)
    connector, tasks = due_restarts(before, control, life.status(), leader=leader)
    if connector or tasks:
        logger.info(
            "restarting %s%s",
            "the connector " if connector else "",
            f"tasks {', '.join(map(str, tasks))}" if tasks else "",
        )
        life.restart(connector=connector, tasks=tasks)


def due_restarts(
    before: Control, control: Control, status: ConnectorStatus, *, leader: bool
) -> tuple[bool, list[int]]:
    """What a change of restart ids asks of this pod: the connector or not, and which of its tasks.

    As in Kafka Connect (KIP-745), ``only_failed`` narrows both, and the connector instance restarts
    only where it runs.
    """
    restart = control.restart
    asked = bool(restart.id) and restart.id != before.restart.id

    def meant(each: ConnectorStatus | TaskStatus) -> bool:
        return not restart.only_failed or each.state is State.FAILED

    connector = asked and leader and restart.connector and meant(status)
    tasks = {
        task.id
        for task in status.tasks
        if (asked and restart.include_tasks and meant(task))
        or control.restart_tasks.get(task.id, "") not in ("", before.restart_tasks.get(task.id))
    }
    return connector, sorted(tasks)

"""A connector's life: what is wanted, and a loop that makes it so.

Every wish (start, pause, stop, restart, another configuration, delete) only changes what is wanted
and wakes the loop; the loop compares with what is, and acts. So wishes never wait for each other,
any number of them collapse into the last one, and a connector whose start hangs can still be
stopped or deleted: a new wish interrupts the plugin's calls under way. Nothing else is interrupted:
stopping takes a bounded time, and half of it would lose what a task is about to commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from coracle.api import ConnectError, Connector, OffsetReader
from coracle.config.connector import ConnectorConfig, prepare
from coracle.config.plugins import plugin_version
from coracle.config.worker import WorkerConfig
from coracle.runtime.assembly import build_run, offset_topic
from coracle.runtime.context import connector_context
from coracle.runtime.failure import format_trace
from coracle.runtime.shutdown import bounded
from coracle.runtime.task import TaskLife
from coracle.store import (
    ConnectorInfo,
    ConnectorStatus,
    ConnectorType,
    NotFoundError,
    State,
    TargetState,
    TaskProgress,
)

logger = logging.getLogger(__name__)


class TooManyTasksError(ConnectError):
    """A connector made more tasks than ``tasks.max`` allows."""

    java_class = "org.apache.kafka.connect.runtime.TooManyTasksException"


class _StoredOffsets:
    """Reads the topic anew at each question: connectors ask seldom, and want today's answer."""

    def __init__(self, config: ConnectorConfig, worker: WorkerConfig) -> None:
        self._config = config
        self._worker = worker

    async def read(
        self, partitions: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any] | None]:
        topic = offset_topic(self._config, self._worker)
        try:
            await topic.start(
                partitions=self._worker.config["offset.storage.partitions"],
                replication_factor=self._worker.config["offset.storage.replication.factor"],
            )
            return await topic.read(partitions)
        finally:
            await topic.stop()


class _Context:
    def __init__(self, name: str, offsets: OffsetReader) -> None:
        self.name = name
        self.offsets = offsets


class ConnectorLife:
    """One connector and its tasks on this worker.

    Args:
        name: the connector's name.
        props: its configuration as written.
        kind: source or sink.
        target: what it shall be.
        worker: the worker's configuration.
        worker_id: called for the worker's address, which may be known late.
        changed: called after every change of state of the connector or a task.
    """

    def __init__(
        self,
        name: str,
        props: Mapping[str, str],
        kind: ConnectorType,
        target: TargetState,
        worker: WorkerConfig,
        worker_id: Callable[[], str],
        changed: Callable[[ConnectorLife], None],
    ) -> None:
        self.name = name
        self._props = dict(props)
        self._kind: ConnectorType = kind
        self._target = target
        self._worker = worker
        self._worker_id = worker_id
        self._notify = changed
        self._stop_seconds = worker.config["task.shutdown.graceful.timeout.ms"] / 1000
        self._state = State.UNASSIGNED
        self._trace = ""
        self._version = ""
        self._connector: Connector | None = None
        self._prepared: ConnectorConfig | None = None
        self._tasks: list[TaskLife] = []
        self._task_keys: list[Mapping[str, str]] = []
        # Wishes that the loop has not fulfilled yet.
        self._reconfigure = False
        self._start_connector_anew = True
        self._restart_tasks: set[int] = set()
        self._work_changed = False
        self._closing = False
        self._wake = asyncio.Event()
        self._wake.set()
        self._step: asyncio.Task[None] | None = None
        self._may_be_interrupted = False
        self._watch: asyncio.Task[None] | None = None
        context = connector_context.set(f"[{name}|worker] ")
        self._loop = asyncio.create_task(self._live(), name=name)
        connector_context.reset(context)

    # -- what it is ------------------------------------------------------------------------------

    def info(self) -> ConnectorInfo:
        """Configuration as written, and task ids."""
        return ConnectorInfo(
            self.name, self._props, self._kind, [task.task for task in self._tasks]
        )

    def status(self) -> ConnectorStatus:
        """States of connector and tasks."""
        worker_id = self._worker_id()
        return ConnectorStatus(
            self.name,
            self._state,
            worker_id,
            self._kind,
            self._trace,
            self._version,
            [task.status(worker_id, self._version) for task in self._tasks],
        )

    def progress(self) -> dict[int, TaskProgress]:
        """What each task has done."""
        return {task.task: task.progress() for task in self._tasks}

    def task_configs(self) -> list[Mapping[str, str]]:
        """Each task's configuration as written, with its own keys."""
        if self._prepared is None:
            return []
        # Kafka Connect shows the Java class of the task; by its convention that is this name.
        task_class = self._prepared.class_name.removesuffix("Connector") + "Task"
        return [self._props | dict(keys) | {"task.class": task_class} for keys in self._task_keys]

    # -- what is wanted --------------------------------------------------------------------------

    def set_target(self, target: TargetState) -> None:
        """Run, pause or stop."""
        self._target = target
        self._wish(interrupt=target is TargetState.STOPPED)

    def configure(self, props: Mapping[str, str], kind: ConnectorType) -> None:
        """Start anew with another configuration."""
        self._props = dict(props)
        self._kind = kind
        self._reconfigure = True
        self._wish(interrupt=True)

    def restart(self, *, connector: bool, tasks: Sequence[int]) -> None:
        """Restart the connector instance, some tasks, or both."""
        for task in self._tasks:
            if task.task in tasks:
                task.mark_restarting()
        if connector:
            self._become(State.RESTARTING, self._trace)
            self._start_connector_anew = True
        self._restart_tasks |= set(tasks)
        self._wish(interrupt=connector)

    def task(self, number: int) -> TaskLife:
        """One task.

        Raises:
            NotFoundError: when there is none of that number.
        """
        if not 0 <= number < len(self._tasks):
            raise NotFoundError(f"Unknown task: {self.name}-{number}")
        return self._tasks[number]

    async def close(self) -> None:
        """Stop everything for good, within the graceful time; goes on when nobody waits for it."""
        self._closing = True
        self._wish(interrupt=True)
        await asyncio.shield(asyncio.gather(self._loop, return_exceptions=True))

    def _wish(self, *, interrupt: bool) -> None:
        self._wake.set()
        if interrupt and self._may_be_interrupted and self._step is not None:
            self._step.cancel()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        self._may_be_interrupted = True
        try:
            yield
        finally:
            self._may_be_interrupted = False

    # -- making it so ----------------------------------------------------------------------------

    async def _live(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            # A task of its own, so that a wish can interrupt a start that hangs.
            self._step = asyncio.create_task(self._reconcile())
            await asyncio.gather(self._step, return_exceptions=True)
            if not self._step.cancelled() and (error := self._step.exception()) is not None:
                self._fail(error)
            self._step = None
        await self._halt()

    async def _reconcile(self) -> None:
        if self._closing:
            return
        if self._target is TargetState.STOPPED:
            await self._halt()
            self._restart_tasks.clear()
            self._reconfigure, self._start_connector_anew = False, True
            self._become(State.STOPPED)
            return
        if self._reconfigure:
            await self._halt()
            self._reconfigure, self._start_connector_anew = False, True
        paused = self._target is TargetState.PAUSED
        for task in self._tasks:
            (task.pause if paused else task.resume)()
        await self._restart_wanted_tasks()
        if self._start_connector_anew:
            await self._stop_connector()
            self._start_connector_anew = False
            await self._start_connector()
            self._work_changed = True
        if self._connector is not None and self._work_changed:
            await self._share_out()
            self._work_changed = False
        # A failed connector stays so until it is restarted or configured anew, whatever its tasks
        # do.
        if self._watch is not None and not self._watch.done():
            self._become(State.PAUSED if paused else State.RUNNING)

    async def _start_connector(self) -> None:
        prepared = prepare(self._props, self._worker)
        for warning in prepared.warnings:
            logger.warning("%s", warning)
        connector = prepared.connector_class()
        self._version = plugin_version(prepared.connector_class)
        try:
            with self._interruptible():
                await connector.start(
                    _Context(self.name, _StoredOffsets(prepared, self._worker)), prepared.config
                )
        except BaseException:
            await bounded(
                connector.stop(), time.monotonic() + self._stop_seconds, "stopping the connector"
            )
            raise
        self._prepared, self._connector = prepared, connector
        self._watch = asyncio.create_task(self._watch_for_changes(connector))

    async def _watch_for_changes(self, connector: Connector) -> None:
        try:
            while True:
                await connector.changed()
                logger.info("the work to share out has changed")
                self._work_changed = True
                self._wish(interrupt=False)
        except Exception as error:
            self._fail(error)

    async def _share_out(self) -> None:
        """Ask the connector for its tasks, and restart those whose configuration is another."""
        assert self._connector is not None
        assert self._prepared is not None
        limit = self._prepared.tasks_max
        with self._interruptible():
            wanted = list(await self._connector.task_configs(limit))
        if len(wanted) > limit and self._prepared.config["tasks.max.enforce"]:
            raise TooManyTasksError(
                f"The connector {self.name} has generated {len(wanted)} tasks, which is greater "
                f"than {limit}, the maximum number of tasks it is configured to create."
            )
        unchanged = [
            i < len(wanted) and wanted[i] == keys for i, keys in enumerate(self._task_keys)
        ]
        # All that change stop before any starts, so that no two tasks ever read the same partition.
        await asyncio.gather(
            *(t.stop() for t, same in zip(self._tasks, unchanged, strict=True) if not same)
        )
        tasks: list[TaskLife] = []
        for number, keys in enumerate(wanted):
            if number < len(unchanged) and unchanged[number]:
                tasks.append(self._tasks[number])
            else:
                tasks.append(self._new_task(number, keys))
        self._tasks, self._task_keys = tasks, wanted

    def _new_task(self, number: int, keys: Mapping[str, str]) -> TaskLife:
        def make_run() -> Any:
            return build_run(prepare({**self._props, **keys}, self._worker), number, self._worker)

        task = TaskLife(self.name, number, make_run, self._task_changed, self._stop_seconds)
        if self._target is TargetState.PAUSED:
            task.pause()
        task.start()
        return task

    async def _restart_wanted_tasks(self) -> None:
        wanted, self._restart_tasks = self._restart_tasks, set()
        chosen = [task for task in self._tasks if task.task in wanted]
        await asyncio.gather(*(task.stop() for task in chosen))
        for task in chosen:
            task.start()

    async def _halt(self) -> None:
        await asyncio.gather(self._stop_connector(), *(task.stop() for task in self._tasks))
        self._tasks, self._task_keys = [], []

    async def _stop_connector(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        if self._connector is not None:
            connector, self._connector = self._connector, None
            await bounded(
                connector.stop(), time.monotonic() + self._stop_seconds, "stopping the connector"
            )

    def _fail(self, error: BaseException) -> None:
        logger.error("connector failed: %s", error)
        self._become(State.FAILED, format_trace(error, self.name, None))

    def _become(self, state: State, trace: str = "") -> None:
        self._trace = trace
        if self._state is not state:
            self._state = state
            self._notify(self)

    def _task_changed(self) -> None:
        self._notify(self)

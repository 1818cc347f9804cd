"""A connector's life: what is wanted, and a loop that makes it so.

Every wish (start, pause, stop, restart, another configuration, delete) and every assignment only
changes what is wanted and wakes the loop; the loop compares with what is, and acts. So wishes never
wait for each other, and any number of them collapse into the last one. The loop waits for nothing
but stops, which take a bounded time and are never cut short: half of one would lose what a task is
about to commit. The plugin's calls are the planner's (planner.py), which a wish ends.

Which tasks run here is up to the connector's ``TaskSharing`` (sharing.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coracle.api import ConnectError
from coracle.config.connector import ConnectorConfig, prepare
from coracle.config.plugins import plugin_version
from coracle.config.worker import WorkerConfig
from coracle.runtime.assembly import build_run
from coracle.runtime.context import connector_context
from coracle.runtime.failure import format_trace
from coracle.runtime.planner import Planner
from coracle.runtime.sharing import Alone, Participant, TaskSharing, Work
from coracle.runtime.shutdown import bounded
from coracle.runtime.task import TaskLife
from coracle.runtime.task_set import TaskSet
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

_LEAVE_SECONDS = 2.0


class ConnectorLife:
    """One connector and those of its tasks that run in this process.

    Args:
        name: the connector's name.
        props: its configuration as written.
        kind: source or sink.
        target: what it shall be.
        worker: the worker's configuration.
        worker_id: called for the worker's address, which may be known late.
        changed: called after every change of state of the connector or a task.
        sharing: which tasks are ours; all of them by default.
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
        sharing: TaskSharing | None = None,
    ) -> None:
        self.name = name
        self._props = dict(props)
        self._kind: ConnectorType = kind
        self._target = target
        self._worker = worker
        self._worker_id = worker_id
        self._notify = changed
        self._sharing: TaskSharing = Alone() if sharing is None else sharing
        self._stop_seconds = worker.config["task.shutdown.graceful.timeout.ms"] / 1000
        self._state = State.UNASSIGNED
        self._trace = ""
        self._failure = ""
        self._version = ""
        self._prepared: ConnectorConfig | None = None
        self._planner = Planner(name, worker, self._planned, self._fail)
        self._tasks = TaskSet(self._new_task)
        # Wishes that the loop has not fulfilled yet.
        self._reconfigure = False
        self._start_anew = True
        self._tasks_max: int | None = None
        self._restart_tasks: set[int] = set()
        self._closing = False
        self._wake = asyncio.Event()
        self._wake.set()
        context = connector_context.set(f"[{name}|worker] ")
        self._loop = asyncio.create_task(self._live(), name=name)
        connector_context.reset(context)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The time in office of the leader that shared the tasks out, in ms since 1970."""
        return self._sharing.epoch

    @property
    def is_leader(self) -> bool:
        """Whether this process runs the connector itself, and not only tasks of it."""
        return self._sharing.is_leader

    @property
    def task_count(self) -> int | None:
        """How many tasks there are in all processes; ``None`` while unknown."""
        return self._sharing.task_count

    @property
    def useful(self) -> int | None:
        """How many of them have something to do; ``None`` while unknown."""
        return self._sharing.useful

    def info(self) -> ConnectorInfo:
        """Configuration as written, and the ids of the tasks that run here."""
        return ConnectorInfo(
            self.name, self._props, self._kind, [task.task for task in self._tasks]
        )

    def status(self) -> ConnectorStatus:
        """States of the connector and of the tasks that run here."""
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
        """The configuration of each task as written, with its own keys: of all tasks where the
        connector runs, of our own tasks elsewhere.
        """
        if self._prepared is None:
            return []
        # Kafka Connect shows the Java class of the task; by its convention that is this name.
        task_class = self._prepared.class_name.removesuffix("Connector") + "Task"
        ours = [work.keys for _, work in sorted(self._tasks.held().items())]
        tasks = ours if self._planner.tasks is None else self._planner.tasks
        return [self._props | dict(keys) | {"task.class": task_class} for keys in tasks]

    # -- what is wanted --------------------------------------------------------------------------

    def set_target(self, target: TargetState) -> None:
        """Run, pause or stop."""
        self._target = target
        self._wake.set()

    def set_tasks_max(self, number: int) -> None:
        """Have at most this many tasks instead of ``tasks.max``. Those that stay are not
        restarted.
        """
        self._tasks_max = number
        self._wake.set()

    def configure(self, props: Mapping[str, str], kind: ConnectorType) -> None:
        """Start anew with another configuration."""
        self._props = dict(props)
        self._kind = kind
        self._tasks_max = None
        self._reconfigure = True
        self._wake.set()

    def restart(self, *, connector: bool, tasks: Sequence[int]) -> None:
        """Restart the connector instance, some tasks, or both."""
        for task in self._tasks:
            if task.task in tasks:
                task.mark_restarting()
        if connector:
            self._become(State.RESTARTING, self._trace)
            self._start_anew = True
        self._restart_tasks |= set(tasks)
        self._wake.set()

    def task(self, number: int) -> TaskLife:
        """One task.

        Raises:
            NotFoundError: when none of that number runs here.
        """
        if (task := self._tasks.get(number)) is None:
            raise NotFoundError(f"Unknown task: {self.name}-{number}")
        return task

    async def close(self) -> None:
        """Stop everything for good, within the graceful time; goes on when nobody waits for it."""
        self._closing = True
        self._wake.set()
        await asyncio.shield(asyncio.gather(self._loop, return_exceptions=True))

    # -- making it so ----------------------------------------------------------------------------

    async def _live(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._reconcile()
            except Exception as error:
                self._note_failure(error)
            self._show_state()
        await self._halt()

    async def _reconcile(self) -> None:
        if self._closing:
            return
        if self._target is TargetState.STOPPED:
            await self._halt()
            self._restart_tasks.clear()
            self._reconfigure, self._start_anew = False, True
            return
        if self._reconfigure:
            await self._halt()
            self._reconfigure, self._start_anew = False, True
        self._tasks.pause(self._target is TargetState.PAUSED)
        await self._restart_wanted_tasks()
        await self._share()
        if self._start_anew:
            self._start_anew = False
            await self._planner.stop()
            self._prepare()
        await self._plan()

    async def _restart_wanted_tasks(self) -> None:
        wanted, self._restart_tasks = self._restart_tasks, set()
        await self._tasks.restart(wanted)

    def _prepare(self) -> None:
        joined = self._prepared is not None
        self._failure = ""
        self._prepared = prepare(self._props, self._worker)
        for warning in self._prepared.warnings:
            logger.warning("%s", warning)
        self._version = plugin_version(self._prepared.connector_class)
        if not joined:
            self._sharing.join(
                Participant(self._prepared, self._worker, self._worker_id(), self._wake.set)
            )

    async def _plan(self) -> None:
        """Let the connector find out what there is to do, if that is ours to find out."""
        if self._prepared is None:
            return
        limit = self._prepared.tasks_max if self._tasks_max is None else self._tasks_max
        if not self._sharing.is_leader:
            await self._planner.stop()
        elif self._planner.started:
            self._planner.limit(limit)
        elif not self._failure:
            self._planner.start(self._prepared, limit)
        if self._planner.tasks is not None:
            try:
                self._sharing.offer(self._planner.tasks)
            except ConnectError as error:
                self._note_failure(error)

    async def _share(self) -> None:
        """Run what is ours."""
        if (work := self._sharing.work) is None:
            return
        await self._tasks.shed(work)
        if self._sharing.work is work and not self._closing:
            self._tasks.take(work)
        self._sharing.hold(self._tasks.held())

    def _new_task(self, number: int, work: Work) -> TaskLife:
        partitions = self._sharing.partitions(number)

        def make_run() -> Any:
            config = prepare({**self._props, **work.keys}, self._worker)
            return build_run(config, number, self._worker, partitions)

        return TaskLife(self.name, number, make_run, self._task_changed, self._stop_seconds)

    async def _halt(self) -> None:
        await asyncio.gather(self._planner.stop(), self._tasks.shed({}))
        if self._prepared is not None:
            self._sharing.hold({})
            deadline = time.monotonic() + _LEAVE_SECONDS
            await bounded(self._sharing.leave(), deadline, "leaving the group")
        self._prepared = None
        self._failure = ""

    # -- what it looks like ------------------------------------------------------------------------

    def _planned(self) -> None:
        self._failure = ""
        self._wake.set()

    def _fail(self, error: Exception) -> None:
        """A failed connector stays so until it is restarted or configured anew, whatever its tasks
        do.
        """
        self._note_failure(error)
        self._wake.set()

    def _note_failure(self, error: Exception) -> None:
        trace = format_trace(error, self.name, None)
        if trace != self._failure:
            logger.error("connector failed: %s", error)
            self._failure = trace

    def _show_state(self) -> None:
        if self._closing:
            return
        if self._target is TargetState.STOPPED:
            self._become(State.STOPPED)
        elif self._failure:
            self._become(State.FAILED, self._failure)
        elif self._sharing.error is not None:
            self._become(State.FAILED, format_trace(self._sharing.error, self.name, None))
        elif self._is_at_work():
            paused = self._target is TargetState.PAUSED
            self._become(State.PAUSED if paused else State.RUNNING)

    def _is_at_work(self) -> bool:
        if self._start_anew or self._reconfigure or self._sharing.work is None:
            return False
        return self._planner.tasks is not None or not self._sharing.is_leader

    def _become(self, state: State, trace: str = "") -> None:
        self._trace = trace
        if self._state is not state:
            self._state = state
            self._notify(self)

    def _task_changed(self) -> None:
        self._notify(self)

"""A task's life: the states it goes through, and one ``Run`` after another.

    UNASSIGNED ──start──► RUNNING ◄──pause, resume──► PAUSED
                             │  ▲
                          error │ restart (by way of RESTARTING)
                             ▼  │
                           FAILED

A failed task stays as it is, with its trace, until somebody restarts it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from coracle.runtime.assembly import Run
from coracle.runtime.context import connector_context
from coracle.runtime.failure import format_trace
from coracle.store import State, TaskProgress, TaskStatus

logger = logging.getLogger(__name__)

# Beyond its own stop time, after which a task is left behind rather than waited for.
_GRACE_SECONDS = 0.5

MakeRun = Callable[[], Run]


class TaskLife:
    """One task of a connector. All methods are called by the connector's own loop, one at a time.

    Args:
        connector, task: the task's identity.
        make_run: builds what runs; called for every start.
        changed: called after every change of state.
        stop_seconds: how long a stop may take, whatever hangs.
    """

    def __init__(
        self,
        connector: str,
        task: int,
        make_run: MakeRun,
        changed: Callable[[], None],
        stop_seconds: float,
    ) -> None:
        self.task = task
        self._connector = connector
        self._make_run = make_run
        self._changed = changed
        self._stop_seconds = stop_seconds
        self._state = State.UNASSIGNED
        self._trace = ""
        self._paused = False
        self._run: Run | None = None
        self._progress = TaskProgress()
        self._running: asyncio.Task[None] | None = None
        self._ending = False
        self._deadline = 0.0

    def status(self, worker_id: str, version: str) -> TaskStatus:
        """State and trace as of now."""
        return TaskStatus(self.task, self._state, worker_id, self._trace, version)

    def progress(self) -> TaskProgress:
        """What the task has done, over all its runs."""
        return self._progress if self._run is None else self._progress_with(self._run)

    def _progress_with(self, run: Run) -> TaskProgress:
        before, now = self._progress, run.progress()
        return TaskProgress(
            before.records + now.records, now.lag, now.last_commit or before.last_commit
        )

    @property
    def failed(self) -> bool:
        """Whether the task ended with an error."""
        return self._state is State.FAILED

    def start(self) -> None:
        """Begin to run. The outcome shows in the state."""
        context = connector_context.set(f"[{self._connector}|task-{self.task}] ")
        self._running = asyncio.create_task(self._live(), name=f"{self._connector}-{self.task}")
        connector_context.reset(context)

    def pause(self) -> None:
        """Move no more records. A failed task stays failed."""
        self._paused = True
        if self._run is not None:
            self._run.pause()
        if self._state is State.RUNNING:
            self._become(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        self._paused = False
        if self._run is not None:
            self._run.resume()
        if self._state is State.PAUSED:
            self._become(State.RUNNING)

    def mark_restarting(self) -> None:
        """Show that a restart is about to happen; the old trace stays until it does."""
        self._become(State.RESTARTING)

    async def stop(self) -> None:
        """End within the stop time, committing what can be committed."""
        if self._running is None:
            return
        if not self._ending:
            self._deadline = time.monotonic() + self._stop_seconds
            self._running.cancel()
        done, _ = await asyncio.wait({self._running}, timeout=self._stop_seconds + _GRACE_SECONDS)
        if not done:
            logger.error("the task does not end when it is told to, and is left behind")
        self._running = None
        self._become(State.UNASSIGNED)

    async def _live(self) -> None:
        run: Run | None = None
        try:
            run = self._run = self._make_run()
            if self._paused:
                run.pause()
            else:
                run.resume()
            await run.start()
            if _is_cancelled():
                raise asyncio.CancelledError  # the plugin has swallowed it
            self._trace = ""
            self._become(State.PAUSED if self._paused else State.RUNNING)
            await run.run()
        except (Exception, asyncio.CancelledError) as error:
            # A cancellation that nobody asked for, as libraries let escape, is a failure too.
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.error("task failed: %s", error, exc_info=error)
            self._trace = format_trace(error, self._connector, self.task)
            self._deadline = time.monotonic() + self._stop_seconds
        finally:
            await self._end(run)
        if self._running is asyncio.current_task():
            self._become(State.FAILED)

    async def _end(self, run: Run | None) -> None:
        self._run = None
        self._ending = True
        try:
            if run is not None:
                await run.stop(self._deadline)
                self._progress = self._progress_with(run)
        finally:
            self._ending = False

    def _become(self, state: State) -> None:
        if self._state is not state:
            self._state = state
            self._changed()


def _is_cancelled() -> bool:
    """Whether somebody asked the current asyncio task to end."""
    this = asyncio.current_task()
    return this is not None and this.cancelling() > 0

"""A task's states, with runs that only tell."""

import asyncio
from typing import Any

import pytest

from coracle.runtime.task import TaskLife
from coracle.store import State, TaskProgress


class Told:
    """A run that does what it is told."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.stopped = False

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def progress(self) -> TaskProgress:
        return TaskProgress(10, last_commit=1.0)

    async def start(self) -> None:
        if self.error is not None:
            raise self.error

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self, deadline: float) -> None:
        self.stopped = True


def life(run: Any) -> TaskLife:
    return TaskLife("orders", 0, lambda: run, lambda: None, 1.0)


async def test_a_task_runs_until_it_is_stopped() -> None:
    run = Told()
    task = life(run)
    task.start()
    await asyncio.sleep(0.01)
    assert task.status("w", "").state is State.RUNNING
    await task.stop()
    assert task.status("w", "").state is State.UNASSIGNED
    assert run.stopped


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
async def test_an_error_fails_the_task_also_a_cancellation_nobody_asked_for(
    error: BaseException,
) -> None:
    run = Told(error)
    task = life(run)
    task.start()
    await asyncio.sleep(0.01)
    status = task.status("w", "")
    assert (status.state, run.stopped) == (State.FAILED, True)
    assert type(error).__name__ in status.trace


async def test_progress_adds_up_over_restarts() -> None:
    task = life(Told())
    assert task.progress() == TaskProgress()
    for records in (10, 20):
        task.start()
        await asyncio.sleep(0.01)
        assert task.progress() == TaskProgress(records, last_commit=1.0)
        await task.stop()
        assert task.progress().records == records

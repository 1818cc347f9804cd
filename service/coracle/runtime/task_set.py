"""The tasks that run in this process, and how they come to be those that should.

Concurrency contract: the connector's own loop is the only one to call ``shed``, ``take`` and
``restart``; everything else only changes what a task does next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from coracle.runtime.sharing import Work
from coracle.runtime.task import TaskLife


@dataclass(frozen=True)
class _Running:
    task: TaskLife
    work: Work


class TaskSet:
    """Tasks by number.

    Args:
        make: makes a task that is not started yet.
    """

    def __init__(self, make: Callable[[int, Work], TaskLife]) -> None:
        self._make = make
        self._running: dict[int, _Running] = {}
        self._paused = False

    def __iter__(self) -> Iterator[TaskLife]:
        """The tasks in the order of their numbers."""
        return iter([self._running[number].task for number in sorted(self._running)])

    def get(self, number: int) -> TaskLife | None:
        """One task."""
        running = self._running.get(number)
        return None if running is None else running.task

    def held(self) -> dict[int, Work]:
        """What runs, failed or paused tasks included, or has not finished stopping."""
        return {number: running.work for number, running in self._running.items()}

    def pause(self, paused: bool) -> None:
        """Have all tasks, future ones too, paused or not."""
        if paused != self._paused:
            self._paused = paused
            for task in self:
                (task.pause if paused else task.resume)()

    async def shed(self, work: Mapping[int, Work]) -> None:
        """Stop every task that is not in ``work`` as it is. All of them stop before any starts, so
        that no two tasks ever read the same table.
        """
        gone = {n: r for n, r in self._running.items() if work.get(n) != r.work}
        await asyncio.gather(*(running.task.stop() for running in gone.values()))
        for number in gone:
            del self._running[number]

    def take(self, work: Mapping[int, Work]) -> None:
        """Start every task of ``work`` that does not run yet."""
        for number in sorted(work.keys() - self._running.keys()):
            task = self._make(number, work[number])
            if self._paused:
                task.pause()
            self._running[number] = _Running(task, work[number])
            task.start()

    async def restart(self, numbers: Collection[int]) -> None:
        """Stop and start these tasks, in place."""
        chosen = [task for task in self if task.task in numbers]
        await asyncio.gather(*(task.stop() for task in chosen))
        for task in chosen:
            task.start()

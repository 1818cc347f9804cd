"""A work queue of keys: what to reconcile, when, and never twice at once.

An event says only *that* something about a key changed, so a key waits at most once however many
events name it, and goes to the back of one line: a flood of one key costs the others nothing.
A key is worked on by one worker at a time; what changes meanwhile brings it back afterwards. When
work fails, its key comes back after a delay that doubles. Nothing is ever dropped: the one way out
is work that says the key is done with.

``Schedule`` is these rules, without a clock or a loop. ``WorkQueue`` runs workers by them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

from coracle.api import ConnectError

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Backoff:
    """How long a key rests after its n-th failure in a row.

    Attributes:
        first: seconds after the first failure. An event in between may cut a rest short, to this.
        most: the longest rest, in seconds.
        jitter: the share by which a rest is made longer at random, so that many keys that failed
            together do not come back together.
    """

    first: float = 0.5
    most: float = 120.0
    jitter: float = 0.3

    def rest(self, failures: int, chance: float) -> float:
        """Seconds to rest after so many failures; ``chance`` is 0 to 1."""
        return min(self.most, self.first * 2.0 ** min(failures - 1, 60)) * (
            1 + self.jitter * chance
        )


class Schedule(Generic[K]):
    """When each key is due. Times are seconds of any one clock, given by the caller.

    Args:
        backoff: how failures are delayed.
        gap: least seconds between two starts of the same key.
        chance: random numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        backoff: Backoff | None = None,
        gap: float = 0.1,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._gap = gap
        self._chance = chance
        self._ready: deque[K] = deque()
        self._heap: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # keys that wait, in the line or in the heap
        self._busy: dict[K, float | None] = {}  # and when they are wanted again
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._serial = 0

    def __len__(self) -> int:
        """How many keys stand in line."""
        return len(self._ready)

    @property
    def busy(self) -> int:
        """How many keys are being worked on."""
        return len(self._busy)

    def add(self, key: K, now: float, after: float = 0.0) -> None:
        """Want a key worked on in so many seconds; a wish for an earlier time stands."""
        due = now + after
        if key in self._busy:
            wanted = self._busy[key]
            self._busy[key] = due if wanted is None else min(wanted, due)
            return
        due = max(due, self._not_before.get(key, 0.0))
        if key not in self._due or due < self._due[key]:
            self._wait(key, due, now)

    def _wait(self, key: K, due: float, now: float) -> None:
        self._due[key] = due
        if due <= now:
            self._ready.append(key)
        else:
            self._serial += 1
            heappush(self._heap, (due, self._serial, key))
            if len(self._heap) > 2 * len(self._due) + 64:
                self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
                heapify(self._heap)

    def next_due(self, now: float) -> float | None:
        """Seconds until a key can be taken (0: one can now), or None when no key waits."""
        self._ripen(now)
        if self._ready:
            return 0.0
        return self._heap[0][0] - now if self._heap else None

    def _ripen(self, now: float) -> None:
        # An entry of the heap is void when its key was taken or moved to an earlier time.
        while self._heap and (
            self._heap[0][0] <= now or self._due.get(self._heap[0][2]) != self._heap[0][0]
        ):
            due, _, key = heappop(self._heap)
            if self._due.get(key) == due:
                self._due[key] = now
                self._ready.append(key)

    def take(self, now: float) -> K | None:
        """The key that has been due for longest, now being worked on; None when none is due."""
        self._ripen(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        del self._due[key]
        self._busy[key] = None
        self._not_before[key] = now + self._gap
        return key

    def done(self, key: K, now: float, again: float | None) -> None:
        """The work succeeded; ``again`` is when to look again (seconds), None for never."""
        wanted = self._busy.pop(key)
        self._failures.pop(key, None)
        if again is not None:
            wanted = now + again if wanted is None else min(wanted, now + again)
        if wanted is None:
            self._not_before.pop(key, None)
        else:
            self._wait(key, max(wanted, self._not_before[key]), now)

    def failed(self, key: K, now: float) -> float:
        """The work failed: the key rests. Returns for how many seconds."""
        wanted = self._busy.pop(key)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        rest = self._backoff.rest(failures, self._chance())
        self._not_before[key] = now + min(rest, self._backoff.first)
        due = now + rest if wanted is None else min(now + rest, wanted)
        self._wait(key, max(due, self._not_before[key]), now)
        return rest


class Watcher(Protocol):
    """Who is told how the work goes, for metrics."""

    def worked(self, key: Hashable, seconds: float, failed: bool) -> None:
        """One piece of work ended."""
        ...


class WorkQueue(Generic[K]):
    """Runs ``work(key)`` for keys as they fall due.

    Args:
        work: returns after how many seconds to look at the key again without an event, None when
            there is nothing left to look at. What it raises is logged and tried again.
        workers: how many keys are worked on at once.
        limit: seconds after which one piece of work counts as failed.
        schedule: the rules.
        watcher: told of every piece of work.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        *,
        workers: int = 16,
        limit: float = 60.0,
        schedule: Schedule[K] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._work = work
        self._workers = workers
        self._limit = limit
        self._schedule = schedule or Schedule()
        self._watcher = watcher
        self._idle: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        """How many keys stand in line."""
        return len(self._schedule)

    @property
    def busy(self) -> int:
        """How many keys are being worked on."""
        return self._schedule.busy

    def add(self, key: K, after: float = 0.0) -> None:
        """Have the key worked on in so many seconds, at the latest."""
        self._schedule.add(key, time.monotonic(), after)
        self._wake()

    def _wake(self) -> None:
        # One waiter per piece of work: the one that wakes wakes the next if there is more.
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._take()
            start = time.monotonic()
            failed = False
            try:
                async with asyncio.timeout(self._limit):
                    again = await self._work(key)
            except Exception as error:
                failed = True
                rest = self._schedule.failed(key, time.monotonic())
                _log_failure(key, error, rest)
            else:
                self._schedule.done(key, time.monotonic(), again)
            if self._watcher is not None:
                self._watcher.worked(key, time.monotonic() - start, failed)
            self._wake()

    async def _take(self) -> K:
        while True:
            now = time.monotonic()
            if (key := self._schedule.take(now)) is not None:
                if len(self._schedule):
                    self._wake()
                return key
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.add(waiter)
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that meets a result.
                async with asyncio.timeout(self._schedule.next_due(now)):
                    await waiter
            except TimeoutError:
                pass
            finally:
                self._idle.discard(waiter)


def _log_failure(key: Hashable, error: Exception, rest: float) -> None:
    if isinstance(error, TimeoutError):
        logger.warning("%s took too long, trying again in %.1f s", key, rest)
    elif isinstance(error, ConnectError):
        logger.warning("%s: %s; trying again in %.1f s", key, error, rest)
    else:
        logger.error("%s failed, trying again in %.1f s", key, rest, exc_info=error)

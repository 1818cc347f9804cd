import asyncio
import logging
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coracle.api import ConnectError
from coracle_operator.queue import Backoff, Schedule, WorkQueue


def drain(schedule, now):
    """Take and finish whatever is due, in order."""
    taken = []
    while (key := schedule.take(now)) is not None:
        taken.append(key)
        schedule.done(key, now, None)
    return taken


def test_a_key_waits_once_however_often_it_is_added():
    schedule = Schedule()
    for _ in range(1000):
        schedule.add("a", 0.0)
    schedule.add("b", 0.0)
    assert len(schedule) == 2
    assert drain(schedule, 0.0) == ["a", "b"]


def test_a_busy_key_is_not_taken_again_but_comes_back():
    schedule = Schedule(gap=0.1)
    schedule.add("a", 0.0)
    assert schedule.take(0.0) == "a"
    schedule.add("a", 0.01)
    assert schedule.take(0.02) is None
    schedule.done("a", 0.03, None)
    assert schedule.next_due(0.03) == pytest.approx(0.07)
    assert schedule.take(0.1) == "a"


def test_a_flooded_key_goes_to_the_back_of_the_line():
    schedule = Schedule(gap=0.0)
    order = []
    for key in ("loud", "b", "c"):
        schedule.add(key, 0.0)
    for _ in range(4):
        key = schedule.take(0.0)
        order.append(key)
        schedule.add("loud", 0.0)
        schedule.done(key, 0.0, None)
    assert order == ["loud", "b", "c", "loud"]


def test_the_earlier_of_two_wishes_stands():
    schedule = Schedule()
    schedule.add("a", 0.0, after=10.0)
    schedule.add("a", 1.0, after=2.0)
    schedule.add("a", 1.5, after=60.0)
    assert schedule.next_due(2.0) == pytest.approx(1.0)
    assert drain(schedule, 3.0) == ["a"]
    assert schedule.next_due(3.0) is None


def test_again_brings_a_key_back_without_an_event():
    schedule = Schedule()
    schedule.add("a", 0.0)
    schedule.take(0.0)
    schedule.done("a", 0.0, 300.0)
    assert schedule.take(299.0) is None
    assert schedule.take(300.0) == "a"


def test_failures_rest_twice_as_long_each_time_up_to_the_most():
    schedule = Schedule(Backoff(first=1.0, most=5.0, jitter=0.5), gap=0.0, chance=lambda: 0.0)
    now = 0.0
    rests = []
    schedule.add("a", now)
    for _ in range(5):
        assert schedule.take(now) == "a"
        rests.append(schedule.failed("a", now))
        now += rests[-1]
    assert rests == [1.0, 2.0, 4.0, 5.0, 5.0]
    schedule.take(now)
    schedule.done("a", now, 0.0)
    schedule.take(now)
    assert schedule.failed("a", now) == 1.0


def test_an_event_cuts_a_rest_short_but_makes_no_storm():
    schedule = Schedule(Backoff(first=1.0, most=60.0, jitter=0.0), gap=0.1)
    schedule.add("a", 0.0)
    now = 0.0
    for _ in range(6):
        now += schedule.next_due(now) or 0.0
        assert schedule.take(now) == "a"
        schedule.failed("a", now)
    schedule.add("a", now)  # an edit, 32 s before its time
    assert schedule.next_due(now) == pytest.approx(1.0)


@given(failures=st.integers(1, 5000), chance=st.floats(0, 1))
def test_a_rest_is_bounded(failures, chance):
    backoff = Backoff(first=0.5, most=120.0, jitter=0.3)
    assert 0.5 <= backoff.rest(failures, chance) <= 120.0 * 1.3


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order: serial per key, nothing lost, nothing early."""

    keys = st.sampled_from("abcde")

    def __init__(self):
        super().__init__()
        self.schedule = Schedule(Backoff(first=1.0, most=8.0), gap=0.5)
        self.now = 0.0
        self.busy = set()
        self.owed = {}  # key -> latest time by which it must be takeable
        self.last = {}

    def owe(self, key, due):
        self.owed[key] = min(due, self.owed.get(key, due))

    @rule(key=keys, after=st.sampled_from([0.0, 0.0, 0.2, 3.0]))
    def add(self, key, after):
        self.schedule.add(key, self.now, after)
        self.owe(key, self.now + after + 8.0 * 1.3)

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        due = self.schedule.next_due(self.now)
        key = self.schedule.take(self.now)
        assert (key is not None) == (due is not None and due <= 0.0)
        if key is None:
            return
        assert key not in self.busy
        assert self.now - self.last.get(key, -9.0) >= 0.5 - 1e-9
        self.last[key] = self.now
        self.busy.add(key)
        self.owed.pop(key, None)

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), again=st.sampled_from([None, 0.0, 5.0]))
    def done(self, data, again):
        key = data.draw(st.sampled_from(sorted(self.busy)))
        self.busy.discard(key)
        self.schedule.done(key, self.now, again)
        if again is not None:
            self.owe(key, self.now + again + 0.5)
        elif key not in self.schedule._due:
            del self.last[key]  # done with: nothing of it is remembered

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def failed(self, data):
        key = data.draw(st.sampled_from(sorted(self.busy)))
        self.busy.discard(key)
        rest = self.schedule.failed(key, self.now)
        self.owe(key, self.now + rest)

    @invariant()
    def nothing_is_lost(self):
        waiting = set(self.schedule._due)
        assert waiting.isdisjoint(self.busy)
        assert set(self.owed) - self.busy <= waiting
        for key in waiting:
            assert self.schedule._due[key] <= max(self.now, self.owed[key]) + 1e-9
        assert len(self.schedule._heap) <= 2 * len(waiting) + 65


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def run(queue, until):
    worker = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.005)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_one_slow_key_delays_no_other():
    release = asyncio.Event()
    done = []

    async def work(key):
        if key == "slow":
            await release.wait()
        done.append(key)

    queue = WorkQueue(work, workers=2)
    queue.add("slow")
    for index in range(50):
        queue.add(index)
    await run(queue, lambda: len(done) == 50)
    assert "slow" not in done


async def test_a_flood_of_one_key_delays_no_other():
    runs = Counter()

    async def work(key):
        runs[key] += 1
        await asyncio.sleep(0)

    queue = WorkQueue(work, workers=2, schedule=Schedule(gap=0.02))

    async def flood():
        while True:
            for _ in range(50):
                queue.add("loud")
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.05)
    for index in range(100):
        queue.add(index)
    try:
        await run(queue, lambda: sum(1 for key in runs if key != "loud") == 100)
    finally:
        flooding.cancel()
    assert runs["loud"] < 50


async def test_what_fails_once_is_done_again_without_an_event(caplog):
    attempts = Counter()

    async def work(key):
        attempts[key] += 1
        if attempts[key] == 1:
            raise ConnectError("the API server is away")

    queue = WorkQueue(work, schedule=Schedule(Backoff(first=0.02), gap=0.0))
    with caplog.at_level(logging.WARNING):
        queue.add("a")
        queue.add("b")
        await run(queue, lambda: attempts == {"a": 2, "b": 2})
    assert "a: the API server is away; trying again in" in caplog.text
    assert "Traceback" not in caplog.text


async def test_work_that_hangs_is_given_up_and_tried_again():
    attempts = Counter()

    async def work(key):
        attempts[key] += 1
        if attempts[key] == 1:
            await asyncio.Event().wait()

    queue = WorkQueue(work, workers=1, limit=0.05, schedule=Schedule(Backoff(first=0.02)))
    queue.add("a")
    await run(queue, lambda: attempts["a"] == 2)


async def test_a_key_added_while_busy_is_worked_on_afterwards():
    seen = []
    running = set()

    async def work(key):
        assert key not in running
        running.add(key)
        await asyncio.sleep(0.01)
        seen.append(key)
        running.discard(key)

    queue = WorkQueue(work, workers=4, schedule=Schedule(gap=0.0))
    queue.add("a")
    task = asyncio.create_task(queue.run())
    while not running:
        await asyncio.sleep(0)
    queue.add("a")
    queue.add("a")
    async with asyncio.timeout(5):
        while len(seen) < 2 or queue.busy or len(queue):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == ["a", "a"]

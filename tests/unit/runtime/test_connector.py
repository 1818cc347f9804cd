"""The connector's loop: wishes that arrive at bad moments, and what the status says meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from coracle.api import Config, ConnectError
from coracle.runtime import connector as module
from coracle.runtime.connector import ConnectorLife
from coracle.store import TargetState, TaskProgress
from tests.unit.runtime.fakes import until

STOP_SECONDS = 1.0


class World:
    """What the connector under test is made of, and what became of it.

    Attributes:
        events: what was called, in order.
        running: the tasks that run now; a number twice means two at once.
        hold_stop: tasks wait for it while they stop.
        on_start: called when the connector starts; may raise or wait.
        task_configs: what the connector answers.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.running: list[int] = []
        self.stopped_early: list[int] = []
        self.let_stop = asyncio.Event()
        self.let_stop.set()
        self.on_start: Callable[[], Any] | None = None
        self.on_task_start: Callable[[int], Any] | None = None
        self.task_configs: list[dict[str, str]] = [{}, {}]
        self.changed = asyncio.Event()
        self.watch_error: Exception | None = None
        self.statuses: list[str] = []


class FakeRun:
    def __init__(self, world: World, task: int) -> None:
        self._world, self._task = world, task

    def pause(self) -> None:
        self._world.events.append(f"pause {self._task}")

    def resume(self) -> None:
        pass

    def progress(self) -> TaskProgress:
        return TaskProgress()

    async def start(self) -> None:
        self._world.running.append(self._task)
        if self._world.on_task_start is not None:
            await self._world.on_task_start(self._task)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self, deadline: float) -> None:
        try:
            await self._world.let_stop.wait()
        except asyncio.CancelledError:
            self._world.stopped_early.append(self._task)
            raise
        finally:
            self._world.running.remove(self._task)


@contextlib.asynccontextmanager
async def connector(
    world: World, monkeypatch: pytest.MonkeyPatch, target: TargetState = TargetState.RUNNING
) -> AsyncIterator[ConnectorLife]:
    class FakeConnector:
        async def start(self, context: Any, config: Any) -> None:
            world.events.append("start")
            if world.on_start is not None:
                await world.on_start()

        async def task_configs(self, limit: int) -> Sequence[Mapping[str, str]]:
            return [dict(keys) for keys in world.task_configs]

        async def changed(self) -> None:
            await world.changed.wait()
            world.changed.clear()
            if world.watch_error is not None:
                raise world.watch_error

        async def stop(self) -> None:
            world.events.append("stop")

    def prepare(props: Mapping[str, str], worker: Any) -> Any:
        return SimpleNamespace(
            warnings=(),
            connector_class=FakeConnector,
            class_name="FakeConnector",
            config=Config({"tasks.max.enforce": True}, {}),
            raw={},
            tasks_max=4,
        )

    def build_run(prepared: Any, task: int, worker: Any, partitions: None) -> FakeRun:
        return FakeRun(world, task)

    monkeypatch.setattr(module, "prepare", prepare)
    monkeypatch.setattr(module, "build_run", build_run)
    monkeypatch.setattr(module, "plugin_version", lambda cls: "1")
    worker: Any = SimpleNamespace(
        config={"task.shutdown.graceful.timeout.ms": int(STOP_SECONDS * 1000)}
    )
    life = ConnectorLife(
        "orders",
        {},
        "source",
        target,
        worker,
        lambda: "here:1",
        lambda life: world.statuses.append(life.status().state),
    )
    try:
        yield life
    finally:
        world.let_stop.set()
        await life.close()
        assert world.running == []


def states(life: ConnectorLife) -> list[str]:
    status = life.status()
    return [status.state, *(task.state for task in status.tasks)]


async def all_run(life: ConnectorLife, tasks: int = 2) -> None:
    await until(lambda: states(life) == ["RUNNING"] * (tasks + 1))


async def test_a_restart_of_the_connector_does_not_lose_the_restart_of_its_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second wish comes while the tasks of the first are stopped and not started yet."""
    world = World()
    async with connector(world, monkeypatch) as life:
        await all_run(life)
        world.let_stop.clear()
        life.restart(connector=False, tasks=[0, 1])
        await asyncio.sleep(0.05)
        life.restart(connector=True, tasks=[])
        await asyncio.sleep(0.05)
        world.let_stop.set()
        await all_run(life)
        assert sorted(world.running) == [0, 1]
        assert world.events == ["start", "stop", "start"]


@pytest.mark.parametrize("wish", ["configure", "stop", "restart", "close"])
async def test_no_wish_cuts_a_stop_short(monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    """A task that stops is storing what it has done."""
    world = World()
    async with connector(world, monkeypatch) as life:
        await all_run(life)
        world.let_stop.clear()
        life.configure({"a": "1"}, "source")
        await asyncio.sleep(0.05)
        closing = None
        if wish == "configure":
            life.configure({"a": "2"}, "source")
        elif wish == "stop":
            life.set_target(TargetState.STOPPED)
        elif wish == "restart":
            life.restart(connector=True, tasks=[0, 1])
        else:
            closing = asyncio.create_task(life.close())
        await asyncio.sleep(0.05)
        assert world.stopped_early == []
        world.let_stop.set()
        if wish == "stop":
            await until(lambda: states(life) == ["STOPPED"])
        elif closing is not None:
            await closing
        else:
            await all_run(life)
        assert world.stopped_early == []
        assert sorted(world.running) == ([] if wish in ("stop", "close") else [0, 1])


async def test_a_start_that_hangs_can_be_stopped_and_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.on_start = asyncio.Event().wait
    async with connector(world, monkeypatch) as life:
        await until(lambda: world.events == ["start"])
        life.set_target(TargetState.STOPPED)
        await until(lambda: states(life) == ["STOPPED"])
        assert world.events == ["start", "stop"]
        world.on_start = None
        life.set_target(TargetState.RUNNING)
        await all_run(life)


async def test_a_cancelled_close_still_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST gives up waiting after a while; the connector is forgotten by then."""
    world = World()
    async with connector(world, monkeypatch) as life:
        await all_run(life)
        world.let_stop.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(life.close(), 0.05)
        world.let_stop.set()
        await until(lambda: world.running == [])
        assert world.stopped_early == []


async def test_a_connector_closes_within_the_graceful_time_of_a_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even when a task swallows its cancellation."""
    world = World()
    let_go = asyncio.Event()

    async def stubborn(task: int) -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    world.on_task_start = stubborn
    async with connector(world, monkeypatch) as life:
        await until(lambda: len(world.running) == 2)
        begun = time.monotonic()
        await life.close()
        assert time.monotonic() - begun < STOP_SECONDS * 2
        let_go.set()
        await until(lambda: world.running == [])


async def test_a_failing_start_shows_and_another_configuration_heals_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def refuse() -> None:
        raise ConnectError("no such database")

    world.on_start = refuse
    async with connector(world, monkeypatch) as life:
        await until(lambda: states(life) == ["FAILED"])
        assert "no such database" in life.status().trace
        assert world.events == ["start", "stop"]
        world.on_start = None
        life.configure({}, "source")
        await all_run(life)
        assert life.status().trace == ""


async def test_a_stopped_connector_has_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def refuse() -> None:
        raise ConnectError("no such database")

    world.on_start = refuse
    async with connector(world, monkeypatch) as life:
        await until(lambda: states(life) == ["FAILED"])
        life.set_target(TargetState.STOPPED)
        await until(lambda: states(life) == ["STOPPED"])
        assert life.status().trace == ""


async def test_pausing_a_failed_connector_neither_heals_nor_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    async with connector(world, monkeypatch) as life:
        await all_run(life)
        world.watch_error = ConnectError("the database does not answer")
        world.changed.set()
        await until(lambda: life.status().state == "FAILED")
        life.set_target(TargetState.PAUSED)
        await until(lambda: states(life)[1:] == ["PAUSED", "PAUSED"])
        assert life.status().state == "FAILED"
        assert "does not answer" in life.status().trace
        life.set_target(TargetState.RUNNING)
        await until(lambda: states(life) == ["FAILED", "RUNNING", "RUNNING"])
        world.watch_error = None
        life.restart(connector=True, tasks=[])
        await all_run(life)


async def test_work_that_is_shared_out_anew_restarts_only_what_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    starts: list[int] = []

    async def note(task: int) -> None:
        starts.append(task)

    world.on_task_start = note
    world.task_configs = [{"t": "a"}, {"t": "b"}]
    async with connector(world, monkeypatch) as life:
        await all_run(life)
        world.task_configs = [{"t": "a"}, {"t": "c"}, {"t": "d"}]
        world.changed.set()
        await all_run(life, tasks=3)
        assert sorted(starts) == [0, 1, 1, 2]
        world.task_configs = [{"t": "a"}]
        world.changed.set()
        await all_run(life, tasks=1)
        assert world.running == [0]


async def test_a_connector_created_paused_starts_its_tasks_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    async with connector(world, monkeypatch, TargetState.PAUSED) as life:
        await until(lambda: states(life) == ["PAUSED"] * 3)
        life.restart(connector=False, tasks=[1])
        await asyncio.sleep(0.05)
        await until(lambda: states(life) == ["PAUSED"] * 3)


async def test_a_failed_task_stays_failed_through_pause_and_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def refuse(task: int) -> None:
        if task == 1:
            raise ConnectError("no table")

    world.on_task_start = refuse
    async with connector(world, monkeypatch) as life:
        await until(lambda: states(life) == ["RUNNING", "RUNNING", "FAILED"])
        life.set_target(TargetState.PAUSED)
        await until(lambda: states(life) == ["PAUSED", "PAUSED", "FAILED"])
        life.set_target(TargetState.RUNNING)
        await until(lambda: states(life) == ["RUNNING", "RUNNING", "FAILED"])
        world.on_task_start = None
        life.restart(connector=False, tasks=[1])
        assert states(life)[2] == "RESTARTING"
        await all_run(life)
        assert life.status().tasks[1].trace == ""


async def test_a_stop_waits_for_a_failing_task_to_finish_its_last_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def refuse(task: int) -> None:
        raise ConnectError("no table")

    world.on_task_start = refuse
    world.let_stop.clear()
    async with connector(world, monkeypatch) as life:
        await until(lambda: len(world.running) == 2)
        await asyncio.sleep(0.05)
        life.set_target(TargetState.STOPPED)
        await asyncio.sleep(0.05)
        world.let_stop.set()
        await until(lambda: states(life) == ["STOPPED"])
        assert world.stopped_early == []

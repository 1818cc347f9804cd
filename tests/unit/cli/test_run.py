"""``coracle run`` around a worker that runs nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from coracle.api import ConfigError, ConfigErrors, ConnectError
from coracle.cli import run
from coracle.config.worker import WorkerConfig
from coracle.store import ConnectorInfo, ConnectorStatus, State, TargetState
from tests.unit.cli.conftest import Invoke, Write
from tests.unit.rest.fake_store import FakeStore


class FakeWorker(FakeStore):
    """Remembers what became of it. ``script`` runs in the loop once the last connector is there."""

    last: FakeWorker
    script: ClassVar[Callable[[FakeWorker], object]]
    connectors: ClassVar[int]

    def __init__(self, config: WorkerConfig, *, shared: bool) -> None:
        super().__init__()
        type(self).last = self
        self.config = config
        self.shared = shared
        self.worker_id = ""
        self.stopped = False
        self.listener: Callable[[ConnectorStatus], None] = print

    async def start(self) -> None:
        if not self.connectors:
            self.run_script()

    async def stop(self) -> None:
        self.stopped = True

    def subscribe(self, callback: Callable[[ConnectorStatus], None]) -> None:
        self.listener = callback

    async def create(
        self, name: str, config: Mapping[str, str], target: TargetState = TargetState.RUNNING
    ) -> ConnectorInfo:
        info = await super().create(name, config, target)
        self.listener(self.statuses[name])
        if len(self.configs) == self.connectors:
            self.run_script()
        return info

    def run_script(self) -> None:
        asyncio.get_running_loop().call_later(0.05, type(self).script, self)


def terminate(worker: FakeWorker) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _fake_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(run, "Worker", FakeWorker)
    monkeypatch.setattr("coracle.cli.logs.setup_logging", lambda level: None)
    monkeypatch.setattr(FakeWorker, "script", terminate, raising=False)
    monkeypatch.setattr(FakeWorker, "connectors", 0, raising=False)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGINT, handlers[0])
    signal.signal(signal.SIGTERM, handlers[1])


def connectors(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(FakeWorker, "connectors", count)


def test_runs_files_until_a_signal(
    coracle: Invoke,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    connectors(monkeypatch, 2)
    result = coracle("run", "--port", 0, write("a.json", "a"), write("b.json", "b"))
    assert result.exit_code == 0, result.output
    worker = FakeWorker.last
    assert list(worker.configs) == ["a", "b"]
    assert worker.stopped
    assert worker.worker_id.startswith(f"{socket.gethostname()}:")
    assert "RUNNING, 1 task RUNNING" in caplog.messages
    assert "REST API at http://localhost:" in caplog.text
    assert "SIGTERM received" in caplog.text


def test_initial_state(coracle: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connectors(monkeypatch, 1)
    path = tmp_path / "a.json"
    path.write_text(
        '{"name":"a","config":{"connector.class":"FileStreamSource","topic":"t"},'
        '"initial_state":"paused"}'
    )
    assert coracle("run", "--port", 0, path).exit_code == 0
    assert FakeWorker.last.statuses["a"].state is State.PAUSED


def test_settings_reach_the_worker(coracle: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "worker.properties"
    file.write_text("bootstrap.servers=file:1\ngroup.id=file\noffset.flush.timeout.ms=7\n")
    result = coracle(
        *("run", "-w", file, "--set", "group.id = set".replace(" ", ""), "-b", "flag:1,flag:2"),
        *("--listeners", "http://127.0.0.1:0"),
    )
    assert result.exit_code == 0
    config = FakeWorker.last.config.config
    assert config["bootstrap.servers"] == ["flag:1", "flag:2"]
    assert config["group.id"] == "set"
    assert config["offset.flush.timeout.ms"] == 7
    assert FakeWorker.last.worker_id.startswith("127.0.0.1:")


@pytest.mark.parametrize("flags", [[], ["--shared"]])
def test_tasks_are_shared_only_on_request(coracle: Invoke, flags: list[str]) -> None:
    assert coracle("run", "--port", 0, *flags).exit_code == 0
    assert FakeWorker.last.shared is bool(flags)


def test_advertised_address(coracle: Invoke) -> None:
    advertised = ["--set", "rest.advertised.host.name=me", "--set", "rest.advertised.port=80"]
    assert coracle("run", "--port", 0, *advertised).exit_code == 0
    assert FakeWorker.last.worker_id == "me:80"


def test_wrong_files_start_nothing(
    coracle: Invoke, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Worker", None)
    good, bad = write("a.json", "a"), write("b.json", "b", **{"tasks.max": 0})
    result = coracle("run", "--port", 0, good, bad)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"✗ {bad}: b has 1 error" in result.stderr
    assert str(good) not in result.stderr


def test_taken_port(coracle: Invoke, write: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = coracle("run", "--listeners", f"http://127.0.0.1:{port}", write())
    assert result.exit_code == 3
    assert result.stderr.startswith("error: Cannot start: The REST API cannot listen on port")
    assert "Traceback" not in result.stderr
    assert FakeWorker.last.configs == {}
    assert FakeWorker.last.stopped


def test_bad_listener(coracle: Invoke) -> None:
    result = coracle("run", "--listeners", "https://:8443")
    assert result.exit_code == 1
    assert "https is not supported yet" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigErrors([ConfigError("No such table.", field="table")]), 1),
        (ConnectError("The disk is full."), 3),
    ],
)
def test_a_connector_that_cannot_be_created(
    coracle: Invoke,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    error: ConnectError,
    code: int,
) -> None:
    async def refuse(*args: object) -> None:
        raise error

    monkeypatch.setattr(FakeWorker, "create", refuse)
    monkeypatch.setattr(FakeWorker, "connectors", 1)
    result = coracle("run", "--port", 0, write())
    assert result.exit_code == code
    assert result.stderr == f"error: Cannot start: {error}\n"
    assert FakeWorker.last.stopped


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--exit-on-failure"], 3)])
def test_a_failed_task_ends_the_process_only_on_request(
    coracle: Invoke,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    code: int,
) -> None:
    def fail(worker: FakeWorker) -> None:
        worker.fail_task("lines", "Why")
        worker.listener(worker.statuses["lines"])
        asyncio.get_running_loop().call_later(0.05, terminate, worker)

    monkeypatch.setattr(FakeWorker, "script", fail)
    connectors(monkeypatch, 1)
    assert coracle("run", "--port", 0, write(), *flags).exit_code == code
    assert FakeWorker.last.stopped


def test_a_signal_ends_a_start_that_takes_forever(
    coracle: Invoke, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(worker: FakeWorker) -> None:
        worker.run_script()
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeWorker, "start", hang)
    assert coracle("run", "--port", 0, write()).exit_code == 0
    assert FakeWorker.last.stopped


def test_a_worker_that_does_not_stop_is_given_up(
    coracle: Invoke, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(worker: FakeWorker) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeWorker, "stop", hang)
    monkeypatch.setattr(run, "STOP_MARGIN", 0.01)
    result = coracle("run", "--port", 0, "--set", "task.shutdown.graceful.timeout.ms=0")
    assert result.exit_code == 0
    assert "did not stop within" in caplog.text


def test_rest_api_is_served(coracle: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[httpx.Response] = []

    async def ask(worker: FakeWorker) -> None:
        async with httpx.AsyncClient() as client:
            answers.append(await client.get(f"http://{worker.worker_id}/health"))
        terminate(worker)

    tasks: list[asyncio.Task[None]] = []
    monkeypatch.setattr(
        FakeWorker,
        "script",
        lambda worker: tasks.append(asyncio.get_running_loop().create_task(ask(worker))),
    )
    assert coracle("run", "--listeners", "http://127.0.0.1:0").exit_code == 0
    assert [answer.status_code for answer in answers] == [200]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "nothing"],
        ["--set", "=x"],
        ["--port", "99999"],
        ["--port", "1", "--listeners", "http://:1"],
        ["--log-level", "loud"],
        ["missing.json"],
        ["-w", "missing.properties"],
        ["--nope"],
    ],
)
def test_usage_errors(coracle: Invoke, arguments: list[str]) -> None:
    result = coracle("run", *arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr

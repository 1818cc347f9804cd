import io
import logging

import pytest
from rich.console import Console

from coracle.cli.progress import Progress, has_failed, summary
from coracle.runtime.context import ConnectorContextFilter
from coracle.store import ConnectorStatus, State, TaskStatus


def status(state: State, *tasks: State, trace: str = "") -> ConnectorStatus:
    each = [
        TaskStatus(number, task, "w", trace if task is State.FAILED else "")
        for number, task in enumerate(tasks)
    ]
    return ConnectorStatus("orders", state, "w", "sink", "" if tasks else trace, tasks=each)


def context_of(record: logging.LogRecord) -> str:
    return record.__dict__["connector_context"]


def test_summary() -> None:
    assert summary(status(State.UNASSIGNED)) == "UNASSIGNED"
    assert summary(status(State.RUNNING, State.RUNNING)) == "RUNNING, 1 task RUNNING"
    mixed = status(State.RUNNING, State.RUNNING, State.FAILED, State.RUNNING, trace="Why\n\tat x")
    assert summary(mixed) == "RUNNING, 2 tasks RUNNING, 1 FAILED: Why"
    assert summary(status(State.FAILED, trace="Why")) == "FAILED: Why"


def test_has_failed() -> None:
    assert has_failed(status(State.FAILED))
    assert has_failed(status(State.RUNNING, State.RUNNING, State.FAILED))
    assert not has_failed(status(State.RUNNING, State.RESTARTING))


def test_a_terminal_sees_each_change_once() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    progress = Progress(console)
    for state in (State.RUNNING, State.RUNNING, State.PAUSED):
        progress.changed(status(state))
    lines = console.export_text().splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["orders  RUNNING", "orders  PAUSED"]


def test_without_a_terminal_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(ConnectorContextFilter())
    progress = Progress(None)
    progress.changed(status(State.RUNNING))
    progress.changed(status(State.FAILED, trace="Why"))
    assert [(each.levelname, context_of(each), each.message) for each in caplog.records] == [
        ("INFO", "[orders|worker] ", "RUNNING"),
        ("ERROR", "[orders|worker] ", "FAILED: Why"),
    ]

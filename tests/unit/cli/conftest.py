from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coracle.cli import screen
from coracle.cli.app import app

Invoke = Callable[..., Result]
Write = Callable[..., Path]


@pytest.fixture
def coracle() -> Iterator[Invoke]:
    """Runs a command line in this process."""

    def invoke(*args: object) -> Result:
        _forget_consoles()
        return CliRunner().invoke(app, [str(arg) for arg in args])

    yield invoke
    _forget_consoles()


def _forget_consoles() -> None:
    # They hold on to the streams that the runner replaces for each command.
    screen.output.cache_clear()
    screen.errors.cache_clear()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a connector file; a source of lines with these settings on top."""

    def write_file(file_name: str = "lines.json", name: str = "lines", **settings: object) -> Path:
        config = {"connector.class": "FileStreamSource", "topic": "t", **settings}
        path = tmp_path / file_name
        path.write_text(json.dumps({"name": name, "config": config}))
        return path

    return write_file

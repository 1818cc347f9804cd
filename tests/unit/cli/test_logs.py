import logging
import warnings
from collections.abc import Iterator

import pytest

from coracle.cli.logs import LogLevel, setup_logging
from coracle.runtime.context import connector_context


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.addLevelName(logging.WARNING, "WARNING")
    for name in ("aiokafka", "asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_lines_look_like_kafka_connects(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(LogLevel.INFO)
    token = connector_context.set("[orders|task-0] ")
    logging.getLogger("coracle.x").warning("late by %d s", 5)
    connector_context.reset(token)
    logging.getLogger("coracle.x").info("done")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("[20")
    assert "] WARN [orders|task-0] late by 5 s (coracle.x:" in first
    assert "] INFO done (coracle.x:" in second


def test_libraries_speak_only_when_everything_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging(LogLevel.INFO)
    logging.getLogger("aiokafka.conn").info("chatter")
    assert capsys.readouterr().err == ""
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    setup_logging(LogLevel.DEBUG)
    logging.getLogger("aiokafka.conn").info("chatter")
    assert "chatter" in capsys.readouterr().err


def test_error_level_silences_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(LogLevel.ERROR)
    logging.getLogger("aiokafka.conn").warning("chatter")
    assert capsys.readouterr().err == ""


def test_python_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(LogLevel.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", UserWarning, stacklevel=1)
    assert "UserWarning: old" in capsys.readouterr().err

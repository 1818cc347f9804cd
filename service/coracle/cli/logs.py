"""How the log looks: Kafka Connect's lines, on standard error.

``[2026-01-31 12:00:00,000] INFO [orders|task-0] message (logger:line)``, as the
``connect-log4j2.yaml`` that Kafka ships formats them, so that existing parsing rules keep working.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from coracle.runtime.context import ConnectorContextFilter

_FORMAT = "[%(asctime)s] %(levelname)s %(connector_context)s%(message)s (%(name)s:%(lineno)d)"

_CHATTY = ("aiokafka", "asyncio", "httpcore2", "httpx2", "uvicorn")
# These call every passing state of a fresh topic an error; what lasts reaches us as an exception.
_ALARMIST = ("aiokafka.cluster", "aiokafka.coordinator.assignors", "aiokafka.producer.sender")


class Once(logging.Filter):
    """Lets one of many equal complaints of a library pass now and then, and counts the others.

    While a broker is away, aiokafka says so many times a second.

    Args:
        seconds: how long a message is held back after it was shown.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._shown: dict[tuple[str, str], float] = {}
        self._held: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this message is shown."""
        if not record.name.startswith("aiokafka"):
            return True
        # Without the numbers in it: a correlation id or an address makes no message another one.
        key = (record.name, str(record.msg))
        if record.created - self._shown.get(key, 0) < self._seconds:
            self._held[key] += 1
            return False
        self._shown[key] = record.created
        if held := self._held.pop(key, 0):
            record.msg = f"{record.msg} (and {held} times more since)"
        return True


class Redacted(logging.Formatter):
    """Formats warnings and worse without what mounted Secrets say: errors quote settings.

    Args:
        hide: takes out of a text what nobody is to see.
    """

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__(_FORMAT)
        self._hide = hide

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, whose message alone can hold a secret."""
        if record.levelno >= logging.WARNING:
            record.message = self._hide(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The stack."""
        return self._hide(super().formatException(ei))


class LogLevel(StrEnum):
    """What ``--log-level`` takes."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


def setup_logging(level: LogLevel, formatter: logging.Formatter | None = None) -> None:
    """Send all logging to standard error.

    Libraries that tell their life story at INFO are kept to warnings, unless everything is wanted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter or logging.Formatter(_FORMAT))
    handler.addFilter(ConnectorContextFilter())
    logging.addLevelName(logging.WARNING, "WARN")
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    if level is not LogLevel.DEBUG:
        handler.addFilter(Once())
        for name in _CHATTY:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
        for name in _ALARMIST:
            logging.getLogger(name).setLevel(logging.CRITICAL)


_OFF = logging.CRITICAL + 1
_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "OFF": _OFF,
}
_defaults: dict[str, int] = {}


def set_levels(levels: Mapping[str, str]) -> None:
    """Give loggers these levels, and all that had others by an earlier call their defaults back.

    Args:
        levels: Log4j's levels by logger; ``root`` is the one of all that have none of their own.
    """
    for name in _defaults.keys() - levels.keys():
        _logger(name).setLevel(_defaults.pop(name))
    for name, level in levels.items():
        _defaults.setdefault(name, _logger(name).level)
        _logger(name).setLevel(_LEVELS[level])


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == "root" else name)

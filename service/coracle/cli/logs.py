"""How the log looks: Kafka Connect's lines, on standard error.

``[2026-01-31 12:00:00,000] INFO [orders|task-0] message (logger:line)``, as the
``connect-log4j2.yaml`` that Kafka ships formats them, so that existing parsing rules keep working.
"""

from __future__ import annotations

import logging
from enum import StrEnum

from coracle.runtime.context import ConnectorContextFilter

_FORMAT = "[%(asctime)s] %(levelname)s %(connector_context)s%(message)s (%(name)s:%(lineno)d)"

_CHATTY = ("aiokafka", "asyncio", "uvicorn")
# These call every passing state of a fresh topic an error; what lasts reaches us as an exception.
_ALARMIST = ("aiokafka.cluster", "aiokafka.coordinator.assignors", "aiokafka.producer.sender")


class LogLevel(StrEnum):
    """What ``--log-level`` takes."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


def setup_logging(level: LogLevel) -> None:
    """Send all logging to standard error.

    Libraries that tell their life story at INFO are kept to warnings, unless everything is wanted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(ConnectorContextFilter())
    logging.addLevelName(logging.WARNING, "WARN")
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    if level is not LogLevel.DEBUG:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
        for name in _ALARMIST:
            logging.getLogger(name).setLevel(logging.CRITICAL)

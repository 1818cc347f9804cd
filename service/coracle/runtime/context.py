"""Which connector or task a line of the log is about.

The counterpart of the ``connector.context`` that Kafka Connect puts into the logging context:
``[orders|worker] `` for a connector, ``[orders|task-0] `` for a task, ``[orders|task-0|offsets] ``
for its commits. An asyncio task inherits the variable from its creator, so it is set once, where a
connector or task begins.
https://kafka.apache.org/documentation/#connect_logging
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

connector_context: ContextVar[str] = ContextVar("connector_context", default="")
"""What begins each line, with its brackets and the space after them; empty for the worker."""


class ConnectorContextFilter(logging.Filter):
    """Puts the context on every record as ``record.connector_context``, for a handler's format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute; every record passes."""
        record.connector_context = connector_context.get()
        return True

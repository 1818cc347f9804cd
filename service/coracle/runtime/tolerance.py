"""What happens to a record that cannot be processed: ``errors.tolerance`` and its relatives.

Nothing is skipped without being counted and, where asked, logged. Rules:
``org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator`` and KIP-298,
https://cwiki.apache.org/confluence/x/-D2qAw.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from coracle.api import BatchError, Config, RecordBatch, RetriableError
from coracle.runtime.failure import Stage, StageError, position_of, span_of

logger = logging.getLogger(__name__)

_FIRST_DELAY_MS = 300

T = TypeVar("T")


@dataclass
class ErrorCounts:
    """Counters of one task; names as in Kafka Connect's ``task-error-metrics``."""

    total_record_failures: int = 0
    total_record_errors: int = 0
    total_records_skipped: int = 0
    total_retries: int = 0


class Tolerance:
    """The error policy of one task.

    Args:
        connector, task: named in log lines.
        config: the connector's configuration (the ``errors.*`` keys).
    """

    def __init__(self, connector: str, task: int, config: Config) -> None:
        self._task = f"{connector}-{task}"
        self._tolerant = config["errors.tolerance"] == "all"
        self._log = config["errors.log.enable"]
        self._log_records = config["errors.log.include.messages"]
        self._retry_ms = config["errors.retry.timeout"]
        self._max_delay_ms = config["errors.retry.delay.max.ms"]
        self.counts = ErrorCounts()

    def skip(self, batch: RecordBatch, error: BatchError, stage: Stage, plugin: str) -> RecordBatch:
        """The batch without its bad records, if they may be skipped.

        Raises:
            StageError: when errors are not tolerated; its cause is the first record's error.
        """
        plugin = error.plugin or plugin
        self.tolerate(error, stage, plugin, lambda index: position_of(batch, index))
        remaining = batch.without(error.failures)
        if len(remaining) == len(batch):
            raise StageError(
                "Unhandled exception in error handler: bad records that are not in the batch",
                stage,
                plugin,
                span_of(batch),
            ) from error
        return remaining

    def tolerate(
        self, error: BatchError, stage: Stage, plugin: str, position: Callable[[int], str]
    ) -> None:
        """Count and log bad records that may be skipped.

        Args:
            position: says where the record of an index came from.

        Raises:
            StageError: when errors are not tolerated; its cause is the first record's error.
        """
        self.counts.total_record_failures += len(error.failures)
        for index, cause in error.failures.items():
            if not self._tolerant:
                self.counts.total_record_errors += 1
                raise StageError(
                    "Tolerance exceeded in error handler", stage, plugin, position(index)
                ) from cause
            if self._log:
                logger.error(
                    "Error encountered in task %s. Executing stage '%s' with class '%s'%s.",
                    self._task,
                    stage,
                    plugin,
                    f", where the record is {position(index)}" if self._log_records else "",
                    exc_info=cause,
                )
        self.counts.total_records_skipped += len(error.failures)

    async def retry(self, operation: Callable[[], Awaitable[T]], stage: Stage, plugin: str) -> T:
        """Call again after a ``RetriableError`` until ``errors.retry.timeout`` has passed; the last
        attempt is made at that moment.

        Records are not skipped for it, whatever ``errors.tolerance`` says: nothing is known to be
        wrong with them. Kafka Connect would.

        Raises:
            StageError: when it did not help in time.
        """
        deadline = float("inf") if self._retry_ms < 0 else time.monotonic() + self._retry_ms / 1000
        attempt = 0
        while True:
            try:
                return await operation()
            except RetriableError as error:
                attempt += 1
                self.counts.total_retries += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    raise StageError(
                        "Tolerance exceeded in error handler", stage, plugin
                    ) from error
                await asyncio.sleep(min(self.delay(attempt), left))

    def delay(self, attempt: int) -> float:
        """Seconds before attempt ``attempt + 1``: doubling, spread out once at the maximum."""
        delay: float = _FIRST_DELAY_MS << min(attempt - 1, 40)
        if delay > self._max_delay_ms:
            delay = random.uniform(0, self._max_delay_ms)  # noqa: S311 - jitter
        return delay / 1000

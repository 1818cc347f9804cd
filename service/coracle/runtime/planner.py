"""The connector plugin at work: it finds out what there is to do, again whenever that may change.

Only a group's leader has one. It is a life of its own beside the tasks: a plugin that hangs or
fails, in its start, its discovery or its stop, holds up no task and no rebalance.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coracle.api import ConnectError, Connector, OffsetReader
from coracle.config.connector import ConnectorConfig
from coracle.config.worker import WorkerConfig
from coracle.runtime.assembly import offset_topic
from coracle.runtime.shutdown import bounded

logger = logging.getLogger(__name__)

# Beyond the plugin's own stop time, after which it is left behind rather than waited for.
_GRACE_SECONDS = 0.5


class TooManyTasksError(ConnectError):
    """A connector made more tasks than ``tasks.max`` allows."""

    java_class = "org.apache.kafka.connect.runtime.TooManyTasksException"


class _StoredOffsets:
    """Reads the topic anew at each question: connectors ask seldom, and want today's answer."""

    def __init__(self, config: ConnectorConfig, worker: WorkerConfig) -> None:
        self._config = config
        self._worker = worker

    async def read(
        self, partitions: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any] | None]:
        topic = offset_topic(self._config, self._worker)
        try:
            await topic.start(
                partitions=self._worker.config["offset.storage.partitions"],
                replication_factor=self._worker.config["offset.storage.replication.factor"],
            )
            return await topic.read(partitions)
        finally:
            await topic.stop()


class _Context:
    def __init__(self, name: str, offsets: OffsetReader) -> None:
        self.name = name
        self.offsets = offsets


class Planner:
    """Runs a connector plugin, one instance after another.

    Args:
        name: the connector's name.
        worker: the worker's configuration.
        planned: called when ``tasks`` is new.
        failed: called with what the plugin failed with. It stays as it is until it is started anew;
            after a failed discovery it is asked again when its work or the limit changes.

    Attributes:
        tasks: what there is to do, each task's own keys; ``None`` before this is known.
    """

    def __init__(
        self,
        name: str,
        worker: WorkerConfig,
        planned: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._name = name
        self._worker = worker
        self._planned = planned
        self._failed = failed
        self._stop_seconds = worker.config["task.shutdown.graceful.timeout.ms"] / 1000
        self._limit = 0
        self._ask = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.tasks: list[Mapping[str, str]] | None = None

    @property
    def started(self) -> bool:
        """Whether ``start`` was called, and ``stop`` not since."""
        return self._running is not None

    def start(self, config: ConnectorConfig, limit: int) -> None:
        """Begin to find out what there is to do.

        Args:
            config: the connector's configuration.
            limit: how many tasks there may be.
        """
        self._limit = limit
        self._running = asyncio.create_task(self._live(config), name=f"{self._name} planner")

    def limit(self, limit: int) -> None:
        """Find out again, for another number of tasks."""
        if limit != self._limit:
            self._limit = limit
            self._ask.set()

    async def stop(self) -> None:
        """Stop the plugin, within its stop time. What it has found out is forgotten."""
        running, self._running = self._running, None
        if running is None:
            return
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=self._stop_seconds + _GRACE_SECONDS)
        if not done:
            logger.error("the connector does not end when it is told to, and is left behind")
        self.tasks = None

    async def _live(self, config: ConnectorConfig) -> None:
        connector = config.connector_class()
        watch: asyncio.Task[None] | None = None
        try:
            await connector.start(
                _Context(self._name, _StoredOffsets(config, self._worker)), config.config
            )
            watch = asyncio.create_task(self._watch(connector))
            while True:
                self._ask.clear()
                try:
                    tasks = await self._discover(connector, config)
                except Exception as error:
                    self._fail(error)
                else:
                    self._find(tasks)
                await self._ask.wait()
        except Exception as error:
            self._fail(error)
        finally:
            if watch is not None:
                watch.cancel()
            deadline = time.monotonic() + self._stop_seconds
            await bounded(connector.stop(), deadline, "stopping the connector")

    async def _watch(self, connector: Connector) -> None:
        try:
            while True:
                await connector.changed()
                logger.info("the work to share out has changed")
                self._ask.set()
        except Exception as error:
            self._fail(error)

    async def _discover(
        self, connector: Connector, config: ConnectorConfig
    ) -> list[Mapping[str, str]]:
        limit = self._limit
        tasks = list(await connector.task_configs(limit))
        if len(tasks) > limit and config.config["tasks.max.enforce"]:
            raise TooManyTasksError(
                f"The connector {self._name} has generated {len(tasks)} tasks, which is greater "
                f"than {limit}, the maximum number of tasks it is configured to create."
            )
        # A task has its connector's keys anyway. Resolved, they are nobody else's to read.
        written, resolved = config.raw, config.config.originals
        return [
            {k: v for k, v in keys.items() if v not in (written.get(k), resolved.get(k))}
            for keys in tasks
        ]

    def _find(self, tasks: list[Mapping[str, str]]) -> None:
        if self._running is asyncio.current_task():
            self.tasks = tasks
            self._planned()

    def _fail(self, error: Exception) -> None:
        if self._running is not None:
            self._failed(error)

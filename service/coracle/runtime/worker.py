"""A worker: the connectors of one process, as in Kafka Connect's standalone mode.

It implements the ``ConnectorStore`` that the REST API speaks to. Connectors live as long as the
process; their progress lives in Kafka. One process owns all tasks of its connectors, or shares them
with the others that run the same ones.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence

from coracle import __version__
from coracle.api import ConfigErrors, ConnectError
from coracle.config.connector import prepare
from coracle.config.validation import validate
from coracle.config.worker import WorkerConfig
from coracle.kafka.admin import Admin
from coracle.runtime.connector import ConnectorLife
from coracle.runtime.sharing import Alone, GroupSharing
from coracle.store import (
    AlreadyExistsError,
    ConflictError,
    ConnectorInfo,
    ConnectorStatus,
    ConnectorType,
    NotFoundError,
    TargetState,
    WorkerInfo,
)

logger = logging.getLogger(__name__)

_CLUSTER_ID_SECONDS = 3.0


class Worker:
    """Holds connectors by name and runs them.

    Args:
        config: the worker's configuration.
        shared: whether other processes run the same connectors, each a part of the tasks.

    Attributes:
        worker_id: ``host:port`` of the REST API as others reach it; shown in every status.
    """

    def __init__(self, config: WorkerConfig, *, shared: bool = False) -> None:
        self._config = config
        self._shared = shared
        self._connectors: dict[str, ConnectorLife] = {}
        self._listeners: list[Callable[[ConnectorStatus], None]] = []
        self._cluster_id = ""
        self._ready = False
        self.worker_id = f"{socket.gethostname()}:8083"

    async def start(self) -> None:
        """Be ready to take connectors. Kafka need not be there yet."""
        for warning in self._config.warnings:
            logger.warning("%s", warning)
        self._ready = True

    async def stop(self) -> None:
        """Stop all connectors side by side, within ``task.shutdown.graceful.timeout.ms``."""
        self._ready = False
        await asyncio.gather(*(life.close() for life in self._connectors.values()))
        self._connectors.clear()

    def subscribe(self, callback: Callable[[ConnectorStatus], None]) -> None:
        """Have every change of state reported, from now on."""
        self._listeners.append(callback)

    # -- ConnectorStore --------------------------------------------------------------------------

    async def worker_info(self) -> WorkerInfo:
        """Version and Kafka cluster; the cluster's id is empty while Kafka cannot be reached."""
        if not self._cluster_id:
            try:
                async with asyncio.timeout(_CLUSTER_ID_SECONDS):
                    async with Admin(self._config.client("admin")) as admin:
                        self._cluster_id = await admin.cluster_id()
            except (ConnectError, TimeoutError) as error:
                logger.warning("the Kafka cluster's id is unknown: %s", error or "timeout")
        return WorkerInfo(__version__, "unknown", self._cluster_id)

    async def ready(self) -> bool:
        """Whether start-up is complete."""
        return self._ready

    async def names(self) -> Sequence[str]:
        """The connectors' names."""
        return list(self._connectors)

    async def info(self, name: str) -> ConnectorInfo:
        """Configuration and task ids."""
        return self._life(name).info()

    async def status(self, name: str) -> ConnectorStatus:
        """States of connector and tasks."""
        return self._life(name).status()

    async def task_configs(self, name: str) -> Sequence[Mapping[str, str]]:
        """The configuration of each task by id, references unresolved."""
        return self._life(name).task_configs()

    async def create(
        self, name: str, config: Mapping[str, str], target: TargetState = TargetState.RUNNING
    ) -> ConnectorInfo:
        """Add a connector and start it.

        Raises:
            AlreadyExistsError: when there is one of that name.
            ConfigErrors: when the configuration is wrong; nothing was changed.
        """
        props = {**config, "name": name}
        kind = self._check(props)
        if name in self._connectors:
            raise AlreadyExistsError(f"Connector {name} already exists")
        self._connectors[name] = ConnectorLife(
            name,
            props,
            kind,
            target,
            self._config,
            lambda: self.worker_id,
            self._changed,
            GroupSharing() if self._shared else Alone(),
        )
        return self._connectors[name].info()

    async def put_config(
        self,
        name: str,
        config: Mapping[str, str],
        *,
        instead_of: Mapping[str, str] | None = None,
    ) -> tuple[ConnectorInfo, bool]:
        """Create a connector or replace its configuration; the flag says it was created.

        Raises:
            ConfigErrors: when the configuration is wrong; nothing was changed.
            ConflictError: when the connector's is not, or no longer, ``instead_of``.
        """
        if instead_of is not None and self._life(name).info().config != instead_of:
            raise ConflictError.changed(name)
        if name not in self._connectors:
            return await self.create(name, config), True
        props = {**config, "name": name}
        self._connectors[name].configure(props, self._check(props))
        return self._connectors[name].info(), False

    async def delete(self, name: str) -> None:
        """Stop and forget a connector. Its offsets stay."""
        await self._connectors.pop(self._life(name).name).close()

    async def set_target(self, name: str, target: TargetState) -> None:
        """Pause, resume or stop; returns when the wish is noted."""
        self._life(name).set_target(target)

    async def restart(
        self, name: str, *, include_tasks: bool = False, only_failed: bool = False
    ) -> ConnectorStatus:
        """Restart the connector instance and, if asked, its tasks."""
        life = self._life(name)
        status = life.status()
        connector = not only_failed or status.state == "FAILED"
        tasks = [
            task.id
            for task in status.tasks
            if include_tasks and (not only_failed or task.state == "FAILED")
        ]
        life.restart(connector=connector, tasks=tasks)
        return life.status()

    async def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        life = self._life(name)
        life.restart(connector=False, tasks=[life.task(task).task])

    def _check(self, props: Mapping[str, str]) -> ConnectorType:
        """Refuse a wrong configuration before anything changes; returns the connector's type."""
        validation = validate(props, self._config)
        if validation.errors:
            raise ConfigErrors(validation.errors)
        return prepare(props, self._config).kind

    def _life(self, name: str) -> ConnectorLife:
        try:
            return self._connectors[name]
        except KeyError:
            raise NotFoundError(f"Connector {name} not found") from None

    def _changed(self, life: ConnectorLife) -> None:
        for listener in self._listeners:
            try:
                listener(life.status())
            except Exception:
                logger.exception("a listener failed, which must not stop a connector")

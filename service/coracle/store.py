"""The seam between the REST API and whoever holds the connectors.

``ConnectorStore`` is what the REST API needs to know. ``runtime/worker.py`` implements it for one
process, ``kube/store.py`` for custom resources. States are Kafka Connect's, as documented at
https://kafka.apache.org/documentation/#connect_administration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from coracle.api import ConnectError


class State(StrEnum):
    """The state of a connector or task. Tasks are never STOPPED: a stopped connector has none."""

    UNASSIGNED = "UNASSIGNED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    RESTARTING = "RESTARTING"


class TargetState(StrEnum):
    """What a user asked a connector to be."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


ConnectorType = Literal["source", "sink", "unknown"]


@dataclass(frozen=True)
class TaskStatus:
    """One task: its state, and why when it failed."""

    id: int
    state: State
    worker_id: str
    trace: str = ""
    version: str = ""


@dataclass(frozen=True)
class TaskProgress:
    """What a task has done since this process has it.

    Attributes:
        records: written by a sink, acknowledged by Kafka for a source.
        lag: records in Kafka that a sink has not written yet; ``None`` for a source, and until it
            is known.
        last_commit: when offsets were last stored, in seconds since 1970; ``None`` for not yet.
    """

    records: int = 0
    lag: int | None = None
    last_commit: float | None = None


@dataclass(frozen=True)
class ConnectorStatus:
    """A connector and its tasks, as ``GET /connectors/{name}/status`` shows them."""

    name: str
    state: State
    worker_id: str
    type: ConnectorType
    trace: str = ""
    version: str = ""
    tasks: Sequence[TaskStatus] = field(default_factory=tuple)


@dataclass(frozen=True)
class ConnectorInfo:
    """A connector's configuration as its owner wrote it (references unresolved)."""

    name: str
    config: Mapping[str, str]
    type: ConnectorType
    tasks: Sequence[int] = field(default_factory=tuple)


@dataclass(frozen=True)
class WorkerInfo:
    """What ``GET /`` shows."""

    version: str
    commit: str
    kafka_cluster_id: str


class NotFoundError(ConnectError):
    """No such connector or task."""


class AlreadyExistsError(ConnectError):
    """A connector of that name exists."""


class ConflictError(ConnectError):
    """Something else is going on with the connector; the same call may work later."""

    @classmethod
    def changed(cls, name: str) -> ConflictError:
        """The error for a configuration that was made from one that is no longer there."""
        return cls(f"The connector {name} was changed at the same time.")


class ConnectorStore(Protocol):
    """Connectors by name. Methods that take a name raise ``NotFoundError`` for an unknown one."""

    async def worker_info(self) -> WorkerInfo:
        """Version and Kafka cluster."""
        ...

    async def ready(self) -> bool:
        """Whether start-up is complete."""
        ...

    async def names(self) -> Sequence[str]:
        """The connectors' names."""
        ...

    async def info(self, name: str) -> ConnectorInfo:
        """Configuration and task ids."""
        ...

    async def status(self, name: str) -> ConnectorStatus:
        """States of connector and tasks."""
        ...

    async def task_configs(self, name: str) -> Sequence[Mapping[str, str]]:
        """The configuration of each task by id, with ``task.class``; references unresolved."""
        ...

    async def create(
        self,
        name: str,
        config: Mapping[str, str],
        target: TargetState = TargetState.RUNNING,
    ) -> ConnectorInfo:
        """Add a connector and start it.

        Raises:
            AlreadyExistsError: when there is one of that name.
            ConfigErrors: when the configuration is wrong; nothing was changed.
        """
        ...

    async def put_config(
        self,
        name: str,
        config: Mapping[str, str],
        *,
        instead_of: Mapping[str, str] | None = None,
    ) -> tuple[ConnectorInfo, bool]:
        """Create a connector or replace its configuration; the flag says it was created.

        Args:
            name: the connector's.
            config: its new configuration.
            instead_of: what the new one was made from; ``None`` replaces any.

        Raises:
            ConfigErrors: when the configuration is wrong; nothing was changed.
            ConflictError: when the connector's is not, or no longer, ``instead_of``.
        """
        ...

    async def delete(self, name: str) -> None:
        """Stop and forget a connector. Its offsets stay."""
        ...

    async def set_target(self, name: str, target: TargetState) -> None:
        """Pause, resume or stop. Returns when the wish is noted, not when it is done."""
        ...

    async def restart(
        self, name: str, *, include_tasks: bool = False, only_failed: bool = False
    ) -> ConnectorStatus:
        """Restart the connector and, if asked, its tasks; returns states with RESTARTING marks."""
        ...

    async def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        ...

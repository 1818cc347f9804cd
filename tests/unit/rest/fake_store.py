"""A ``ConnectorStore`` in memory: configurations and states, nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coracle.api import ConfigError, ConfigErrors
from coracle.store import (
    AlreadyExistsError,
    ConflictError,
    ConnectorInfo,
    ConnectorStatus,
    NotFoundError,
    State,
    TargetState,
    TaskStatus,
    WorkerInfo,
)

WORKER = "127.0.0.1:8083"


class FakeStore:
    """Connectors with one task each. A class named ``Wrong`` is an invalid configuration."""

    def __init__(self) -> None:
        self.configs: dict[str, dict[str, str]] = {}
        self.statuses: dict[str, ConnectorStatus] = {}
        self.restarts: list[object] = []
        self.is_ready = True

    async def worker_info(self) -> WorkerInfo:
        return WorkerInfo("4.3.1", "abc", "cluster")

    async def ready(self) -> bool:
        return self.is_ready

    async def names(self) -> Sequence[str]:
        return list(self.configs)

    async def info(self, name: str) -> ConnectorInfo:
        self._check(name)
        tasks = [task.id for task in self.statuses[name].tasks]
        return ConnectorInfo(name, self.configs[name], "source", tasks)

    async def status(self, name: str) -> ConnectorStatus:
        self._check(name)
        return self.statuses[name]

    async def task_configs(self, name: str) -> Sequence[Mapping[str, str]]:
        self._check(name)
        return [{**self.configs[name], "task.class": "T"} for _ in self.statuses[name].tasks]

    async def create(
        self, name: str, config: Mapping[str, str], target: TargetState = TargetState.RUNNING
    ) -> ConnectorInfo:
        _validate(config)
        if name in self.configs:
            raise AlreadyExistsError(f"Connector {name} already exists")
        self.configs[name] = dict(config)
        await self._aim(name, target)
        return ConnectorInfo(name, config, "source", ())

    async def put_config(
        self,
        name: str,
        config: Mapping[str, str],
        *,
        instead_of: Mapping[str, str] | None = None,
    ) -> tuple[ConnectorInfo, bool]:
        if instead_of is not None and self.configs.get(name) != instead_of:
            raise ConflictError.changed(name)
        if name not in self.configs:
            return await self.create(name, config), True
        _validate(config)
        self.configs[name] = dict(config)
        return await self.info(name), False

    async def delete(self, name: str) -> None:
        self._check(name)
        del self.configs[name], self.statuses[name]

    async def set_target(self, name: str, target: TargetState) -> None:
        self._check(name)
        await self._aim(name, target)

    async def restart(
        self, name: str, *, include_tasks: bool = False, only_failed: bool = False
    ) -> ConnectorStatus:
        self._check(name)
        self.restarts.append((name, include_tasks, only_failed))
        return replace(self.statuses[name], state=State.RESTARTING)

    async def restart_task(self, name: str, task: int) -> None:
        self._check(name)
        if task >= len(self.statuses[name].tasks):
            raise NotFoundError("no such task")
        self.restarts.append((name, task))

    def fail_task(self, name: str, trace: str) -> None:
        """Let task 0 have failed."""
        task = TaskStatus(0, State.FAILED, WORKER, trace)
        self.statuses[name] = replace(self.statuses[name], tasks=(task,))

    async def _aim(self, name: str, target: TargetState) -> None:
        state = State(target)
        stopped = state is State.STOPPED
        tasks = () if stopped else (TaskStatus(0, state, WORKER, version="1.0"),)
        self.statuses[name] = ConnectorStatus(
            name, state, WORKER, "source", version="1.0", tasks=tasks
        )

    def _check(self, name: str) -> None:
        if name not in self.configs:
            raise NotFoundError("the store's own words")


def _validate(config: Mapping[str, str]) -> None:
    match config["connector.class"]:
        case "Wrong":
            raise ConfigErrors(
                [
                    ConfigError("Invalid value x for configuration tasks.max", field="tasks.max"),
                    ConfigError("Missing topic", field="topic", fix="Add it."),
                ]
            )
        case "Unknown":
            raise ConfigErrors(
                [
                    ConfigError(
                        "No plugin is called Unknown.",
                        field="connector.class",
                        code="unknown_class",
                    )
                ]
            )
        case "Broken":
            raise RuntimeError("a bug")

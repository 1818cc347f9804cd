"""Processes that share a connector's tasks, several of them in one test process."""

import asyncio
import json
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coracle.config import plugins
from coracle.config.worker import WorkerConfig, load_worker
from coracle.runtime.connector import ConnectorLife
from coracle.runtime.sharing import GroupSharing
from coracle.store import TargetState
from tests.servers.kafka import Kafka

PLUGINS = Path(__file__).parents[2] / "servers" / "plugins"
"""What goes on PYTHONPATH to have the ledger's connectors."""


def find_ledger_plugins() -> None:
    """Make the ledger's connectors known in this process."""
    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
        plugins._catalogue.cache_clear()


class Ledger:
    """What the plugins wrote, and what they are to do."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger"
        self.plan_path = folder / "plan"
        self.path.touch()
        self.plan()

    def plan(self, **settings: Any) -> None:
        """Have the plugins do this from now on."""
        new = self.plan_path.with_suffix(".new")
        new.write_text(json.dumps(settings))
        new.rename(self.plan_path)

    def events(self, *kinds: str, since: int = 0) -> list[dict[str, Any]]:
        """Events of these kinds, in order."""
        lines = self.path.read_text().splitlines()[since:]
        events = [json.loads(line) for line in lines]
        return [event for event in events if not kinds or event["event"] in kinds]

    def __len__(self) -> int:
        return len(self.path.read_text().splitlines())

    def running(self) -> list[int]:
        """Tasks that were started more often than stopped, once for each time."""
        running: list[int] = []
        for event in self.events("start", "stop"):
            if event["event"] == "start":
                running.append(event["task"])
            elif event["task"] in running:
                running.remove(event["task"])
        return sorted(running)

    def offsets_put(self) -> dict[int, list[int]]:
        """Every offset that was put, by partition, in order."""
        put: dict[int, list[int]] = {}
        for event in self.events("put"):
            first, last = event["offsets"]
            put.setdefault(event["partition"], []).extend(range(first, last + 1))
        return put


class Sharers:
    """A connector, and the processes that run it. Leaving the context stops them all."""

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        kind: str,
        *,
        tasks: int,
        topic: str,
        settings: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        find_ledger_plugins()
        self.ledger = Ledger(folder)
        self.name = f"{kind}-{secrets.token_hex(4)}"
        self.kind: Any = kind
        self.props = {
            "name": self.name,
            "connector.class": f"tests.Ledger{kind.capitalize()}Connector",
            "tasks.max": str(tasks),
            "ledger": str(self.ledger.path),
            "plan": str(self.ledger.plan_path),
            **({} if not topic else {"topics" if kind == "sink" else "topic": topic}),
            **(config or {}),
        }
        string = "org.apache.kafka.connect.storage.StringConverter"
        self.worker: WorkerConfig = load_worker(
            None,
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "offset.storage.topic": f"offsets-{self.name}",
                "offset.storage.partitions": "1",
                "offset.flush.interval.ms": "200",
                "key.converter": string,
                "value.converter": string,
                "session.timeout.ms": "6000",
                **(settings or {}),
            },
        )
        self.lives: list[ConnectorLife] = []
        self._made = 0

    async def __aenter__(self) -> "Sharers":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(life.close() for life in self.lives))

    def add(self, config_hash: str = "same", **props: str) -> ConnectorLife:
        """One more process."""
        self._made += 1
        worker_id = f"pod-{self._made}:8083"
        life = ConnectorLife(
            self.name,
            self.props | props,
            self.kind,
            TargetState.RUNNING,
            self.worker,
            lambda: worker_id,
            lambda life: None,
            GroupSharing(config_hash),
        )
        self.lives.append(life)
        return life

    async def remove(self, life: ConnectorLife) -> None:
        """One process less."""
        self.lives.remove(life)
        await life.close()

    def shares(self) -> list[list[int]]:
        """The tasks of each process."""
        return [[task.id for task in life.status().tasks] for life in self.lives]

    def all_running(self, count: int) -> bool:
        """Whether these tasks, each once, run in the processes, evenly."""
        shares = self.shares()
        states = {task.state for life in self.lives for task in life.status().tasks}
        sizes = [len(share) for share in shares]
        return (
            sorted(number for share in shares for number in share) == list(range(count))
            and states <= {"RUNNING"}
            and max(sizes) - min(sizes) <= 1
        )

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for something to be so."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            status = [life.status() for life in self.lives]
            raise AssertionError(f"{status}\n{self.ledger.events()[-20:]}") from None

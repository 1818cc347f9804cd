"""A source and a sink that keep a ledger: what ran where, and when.

A distribution of its own, as a third party's would be: this folder goes on ``PYTHONPATH``. Every
event is a line of JSON appended to the file ``ledger``, shared by all processes of a test.

The connectors read ``plan`` for what to do, a JSON file that a test may change at any time:
    tasks    the source's task configurations, cut to what is allowed; by default one for each task
    hang     discovery does not return
    fail     discovery raises this text
    hang_stop  the connector never finishes stopping
    silent   the source's tasks produce nothing
    break_task  this task of the source fails at its next poll
    put      seconds that each put of the sink takes
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from coracle.api import (
    Config,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    ConnectError,
    ConnectorContext,
    Importance,
    RecordBatch,
    RecordSchema,
    SinkConnector,
    SinkTask,
    SinkTaskContext,
    SourceConnector,
    SourceOffset,
    SourceTask,
    SourceTaskContext,
    TopicPartition,
)

SPEC = ConfigSpec(
    [
        ConfigKey("ledger", ConfigType.STRING, None, "The ledger.", Importance.HIGH),
        ConfigKey("plan", ConfigType.STRING, None, "What to do.", Importance.HIGH),
        ConfigKey("topic", ConfigType.STRING, "", "Where the source writes.", Importance.HIGH),
        ConfigKey("share", ConfigType.STRING, "", "A task's own.", Importance.LOW),
    ]
)


class Ledger:
    """Appends events and reads the plan."""

    def __init__(self, config: Config) -> None:
        self._path = Path(config["ledger"])
        self._plan = Path(config["plan"])

    def note(self, event: str, **more: Any) -> None:
        line = {"event": event, "pid": os.getpid(), "time": time.time(), **more}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    @property
    def plan(self) -> dict[str, Any]:
        try:
            return json.loads(self._plan.read_text())
        except (OSError, ValueError):
            return {}


class _Discovery:
    """What both connectors do."""

    config: Config

    async def start(self, context: ConnectorContext, config: Config) -> None:
        self.config = config
        self.ledger = Ledger(config)
        self.ledger.note("lead")

    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        plan = self._seen = self.ledger.plan
        if plan.get("hang"):
            self.ledger.note("hanging")
            await asyncio.Event().wait()
        if plan.get("fail"):
            raise ConnectError(plan["fail"])
        return plan.get("tasks", self.tasks(max_tasks))[:max_tasks]

    def tasks(self, max_tasks: int) -> list[dict[str, str]]:
        return [{"share": f"share {n}"} for n in range(max_tasks)]

    async def changed(self) -> None:
        while self.ledger.plan == self._seen:
            await asyncio.sleep(0.05)
        self._seen = self.ledger.plan

    async def stop(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.ledger.note("lead no more")
        if self.ledger.plan.get("hang_stop"):
            await asyncio.Event().wait()


class LedgerSourceTask(SourceTask):
    """Counts, from where the stored offset says."""

    async def start(self, context: SourceTaskContext, config: Config) -> None:
        self.ledger = Ledger(config)
        self.task = context.task
        self.topic = config["topic"]
        self.share = config["share"]
        (offset,) = await context.offsets.read([{"task": context.task}])
        self.next = 0 if offset is None else offset["next"]
        self.ledger.note("start", task=self.task, share=self.share, next=self.next)

    async def poll(self) -> RecordBatch | None:
        await asyncio.sleep(0.02)
        if self.ledger.plan.get("break_task") == self.task:
            raise ConnectError("broken")
        if self.ledger.plan.get("silent"):
            await asyncio.sleep(0.2)
            return None
        value, self.next = f"{self.task}:{self.next}", self.next + 1
        return RecordBatch(
            [RecordSchema(self.topic)],
            [None],
            [value],
            [0],
            [None],
            source_offsets=[SourceOffset({"task": self.task}, {"next": self.next})],
            nbytes=len(value),
        )

    async def stop(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.note("stop", task=self.task)


class LedgerSourceConnector(_Discovery, SourceConnector):
    spec = SPEC
    task_class = LedgerSourceTask


class LedgerSinkTask(SinkTask):
    """Writes down what it is given."""

    async def start(self, context: SinkTaskContext, config: Config) -> None:
        self.ledger = Ledger(config)
        self.task = context.task
        self.ledger.note("start", task=self.task)

    async def open(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.ledger.note("open", task=self.task, partitions=sorted(p.partition for p in partitions))

    async def put(self, batches: Sequence[RecordBatch]) -> None:
        await asyncio.sleep(self.ledger.plan.get("put", 0))
        for batch in batches:
            assert batch.origin is not None
            self.ledger.note(
                "put",
                task=self.task,
                partition=batch.origin.partition,
                offsets=[batch.offsets[0], batch.offsets[-1]],
                values=list(batch.values),
            )

    async def close(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.ledger.note(
            "close", task=self.task, partitions=sorted(p.partition for p in partitions)
        )

    async def stop(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.note("stop", task=self.task)


class LedgerSinkConnector(_Discovery, SinkConnector):
    spec = SPEC
    task_class = LedgerSinkTask

    def tasks(self, max_tasks: int) -> list[dict[str, str]]:
        return [{} for _ in range(max_tasks)]

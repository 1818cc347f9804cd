"""Runs the JDBC source as the runtime would, without Kafka: offsets are kept in a dict."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from coracle.api import RecordBatch, Schema
from coracle.connectors.jdbc.source import JdbcSourceConnector, JdbcSourceTask
from tests.servers.database import Database


class Offsets:
    """The offsets topic, by source partition."""

    def __init__(self) -> None:
        self.stored: dict[str, Mapping[str, Any] | None] = {}

    async def read(
        self, partitions: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any] | None]:
        return [self.stored.get(json.dumps(p, sort_keys=True)) for p in partitions]

    def store(self, batch: RecordBatch) -> None:
        for partition, offset in batch.source_offsets:
            self.stored[json.dumps(partition, sort_keys=True)] = json.loads(json.dumps(offset))


class Context:
    name = connector = "rows"
    task = 0

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets


def settings(database: Database[Any] | str, **more: str) -> dict[str, str]:
    """A configuration; dots of keys are written as double underscores."""
    base = {"topic.prefix": "t.", "poll.interval.ms": "20", "connection.backoff.ms": "50"}
    if isinstance(database, str):
        base["connection.url"] = f"jdbc:sqlite:{database}"
    else:
        base["connection.url"] = database.jdbc_url
        base["connection.user"] = database.user
        base["connection.password"] = database.password
    return base | {key.replace("__", "."): value for key, value in more.items()}


@asynccontextmanager
async def connector_of(config: Mapping[str, str]) -> AsyncIterator[JdbcSourceConnector]:
    connector = JdbcSourceConnector()
    try:
        await connector.start(Context(Offsets()), connector.spec.parse(config))
        yield connector
    finally:
        await connector.stop()


@asynccontextmanager
async def task_of(
    config: Mapping[str, str], offsets: Offsets | None = None
) -> AsyncIterator[JdbcSourceTask]:
    """The first task of the connector, started."""
    async with connector_of(config) as connector:
        own = (await connector.task_configs(1))[0]
    task = JdbcSourceTask()
    try:
        await task.start(Context(offsets or Offsets()), connector.spec.parse({**config, **own}))
        yield task
    finally:
        await task.stop()


async def poll(task: JdbcSourceTask) -> RecordBatch:
    """The next batch, within ten seconds."""
    while True:
        batch = await asyncio.wait_for(task.poll(), 10)
        if batch is not None and len(batch):
            return batch


async def quiet(task: JdbcSourceTask, seconds: float = 0.3) -> bool:
    """Whether no record comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            while not await task.poll():
                pass
    except TimeoutError:
        return True
    return False


async def read(
    config: Mapping[str, str], count: int, offsets: Offsets | None = None
) -> list[dict[str, Any]]:
    """The first ``count`` values; every batch's offsets are stored."""
    offsets = offsets or Offsets()
    values: list[dict[str, Any]] = []
    async with task_of(config, offsets) as task:
        while len(values) < count:
            batch = await poll(task)
            offsets.store(batch)
            values += batch.values
    return values


async def first(config: Mapping[str, str]) -> tuple[Schema, dict[str, Any]]:
    """The schema and value of the first record."""
    async with task_of(config) as task:
        batch = await poll(task)
    schema = batch.schemas[0].value
    assert schema is not None
    return schema, batch.values[0]

"""Stand-ins for Kafka and for plugins, so that a test decides what happens when."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from coracle.api import Config, RecordBatch, RecordSchema, TopicPartition
from coracle.kafka.consume import BatchConsumer
from coracle.runtime.conversion import Converters
from coracle.runtime.pipeline import Pipeline
from coracle.runtime.sink import SinkRun, SinkSettings
from coracle.runtime.tolerance import Tolerance
from coracle.transforms.chain import Chain
from tests.integration.runtime.sinks import Plain, Recorder, Text

Rebalance = Callable[[AbstractSet[TopicPartition]], Coroutine[Any, Any, None]]
PARTITION = TopicPartition("orders", 0)


def policy(**settings: Any) -> Config:
    """The error settings of a connector; dots written as underscores."""
    return Config(
        {
            "errors.tolerance": "none",
            "errors.log.enable": False,
            "errors.log.include.messages": False,
            "errors.retry.timeout": 0,
            "errors.retry.delay.max.ms": 60000,
        }
        | {key.replace("_", "."): value for key, value in settings.items()},
        {"connector.class": "Recorder"},
    )


def fetched(*values: bytes | None, first: int = 0, nbytes: int = 100) -> RecordBatch:
    """A batch as the consumer hands it out."""
    count = len(values)
    return RecordBatch(
        [RecordSchema(PARTITION.topic)],
        [None] * count,
        list(values),
        range(first, first + count),
        [0] * count,
        origin=PARTITION,
        position=first + count,
        nbytes=nbytes,
    )


class FakeConsumer:
    """Hands out one batch of ``ready`` at a time, and remembers what is committed."""

    def __init__(self) -> None:
        self.ready: deque[RecordBatch] = deque()
        self.commits: list[Mapping[TopicPartition, int]] = []
        self.on_assigned: Rebalance
        self.on_revoked: Rebalance

    async def start(self, topics: Sequence[str], pattern: str, assigned: Any, revoked: Any) -> None:
        self.on_assigned, self.on_revoked = assigned, revoked

    async def stop(self) -> None:
        pass

    def take(self, max_bytes: int) -> list[RecordBatch]:
        return [self.ready.popleft()] if self.ready else []

    async def wait(self, timeout: float) -> None:
        await asyncio.sleep(0.01)

    def look_for_topics(self) -> None:
        pass

    def can_commit(self) -> bool:
        return True

    def ours(self) -> bool:
        return True

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self.commits.append(dict(positions))


class SinkAtWork:
    """A sink task without Kafka. Leaving the context stops it."""

    def __init__(self, sink: Recorder, converter: Text | None = None, **settings: Any) -> None:
        self.consumer = FakeConsumer()
        config = policy(**settings)
        self.run = SinkRun(
            Pipeline(
                "orders",
                0,
                config,
                Converters(Text(), converter or Text(), Plain(), "Text", "Text", "Plain"),
                Chain([]),
                Tolerance("orders", 0, config),
            ),
            sink,
            cast(BatchConsumer, self.consumer),
            SinkSettings(["orders"], "", 0.05, 1.0),
        )

    async def __aenter__(self) -> "SinkAtWork":
        self.run.resume()
        await self.run.start()
        self.task = asyncio.create_task(self.run.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.run.stop(time.monotonic() + 1)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something to be so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)

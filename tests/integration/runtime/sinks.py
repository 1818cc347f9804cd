"""A sink whose doings a test can watch and bend, run by the real runtime against a real broker."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from coracle.api import (
    BatchError,
    Column,
    Config,
    Converter,
    ConverterKind,
    DataError,
    Header,
    HeaderConverter,
    RecordBatch,
    Schema,
    SinkTask,
    SinkTaskContext,
    TopicPartition,
    Transform,
)
from coracle.kafka.consume import BatchConsumer
from coracle.runtime.conversion import Converters
from coracle.runtime.pipeline import Pipeline
from coracle.runtime.sink import SinkRun, SinkSettings
from coracle.runtime.tolerance import Tolerance
from coracle.transforms.chain import Chain, Step
from tests.servers.kafka import Kafka


class Text(Converter):
    """UTF-8 text; anything else is a bad record."""

    def configure(self, config: Config, kind: ConverterKind) -> None:
        pass

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        values: list[str | None] = []
        failures: dict[int, Exception] = {}
        for index, item in enumerate(data):
            try:
                values.append(None if item is None else item.decode())
            except UnicodeDecodeError as error:
                failures[index] = DataError(f"not UTF-8: {error}")
        if failures:
            raise BatchError(failures)
        return Column(values, [None])

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        return [None if v is None else str(v).encode() for v in values]


class Plain(HeaderConverter):
    def configure(self, config: Config) -> None:
        pass

    def to_connect_header(self, topic: str, name: str, data: bytes | None) -> Header:
        return Header(name, None, data)

    def from_connect_header(self, topic: str, header: Header) -> bytes | None:
        return header.value


class Rename(Transform):
    """Routes everything to another topic."""

    def configure(self, config: Config) -> None:
        pass

    def apply(self, batch: RecordBatch) -> RecordBatch:
        return batch.with_(schemas=[s._replace(topic="elsewhere") for s in batch.schemas])


class DropAll(Transform):
    def configure(self, config: Config) -> None:
        pass

    def apply(self, batch: RecordBatch) -> RecordBatch:
        return batch.select([False] * len(batch))


class Recorder(SinkTask):
    """Keeps what it is given.

    Attributes:
        written: values in the order they were put, of puts that succeeded.
        events: what was called, in order.
        on_put: called with the values of a put before it counts; may raise or wait.
    """

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.topics: set[str] = set()
        self.events: list[str] = []
        self.durable: Callable[[], Mapping[TopicPartition, int] | None] = lambda: None

        async def nothing(values: list[Any]) -> None:
            pass

        self.on_put: Callable[[list[Any]], Any] = nothing

    async def start(self, context: SinkTaskContext, config: Config) -> None:
        self.events.append("start")

    async def open(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.events.append(f"open {len(partitions)}")

    async def put(self, batches: Sequence[RecordBatch]) -> None:
        values = [value for batch in batches for value in batch.values]
        await self.on_put(values)
        self.written += values
        self.topics |= {schema.topic for batch in batches for schema in batch.schemas}

    async def flush(self) -> Mapping[TopicPartition, int] | None:
        return self.durable()

    async def close(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.events.append(f"close {len(partitions)}")

    async def stop(self) -> None:
        self.events.append("stop")


def text_pipeline(
    name: str, plugin: str, tolerance: str = "none", transforms: Sequence[Transform] = ()
) -> Pipeline:
    """The stages of a task that carries text."""
    policy = {
        "errors.tolerance": tolerance,
        "errors.log.enable": False,
        "errors.log.include.messages": False,
        "errors.retry.timeout": 0,
        "errors.retry.delay.max.ms": 60000,
    }
    config = Config(policy, {"connector.class": plugin})
    return Pipeline(
        name,
        0,
        config,
        Converters(Text(), Text(), Plain(), "Text", "Text", "Plain"),
        Chain([Step(f"t{i}", t, None, False, type(t).__name__) for i, t in enumerate(transforms)]),
        Tolerance(name, 0, config),
    )


class RunningSink:
    """A sink task at work. Use as an async context manager; leaving it stops the task."""

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        *,
        transforms: Sequence[Transform] = (),
        tolerance: str = "none",
        name: str = "",
        flush_interval: float = 0.2,
        sink: Recorder | None = None,
        consumer: Mapping[str, str] | None = None,
    ) -> None:
        self.sink = sink or Recorder()
        self.name = name or f"sink-{secrets.token_hex(4)}"
        self._kafka = kafka
        pipeline = text_pipeline(self.name, "Recorder", tolerance, transforms)
        self.tolerance = pipeline.tolerance
        props = {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": f"connect-{self.name}",
            **(consumer or {}),
        }
        self.run = SinkRun(
            pipeline,
            self.sink,
            BatchConsumer(props),
            SinkSettings([topic], "", flush_interval, 5.0),
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunningSink":
        self.run.resume()
        await self.run.start()
        self.task = asyncio.create_task(self.run.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self, seconds: float = 5.0) -> BaseException | None:
        """Stop as a task is stopped; returns what the run had failed with, if it had."""
        assert self.task is not None
        self.task.cancel()
        (result,) = await asyncio.gather(self.task, return_exceptions=True)
        await self.run.stop(time.monotonic() + seconds)
        failed = isinstance(result, BaseException) and not isinstance(
            result, asyncio.CancelledError
        )
        return result if failed else None

    async def failure(self) -> BaseException:
        """What the run ends with."""
        assert self.task is not None
        done, _ = await asyncio.wait([self.task], timeout=20)
        assert done, "the task should have failed"
        error = self.task.exception()
        assert error is not None
        return error

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for something to be so; the task must not fail meanwhile."""
        assert self.task is not None
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.02)

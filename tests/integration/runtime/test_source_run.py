"""What a source task promises, on a real broker: order, offsets behind records, errors, stops."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from coracle.api import (
    Config,
    RecordBatch,
    RecordSchema,
    RetriableError,
    SourceOffset,
    SourceTask,
    SourceTaskContext,
)
from coracle.kafka.offsets import OffsetTopic
from coracle.kafka.produce import BatchProducer
from coracle.runtime.failure import Stage, StageError
from coracle.runtime.source import SourceRun, SourceSettings
from coracle.runtime.topics import TopicCreator
from tests.integration.kafka.test_consume import joined, take_all
from tests.integration.runtime.sinks import DropAll, text_pipeline
from tests.servers.kafka import Kafka


class Counter(SourceTask):
    """Emits 0, 1, 2… up to ``limit``, continuing from its stored offset.

    Attributes:
        on_poll: called before each poll with the next number; may raise or wait.
    """

    def __init__(self, topic: str, limit: int, size: int = 100) -> None:
        self.topic, self.limit, self.size = topic, limit, size
        self.next = 0
        self.confirmed: list[int] = []
        self.on_poll: Callable[[int], Any] | None = None

    async def start(self, context: SourceTaskContext, config: Config) -> None:
        (stored,) = await context.offsets.read([{"counter": "c"}])
        self.next = stored["next"] if stored else 0

    async def poll(self) -> RecordBatch | None:
        if self.on_poll is not None:
            await self.on_poll(self.next)
        if self.next >= self.limit:
            await asyncio.sleep(0.05)
            return None
        values: list[Any] = list(range(self.next, min(self.next + self.size, self.limit)))
        self.next = values[-1] + 1
        return RecordBatch(
            [RecordSchema(self.topic)],
            [None] * len(values),
            values,
            range(len(values)),
            [None] * len(values),
            source_offsets=[SourceOffset({"counter": "c"}, {"next": self.next})],
            nbytes=8 * len(values),
        )

    async def committed(self, offsets: Sequence[SourceOffset]) -> None:
        self.confirmed += [o.offset["next"] for o in offsets if o.offset]


class RunningSource:
    """A source task at work; leaving the context stops it."""

    def __init__(
        self,
        kafka: Kafka,
        source: SourceTask,
        *,
        name: str = "",
        transforms: Sequence[Any] = (),
        tolerance: str = "none",
        flush_interval: float = 0.1,
    ) -> None:
        self.name = name or f"source-{secrets.token_hex(4)}"
        props = {"bootstrap.servers": kafka.bootstrap_servers}
        pipeline = text_pipeline(self.name, "Counter", tolerance, transforms)
        self.tolerance = pipeline.tolerance
        self.offsets = OffsetTopic(self.name, "connect-offsets", props, props, props)
        self.run = SourceRun(
            pipeline,
            source,
            BatchProducer(props),
            self.offsets,
            TopicCreator([], props).ensure,
            SourceSettings(flush_interval, 5.0, 5, None),
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunningSource":
        self.run.resume()
        await self.run.start()
        self.task = asyncio.create_task(self.run.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self, seconds: float = 5) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.run.stop(time.monotonic() + seconds)

    async def failure(self) -> BaseException:
        assert self.task is not None
        done, _ = await asyncio.wait([self.task], timeout=20)
        assert done, "the task should have failed"
        error = self.task.exception()
        assert error is not None
        return error

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        assert self.task is not None
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.02)


async def contents(kafka: Kafka, topic: str, count: int) -> list[int]:
    async with joined(kafka, topic, group=f"g-{secrets.token_hex(4)}") as consumer:
        return [int(v) for b in await take_all(consumer, count) for v in b.values]


async def test_records_arrive_in_order_and_a_restart_goes_on_behind_them(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    source = Counter(topic, 5000)
    async with RunningSource(kafka, source) as running:
        await running.until(lambda: source.confirmed[-1:] == [5000])
    second = Counter(topic, 6000)
    async with RunningSource(kafka, second, name=running.name) as again:
        await again.until(lambda: second.confirmed[-1:] == [6000])
    assert await contents(kafka, topic, 6000) == list(range(6000))


async def test_progress_counts_what_kafka_has(kafka: Kafka) -> None:
    source = Counter(kafka.new_topic(), 500)
    async with RunningSource(kafka, source) as running:
        assert running.run.progress().last_commit is None
        await running.until(lambda: source.confirmed[-1:] == [500])
        progress = running.run.progress()
    assert (progress.records, progress.lag) == (500, None)
    assert progress.last_commit is not None


async def test_offsets_move_when_every_record_is_dropped(kafka: Kafka) -> None:
    source = Counter(kafka.new_topic(), 500)
    async with RunningSource(kafka, source, transforms=[DropAll()]) as running:
        await running.until(lambda: source.confirmed[-1:] == [500])


async def test_a_stop_stores_what_was_acknowledged(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    source = Counter(topic, 300)
    async with RunningSource(kafka, source, flush_interval=3600) as running:
        await running.until(lambda: running.run.counts.source_record_write_total == 300)
    assert source.confirmed[-1] == 300


async def test_offsets_that_wait_to_be_stored_are_merged(kafka: Kafka) -> None:
    """A long flush interval costs no memory."""
    topic = kafka.new_topic()
    source = Counter(topic, 3000, size=1)
    async with RunningSource(kafka, source, flush_interval=3600) as running:
        await running.until(lambda: running.run.counts.source_record_write_total == 3000)
        assert len(running.run._acknowledged) < 2000
    assert source.confirmed[-1] == 3000
    second = Counter(topic, 3000)
    async with RunningSource(kafka, second, name=running.name):
        assert second.next == 3000


async def test_what_was_polled_before_a_failing_poll_is_sent_and_stored(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    source = Counter(topic, 10_000)

    async def fail(number: int) -> None:
        if number >= 500:
            raise ValueError("the table is gone")

    source.on_poll = fail
    async with RunningSource(kafka, source) as running:
        error = await running.failure()
        await running.end()
    assert isinstance(error, StageError)
    assert error.stage is Stage.TASK_POLL
    assert "the table is gone" in str(error.__cause__)
    assert source.confirmed[-1] == 500
    assert await contents(kafka, topic, 500) == list(range(500))


async def test_a_poll_is_repeated_after_a_retriable_error(kafka: Kafka) -> None:
    source = Counter(kafka.new_topic(), 100)
    failures = iter([RetriableError("away", after=0.05)] * 3)

    async def sometimes(number: int) -> None:
        for error in failures:
            raise error

    source.on_poll = sometimes
    async with RunningSource(kafka, source) as running:
        await running.until(lambda: source.confirmed[-1:] == [100])


@pytest.mark.parametrize("tolerance", ["none", "all"])
async def test_a_record_too_large_for_kafka(kafka: Kafka, tolerance: str) -> None:
    topic = kafka.new_topic()

    class Large(Counter):
        async def poll(self) -> RecordBatch | None:
            batch = await super().poll()
            if batch is not None:
                batch.values[1] = "x" * 5_000_000
            return batch

    source = Large(topic, 3)
    async with RunningSource(kafka, source, tolerance=tolerance) as running:
        if tolerance == "all":
            await running.until(lambda: source.confirmed[-1:] == [3])
            assert running.tolerance.counts.total_records_skipped == 1
        else:
            error = await running.failure()
            assert isinstance(error, StageError)
            assert "max.request.size" in str(error.__cause__)
    assert source.confirmed == ([3] if tolerance == "all" else [])
    if tolerance == "all":
        assert await contents(kafka, topic, 2) == [0, 2]


async def test_nothing_is_stored_for_records_the_broker_never_took(kafka: Kafka) -> None:
    """Killed brokers and bounded stops: the offset stays behind, and the records come again."""
    topic = kafka.new_topic()
    source = Counter(topic, 200)
    gate = asyncio.Event()

    async def hold(number: int) -> None:
        if number >= 100:
            await gate.wait()

    source.on_poll = hold
    running = RunningSource(kafka, source)
    async with running:
        await running.until(lambda: source.confirmed[-1:] == [100])
        kafka.stop()
        gate.set()
        await asyncio.sleep(1)
        begun = time.monotonic()
        await running.end(seconds=2)
        assert time.monotonic() - begun < 3.5
    await asyncio.to_thread(kafka.start)
    second = Counter(topic, 200)
    async with RunningSource(kafka, second, name=running.name) as again:
        await again.until(lambda: second.confirmed[-1:] == [200])
    assert sorted(set(await contents(kafka, topic, 200))) == list(range(200))


async def test_a_source_that_is_silent_for_long_still_works(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    source = Counter(topic, 10)
    gate = asyncio.Event()

    async def silent(number: int) -> None:
        await gate.wait()

    source.on_poll = silent
    async with RunningSource(kafka, source) as running:
        await asyncio.sleep(3)
        gate.set()
        await running.until(lambda: source.confirmed[-1:] == [10])


async def test_a_graceful_stop_repeats_nothing(kafka: Kafka) -> None:
    """Stopped while it is sending, several times over: every number is in the topic once."""
    topic = kafka.new_topic()
    name, last = "", 0
    for _ in range(5):
        source = Counter(topic, 1_000_000, size=50)
        async with RunningSource(kafka, source, name=name, flush_interval=3600) as running:
            name = running.name
            await running.until(lambda: running.run.counts.source_record_write_total > 500)
        assert source.confirmed[-1] > last
        last = source.confirmed[-1]
    assert await contents(kafka, topic, last) == list(range(last))

"""What a sink task promises, on a real broker: order, commits, retries, errors, rebalances."""

import asyncio
import secrets
import time

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from coracle.api import BatchError, DataError, RetriableError, TopicPartition
from coracle.runtime.failure import Stage, StageError, format_trace
from tests.integration.kafka.test_consume import produce
from tests.integration.runtime.sinks import DropAll, Recorder, Rename, RunningSink
from tests.servers.kafka import Kafka


async def committed(kafka: Kafka, sink: RunningSink, topic: str) -> dict[int, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    offsets = await admin.list_consumer_group_offsets(f"connect-{sink.name}")
    await admin.close()
    return {p.partition: o.offset for p, o in offsets.items() if p.topic == topic}


async def committed_sum(kafka: Kafka, sink: RunningSink, topic: str, total: int) -> None:
    """Wait until the group has no lag."""
    async with asyncio.timeout(20):
        while sum((await committed(kafka, sink, topic)).values()) < total:
            await asyncio.sleep(0.1)


def numbers(count: int) -> list[bytes | None]:
    return [str(i).encode() for i in range(count)]


async def test_everything_arrives_in_order_and_is_committed(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(5000))
    async with RunningSink(kafka, topic) as running:
        await running.until(lambda: len(running.sink.written) >= 5000)
        await committed_sum(kafka, running, topic, 5000)
    assert [int(v) for v in running.sink.written] == list(range(5000))
    assert running.sink.events == ["start", "open 1", "close 1", "stop"]


async def test_progress_counts_what_is_written_and_what_is_left(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=2)
    await produce(kafka, topic, numbers(100))
    sink = Recorder()
    stuck, began = asyncio.Event(), time.time()

    async def wait(values: list[str]) -> None:
        await stuck.wait()

    sink.on_put = wait
    async with RunningSink(kafka, topic, sink=sink) as running:
        await running.until(lambda: running.run.progress().lag == 100)
        assert running.run.progress().records == 0
        stuck.set()
        await running.until(lambda: running.run.progress().lag == 0)
        await running.until(lambda: running.run.progress().last_commit is not None)
        progress = running.run.progress()
        assert progress.records == 100
        assert began <= (progress.last_commit or 0) <= time.time()
    async with RunningSink(kafka, topic, name=running.name) as again:
        await again.until(lambda: again.run.progress().lag == 0)
        assert again.run.progress().last_commit is None


@pytest.mark.parametrize("transform", [DropAll, Rename])
async def test_dropping_or_rerouting_everything_leaves_no_lag(kafka: Kafka, transform) -> None:
    topic = kafka.new_topic(partitions=3)
    await produce(kafka, topic, numbers(3000))
    async with RunningSink(kafka, topic, transforms=[transform()]) as running:
        await committed_sum(kafka, running, topic, 3000)
    assert running.sink.topics == ({"elsewhere"} if transform is Rename else set())


async def test_a_put_is_repeated_until_it_works(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(10))
    sink = Recorder()
    attempts: list[int] = []

    async def fail_twice(values: list[str]) -> None:
        attempts.append(len(values))
        if len(attempts) < 3:
            raise RetriableError("away", after=0.05)

    sink.on_put = fail_twice
    async with RunningSink(kafka, topic, sink=sink) as running:
        await running.until(lambda: len(sink.written) == 10)
    assert attempts == [10, 10, 10]


async def test_nothing_is_committed_that_a_failed_put_did_not_write(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(10))
    sink = Recorder()

    async def refuse(values: list[str]) -> None:
        raise ValueError("the disk is full")

    sink.on_put = refuse
    async with RunningSink(kafka, topic, sink=sink) as running:
        error = await running.failure()
        await running.end()
    assert isinstance(error, StageError)
    assert error.stage is Stage.TASK_PUT
    trace = format_trace(error, running.name, 0)
    for part in (running.name, "task 0", "TASK_PUT", f"{topic}-0@0-9", "the disk is full"):
        assert part in trace
    assert await committed(kafka, running, topic) == {}
    async with RunningSink(kafka, topic, name=running.name) as again:
        await again.until(lambda: len(again.sink.written) == 10)


async def test_only_what_flush_calls_durable_is_committed(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(10))
    sink = Recorder()
    sink.durable = lambda: {TopicPartition(topic, 0): 4}
    async with RunningSink(kafka, topic, sink=sink) as running:
        await committed_sum(kafka, running, topic, 4)
        await asyncio.sleep(0.5)
    assert await committed(kafka, running, topic) == {0: 4}


async def test_a_bad_record_stops_the_task_behind_all_good_ones(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(10))
    async with RunningSink(kafka, topic) as running:
        await running.until(lambda: len(running.sink.written) == 10)
        await produce(kafka, topic, [b"\xff", b"after"])
        error = await running.failure()
        await running.end()
    assert isinstance(error, StageError)
    assert (error.stage, error.position) == (Stage.VALUE_CONVERTER, f"{topic}-0@10")
    assert await committed(kafka, running, topic) == {0: 10}


async def test_tolerated_bad_records_are_skipped_and_counted(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, [b"1", b"\xff", b"2", b"bad", b"3"])
    sink = Recorder()

    async def refuse_bad(values: list[str]) -> None:
        bad = {i: DataError("no") for i, v in enumerate(values) if v == "bad"}
        if bad:
            raise BatchError(bad)

    sink.on_put = refuse_bad
    async with RunningSink(kafka, topic, sink=sink, tolerance="all") as running:
        await committed_sum(kafka, running, topic, 5)
    assert sink.written == ["1", "2", "3"]
    assert running.tolerance.counts.total_records_skipped == 2


async def test_a_pause_holds_records_back_and_a_resume_lets_them_go(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    async with RunningSink(kafka, topic) as running:
        await running.until(lambda: "open 1" in running.sink.events)
        running.run.pause()
        await asyncio.sleep(1.2)  # a wait for records may be under way
        await produce(kafka, topic, numbers(5))
        await asyncio.sleep(1)
        assert running.sink.written == []
        running.run.resume()
        await running.until(lambda: len(running.sink.written) == 5)


async def test_two_tasks_share_partitions_without_loss(kafka: Kafka) -> None:
    """A second member joins while records flow: every record is written by one or the other."""
    topic = kafka.new_topic(partitions=4)
    await produce(kafka, topic, numbers(2000))
    first = RunningSink(kafka, topic)
    slow = first.sink

    async def slowly(values: list[str]) -> None:
        await asyncio.sleep(0.05)

    slow.on_put = slowly
    async with first:
        await first.until(lambda: len(slow.written) > 0)
        async with RunningSink(kafka, topic, name=first.name) as second:
            await second.until(lambda: any(e.startswith("open") for e in second.sink.events))
            await produce(kafka, topic, [b"x%d" % i for i in range(2000)])
            await first.until(lambda: len({*slow.written, *second.sink.written}) == 4000)
            assert second.sink.written
            assert slow.events[:4] == ["start", "open 4", "close 4", "open 2"]


async def test_a_rebalance_is_not_held_up_by_a_put_that_keeps_failing(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=2)
    await produce(kafka, topic, numbers(10))
    stuck = Recorder()

    async def away(values: list[str]) -> None:
        raise RetriableError("away", after=60)

    stuck.on_put = away
    async with RunningSink(kafka, topic, sink=stuck) as first:
        await first.until(lambda: "open 2" in stuck.events)
        async with RunningSink(kafka, topic, name=first.name) as second:
            await second.until(lambda: "open 1" in second.sink.events, seconds=10)


async def test_a_stop_commits_what_was_written(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(100))
    async with RunningSink(kafka, topic, flush_interval=3600) as running:
        await running.until(lambda: len(running.sink.written) == 100)
    assert await committed(kafka, running, topic) == {0: 100}


async def test_a_stop_is_bounded_with_the_broker_away_and_the_sink_stuck(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(10))
    sink = Recorder()

    async def for_ever(values: list[str]) -> None:
        await asyncio.sleep(3600)

    sink.on_put = for_ever
    running = RunningSink(kafka, topic, sink=sink)
    async with running:
        await running.until(lambda: "open 1" in sink.events)
        await asyncio.sleep(0.3)
        kafka.stop()
        begun = time.monotonic()
        await running.end(seconds=2)
        assert time.monotonic() - begun < 3


async def test_a_stuck_sink_holds_memory_not_records(kafka: Kafka) -> None:
    """100 partitions behind a sink that blocks: what is fetched is bounded, then all is written."""
    topic = kafka.new_topic(partitions=100)
    await produce(kafka, topic, [b"%06d" % i + b"x" * 1000 for i in range(50_000)])
    sink = Recorder()
    gate = asyncio.Event()

    async def wait(values: list[str]) -> None:
        await gate.wait()

    sink.on_put = wait
    async with RunningSink(kafka, topic, sink=sink) as running:
        await running.until(lambda: running.run.counts.bytes_read_total > 0)
        await asyncio.sleep(3)
        assert running.run.counts.bytes_read_total < 15 << 20
        gate.set()
        await running.until(lambda: len(sink.written) == 50_000, seconds=60)
    assert len({v[:6] for v in sink.written}) == 50_000


async def test_a_group_survives_its_broker(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, numbers(5))
    async with RunningSink(kafka, topic) as running:
        await running.until(lambda: len(running.sink.written) == 5)
        kafka.stop()
        await asyncio.sleep(1)
        await asyncio.to_thread(kafka.start)
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
        await producer.start()
        await producer.send_and_wait(topic, b"again")
        await producer.stop()
        await running.until(lambda: "again" in running.sink.written, seconds=60)


async def test_a_topic_that_appears_later_is_found_within_seconds(kafka: Kafka) -> None:
    topic = f"later-{secrets.token_hex(4)}"
    async with RunningSink(kafka, topic) as running:
        await asyncio.sleep(1)
        await produce(kafka, topic, numbers(3))
        await running.until(lambda: len(running.sink.written) == 3, seconds=8)


async def test_a_sink_that_cannot_open_fails_its_task(kafka: Kafka) -> None:
    topic = kafka.new_topic()

    class Closed(Recorder):
        async def open(self, partitions) -> None:
            raise ValueError("no such bucket")

    async with RunningSink(kafka, topic, sink=Closed()) as running:
        assert "no such bucket" in str(await running.failure())

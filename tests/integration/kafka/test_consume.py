"""A group member that hands out batches, against a real broker."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from time import monotonic

import aiokafka

from coracle.api import TopicPartition
from coracle.kafka.consume import BatchConsumer
from coracle.kafka.produce import BatchProducer
from tests.servers.kafka import Kafka


async def produce(kafka: Kafka, topic: str, values: list[bytes | None]) -> None:
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers, "batch.size": "16384"})
    await producer.start()
    spread = [i % len(await producer.partitions(topic)) for i in range(len(values))]
    futures = await producer.send(
        topic, [None] * len(values), values, [None] * len(values), partitions=spread
    )
    await asyncio.gather(*futures)
    await producer.stop(5)


@contextlib.asynccontextmanager
async def joined(
    kafka: Kafka,
    topic: str,
    group: str = "",
    pattern: str = "",
    budget: int = 8 << 20,
    **props: str,
) -> AsyncIterator[BatchConsumer]:
    """A consumer that has its first assignment."""
    assigned = asyncio.Event()

    async def on_assigned(partitions: AbstractSet[TopicPartition]) -> None:
        if partitions:
            assigned.set()

    async def on_revoked(partitions: AbstractSet[TopicPartition]) -> None:
        pass

    consumer = BatchConsumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": group or f"g-{topic}"}
        | {key.replace("_", "."): value for key, value in props.items()},
        budget=budget,
    )
    await consumer.start([] if pattern else [topic], pattern, on_assigned, on_revoked)
    async with asyncio.timeout(20):
        await assigned.wait()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take_all(consumer: BatchConsumer, count: int, max_bytes: int = 1 << 20):
    batches = []
    async with asyncio.timeout(30):
        while sum(map(len, batches)) < count:
            taken = consumer.take(max_bytes)
            if not taken:
                await consumer.wait(1)
            batches += taken
    return batches


async def test_batches_hold_every_record_once_and_in_order(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=3)
    values: list[bytes | None] = [str(i).encode() for i in range(30_000)]
    await produce(kafka, topic, values)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, len(values), max_bytes=16 * 1024)
    assert sorted(int(v) for b in batches for v in b.values) == list(range(30_000))
    for partition in range(3):
        mine = [b for b in batches if b.origin == TopicPartition(topic, partition)]
        assert [o for b in mine for o in b.offsets] == list(range(10_000))
        assert [b.position for b in mine] == [b.offsets[-1] + 1 for b in mine]
    assert len(batches) > 3, "16 KiB at a time must have made several of each partition"


async def test_positions_are_committed_and_resumed_from(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, [b"a", b"b", b"c"])
    async with joined(kafka, topic) as consumer:
        await take_all(consumer, 3)
        await consumer.commit({TopicPartition(topic, 0): 2})
    async with joined(kafka, topic) as consumer:
        (batch,) = await take_all(consumer, 1)
    assert batch.values == [b"c"]


async def test_tombstones_headers_and_timestamps_arrive(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    headers = [[("trace", b"1"), ("empty", None)], []]
    futures = await producer.send(topic, [b"k", None], [None, b"v"], [42, 43], headers)
    await asyncio.gather(*futures)
    await producer.stop(5)
    async with joined(kafka, topic) as consumer:
        (batch,) = await take_all(consumer, 2)
    assert (batch.keys, batch.values, batch.timestamps) == ([b"k", None], [None, b"v"], [42, 43])
    assert batch.headers is not None
    assert [[tuple(h) for h in hs] for hs in batch.headers] == [
        [("trace", None, b"1"), ("empty", None, None)],
        [],
    ]


async def test_what_a_transaction_aborted_is_hidden_yet_counted(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"t-{topic}"
    )
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"kept")
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"aborted")
    await producer.abort_transaction()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"kept too")
    await producer.stop()
    async with joined(kafka, topic, isolation_level="read_committed") as consumer:
        batches = await take_all(consumer, 2)
        async with asyncio.timeout(10):
            while batches[-1].position < 6:  # three records and three markers
                await consumer.wait(1)
                batches += consumer.take(1 << 20)
    assert [v for b in batches for v in b.values] == [b"kept", b"kept too"]


async def test_a_pattern_finds_topics(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, [b"x"])
    async with joined(kafka, topic, pattern=f"{topic[:-1]}.") as consumer:
        (batch,) = await take_all(consumer, 1)
    assert batch.origin == TopicPartition(topic, 0)


async def test_memory_is_bounded_and_nothing_is_fetched_twice(kafka: Kafka) -> None:
    """100 partitions and a reader that takes nothing for a while, then everything."""
    topic = kafka.new_topic(partitions=100)
    values: list[bytes | None] = [bytes(1000)] * 60_000
    await produce(kafka, topic, values)
    budget = 4 << 20
    async with joined(kafka, topic, budget=budget, fetch_max_bytes=str(2 << 20)) as consumer:
        fetcher = consumer._consumer._fetcher
        await asyncio.sleep(2)
        assert fetcher.buffered() <= budget + (2 << 20)
        held = fetcher.buffered()
        await asyncio.sleep(1)
        assert fetcher.buffered() == held, "it must not go on fetching while nobody takes"
        batches = await take_all(consumer, len(values))
    assert sum(map(len, batches)) == len(values)


async def test_lag_is_known(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka, topic, [b"a", b"b", b"c"])
    async with joined(kafka, topic) as consumer:
        await take_all(consumer, 3)
        assert consumer.lag() == {TopicPartition(topic, 0): 0}


async def test_what_was_taken_is_freed_without_a_garbage_collection(kafka: Kafka) -> None:
    """aiokafka's buffers sit in a reference cycle; left alone they pile up between collections."""
    topic = kafka.new_topic()
    await produce(kafka, topic, [bytes(1000)] * 1000)
    gc.disable()
    try:
        async with joined(kafka, topic) as consumer:
            await consumer.wait(5)
            (result,) = consumer._consumer._fetcher._records.values()
            buffer = weakref.ref(result._partition_records)
            del result
            await take_all(consumer, 1000)
            assert buffer() is None
    finally:
        gc.enable()


async def test_an_idle_partition_does_not_hold_up_a_busy_one(kafka: Kafka) -> None:
    """A fetch for what has nothing new waits at the broker, and others of that broker behind it."""
    topic = kafka.new_topic(partitions=2)
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    values: list[bytes | None] = [b"v" * 10_000] * 2_000
    futures = await producer.send(
        topic, [None] * len(values), values, [None] * len(values), partitions=[0] * len(values)
    )
    await asyncio.gather(*futures)
    await producer.stop(5)
    async with joined(kafka, topic, fetch_max_wait_ms="2000") as consumer:
        begin = monotonic()
        taken = 0
        async with asyncio.timeout(60):
            while taken < len(values):
                batches = consumer.take(256 * 1024)
                if not batches:
                    await consumer.wait(1)
                taken += sum(map(len, batches))
                await asyncio.sleep(0.005)  # as a sink would
        seconds = monotonic() - begin
    assert seconds < 2, f"20 MB took {seconds:.1f} s: fetches waited for the idle partition"

"""Columns to Kafka: placement, limits, and a broker that goes away."""

import asyncio
import time

import pytest

from coracle.api import BatchError
from coracle.kafka.produce import BatchProducer
from tests.integration.kafka.test_consume import joined, take_all
from tests.servers.kafka import Kafka


async def started(kafka: Kafka, **props: str) -> BatchProducer:
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers, **props})
    await producer.start()
    return producer


async def test_records_of_a_key_share_the_partition_java_would_choose(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=7)
    producer = await started(kafka)
    # Partitions of these keys among 7 as printed by org.apache.kafka.common.utils.Utils.murmur2.
    expected = {
        b"21": 3,
        b"foobar": 0,
        b"a-little-bit-long-string": 1,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": 3,
    }
    keys: list[bytes | None] = list(expected)
    await asyncio.gather(*await producer.send(topic, keys, keys, [None] * len(keys)))
    await producer.stop(5)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, len(keys))
    placed = {k: b.origin.partition for b in batches if b.origin for k in b.keys}
    assert placed == expected


async def test_a_record_above_the_limit_is_named_and_nothing_is_sent(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = await started(kafka)
    with pytest.raises(BatchError) as caught:
        await producer.send(topic, [None] * 3, [b"a", bytes(5_000_000), b"c"], [None] * 3)
    assert list(caught.value.failures) == [1]
    assert "max.request.size" in str(caught.value.failures[1])
    await asyncio.gather(*await producer.send(topic, [None], [b"d"], [None]))
    await producer.stop(5)
    async with joined(kafka, topic) as consumer:
        (batch,) = await take_all(consumer, 1)
    assert batch.values == [b"d"]


async def test_a_record_of_five_megabytes_passes_when_limits_are_raised(kafka: Kafka) -> None:
    topic = kafka.new_topic(config={"max.message.bytes": "8000000"})
    producer = await started(kafka, **{"max.request.size": "8000000"})
    big = bytes(5_000_000)
    await asyncio.gather(*await producer.send(topic, [None, None], [big, b"x"], [None, None]))
    await producer.stop(5)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, 2)
    assert [v for b in batches for v in b.values] == [big, b"x"]


async def test_records_wait_for_a_broker_that_was_away(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = await started(kafka, **{"request.timeout.ms": "3000"})
    await asyncio.gather(*await producer.send(topic, [None], [b"before"], [None]))
    kafka.stop()
    futures = await producer.send(topic, [None], [b"during"], [None])
    await asyncio.sleep(1)
    assert not futures[0].done()
    await asyncio.to_thread(kafka.start)
    async with asyncio.timeout(30):
        await asyncio.gather(*futures)
    await producer.stop(5)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, 2)
    assert [v for b in batches for v in b.values] == [b"before", b"during"]


async def test_stopping_is_bounded_while_the_broker_is_away(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = await started(kafka)
    await asyncio.gather(*await producer.send(topic, [None], [b"before"], [None]))
    kafka.stop()
    futures = await producer.send(topic, [None], [b"lost"], [None])
    begun = time.monotonic()
    await producer.stop(1)
    assert time.monotonic() - begun < 2
    assert all(
        isinstance(r, Exception) for r in await asyncio.gather(*futures, return_exceptions=True)
    )

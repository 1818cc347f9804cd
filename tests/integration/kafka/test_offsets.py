"""The source offsets topic, as Kafka Connect keeps it."""

import asyncio
import secrets

from coracle.api import SourceOffset
from coracle.kafka.admin import Admin
from coracle.kafka.offsets import OffsetTopic
from coracle.kafka.produce import BatchProducer
from tests.integration.kafka.test_consume import joined, take_all
from tests.servers.kafka import Kafka


async def opened(kafka: Kafka, connector: str, topic: str) -> OffsetTopic:
    props = {"bootstrap.servers": kafka.bootstrap_servers}
    offsets = OffsetTopic(connector, topic, props, props, props)
    await offsets.start(partitions=5, replication_factor=None)
    return offsets


async def test_offsets_are_read_back_and_keep_to_their_connector(kafka: Kafka) -> None:
    topic = f"offsets-{secrets.token_hex(4)}"
    offsets = await opened(kafka, "orders", topic)
    await offsets.write([SourceOffset({"table": "a"}, {"incrementing": 1})])
    await offsets.write([SourceOffset({"table": "a"}, {"incrementing": 2})])
    await offsets.write([SourceOffset({"table": "b"}, {"incrementing": 3})])
    await offsets.write([SourceOffset({"table": "b"}, None)])
    await offsets.stop(5)
    again = await opened(kafka, "orders", topic)
    assert await again.read([{"table": "a"}, {"table": "b"}]) == [{"incrementing": 2}, None]
    await again.stop(5)
    other = await opened(kafka, "customers", topic)
    assert other.all() == []
    await other.stop(5)


async def test_keys_of_another_worker_are_recognised_and_written_again(kafka: Kafka) -> None:
    """A JVM worker's map order is its own; compaction needs the very same bytes."""
    topic = kafka.new_topic(config={"cleanup.policy": "compact"})
    theirs = b'["jvm",{"z":1,"a":"x"}]'
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    await asyncio.gather(*await producer.send(topic, [theirs], [b'{"position":7}'], [None]))
    await producer.stop(5)
    offsets = await opened(kafka, "jvm", topic)
    assert await offsets.read([{"a": "x", "z": 1}]) == [{"position": 7}]
    await offsets.write([SourceOffset({"a": "x", "z": 1}, {"position": 8})])
    await offsets.stop(5)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, 2)
    assert [k for b in batches for k in b.keys] == [theirs, theirs]
    assert [v for b in batches for v in b.values][-1] == b'{"position":8}'


async def test_a_record_that_is_no_offset_is_passed_over(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    keys: list[bytes | None] = [b"not json", None, b'["c",{"k":1}]']
    values: list[bytes | None] = [b"x", b"{}", b'{"o":1}']
    await asyncio.gather(*await producer.send(topic, keys, values, [None] * 3))
    await producer.stop(5)
    offsets = await opened(kafka, "c", topic)
    assert await offsets.read([{"k": 1}]) == [{"o": 1}]
    await offsets.stop(5)


async def test_erasing_leaves_nothing_of_a_connector_however_its_keys_were_written(
    kafka: Kafka,
) -> None:
    topic = f"offsets-{secrets.token_hex(4)}"
    ours = await opened(kafka, "orders", topic)
    await ours.write([SourceOffset({"a": "x", "z": 1}, {"n": 1}), SourceOffset({"t": 2}, {"n": 2})])
    await ours.stop(5)
    others = await opened(kafka, "customers", topic)
    await others.write([SourceOffset({"t": 2}, {"n": 3})])
    await others.stop(5)
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    keys: list[bytes | None] = [b'["orders",{"z":1,"a":"x"}]']
    await asyncio.gather(*await producer.send(topic, keys, [b'{"n":7}'], [None]))
    await producer.stop(5)

    props = {"bootstrap.servers": kafka.bootstrap_servers}
    assert await OffsetTopic("orders", topic, props, props, props).erase() == 2
    assert await OffsetTopic("orders", topic, props, props, props).erase() == 0
    again = await opened(kafka, "orders", topic)
    assert again.all() == []
    await again.stop(5)
    async with joined(kafka, topic) as consumer:
        batches = await take_all(consumer, 7)
    records = [pair for b in batches for pair in zip(b.keys, b.values, strict=True)]
    assert sorted(key for key, value in records if value is None) == [
        b'["orders",{"a":"x","z":1}]',
        b'["orders",{"t":2}]',
        b'["orders",{"z":1,"a":"x"}]',
    ]
    others = await opened(kafka, "customers", topic)
    assert await others.read([{"t": 2}]) == [{"n": 3}]
    await others.stop(5)


async def test_erasing_creates_no_topic(kafka: Kafka) -> None:
    topic = f"offsets-{secrets.token_hex(4)}"
    props = {"bootstrap.servers": kafka.bootstrap_servers}
    assert await OffsetTopic("orders", topic, props, props, props).erase() == 0
    async with Admin(props) as admin:
        assert topic not in await admin.topics()

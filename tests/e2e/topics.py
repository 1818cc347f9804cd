"""What is in Kafka: records, ends of topics, offsets of groups and of sources.

Synchronous, each call with a loop and a client of its own: the tests are about another process.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.servers.kafka import Kafka


@dataclass(frozen=True)
class Message:
    """A record as bytes."""

    value: bytes | None
    key: bytes | None = None
    timestamp: int | None = None


def envelope(schema: Mapping[str, Any], payload: Any) -> bytes:
    """A JSON document as the Json converter with `schemas.enable=true` reads it."""
    return json.dumps({"schema": schema, "payload": payload}).encode()


def struct(**types: str) -> dict[str, Any]:
    """Schema of a struct: types by field; a `?` behind a type makes the field optional."""
    fields = [
        {"field": name, "type": kind.rstrip("?"), "optional": kind.endswith("?")}
        for name, kind in types.items()
    ]
    return {"type": "struct", "optional": False, "fields": fields}


def produce(
    kafka: Kafka,
    topic: str,
    messages: Sequence[Message | bytes],
    *,
    partitions: int = 1,
    batch_bytes: int = 256 * 1024,
    max_request_bytes: int = 16 * 1024 * 1024,
) -> None:
    """Append records, shared out over the partitions in turns of a batch."""

    async def send() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers,
            max_batch_size=batch_bytes,
            max_request_size=max_request_bytes,
        )
        await producer.start()
        try:
            sent, turn = [], 0
            builder = producer.create_batch()

            async def close() -> None:
                nonlocal builder, turn
                builder.close()
                sent.append(await producer.send_batch(builder, topic, partition=turn % partitions))
                builder, turn = producer.create_batch(), turn + 1

            for each in messages:
                message = each if isinstance(each, Message) else Message(each)
                record = {
                    "key": message.key,
                    "value": message.value,
                    "timestamp": message.timestamp,
                }
                if builder.append(**record) is None:
                    await close()
                    builder.append(**record)
            await close()
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(send())


def records(kafka: Kafka, topic: str) -> list[Any]:
    """All records of a topic."""

    async def read() -> list[Any]:
        consumer = _consumer(kafka)
        await consumer.start()
        try:
            partitions = await _partitions(consumer, topic)
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Any] = []
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def values(kafka: Kafka, topic: str) -> list[Any]:
    """The payloads of a topic of JSON envelopes."""
    return [json.loads(record.value)["payload"] for record in records(kafka, topic)]


def ends(kafka: Kafka, topic: str) -> dict[int, int]:
    """End offset by partition."""

    async def read() -> dict[int, int]:
        consumer = _consumer(kafka)
        await consumer.start()
        try:
            found = await consumer.end_offsets(await _partitions(consumer, topic))
            return {p.partition: offset for p, offset in found.items()}
        finally:
            await consumer.stop()

    return asyncio.run(read())


def configure(kafka: Kafka, topic: str, config: Mapping[str, str]) -> None:
    """Change a topic's configuration."""

    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))
            await admin.alter_configs([resource])
        finally:
            await admin.close()

    asyncio.run(alter())


def committed(kafka: Kafka, connector: str, topic: str) -> dict[int, int]:
    """What a sink's group has committed, by partition."""

    async def read() -> dict[int, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(f"connect-{connector}")
        except GroupCoordinatorNotAvailableError:
            return {}  # no group has committed anything since the broker was made
        finally:
            await admin.close()
        return {p.partition: o.offset for p, o in offsets.items() if p.topic == topic}

    return asyncio.run(read())


def source_offsets(kafka: Kafka, topic: str) -> dict[str, Any]:
    """What sources have stored in an offsets topic: offset by key, both as JSON says."""
    return {
        record.key.decode(): json.loads(record.value) if record.value else None
        for record in records(kafka, topic)
    }


def _consumer(kafka: Kafka) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=16 * 1024 * 1024,
    )


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.add_topic(topic)
    await consumer._client.force_metadata_update()
    found = consumer.partitions_for_topic(topic)
    return [TopicPartition(topic, number) for number in sorted(found or ())]

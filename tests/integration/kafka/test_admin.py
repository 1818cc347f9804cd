"""Deleting consumer groups."""

import secrets

import aiokafka
import pytest

from coracle.api import RetriableError
from coracle.kafka.admin import Admin
from tests.integration.kafka.test_consume import joined, produce, take_all
from tests.servers.kafka import Kafka


async def committed(kafka: Kafka, group: str, topic: str) -> int | None:
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        return await consumer.committed(aiokafka.TopicPartition(topic, 0))
    finally:
        await consumer.stop()


async def test_a_group_is_deleted_once_nobody_is_in_it(kafka: Kafka) -> None:
    topic, group = kafka.new_topic(), f"connect-{secrets.token_hex(4)}"
    await produce(kafka, topic, [b"a", b"b"])
    async with Admin({"bootstrap.servers": kafka.bootstrap_servers}) as admin:
        async with joined(kafka, topic, group=group) as consumer:
            [batch] = await take_all(consumer, 2)
            assert batch.origin is not None
            await consumer.commit({batch.origin: 2})
            with pytest.raises(RetriableError, match=f"Group {group} .* it has members. Stop the"):
                await admin.delete_group(group)
        assert await committed(kafka, group, topic) == 2
        assert await admin.delete_group(group)
        assert await committed(kafka, group, topic) is None
        await admin.delete_group(group)
        assert not await admin.delete_group(f"connect-{secrets.token_hex(4)}")

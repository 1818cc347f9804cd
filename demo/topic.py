"""Looking into Kafka: how many records, what one looks like, where everybody stands."""

from __future__ import annotations

import json
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


class Topic:
    """A topic with one partition, and the offsets around it; use as a context manager."""

    def __init__(self, broker: str, name: str) -> None:
        self._broker = broker
        self._partition = TopicPartition(name, 0)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")

    async def __aenter__(self) -> Topic:
        await self._consumer.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """How many records it has; a topic that is not there yet has none."""
        if self._partition.topic not in await self._consumer.topics():
            return 0
        ends = await self._consumer.end_offsets([self._partition])
        return int(ends[self._partition])

    async def first(self) -> dict[str, Any]:
        """The value of its first record, parsed."""
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, 0)
        record = await self._consumer.getone(self._partition)
        return dict(json.loads(record.value or b"{}"))

    async def source_offset(self) -> tuple[str, str]:
        """Key and value of the newest source offset that the worker has stored."""
        offsets = AIOKafkaConsumer(bootstrap_servers=self._broker, auto_offset_reset="earliest")
        await offsets.start()
        try:
            partitions = [
                TopicPartition("connect-offsets", number)
                for number in await self._numbers(offsets, "connect-offsets")
            ]
            ends = await offsets.end_offsets(partitions)
            written = [partition for partition, end in ends.items() if end]
            offsets.assign(written)
            for partition in written:
                offsets.seek(partition, ends[partition] - 1)
            newest = max(
                [await offsets.getone(partition) for partition in written],
                key=lambda record: record.timestamp,
            )
        finally:
            await offsets.stop()
        return (newest.key or b"").decode(), (newest.value or b"").decode()

    @staticmethod
    async def _numbers(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
        await consumer.topics()
        return sorted(consumer.partitions_for_topic(topic) or ())

    async def sink_offset(self, group: str) -> int:
        """The offset that a consumer group has committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._broker)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return int(committed[self._partition].offset)

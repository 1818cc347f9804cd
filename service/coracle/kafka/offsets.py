"""The source offsets topic, in Kafka Connect's own format.

A record's key is the compact JSON ``["<connector>",{<source partition>}]`` and its value the JSON
of the source offset, or null to forget it; the topic is compacted. Format:
``org.apache.kafka.connect.storage.OffsetStorageWriter`` of Apache Kafka, and KIP-26.

The topic is read to its end at each start and only this connector's keys are kept. Two keys are the
same
partition when their JSON is equal, whatever the order of members: Java maps are not sorted, so a
worker of another kind may have written ``{"b":1,"a":2}`` where we would write ``{"a":2,"b":1}``.
The bytes found in the topic are written again, so that compaction and that worker keep recognising
them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka
import orjson
from aiokafka.errors import KafkaError

from coracle.api import ConnectError, SourceOffset
from coracle.kafka.admin import Admin
from coracle.kafka.consume import stop_consumer
from coracle.kafka.produce import BatchProducer
from coracle.kafka.security.connection import start
from coracle.kafka.settings import consumer_arguments

logger = logging.getLogger(__name__)

Partition = Mapping[str, Any]
Offset = Mapping[str, Any]


def _canonical(connector: str, partition: Partition) -> bytes:
    return orjson.dumps([connector, partition], option=orjson.OPT_SORT_KEYS)


class OffsetTopic:
    """The stored offsets of one source connector.

    Args:
        connector: the connector's name.
        topic: the offsets topic, ``offset.storage.topic`` or the connector's own.
        consumer_props, producer_props, admin_props: Java client properties.
    """

    def __init__(
        self,
        connector: str,
        topic: str,
        consumer_props: Mapping[str, str],
        producer_props: Mapping[str, str],
        admin_props: Mapping[str, str],
    ) -> None:
        self.connector = connector
        self.topic = topic
        self._consumer_props = dict(consumer_props)
        self._admin_props = dict(admin_props)
        self._producer = BatchProducer(producer_props)
        self._keys: dict[bytes, bytes] = {}
        self._spellings: set[bytes] = set()
        self._offsets: dict[bytes, Offset] = {}

    async def start(self, *, partitions: int, replication_factor: int | None) -> None:
        """Create the topic if it is missing, read it, and get ready to write.

        Raises:
            ConnectError: when Kafka is away or the topic cannot be read.
        """
        await self.create(partitions=partitions, replication_factor=replication_factor)
        await self._read_to_end()
        await self._producer.start()

    async def create(self, *, partitions: int, replication_factor: int | None) -> None:
        """Create the topic if it is missing.

        Raises:
            ConnectError: when Kafka is away or does not create it.
        """
        async with Admin(self._admin_props) as admin:
            if self.topic not in await admin.topics():
                await admin.create_topic(
                    self.topic,
                    partitions=partitions,
                    replication_factor=replication_factor,
                    configs={"cleanup.policy": "compact"},
                )

    async def stop(self, timeout: float = 0) -> None:
        """Disconnect, waiting at most ``timeout`` seconds for what was being written."""
        await self._producer.stop(timeout)

    async def erase(self) -> int:
        """Forget all offsets of this connector, with a tombstone for each (KIP-875).

        Called instead of ``start``, while no task of the connector runs; a topic that does not
        exist is not created.

        Returns:
            how many source partitions had an offset.

        Raises:
            ConnectError: when Kafka is away, or did not take all tombstones.
        """
        async with Admin(self._admin_props) as admin:
            if self.topic not in await admin.topics():
                return 0
        await self._read_to_end()
        erased = len(self._offsets)
        if erased:
            await self._producer.start()
            try:
                # Each way in which somebody wrote a key is a record of its own to compaction.
                keys: list[bytes | None] = [*sorted(self._spellings)]
                await self._send(keys, [None] * len(keys))
            finally:
                await self._producer.stop(0)
            self._offsets.clear()
        return erased

    async def read(self, partitions: Sequence[Partition]) -> Sequence[Offset | None]:
        """The stored offset of each source partition, ``None`` where there is none."""
        return [self._offsets.get(_canonical(self.connector, p)) for p in partitions]

    def all(self) -> list[SourceOffset]:
        """Every stored offset of this connector."""
        return [
            SourceOffset(orjson.loads(self._keys[key])[1], offset)
            for key, offset in self._offsets.items()
        ]

    def last_of_each(self, offsets: Sequence[SourceOffset]) -> list[SourceOffset]:
        """Of each source partition the last of these offsets: the one ``write`` stores."""
        return list({_canonical(self.connector, o.partition): o for o in offsets}.values())

    async def write(self, offsets: Sequence[SourceOffset]) -> None:
        """Store offsets and wait until Kafka has them. The last one of a partition wins.

        Raises:
            ConnectError: when Kafka did not take them; some may have been stored.
        """
        latest = {_canonical(self.connector, o.partition): o for o in offsets}
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        for canonical, offset in latest.items():
            if canonical not in self._keys:
                self._keys[canonical] = orjson.dumps([self.connector, offset.partition])
            keys.append(self._keys[canonical])
            values.append(None if offset.offset is None else orjson.dumps(offset.offset))
        await self._send(keys, values)
        for canonical, offset in latest.items():
            self._remember(canonical, offset.offset)

    async def _send(self, keys: list[bytes | None], values: list[bytes | None]) -> None:
        futures = await self._producer.send(self.topic, keys, values, [None] * len(keys))
        try:
            await asyncio.gather(*futures)
        except KafkaError as error:
            raise ConnectError(f"Offsets were not stored in {self.topic}: {error!r}") from error

    def _remember(self, canonical: bytes, offset: Offset | None) -> None:
        if offset is None:
            self._offsets.pop(canonical, None)
        else:
            self._offsets[canonical] = offset

    async def _read_to_end(self) -> None:
        arguments = consumer_arguments(self._consumer_props) | {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "group_id": None,
        }
        # Without a group, subscribing waits for the topic's metadata and assigns every partition.
        consumer = aiokafka.AIOKafkaConsumer(self.topic, **arguments)
        try:
            await start(consumer, self._consumer_props)
            ends = await consumer.end_offsets(consumer.assignment())
            remaining = {p: end for p, end in ends.items() if end > 0}
            while remaining:
                fetched = await consumer.getmany(timeout_ms=200)
                for records in fetched.values():
                    for record in records:
                        self._absorb(record.key, record.value)
                for partition in list(remaining):
                    if await consumer.position(partition) >= remaining[partition]:
                        del remaining[partition]
        except KafkaError as error:
            raise ConnectError(f"Offsets topic {self.topic} cannot be read: {error!r}") from error
        finally:
            await stop_consumer(consumer)

    def _absorb(self, key: bytes | None, value: bytes | None) -> None:
        try:
            connector, partition = orjson.loads(key or b"")
            offset = orjson.loads(value) if value else None
        except (orjson.JSONDecodeError, ValueError, TypeError):
            logger.warning("a record of %s is no source offset and is passed over", self.topic)
            return
        if connector == self.connector and isinstance(partition, dict):
            canonical = _canonical(connector, partition)
            self._keys[canonical] = key or b""
            self._spellings.add(key or b"")
            self._remember(canonical, offset)

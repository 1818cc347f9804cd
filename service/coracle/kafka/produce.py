"""Record batches to Kafka, with one acknowledgement per batch of ours.

Per record ``send`` costs ten times what filling a batch does, so records are grouped by partition
and appended to aiokafka's batch builders directly. A partition's records keep their order: each
partition has one open builder at a time and aiokafka sends one batch per partition at a time.

Idempotence is on unless it is overridden: Kafka Connect's own default (off, one request in flight)
can repeat records when a broker answers late, and aiokafka lets only idempotent batches outlive a
broker that is away. See docs/adr/0003-idempotent-producers.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from coracle.api import BatchError, ConnectError, DataError
from coracle.kafka.partitioner import Partitioner
from coracle.kafka.security.connection import start
from coracle.kafka.settings import producer_arguments

logger = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
MAX_REQUEST_BYTES = 1024 * 1024
_RECORD_OVERHEAD = 100
_TOPIC_WAIT_SECONDS = 60.0
_CLOSE_SECONDS = 1.0

RawHeaders = Sequence[tuple[str, bytes | None]]


class BatchProducer:
    """Writes columns of serialized records.

    Args:
        props: Java producer properties.
    """

    def __init__(self, props: Mapping[str, str]) -> None:
        self._props = dict(props)
        self._producer: Any = None
        self._partitioners: dict[str, Partitioner] = {}
        self._arguments = {
            "acks": "all",
            "enable_idempotence": True,
            "max_batch_size": BATCH_BYTES,
            "max_request_size": MAX_REQUEST_BYTES,
        } | producer_arguments(props)
        if self._arguments["acks"] != "all":
            self._arguments["enable_idempotence"] = False
        self.max_record_bytes: int = self._arguments["max_request_size"]

    async def start(self) -> None:
        """Connect.

        Raises:
            RetriableError: when no broker answers.
            ConnectError: when a broker refuses us.
        """
        self._producer = aiokafka.AIOKafkaProducer(**self._arguments)
        try:
            client = await start(self._producer, self._props)
        except ConnectError:
            await self._producer.stop()
            self._producer = None
            raise
        # Whoever waits for an acknowledgement learns that no broker lets us in any more.
        client.on_refusal = self._producer._message_accumulator.fail_all

    async def stop(self, timeout: float = 0) -> None:
        """Wait ``timeout`` seconds for outstanding batches, then disconnect whatever is left."""
        if self._producer is None:
            return
        try:
            async with asyncio.timeout(max(timeout, 0.01)):
                await self._producer.stop()
        except (TimeoutError, KafkaError):
            logger.warning("the producer is closed with batches that Kafka has not acknowledged")
        finally:
            await self._abandon()

    async def _abandon(self) -> None:
        # An idempotent batch never expires by itself, so a broker that is away would hold us for
        # ever. After a stop that went well there is nothing left to do here.
        sending = self._producer._sender.sender_task
        if sending is not None:
            sending.cancel()
        # The sender waits for its requests, which end with their connections, but for news of the
        # brokers after that: nobody asks for it any more.
        client = self._producer.client
        await client.close()
        if client._md_update_fut is None:
            client._md_update_fut = asyncio.get_running_loop().create_future()
        if not client._md_update_fut.done():
            client._md_update_fut.set_result(False)
        if sending is not None:
            await asyncio.wait({sending}, timeout=_CLOSE_SECONDS)
        accumulator = self._producer._message_accumulator
        left = [batch for queue in accumulator._batches.values() for batch in queue]
        left += accumulator._pending_batches
        # A batch that is to be sent again is not among them; its callback expects to find it there.
        accumulator._pending_batches.update(left)
        accumulator.fail_all(KafkaTimeoutError())
        for batch in left:
            # Whoever still waits gets the error; nobody waiting is no reason for a warning.
            for future in (batch.future, batch._drain_waiter):
                if future.done() and not future.cancelled():
                    future.exception()

    async def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic in order; a topic the broker creates by itself is waited for.

        Raises:
            ConnectError: when the topic does not exist and does not appear.
        """
        deadline = time.monotonic() + _TOPIC_WAIT_SECONDS
        while True:
            try:
                return sorted(await self._producer.partitions_for(topic))
            except TopicAuthorizationFailedError as error:
                raise ConnectError(
                    f"Not allowed to write to topic {topic}.", fix="Grant Write and Describe."
                ) from error
            except KafkaError as error:
                if self._producer.client.refusal is not None:
                    raise self._producer.client.refusal from None
                if time.monotonic() > deadline:
                    raise ConnectError(
                        f"Topic {topic} does not exist and the broker did not create it: "
                        f"{error!r}.",
                        fix="Create it, or set topic.creation.default.replication.factor and "
                        "topic.creation.default.partitions on the connector.",
                    ) from error
                await asyncio.sleep(0.5)

    async def send(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int | None],
        headers: Sequence[RawHeaders] | None = None,
        partitions: Sequence[int | None] | None = None,
    ) -> list[asyncio.Future[Any]]:
        """Queue records of one topic, in order per partition.

        Returns:
            futures that resolve when Kafka has acknowledged everything of this call; waiting here
            means that enough is queued already.

        Raises:
            BatchError: for records larger than ``max.request.size``; nothing was queued.
            ConnectError: when the topic or partition does not exist.
        """
        self._check_sizes(topic, keys, values)
        available = await self.partitions(topic)
        placement = self._place(topic, keys, values, partitions, available)
        now = int(time.time() * 1000)
        futures: list[asyncio.Future[Any]] = []
        for partition, indexes in placement.items():
            builder = self._producer.create_batch()
            for index in indexes:
                timestamp = timestamps[index]
                record = {
                    "timestamp": now if timestamp is None else timestamp,
                    "key": keys[index],
                    "value": values[index],
                    "headers": headers[index] if headers is not None else [],
                }
                if builder.append(**record) is None:
                    futures.append(await self._queue(builder, topic, partition))
                    builder = self._producer.create_batch()
                    builder.append(**record)
            futures.append(await self._queue(builder, topic, partition))
        return futures

    async def _queue(self, builder: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        builder.close()
        while True:
            try:
                return await self._producer.send_batch(builder, topic, partition=partition)
            except KafkaTimeoutError:
                # The partition's queue did not drain: the broker is away. The builder was not
                # taken.
                logger.warning("%s-%d takes no records; waiting for its broker", topic, partition)

    def _check_sizes(
        self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        limit = self.max_record_bytes - _RECORD_OVERHEAD
        failures: dict[int, Exception] = {}
        for index, value in enumerate(values):
            size = len(value or b"") + len(keys[index] or b"")
            if size > limit:
                failures[index] = DataError(
                    f"The record for topic {topic} is {size} bytes when serialized, which is more "
                    f"than the {self.max_record_bytes} that max.request.size allows.",
                    fix="Raise producer.override.max.request.size and the topic's limit too.",
                )
        if failures:
            raise BatchError(failures)

    def _place(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        chosen: Sequence[int | None] | None,
        available: Sequence[int],
    ) -> dict[int, Sequence[int]]:
        """Indexes by partition."""
        partitioner = self._partitioners.get(topic)
        if partitioner is None:
            partitioner = self._partitioners[topic] = Partitioner(self._arguments["max_batch_size"])
        if chosen is None and not any(key is not None for key in keys):
            nbytes = sum(len(value or b"") for value in values)
            return {partitioner.sticky(nbytes, available): range(len(values))}
        placement: dict[int, list[int]] = {}
        count = len(available)
        for index, key in enumerate(keys):
            wish = chosen[index] if chosen is not None else None
            if wish is None:
                if key is None:
                    wish = partitioner.sticky(len(values[index] or b""), available)
                else:
                    wish = available[partitioner.keyed([key], count)[0]]
            elif wish not in available:
                raise ConnectError(f"Topic {topic} has no partition {wish}; it has {count}.")
            placement.setdefault(wish, []).append(index)
        return placement  # type: ignore[return-value]


def describe_produce_error(topic: str, error: BaseException) -> ConnectError:
    """A failed acknowledgement in words."""
    if isinstance(error, ConnectError):
        return error
    if isinstance(error, MessageSizeTooLargeError):
        return DataError(
            f"The broker refused a record for topic {topic} as too large.",
            fix="Raise the topic's max.message.bytes.",
        )
    return ConnectError(f"Kafka did not take records for topic {topic}: {error!r}")

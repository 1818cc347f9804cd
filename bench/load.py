"""Filling a topic, in large batches so that it does not take longer than the benchmark."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from bench.shapes import Shape, messages

_BATCH_BYTES = 512 * 1024
_REPORT_EVERY = 10_000
_IN_FLIGHT = 16


async def load(
    bootstrap_servers: str,
    topic: str,
    shape: Shape,
    count: int,
    progress: Callable[[int], None],
) -> None:
    """Produce ``count`` records of a shape.

    Args:
        bootstrap_servers: the broker.
        topic: an existing topic with as many partitions as the shape.
        shape: what to produce.
        count: how many.
        progress: told now and then how many records have been made.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_batch_size=_BATCH_BYTES, acks=1
    )
    await producer.start()
    builders = [producer.create_batch() for _ in range(shape.partitions)]
    sending: list[asyncio.Future[object]] = []

    async def send(partition: int) -> None:
        builder = builders[partition]
        if not builder.record_count():
            return
        builders[partition] = producer.create_batch()
        sending.append(await producer.send_batch(builder, topic, partition=partition))
        if len(sending) >= _IN_FLIGHT:
            await sending.pop(0)

    try:
        for number, (partition, key, value) in enumerate(messages(shape, count)):
            if builders[partition].append(key=key, value=value, timestamp=None) is None:
                await send(partition)
                builders[partition].append(key=key, value=value, timestamp=None)
            if number % _REPORT_EVERY == 0:
                progress(number)
        for partition in range(shape.partitions):
            await send(partition)
        await asyncio.gather(*sending)
        progress(count)
    finally:
        await producer.stop()

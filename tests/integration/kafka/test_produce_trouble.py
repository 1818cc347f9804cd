"""What a producer leaves behind when the broker is away, and says when it may not write."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from coracle.api import ConnectError
from coracle.kafka.produce import BatchProducer
from tests.integration.conftest import started
from tests.integration.kafka.test_consume_trouble import StrictKafka, as_alice
from tests.servers.kafka import Kafka


@pytest.fixture(scope="module")
def strict_kafka() -> Iterator[StrictKafka]:
    yield from started(StrictKafka)


@pytest.mark.parametrize("interrupted", [False, True], ids=["out of time", "cancelled"])
async def test_a_stop_without_a_broker_leaves_nothing_running(
    kafka: Kafka, interrupted: bool
) -> None:
    """What was left behind would go on sending, beside whoever comes next."""
    topic = kafka.new_topic()
    before = asyncio.all_tasks()
    producer = BatchProducer({"bootstrap.servers": kafka.bootstrap_servers})
    await producer.start()
    await asyncio.gather(*await producer.send(topic, [None], [b"x"], [None]))
    kafka.pause()
    futures = await producer.send(topic, [None], [b"y"], [None])
    begun = time.monotonic()
    if interrupted:
        stopping = asyncio.create_task(producer.stop(10))
        await asyncio.sleep(0.3)
        stopping.cancel()
        await asyncio.wait({stopping})
    else:
        await producer.stop(0.3)
    assert time.monotonic() - begun < 2
    results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 1)
    assert all(isinstance(result, Exception) for result in results)
    await asyncio.sleep(0.3)
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_a_topic_that_may_not_be_written_is_said_at_once(strict_kafka: StrictKafka) -> None:
    producer = BatchProducer(as_alice(strict_kafka) | {"enable.idempotence": "false"})
    await producer.start()
    try:
        with pytest.raises(ConnectError, match="Not allowed to write to topic secret"):
            await asyncio.wait_for(producer.send("secret", [None], [b"x"], [None]), 5)
    finally:
        await producer.stop(1)

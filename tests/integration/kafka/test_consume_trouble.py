"""What a consumer says, and what it leaves behind, when it cannot work."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import pytest

from coracle.api import ConnectError, TopicPartition
from coracle.kafka.admin import Admin
from coracle.kafka.consume import BatchConsumer
from tests.integration.conftest import started
from tests.integration.kafka.test_consume import joined, produce, take_all
from tests.servers.kafka import Kafka, SecureKafka


class StrictKafka(SecureKafka):
    """Its user may connect, and nothing else."""

    def _properties(self) -> dict[str, str]:
        return super()._properties() | {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


@pytest.fixture(scope="module")
def strict_kafka() -> Iterator[StrictKafka]:
    yield from started(StrictKafka)


def as_alice(kafka: StrictKafka) -> dict[str, str]:
    """Properties of the client that may do nothing."""
    return {
        "bootstrap.servers": kafka.sasl_plaintext,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{kafka.user}" password="{kafka.password}";',
    }


async def trouble(consumer: BatchConsumer) -> str:
    """What the consumer has to say for itself, sooner or later."""
    async with asyncio.timeout(10):
        while True:
            try:
                consumer.take(1)
            except ConnectError as error:
                return str(error)
            await asyncio.sleep(0.1)


async def nothing(partitions: AbstractSet[TopicPartition]) -> None:
    pass


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "Not allowed to read topic secret. Grant Read and Describe."),
        ("sec.*", "Not allowed to use group spies. Grant Read on it."),
    ],
    ids=["topic", "group"],
)
async def test_what_is_not_allowed_is_said(
    strict_kafka: StrictKafka, pattern: str, words: str
) -> None:
    """aiokafka only notes it, and the group is never joined."""
    consumer = BatchConsumer(as_alice(strict_kafka) | {"group.id": "spies"})
    try:
        await consumer.start([] if pattern else ["secret"], pattern, nothing, nothing)
        assert await trouble(consumer) == words
    finally:
        await consumer.stop()


async def test_a_fetcher_that_died_is_noticed(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.new_topic()
    async with joined(kafka, topic) as consumer:
        fetcher = consumer._consumer._fetcher

        def broken(assignment: object) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(fetcher, "_get_actions_per_node", broken)
        await asyncio.wait([fetcher._fetch_task], timeout=5)
        with pytest.raises(ConnectError, match="data retrieval"):
            consumer.take(1)


async def test_records_that_are_broken_are_said_with_their_place(kafka: Kafka) -> None:
    class Broken:
        def has_next(self) -> bool:
            return True

        def size_in_bytes(self) -> int:
            return 1

        def next_batch(self) -> "Broken":
            return self

        def validate_crc(self) -> bool:
            return False

    topic = kafka.new_topic()
    await produce(kafka, topic, [b"x"])
    async with joined(kafka, topic) as consumer:
        await consumer.wait(5)
        (result,) = consumer._consumer._fetcher._records.values()
        result._partition_records._records = Broken()
        with pytest.raises(ConnectError, match=f"{topic}-0@0 .*CRC"):
            consumer.take(1)


async def test_a_failing_callback_is_met_by_whoever_takes(kafka: Kafka) -> None:
    topic = kafka.new_topic()

    async def refuse(partitions: AbstractSet[TopicPartition]) -> None:
        if partitions:
            raise ConnectError("no partitions for me")

    consumer = BatchConsumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": f"g-{topic}"}
    )
    await consumer.start([topic], "", refuse, nothing)
    try:
        assert await trouble(consumer) == "no partitions for me"
    finally:
        await consumer.stop()


async def test_a_stop_out_of_time_leaves_nothing_running(kafka: Kafka) -> None:
    """A heartbeat left behind would keep the partitions from whoever comes next."""
    topic = kafka.new_topic()
    await produce(kafka, topic, [b"x"])
    before = asyncio.all_tasks()
    async with joined(kafka, topic) as consumer:
        await take_all(consumer, 1)
        kafka.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await consumer.stop()
    await asyncio.sleep(0.2)
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert left == set()


async def test_opening_for_longer_than_the_session_keeps_the_membership(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    assignments: list[int] = []

    async def slow(partitions: AbstractSet[TopicPartition]) -> None:
        assignments.append(len(partitions))
        await asyncio.sleep(8)

    consumer = BatchConsumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": f"g-{topic}",
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "1000",
        }
    )
    await consumer.start([topic], "", slow, nothing)
    try:
        async with asyncio.timeout(20):
            while not assignments:
                await asyncio.sleep(0.05)
        await asyncio.sleep(8.5)
        await consumer.commit({TopicPartition(topic, 0): 0})
        await asyncio.sleep(1.5)
    finally:
        await consumer.stop()
    assert assignments == [1]


async def test_a_start_that_is_cancelled_leaves_no_connection(
    kafka: Kafka, recwarn: pytest.WarningsRecorder
) -> None:
    """aiokafka forgets the connection that it was asking for the cluster."""
    warnings.simplefilter("always")

    async def start_and_cancel(seconds: float) -> None:
        admin = Admin({"bootstrap.servers": kafka.bootstrap_servers})
        starting = asyncio.create_task(admin.__aenter__())
        await asyncio.sleep(seconds)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await admin.__aexit__(None, None, None)

    for number in range(60):
        await start_and_cancel(number * 0.0003)
    await asyncio.sleep(0.05)
    gc.collect()
    assert [str(w.message) for w in recwarn if w.category is ResourceWarning] == []

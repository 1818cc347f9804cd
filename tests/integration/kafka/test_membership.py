"""A membership in a real group: what ends it, what it leaves behind, what the broker refuses."""

import asyncio
import secrets
import time
from collections.abc import Mapping

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol

from coracle.api import ConnectError, RetriableError, TopicPartition
from coracle.kafka.assignor import Member, Plan, Share, TaskAssignor, share_out
from coracle.kafka.membership import Membership
from tests.integration.kafka.test_consume_trouble import StrictKafka, as_alice, strict_kafka
from tests.servers.kafka import Kafka

__all__ = ["strict_kafka"]


class Participant:
    """A member that does nothing but take part. Leaving the context leaves the group."""

    def __init__(self, props: Mapping[str, str], topic: str) -> None:
        self.shares: list[Share] = []
        self.lost = 0
        self.failures: list[ConnectError] = []
        assignor = TaskAssignor(
            lambda: Member("here", "hash"), self._decide, lambda share: self.shares.append(share)
        )
        self.membership = Membership(
            {"session.timeout.ms": "6000", **props},
            [topic],
            "",
            assignor,
            self._lose,
            self.failures.append,
        )

    def _decide(
        self, members: Mapping[str, Member], counts: Mapping[str, int]
    ) -> Mapping[str, Share]:
        return share_out(members, self.membership.member_id, 1, Plan([{}, {}]), counts, [])

    def _lose(self) -> None:
        self.lost += 1

    async def __aenter__(self) -> "Participant":
        await self.membership.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.membership.stop()

    async def has(self, tasks: int, seconds: float = 20) -> None:
        """Wait until it was given so many tasks."""
        async with asyncio.timeout(seconds):
            while not self.shares or len(self.shares[-1].tasks) != tasks:
                await asyncio.sleep(0.01)


def group_on(kafka: Kafka) -> dict[str, str]:
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": f"group-{secrets.token_hex(4)}",
    }


async def test_a_member_that_was_given_up_commits_nothing_and_learns_of_it(kafka: Kafka) -> None:
    """As after a long sleep: its own clock is left out here, so that the broker is asked."""
    topic, props = kafka.new_topic(partitions=2), group_on(kafka)
    place = TopicPartition(topic, 0)
    async with Participant(props, topic) as zombie, Participant(props, topic) as other:
        await zombie.has(1)
        await other.has(1)
        await zombie.membership.commit({place: 5})
        coordinator = zombie.membership._coordinator
        assert coordinator is not None
        assert zombie.membership._watch is not None
        zombie.membership._watch.cancel()
        await coordinator._stop_heartbeat_task()
        await other.has(2)
        await other.membership.commit({place: 9})
        zombie.membership.touched()
        with pytest.raises(RetriableError, match="UnknownMemberId"):
            await zombie.membership.commit({place: 6})
        assert zombie.lost == 1
        assert await other.membership.committed([place]) == {place: 9}


async def test_a_member_whose_group_is_silent_commits_nothing(kafka: Kafka) -> None:
    topic, props = kafka.new_topic(partitions=2), group_on(kafka)
    async with Participant(props, topic) as member:
        await member.has(2)
        member.membership._contact = time.monotonic() - 6.1
        with pytest.raises(RetriableError, match="lost"):
            await member.membership.commit({TopicPartition(topic, 0): 6})
        assert member.lost == 1


async def test_partitions_are_assigned_for_everybody_to_see(kafka: Kafka) -> None:
    topic, props = kafka.new_topic(partitions=3), group_on(kafka)
    async with Participant(props, topic) as first, Participant(props, topic) as second:
        await first.has(1)
        await second.has(1)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        (answer,) = await admin.describe_consumer_groups([props["group.id"]])
        await admin.close()
        ((_, _, state, kind, protocol, members),) = answer.groups  # type: ignore[attr-defined]
        assert (state, kind, protocol) == ("Stable", "consumer", "coracle")
        given = [ConsumerProtocol.ASSIGNMENT.decode(member[-1]).partitions() for member in members]
    assert sorted(len(partitions) for partitions in given) == [1, 2]
    assert sorted(p.partition for partitions in given for p in partitions) == [0, 1, 2]


async def test_a_commit_waits_for_a_rebalance_to_end(kafka: Kafka) -> None:
    """In between, the broker would take it for that of a former member."""
    topic, props = kafka.new_topic(partitions=2), group_on(kafka)
    place = TopicPartition(topic, 0)
    async with Participant(props, topic) as member:
        await member.has(2)
        for number in range(30):
            member.membership.rejoin()
            await asyncio.sleep(number / 1000)
            await member.membership.commit({place: number})
        assert member.lost == 0
        assert await member.membership.committed([place]) == {place: 29}


async def test_a_member_leaves_at_once_even_while_it_waits_to_join(kafka: Kafka) -> None:
    """Another, silent member holds the rebalance up."""
    topic, props = kafka.new_topic(partitions=2), group_on(kafka)
    before = asyncio.all_tasks()
    async with Participant(props, topic) as silent:
        await silent.has(2)
        assert silent.membership._coordinator is not None
        await silent.membership._coordinator._stop_heartbeat_task()
        late = Participant(props, topic)
        await late.membership.start()
        await asyncio.sleep(1)
        assert late.shares == []
        begun = time.monotonic()
        await late.membership.stop()
        assert time.monotonic() - begun < 1
    await asyncio.sleep(0.1)
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_a_group_that_was_left_is_free_at_once(kafka: Kafka) -> None:
    topic, props = kafka.new_topic(partitions=2), group_on(kafka)
    async with Participant(props, topic) as stays:
        await stays.has(2)
        async with Participant(props, topic) as leaves:
            await leaves.has(1)
            await stays.has(1)
        begun = time.monotonic()
        await stays.has(2)
        assert time.monotonic() - begun < 1


async def test_what_is_not_allowed_is_said(strict_kafka: StrictKafka) -> None:
    async with Participant(as_alice(strict_kafka) | {"group.id": "spies"}, "secret") as member:
        async with asyncio.timeout(10):
            while not member.failures:
                await asyncio.sleep(0.05)
    assert str(member.failures[0]) in (
        "Not allowed to read topic secret. Grant Read and Describe.",
        "Not allowed to use group spies. Grant Read on it.",
    )


async def test_another_kind_of_member_is_said(kafka: Kafka) -> None:
    topic, props = kafka.new_topic(), group_on(kafka)
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, group_id=props["group.id"]
    )
    await consumer.start()
    try:
        async with Participant(props, topic) as member:
            async with asyncio.timeout(10):
                while not member.failures:
                    await asyncio.sleep(0.05)
        assert "no processes of this connector" in str(member.failures[0])
    finally:
        await consumer.stop()

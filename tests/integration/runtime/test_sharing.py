"""Processes that share a connector's tasks through a real group: who runs what, and what moves."""

import asyncio
import secrets
import time
from collections import Counter
from pathlib import Path

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.consumer.subscription_state import SubscriptionState

from coracle.runtime.connector import ConnectorLife
from coracle.store import TargetState
from tests.integration.kafka.test_consume import produce
from tests.integration.runtime.sharers import Ledger, Sharers
from tests.servers.kafka import Kafka


async def values_of(kafka: Kafka, topic: str) -> list[str]:
    """Everything in a topic of one partition."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    values: list[str] = []
    try:
        (end,) = (await consumer.end_offsets(consumer.assignment())).values()
        while len(values) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value.decode() for record in records if record.value]
    finally:
        await consumer.stop()
    return values


def starts(ledger: Ledger, since: int = 0) -> list[int]:
    """The tasks that were started, in the order of their numbers."""
    return sorted(event["task"] for event in ledger.events("start", since=since))


async def test_a_source_goes_from_one_process_to_three_to_two(kafka: Kafka, tmp_path: Path) -> None:
    """Only what must move moves, and no record comes twice or never."""
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=6, topic=topic) as sharers:
        ledger = sharers.ledger
        sharers.add()
        await sharers.until(lambda: sharers.all_running(6))
        assert starts(ledger) == [0, 1, 2, 3, 4, 5]
        before = len(ledger)
        sharers.add()
        last = sharers.add()
        await sharers.until(lambda: sharers.all_running(6))
        first_two = sharers.shares()[:2]
        # Two of three processes came at about the same time: four tasks had to move, or five.
        assert 4 <= len(starts(ledger, before)) <= 5
        assert len(ledger.events("start", since=before)) == len(ledger.events("stop", since=before))
        before, moving = len(ledger), sharers.shares()[2]
        await asyncio.sleep(0.5)
        await sharers.remove(last)
        await sharers.until(lambda: sharers.all_running(6))
        assert starts(ledger, before) == moving
        assert all(
            set(old) <= set(new) for old, new in zip(first_two, sharers.shares(), strict=True)
        )
        await asyncio.sleep(0.5)
    assert ledger.running() == []
    numbers: dict[str, list[int]] = {}
    for value in await values_of(kafka, topic):
        task, number = value.split(":")
        numbers.setdefault(task, []).append(int(number))
    assert sorted(numbers) == list("012345")
    assert all(column == list(range(len(column))) for column in numbers.values())


async def test_another_process_leads_when_the_leader_goes(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=4, topic=topic) as sharers:
        old, new = sharers.add(), sharers.add()
        await sharers.until(lambda: sharers.all_running(4))
        leader = next(life for life in (old, new) if life.is_leader)
        other = old if leader is new else new
        epoch, kept = leader.epoch, [task.id for task in other.status().tasks]
        assert other.epoch == epoch
        assert not other.is_leader
        before = len(sharers.ledger)
        await sharers.remove(leader)
        await sharers.until(lambda: sharers.all_running(4))
        assert other.is_leader
        assert other.epoch > epoch
        assert (other.task_count, other.useful) == (4, 4)
        assert not set(starts(sharers.ledger, before)) & set(kept)


async def test_1_1_megabytes_of_task_configurations_are_refused_with_the_reason(
    kafka: Kafka, tmp_path: Path
) -> None:
    """What ran before runs on."""
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        life = sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        before = len(sharers.ledger)
        tables = [secrets.token_hex(275_000) for _ in range(2)]
        sharers.ledger.plan(tasks=[{"share": table} for table in tables])
        await sharers.until(lambda: life.status().state == "FAILED")
        assert "more than the 256 KiB that a Kafka group can carry" in life.status().trace
        assert sharers.all_running(2)
        # What compresses well is no trouble.
        many = ",".join(f"inventory.orders_{n:05}" for n in range(25_000))
        sharers.ledger.plan(tasks=[{"share": many}, {"share": many + ",one_more"}])
        await sharers.until(lambda: len(starts(sharers.ledger, before)) == 2)
        await sharers.until(lambda: life.status().state == "RUNNING" and sharers.all_running(2))
        events = sharers.ledger.events("start", since=before)
        assert sorted(len(event["share"]) for event in events) == [len(many), len(many) + 9]


async def test_a_process_of_another_configuration_is_refused_until_it_is_alone(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coracle.runtime.sharing._RETRY_SECONDS", 0.5)
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        right = sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        before = len(sharers.ledger)
        wrong = sharers.add("another")
        await sharers.until(lambda: wrong.status().state == "FAILED")
        assert "The configuration of pod-2:8083 differs from that of pod-1:8083" in (
            wrong.status().trace
        )
        await asyncio.sleep(2)
        assert right.status().state == "RUNNING"
        assert sharers.ledger.events("start", "stop", since=before) == []
        assert [task.id for task in right.status().tasks] == [0, 1]
        await sharers.remove(right)
        await sharers.until(lambda: wrong.status().state == "RUNNING" and sharers.all_running(2))


async def test_a_discovery_that_hangs_in_a_rebalance_stops_nothing(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=4, topic=topic) as sharers:
        old, new = sharers.add(), sharers.add()
        await sharers.until(lambda: sharers.all_running(4))
        leader = next(life for life in (old, new) if life.is_leader)
        other = old if leader is new else new
        kept = [task.id for task in other.status().tasks]
        sharers.ledger.plan(hang=True)
        await sharers.until(lambda: bool(sharers.ledger.events("hanging")))
        before = len(sharers.ledger)
        await sharers.remove(leader)
        await sharers.until(lambda: len(sharers.ledger.events("hanging", since=before)) == 1)
        third = sharers.add()
        await asyncio.sleep(8)  # longer than the session
        assert [task.id for task in other.status().tasks] == kept
        assert {task.state for task in other.status().tasks} == {"RUNNING"}
        assert not set(starts(sharers.ledger, before)) & set(kept)
        assert third.status().tasks == []
        sharers.ledger.plan()
        other.restart(connector=True, tasks=[])
        third.restart(connector=True, tasks=[])
        await sharers.until(lambda: sharers.all_running(4))


async def test_a_discovery_that_fails_shows_and_stops_nothing(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        leader = sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        before = len(sharers.ledger)
        sharers.ledger.plan(fail="the catalogue does not answer")
        await sharers.until(lambda: leader.status().state == "FAILED")
        assert "the catalogue does not answer" in leader.status().trace
        follower = sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        assert leader.status().state == "FAILED"
        assert follower.status().state == "RUNNING"
        sharers.ledger.plan()
        await sharers.until(lambda: leader.status().state == "RUNNING")
        assert len(starts(sharers.ledger, before)) == 1


@pytest.mark.parametrize("kind", ["source", "sink"])
async def test_another_number_of_tasks_leaves_those_that_stay_alone(
    kafka: Kafka, tmp_path: Path, kind: str
) -> None:
    topic = kafka.new_topic(partitions=6)
    async with Sharers(kafka, tmp_path, kind, tasks=2, topic=topic) as sharers:
        lives = [sharers.add(), sharers.add()]
        await sharers.until(lambda: sharers.all_running(2))
        before = len(sharers.ledger)
        for number in (5, 1, 3):
            for life in lives:
                life.set_tasks_max(number)
            await sharers.until(lambda number=number: sharers.all_running(number))
            assert {life.task_count for life in lives} == {number}
        events = sharers.ledger.events("start", "stop", since=before)
        assert 0 not in [event["task"] for event in events]


async def test_a_sink_goes_from_one_process_to_three_to_two(kafka: Kafka, tmp_path: Path) -> None:
    """Every record is written exactly once, and partitions that stay are not closed."""
    topic = kafka.new_topic(partitions=8)
    flowing = True

    async def flow() -> None:
        number = 0
        while flowing:
            await produce(kafka, topic, [b"%d" % n for n in range(number, number + 80)])
            number += 80
            await asyncio.sleep(0.05)

    async with Sharers(kafka, tmp_path, "sink", tasks=4, topic=topic) as sharers:
        ledger = sharers.ledger
        ledger.plan(put=0.02)
        sharers.add()
        await sharers.until(lambda: sharers.all_running(4))
        producing = asyncio.create_task(flow())
        await sharers.until(lambda: len(ledger.offsets_put()) == 8)
        middle, last = sharers.add(), sharers.add()
        await sharers.until(lambda: sharers.all_running(4))
        await asyncio.sleep(1)
        before, moving = len(ledger), sharers.shares()[1]
        await sharers.remove(middle)
        await sharers.until(lambda: sharers.all_running(4))
        assert starts(ledger, before) == moving
        closed = {event["task"] for event in ledger.events("close", since=before)}
        assert closed == set(moving)
        assert last.useful == 4
        await asyncio.sleep(1)
        flowing = False
        await producing
        ends = await end_offsets(kafka, topic)
        await sharers.until(
            lambda: {p: len(set(o)) for p, o in ledger.offsets_put().items()} == ends
        )
    for partition, offsets in ledger.offsets_put().items():
        assert offsets == list(range(ends[partition]))
    opened = Counter(p for event in ledger.events("open") for p in event["partitions"])
    closed_at_all = Counter(p for event in ledger.events("close") for p in event["partitions"])
    assert opened == closed_at_all
    assert max(opened.values()) <= 3


async def end_offsets(kafka: Kafka, topic: str) -> dict[int, int]:
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(topic)
        numbers = consumer.partitions_for_topic(topic) or set()
        ends = await consumer.end_offsets([aiokafka.TopicPartition(topic, n) for n in numbers])
        return {place.partition: end for place, end in ends.items()}
    finally:
        await consumer.stop()


async def test_a_sink_shared_anew_among_more_tasks_writes_everything_once(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Task 0 goes on with what it keeps while its other partitions go elsewhere."""
    topic = kafka.new_topic(partitions=6)
    async with Sharers(kafka, tmp_path, "sink", tasks=1, topic=topic) as sharers:
        ledger = sharers.ledger
        lives = [sharers.add(), sharers.add()]
        await sharers.until(lambda: sharers.all_running(1))
        await produce(kafka, topic, [b"%d" % n for n in range(600)])
        await sharers.until(lambda: len(ledger.offsets_put()) == 6)
        for number in (3, 2):
            for life in lives:
                life.set_tasks_max(number)
            await sharers.until(lambda number=number: sharers.all_running(number))
            await produce(kafka, topic, [b"%d" % n for n in range(600)])
        ends = await end_offsets(kafka, topic)
        await sharers.until(
            lambda: {p: len(set(o)) for p, o in ledger.offsets_put().items()} == ends
        )
    assert {p: sorted(o) for p, o in ledger.offsets_put().items()} == {
        p: list(range(end)) for p, end in ends.items()
    }
    first = [e for e in ledger.events("start", "stop", "open", "close") if e["task"] == 0]
    assert [event["event"] for event in first[:3]] == ["start", "open", "close"]
    assert first[1]["partitions"] == [0, 1, 2, 3, 4, 5]
    assert first[2]["partitions"] == [1, 2, 4, 5]
    assert [event["event"] for event in first].count("stop") == 1


async def test_partitions_that_are_added_find_a_task_and_disturb_none(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.new_topic(partitions=2)
    settings = {"consumer.metadata.max.age.ms": "500"}
    async with Sharers(kafka, tmp_path, "sink", tasks=3, topic=topic, settings=settings) as sharers:
        ledger = sharers.ledger
        life = sharers.add()
        sharers.add()
        await sharers.until(lambda: sharers.all_running(3) and len(ledger.events("open")) == 2)
        assert life.useful == 2
        before = len(ledger)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(4)})
        await admin.close()
        await sharers.until(lambda: len(ledger.events("open", since=before)) == 2)
        events = ledger.events("open", "close", "start", "stop", since=before)
        assert sorted((e["event"], e["task"], e["partitions"]) for e in events) == [
            ("open", 0, [3]),
            ("open", 2, [2]),
        ]
        await sharers.until(lambda: life.useful == 3)


async def test_a_pattern_finds_topics_that_come_later_for_all_processes(
    kafka: Kafka, tmp_path: Path
) -> None:
    first = kafka.new_topic(partitions=2)
    config = {"topics.regex": f"{first}.*", "consumer.override.metadata.max.age.ms": "500"}
    async with Sharers(kafka, tmp_path, "sink", tasks=2, topic="", config=config) as sharers:
        ledger = sharers.ledger
        sharers.add()
        sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        await produce(kafka, first, [b"%d" % n for n in range(50)])
        await sharers.until(lambda: count_put(ledger) == 50)
        before = len(ledger)
        later = kafka.topic(f"{first}-later", partitions=2)
        await produce(kafka, later, [b"%d" % n for n in range(50)])
        await sharers.until(lambda: count_put(ledger) == 100)
        assert ledger.events("start", "stop", "close", since=before) == []


def count_put(ledger: Ledger) -> int:
    return sum(len(event["values"]) for event in ledger.events("put"))


async def test_a_failed_task_keeps_its_place_and_is_restarted_in_it(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=4, topic=topic) as sharers:
        first = sharers.add()
        sharers.ledger.plan(break_task=2)
        await sharers.until(
            lambda: states(first) == {0: "RUNNING", 1: "RUNNING", 2: "FAILED", 3: "RUNNING"}
        )
        second = sharers.add()
        await sharers.until(lambda: len(second.status().tasks) == 2)
        owner = next(life for life in (first, second) if 2 in states(life))
        await sharers.until(lambda: states(owner)[2] == "FAILED")
        before = sharers.shares()
        sharers.ledger.plan()
        owner.restart(connector=False, tasks=[2])
        await sharers.until(lambda: sharers.all_running(4))
        assert sharers.shares() == before


def states(life: ConnectorLife) -> dict[int, str]:
    return {task.id: task.state for task in life.status().tasks}


async def test_a_pause_keeps_the_tasks_and_a_stop_gives_them_away(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        first, second = sharers.add(), sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        shares = sharers.shares()
        first.set_target(TargetState.PAUSED)
        await asyncio.sleep(1)
        assert sharers.shares() == shares
        assert first.status().state == "PAUSED"
        first.set_target(TargetState.STOPPED)
        await sharers.until(lambda: len(second.status().tasks) == 2)
        assert (first.status().state, first.status().tasks) == ("STOPPED", [])
        first.set_target(TargetState.RUNNING)
        await sharers.until(lambda: sharers.all_running(2))


async def test_a_connector_that_hangs_in_its_stop_is_left_behind(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.new_topic()
    settings = {"task.shutdown.graceful.timeout.ms": "1000"}
    async with Sharers(
        kafka, tmp_path, "source", tasks=2, topic=topic, settings=settings
    ) as sharers:
        first, second = sharers.add(), sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        sharers.ledger.plan(hang_stop=True)
        leader = first if first.is_leader else second
        begun = time.monotonic()
        await sharers.remove(leader)
        assert time.monotonic() - begun < 2.5
        await sharers.until(lambda: sharers.all_running(2), seconds=3)


async def test_a_source_that_has_nothing_to_say_stays_a_member(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka takes a member that fetches nothing for one that hangs."""
    monkeypatch.setattr(SubscriptionState, "fetcher_idle_time", property(lambda self: 1e9))
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        sharers.ledger.plan(silent=True)
        sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        before = len(sharers.ledger)
        await asyncio.sleep(8)
        assert sharers.all_running(2)
        assert sharers.ledger.events("start", "stop", since=before) == []


async def test_tasks_stop_when_the_group_has_been_silent_for_a_session(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Others may run them by then. They come back with the broker."""
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "source", tasks=2, topic=topic) as sharers:
        life = sharers.add()
        await sharers.until(lambda: sharers.all_running(2))
        begun = time.monotonic()
        kafka.pause()
        await sharers.until(lambda: not life.is_leader)
        assert 5 < time.monotonic() - begun < 7.5
        kafka.resume()
        await sharers.until(lambda: starts(sharers.ledger) == [0, 0, 1, 1])
        await sharers.until(lambda: sharers.all_running(2))


async def test_a_broker_that_is_away_at_the_start_shows_and_heals(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coracle.runtime.sharing._RETRY_SECONDS", 0.5)
    topic = kafka.new_topic()
    await asyncio.to_thread(kafka.stop)
    async with Sharers(kafka, tmp_path, "sink", tasks=1, topic=topic) as sharers:
        life = sharers.add()
        await sharers.until(lambda: life.status().state == "FAILED")
        assert "Cannot reach Kafka at" in life.status().trace
        await asyncio.to_thread(kafka.start)
        await sharers.until(lambda: sharers.all_running(1), seconds=40)
        await sharers.until(lambda: life.status().state == "RUNNING")


async def test_a_group_with_other_consumers_is_refused(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.new_topic()
    async with Sharers(kafka, tmp_path, "sink", tasks=1, topic=topic) as sharers:
        other = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap_servers,
            group_id=f"connect-{sharers.name}",
        )
        await other.start()
        try:
            life = sharers.add()
            await sharers.until(lambda: life.status().state == "FAILED")
            assert "The group has members that are no processes of this connector" in (
                life.status().trace
            )
        finally:
            await other.stop()

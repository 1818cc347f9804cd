"""Several `coracle run --shared` processes of the same connectors: what becomes of the tasks of one
that is killed, ended or frozen, by the ledger that all of them write.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import kafka, kafka_server, settings_for  # noqa: F401 - fixtures
from tests.e2e.worker import CoracleWorker
from tests.integration.kafka.test_consume import produce
from tests.integration.runtime.sharers import PLUGINS, Ledger
from tests.servers.kafka import Kafka

SESSION_SECONDS = 6


class SharedWorker(CoracleWorker):
    """A worker that shares its tasks, and knows the ledger's connectors."""

    def command(self) -> list[str]:
        """The worker."""
        return ["/usr/bin/env", f"PYTHONPATH={PLUGINS}", *super().command(), "--shared"]

    def tasks(self, name: str) -> list[int]:
        """The tasks it runs."""
        return [task["id"] for task in self.status(name)["tasks"] if task["state"] == "RUNNING"]


class Company:
    """Workers that run one connector."""

    def __init__(self, kafka: Kafka, unique: str, folder: Path) -> None:  # noqa: F811
        self.ledger = Ledger(folder)
        self.workers: list[SharedWorker] = []
        self._kafka = kafka
        self._unique = unique
        self.name = ""

    def start(self, count: int, kind: str, topic: str, tasks: int) -> None:
        """Start so many workers and wait until they share the tasks evenly."""
        string = "org.apache.kafka.connect.storage.StringConverter"
        settings = settings_for(f"offsets-{self._unique}") | {
            "key.converter": string,
            "value.converter": string,
            "session.timeout.ms": str(SESSION_SECONDS * 1000),
        }
        self.name = f"{kind}-{self._unique}"
        config: Mapping[str, str] = {
            "connector.class": f"tests.Ledger{kind.capitalize()}Connector",
            "tasks.max": str(tasks),
            "ledger": str(self.ledger.path),
            "plan": str(self.ledger.plan_path),
            "topics" if kind == "sink" else "topic": topic,
        }
        for _ in range(count):
            worker = SharedWorker(self._kafka.bootstrap_servers, {self.name: config}, settings)
            self.workers.append(worker)
            worker.start()
        self.wait_for(lambda: self.evenly(tasks))

    def evenly(self, tasks: int) -> bool:
        """Whether the workers that run share these tasks."""
        shares = [worker.tasks(self.name) for worker in self.workers if worker.running]
        sizes = [len(share) for share in shares]
        return sorted(n for share in shares for n in share) == list(range(tasks)) and (
            max(sizes) - min(sizes) <= 1
        )

    def wait_for(self, condition: Callable[[], bool], seconds: float = 40) -> None:
        """Wait for something to be so."""
        deadline = time.monotonic() + seconds
        while not condition():
            logs = "\n".join(worker.last_lines() for worker in self.workers)
            assert time.monotonic() < deadline, f"{self.ledger.events()[-20:]}\n{logs}"
            time.sleep(0.1)

    def wait_for_starts(self, tasks: list[int], since: int) -> float:
        """Wait until these tasks were started anew; returns when the last one was."""
        self.wait_for(
            lambda: {e["task"] for e in self.ledger.events("start", since=since)} >= set(tasks)
        )
        return max(e["time"] for e in self.ledger.events("start", since=since))

    def leader(self) -> SharedWorker:
        """The worker that led last."""
        pid = self.ledger.events("lead")[-1]["pid"]
        return next(worker for worker in self.workers if worker.pid == pid)


@pytest.fixture
def company(kafka: Kafka, unique: str, tmp_path: Path) -> Iterator[Company]:  # noqa: F811
    """Makes workers, and kills them whatever happens."""
    company = Company(kafka, unique, tmp_path)
    yield company
    for worker in company.workers:
        worker.resume()
        worker.kill()


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_the_tasks_of_a_killed_process_run_elsewhere_within_a_session_and_a_second(
    kafka: Kafka,  # noqa: F811
    company: Company,
    victim: str,
) -> None:
    company.start(3, "source", kafka.new_topic(), tasks=6)
    leader = company.leader()
    killed = leader if victim == "leader" else next(w for w in company.workers if w is not leader)
    moving, before = killed.tasks(company.name), len(company.ledger)
    begun = time.time()
    killed.kill()
    seconds = company.wait_for_starts(moving, before) - begun
    assert seconds < SESSION_SECONDS + 1
    company.wait_for(lambda: company.evenly(6))
    assert {e["task"] for e in company.ledger.events("start", since=before)} == set(moving)
    assert company.ledger.events("stop", since=before) == []


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_the_tasks_of_an_ended_process_run_elsewhere_within_a_second(
    kafka: Kafka,  # noqa: F811
    company: Company,
    victim: str,
) -> None:
    company.start(3, "source", kafka.new_topic(), tasks=6)
    leader = company.leader()
    ended = leader if victim == "leader" else next(w for w in company.workers if w is not leader)
    moving, before = ended.tasks(company.name), len(company.ledger)
    ended.terminate()
    started = company.wait_for_starts(moving, before)
    stopped = [e for e in company.ledger.events("stop", since=before) if e["task"] in moving]
    assert started - min(event["time"] for event in stopped) < 1
    starts = company.ledger.events("start", since=before)
    assert sorted(event["task"] for event in starts) == sorted(moving)
    company.wait_for(lambda: company.evenly(6))


def test_what_a_frozen_process_missed_is_written_once_and_its_commits_are_refused(
    kafka: Kafka,  # noqa: F811
    company: Company,
) -> None:
    """A process that sleeps for longer than its session owns nothing when it wakes."""
    topic = kafka.new_topic(partitions=8)
    company.ledger.plan(put=0.05)
    company.start(3, "sink", topic, tasks=8)
    asyncio.run(produce(kafka, topic, [b"%d" % n for n in range(4000)]))
    company.wait_for(lambda: len(company.ledger.offsets_put()) == 8)
    frozen = company.workers[0]
    moving, before = frozen.tasks(company.name), len(company.ledger)
    frozen.pause()
    company.wait_for_starts(moving, before)
    asyncio.run(produce(kafka, topic, [b"%d" % n for n in range(4000, 8000)]))
    company.wait_for(lambda: len(values_put(company.ledger)) == 8000)
    awake = len(company.ledger)
    frozen.resume()
    company.wait_for(lambda: "its tasks stop" in frozen.log_text())
    company.wait_for(lambda: company.evenly(8))
    asyncio.run(produce(kafka, topic, [b"%d" % n for n in range(8000, 9000)]))
    company.wait_for(lambda: len(values_put(company.ledger)) == 9000)
    # The put that was under way when it froze may come again, and nothing after it.
    late = [e for e in company.ledger.events("put", since=awake) if e["pid"] == frozen.pid]
    again = [e for e in late if int(e["values"][0]) < 8000]
    assert len(again) <= len(moving)
    for worker in company.workers:
        worker._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    company.wait_for(lambda: not any(worker.running for worker in company.workers))


def values_put(ledger: Ledger) -> set[str]:
    return {value for event in ledger.events("put") for value in event["values"]}

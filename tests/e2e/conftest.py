"""Real servers, and `coracle run` processes that are stopped whatever happens.

After each test the logs of its workers are searched for the passwords they were given.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.e2e.worker import Connectors, CoracleWorker
from tests.integration.conftest import (  # noqa: F401 - fixtures
    kafka,
    kafka_server,
    mariadb,
    mariadb_server,
    postgres,
    postgres_server,
)
from tests.servers.kafka import Kafka

MakeWorker = Callable[..., CoracleWorker]


def settings_for(offsets_topic: str) -> dict[str, str]:
    """Settings of a worker in a test: commits often, and keeps its offsets to itself."""
    return {
        "offset.storage.topic": offsets_topic,
        "offset.storage.partitions": "1",
        "offset.storage.replication.factor": "1",
        "offset.flush.interval.ms": "500",
    }


def assert_no_secrets(worker: CoracleWorker) -> None:
    """Nothing secret was logged."""
    log = worker.log_text()
    for secret in worker.secrets:
        assert secret not in log


@pytest.fixture
def unique() -> str:
    """Part of names that nobody else has."""
    return secrets.token_hex(4)


@pytest.fixture
def make_worker(kafka: Kafka, unique: str) -> Iterator[MakeWorker]:  # noqa: F811
    """Makes workers on the shared broker, not started yet."""
    made: list[CoracleWorker] = []

    def make(
        connectors: Connectors | None = None,
        settings: Mapping[str, str] | None = None,
        bootstrap_servers: str = kafka.bootstrap_servers,
    ) -> CoracleWorker:
        all_settings = settings_for(f"offsets-{unique}") | dict(settings or {})
        made.append(CoracleWorker(bootstrap_servers, connectors, all_settings))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()
        if worker.log.exists():
            assert_no_secrets(worker)

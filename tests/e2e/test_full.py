"""Orders from MariaDB through Kafka into PostgreSQL, whole, and after kills.

The long forms run with `make test-full`; shorter ones of the same run with `make test`.
"""

import logging

import pytest

from tests.e2e import orders
from tests.e2e.conftest import MakeWorker
from tests.e2e.worker import CoracleWorker
from tests.servers.database import Database
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

logger = logging.getLogger(__name__)

PEAK_BYTES = 150_000_000
PARTITIONS = 4

MILLION = pytest.param(1_000_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])


def connectors(
    mariadb: Database[MariaDB], postgres: Database[Postgres], unique: str, *, upsert: bool
) -> dict[str, dict[str, str]]:
    source = {
        "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
        "connection.url": mariadb.jdbc_url,
        "connection.user": mariadb.user,
        "connection.password": mariadb.password,
        "table.whitelist": "orders",
        "mode": "incrementing",
        "topic.prefix": f"{unique}-",
        "topic.creation.default.partitions": str(PARTITIONS),
        "topic.creation.default.replication.factor": "1",
    }
    sink = {
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "connection.url": postgres.jdbc_url,
        "connection.user": postgres.user,
        "connection.password": postgres.password,
        "topics": f"{unique}-orders",
        "table.name.format": "orders",
        "auto.create": "true",
        "insert.mode": "upsert" if upsert else "insert",
        "pk.mode": "record_value",
        "pk.fields": "id",
    }
    return {f"source-{unique}": source, f"sink-{unique}": sink}


def wait_for_rows(
    worker: CoracleWorker, postgres: Database[Postgres], rows: int, seconds: float
) -> None:
    worker.wait_for(
        lambda: orders.count(postgres, "orders") >= rows, f"{rows} rows", seconds=seconds
    )


@pytest.mark.parametrize("rows", [60_000, MILLION])
def test_every_order_arrives(
    rows: int,
    mariadb: Database[MariaDB],
    postgres: Database[Postgres],
    make_worker: MakeWorker,
    unique: str,
) -> None:
    """Inserted once each: a row that came twice would violate the primary key."""
    orders.fill(mariadb, rows)
    worker = make_worker(connectors(mariadb, postgres, unique, upsert=False))
    worker.start()
    wait_for_rows(worker, postgres, rows, seconds=30 + rows / 2500)
    peak = worker.peak_rss()
    logger.info("peak RSS %d MB", peak // 1_000_000)
    assert worker.terminate().code == 0
    assert orders.target_checksum(postgres, "orders") == orders.source_checksum(mariadb)
    assert peak < PEAK_BYTES, f"{peak / 1e6:.0f} MB"


@pytest.mark.parametrize(
    ("rows", "kills"), [(60_000, 2), pytest.param(*MILLION.values, 5, marks=MILLION.marks)]
)
def test_no_order_is_lost_to_kills(
    rows: int,
    kills: int,
    mariadb: Database[MariaDB],
    postgres: Database[Postgres],
    make_worker: MakeWorker,
    unique: str,
) -> None:
    """Killed with SIGKILL in the middle, again and again; upserts leave no trace of repeats."""
    orders.fill(mariadb, rows)
    worker = make_worker(
        connectors(mariadb, postgres, unique, upsert=True),
        # Short, so that a killed member of the group is not waited for long.
        {"offset.flush.interval.ms": "1000", "session.timeout.ms": "6000"},
    )
    seconds = 60 + rows / 2500
    for kill in range(kills):
        worker.start()
        wait_for_rows(worker, postgres, 1 + rows * kill // (kills + 1), seconds)
        worker.kill()
        at_kill = orders.count(postgres, "orders")
        assert 0 < at_kill < rows, f"kill {kill + 1} came at {at_kill} of {rows} rows"
    worker.start()
    wait_for_rows(worker, postgres, rows, seconds)
    assert worker.terminate().code == 0
    assert orders.target_checksum(postgres, "orders") == orders.source_checksum(mariadb)

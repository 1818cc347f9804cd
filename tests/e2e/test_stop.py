"""SIGTERM while rows flow: the process ends in time and in order, whatever Kafka does."""

import pytest

from tests.e2e import orders
from tests.e2e.conftest import MakeWorker
from tests.e2e.topics import ends
from tests.e2e.worker import Connectors
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

GRACEFUL_SECONDS = 4


def connectors(mariadb: Database[MariaDB], postgres: Database[Postgres], unique: str) -> Connectors:
    """A source and three sinks: two into tables, one into a file."""
    source = {
        "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
        "connection.url": mariadb.jdbc_url,
        "connection.user": mariadb.user,
        "connection.password": mariadb.password,
        "table.whitelist": "orders",
        "mode": "incrementing",
        "topic.prefix": f"{unique}-",
    }
    sink = {
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "connection.url": postgres.jdbc_url,
        "connection.user": postgres.user,
        "connection.password": postgres.password,
        "topics": f"{unique}-orders",
        "auto.create": "true",
        "pk.mode": "record_value",
        "pk.fields": "id",
    }
    return {
        f"source-{unique}": source,
        f"sink-a-{unique}": sink | {"table.name.format": "a"},
        f"sink-b-{unique}": sink | {"table.name.format": "b", "insert.mode": "upsert"},
        f"file-{unique}": {
            "connector.class": "FileStreamSink",
            "topics": f"{unique}-orders",
            "file": "orders.txt",
        },
    }


# Where all rows need not arrive there are so many that they cannot, while Kafka goes down.
@pytest.mark.parametrize(
    ("kafka_is", "rows"), [("up", 60_000), ("down", 300_000), ("frozen", 300_000)]
)
def test_stops_in_time(
    kafka_is: str,
    rows: int,
    mariadb: Database[MariaDB],
    postgres: Database[Postgres],
    kafka: Kafka,
    make_worker: MakeWorker,
    unique: str,
) -> None:
    """Exit code 0 within the graceful time and a second; then it goes on where it stopped."""
    orders.fill(mariadb, rows)
    graceful = {"task.shutdown.graceful.timeout.ms": str(GRACEFUL_SECONDS * 1000)}
    worker = make_worker(connectors(mariadb, postgres, unique), graceful)
    worker.start()
    worker.wait_for(lambda: orders.count(postgres, "a") > 0, "rows to flow")
    if kafka_is == "down":
        kafka.stop()
    elif kafka_is == "frozen":
        kafka.pause()
    assert orders.count(postgres, "a") < rows
    ended = worker.terminate()
    assert ended.code == 0
    assert ended.seconds < GRACEFUL_SECONDS + 1, f"{ended.seconds:.1f} s"
    if kafka_is != "frozen":  # then asyncio reports a commit that aiokafka left behind
        assert "Traceback" not in worker.log_text(), worker.log_text()
    if kafka_is != "up":
        return
    # An orderly stop repeats nothing: `a` has a primary key and is only inserted into.
    assert 0 < orders.count(postgres, "a") < rows
    worker.start()
    for table in ("a", "b"):
        worker.wait_for(
            lambda table=table: orders.count(postgres, table) == rows, f"all rows in {table}"
        )
        assert orders.target_checksum(postgres, table) == orders.source_checksum(mariadb)
    assert worker.terminate().code == 0
    assert sum(ends(kafka, f"{unique}-orders").values()) == rows
    text = (worker.folder / "orders.txt").read_bytes()
    assert text.count(b"Struct{id=") == rows

"""The configurations of Robin Moffatt's talk "From Zero to Hero with Kafka Connect", as shown.

http://rmoff.dev/kafka-connect-code: only name, user, password, host, `mode`, `topic.prefix` and
`auto.create` are added.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.e2e.conftest import MakeWorker
from tests.e2e.topics import Message, committed, envelope, produce, struct, values
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

PASSWORD = "asgard-7c1e-password"
ORDERS = "asgard.demo.orders"
INTERNAL_CONVERTERS = """\
value.converter=org.apache.kafka.connect.json.JsonConverter
internal.value.converter=org.apache.kafka.connect.json.JsonConverter
key.internal.value.converter=org.apache.kafka.connect.json.JsonConverter
value.internal.value.converter=org.apache.kafka.connect.json.JsonConverter
key.internal.value.converter.bork.bork.bork=org.apache.kafka.connect.json.JsonConverter
key.internal.value.please.just.work.converter=org.apache.kafka.connect.json.JsonConverter
"""


@pytest.fixture
def demo(mariadb_server: MariaDB) -> Iterator[Database[MariaDB]]:
    """The talk's database `demo`, with the tables of its source and one that is not wanted."""
    mariadb_server.sql(
        "CREATE DATABASE demo; "
        f"CREATE USER connect_user@'%' IDENTIFIED BY '{PASSWORD}'; "
        "GRANT SELECT ON demo.* TO connect_user@'%'; "
        "CREATE TABLE demo.sales (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(8,2) NOT NULL); "
        "CREATE TABLE demo.orders (id INT AUTO_INCREMENT PRIMARY KEY, "
        "  delivery_address VARCHAR(100) NOT NULL, placed DATETIME(3) NOT NULL); "
        "CREATE TABLE demo.customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50)); "
        "CREATE TABLE demo.secrets (id INT AUTO_INCREMENT PRIMARY KEY); "
        "INSERT INTO demo.sales (total) VALUES (10.50), (-0.01); "
        "INSERT INTO demo.orders (delivery_address, placed) VALUES "
        "  ('1 Bifröst', '2026-12-27 10:20:30.456'), ('2 Valhalla', '2001-01-01 00:00:00'); "
        "INSERT INTO demo.customers (name) VALUES ('Freyja'), (NULL), ('Þórr'); "
        "INSERT INTO demo.secrets VALUES (1)"
    )
    yield Database(mariadb_server, "mysql", "demo", "connect_user", PASSWORD)
    mariadb_server.sql(
        "KILL HARD USER connect_user; DROP USER connect_user@'%'; DROP DATABASE demo"
    )


@pytest.fixture
def asgard(postgres_server: Postgres) -> Iterator[Database[Postgres]]:
    """A database `asgard` with a schema `demo`."""
    database = Database(postgres_server, "postgresql", "asgard", "asgard_user", PASSWORD)
    postgres_server.sql(f"CREATE ROLE asgard_user LOGIN PASSWORD '{PASSWORD}'")
    postgres_server.sql("CREATE DATABASE asgard OWNER asgard_user")
    database.sql("CREATE SCHEMA demo AUTHORIZATION asgard_user")
    yield database
    postgres_server.drop(database)


def jdbc_source(demo: Database[MariaDB]) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
        "connection.url": f"jdbc:mysql://{demo.host}:{demo.port}/demo",
        "table.whitelist": "sales,orders,customers",
        "connection.user": demo.user,
        "connection.password": demo.password,
        "mode": "incrementing",
        "topic.prefix": "asgard.demo.",
    }


def jdbc_sink(asgard: Database[Postgres]) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "connection.url": f"jdbc:postgresql://{asgard.host}:{asgard.port}/asgard",
        "topics": ORDERS,
        "connection.user": asgard.user,
        "connection.password": asgard.password,
        "auto.create": "true",
    }


def tables(database: Database[Postgres]) -> list[str]:
    return database.sql(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    ).splitlines()


def test_source_and_sink(
    demo: Database[MariaDB],
    asgard: Database[Postgres],
    kafka: Kafka,
    make_worker: MakeWorker,
    unique: str,
) -> None:
    source, sink = f"jdbc_source_mysql_00-{unique}", f"jdbc_sink_postgres_00-{unique}"
    worker = make_worker({source: jdbc_source(demo), sink: jdbc_sink(asgard)})
    worker.start()
    worker.wait_for(lambda: tables(asgard) == ["demo.orders"], "the table demo.orders")
    rows = "SELECT id, delivery_address, placed FROM demo.orders ORDER BY id"
    expected = "1\t1 Bifröst\t2026-12-27 10:20:30.456\n2\t2 Valhalla\t2001-01-01 00:00:00"
    worker.wait_for(lambda: asgard.sql(rows) == expected, "the orders")

    demo.sql("INSERT INTO orders (delivery_address, placed) VALUES ('3 Jörð', '1999-09-09')")
    more = expected + "\n3\t3 Jörð\t1999-09-09 00:00:00"
    worker.wait_for(lambda: asgard.sql(rows) == more, "an order placed later")
    worker.wait_for(lambda: committed(kafka, sink, ORDERS) == {0: 3}, "the commit")

    assert [each["id"] for each in values(kafka, "asgard.demo.sales")] == [1, 2]
    names = [each["name"] for each in values(kafka, "asgard.demo.customers")]
    assert names == ["Freyja", None, "Þórr"]
    assert worker.states(source) == ["RUNNING", "RUNNING"]
    assert worker.states(sink) == ["RUNNING", "RUNNING"]
    assert worker.terminate().code == 0


def test_transforms_on_a_sink(
    asgard: Database[Postgres], kafka: Kafka, make_worker: MakeWorker, unique: str
) -> None:
    """`YYYY` is Java's week year: 27 December 2026 belongs to the first week of 2027."""
    # A broker takes no records from the future unless told to.
    any_time = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    topic = kafka.topic(f"orders-{unique}", config=any_time)
    schema = struct(id="int32", delivery_address="string")
    moments = [datetime(2026, 12, 26, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC)]
    produce(
        kafka,
        topic,
        [
            Message(
                envelope(schema, {"id": number, "delivery_address": f"{number} Bifröst"}),
                timestamp=int(moment.timestamp() * 1000),
            )
            for number, moment in enumerate(moments)
        ],
    )
    config = jdbc_sink(asgard) | {
        "topics": topic,
        "transforms": "addDateToTopic,labelFooBar",
        "transforms.addDateToTopic.type": "org.apache.kafka.connect.transforms.TimestampRouter",
        "transforms.addDateToTopic.topic.format": "${topic}-${timestamp}",
        "transforms.addDateToTopic.timestamp.format": "YYYYMM",
        "transforms.labelFooBar.type": "org.apache.kafka.connect.transforms.ReplaceField$Value",
        "transforms.labelFooBar.renames": "delivery_address:shipping_address",
    }
    name = f"sink-{unique}"
    worker = make_worker({name: config})
    worker.start()
    expected = [f"public.{topic}-202612", f"public.{topic}-202712"]
    worker.wait_for(lambda: tables(asgard) == expected, f"tables {expected}")
    worker.wait_for(lambda: committed(kafka, name, topic) == {0: 2}, "the commit")
    for number, suffix in enumerate((202612, 202712)):
        row = asgard.sql(f'SELECT id, shipping_address FROM "{topic}-{suffix}"')
        assert row == f"{number}\t{number} Bifröst"


def test_internal_converters_are_accepted(
    kafka: Kafka, make_worker: MakeWorker, unique: str
) -> None:
    """The talk's worker file of internal converters, real and made up, works with warnings."""
    settings = dict(line.split("=", 1) for line in INTERNAL_CONVERTERS.splitlines())
    topic, name = kafka.topic(f"lines-{unique}"), f"lines-{unique}"
    produce(kafka, topic, [json.dumps({"schema": None, "payload": "hello"}).encode()])
    worker = make_worker(settings=settings)
    output = worker.folder / "lines.txt"
    worker.start()
    worker.create(name, {"connector.class": "FileStreamSink", "topics": topic, "file": str(output)})
    worker.wait_for(lambda: output.exists() and output.read_text() == "hello\n", "the line")
    log = worker.log_text()
    for key in settings:
        if key != "value.converter":
            assert any(key in line and "WARN" in line for line in log.splitlines()), log

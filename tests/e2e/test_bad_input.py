"""Bad input: a clear error, a FAILED task, a position that has not moved, and a way on.

Every test ends with the cause gone and the connector restarted: nothing is lost. That no password
appears in any log or status is checked by `CoracleWorker` and by the fixtures.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorker, assert_no_secrets, settings_for
from tests.e2e.topics import committed, configure, envelope, produce, source_offsets, struct, values
from tests.e2e.worker import CoracleWorker
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

OFFSETS = "offsets-bad-input"
JSON = "org.apache.kafka.connect.json.JsonConverter"
STRING = "org.apache.kafka.connect.storage.StringConverter"
JDBC_SINK = "io.confluent.connect.jdbc.JdbcSinkConnector"
JDBC_SOURCE = "io.confluent.connect.jdbc.JdbcSourceConnector"

ROW = struct(id="int32", amount="int32")
TEXT_ROW = struct(id="int32", note="string")


@pytest.fixture(scope="module")
def worker(kafka_server: Kafka) -> Iterator[CoracleWorker]:
    """A worker that all tests here give their connectors to."""
    worker = CoracleWorker(kafka_server.bootstrap_servers, settings=settings_for(OFFSETS))
    worker.start()
    yield worker
    assert worker.terminate().code == 0
    assert_no_secrets(worker)


@pytest.fixture
def name(worker: CoracleWorker, unique: str) -> Iterator[str]:
    """Name of a test's only connector, which is deleted after it."""
    name = f"bad-{unique}"
    yield name
    if worker.running:
        worker.request("DELETE", f"/connectors/{name}")


def jdbc_sink(postgres: Database[Postgres], topic: str, **more: str) -> dict[str, str]:
    """A sink into the table `things`; underscores of further keys are dots."""
    return {
        "connector.class": JDBC_SINK,
        "connection.url": postgres.jdbc_url,
        "connection.user": postgres.user,
        "connection.password": postgres.password,
        "connection.attempts": "1",
        "topics": topic,
        "table.name.format": "things",
        **{key.replace("_", "."): value for key, value in more.items()},
    }


def jdbc_source(mariadb: Database[MariaDB], prefix: str, **more: str) -> dict[str, str]:
    """A source of the table `things`; underscores of further keys are dots."""
    return {
        "connector.class": JDBC_SOURCE,
        "connection.url": mariadb.jdbc_url,
        "connection.user": mariadb.user,
        "connection.password": mariadb.password,
        "connection.attempts": "1",
        "table.whitelist": "things",
        "mode": "incrementing",
        "incrementing.column.name": "id",
        "poll.interval.ms": "100",
        "topic.prefix": prefix,
        **{key.replace("_", "."): value for key, value in more.items()},
    }


def file_sink(topic: str, file: Path, **more: str) -> dict[str, str]:
    return {
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": str(file),
        **{key.replace("_", "."): value for key, value in more.items()},
    }


def rows(*pairs: tuple[int, Any], schema: dict[str, Any] = ROW) -> list[bytes]:
    """Records of a schema with two fields."""
    first, second = (field["field"] for field in schema["fields"])
    return [envelope(schema, {first: a, second: b}) for a, b in pairs]


def stored(kafka: Kafka, name: str) -> list[Any]:
    """Offsets that a source has stored."""
    found = source_offsets(kafka, OFFSETS)
    return [offset for key, offset in found.items() if json.loads(key)[0] == name]


def failed_at(
    worker: CoracleWorker, kafka: Kafka, name: str, topic: str, offset: int, *words: str
) -> None:
    """A sink's task has failed at a record, which is neither passed now nor by a restart."""
    for _ in range(2):
        trace = worker.wait_for_failure(name)
        assert worker.states(name) == ["RUNNING", "FAILED"]
        for word in (f"connector {name}, task 0", f"{topic}-0@{offset}", *words):
            assert word in trace, trace
        assert committed(kafka, name, topic).get(0, 0) <= offset
        worker.restart(name)


def arrives(
    worker: CoracleWorker, postgres: Database[Postgres], expected: str, columns: str = "*"
) -> None:
    query = f"SELECT {columns} FROM things ORDER BY 1"

    def arrived() -> bool:
        is_there = postgres.sql("SELECT to_regclass('things')") != ""
        return is_there and postgres.sql(query) == expected

    worker.wait_for(arrived, f"rows {expected!r}")


# -- configurations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"connector.class": "org.example.NopeConnector"}, ["org.example.NopeConnector"]),
        ({"connection.url": None}, ["connection.url"]),
        ({"topics": None}, ["topics"]),
        ({"tasks.max": "many"}, ["tasks.max", "many"]),
        ({"batch.size": "huge"}, ["batch.size", "huge"]),
        ({"insert.mode": "replace"}, ["insert.mode", "replace", "upsert"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_configuration(
    change: dict[str, str | None],
    words: list[str],
    worker: CoracleWorker,
    name: str,
    make_worker: MakeWorker,
) -> None:
    """The command line and the REST API refuse it, with the same words."""
    changed = {
        "connector.class": JDBC_SINK,
        "connection.url": "jdbc:postgresql://127.0.0.1/nowhere",
        "connection.password": "hidden-5f1d",
        "topics": "orders",
    } | change
    config = {key: value for key, value in changed.items() if value is not None}
    done = make_worker({name: config}).run_to_end()
    assert done.returncode == 1
    answer = worker.request("POST", "/connectors", {"name": name, "config": config}, code=400)
    for output in (done.stderr, answer.json()["message"]):
        assert all(word in output for word in words), output
        assert "hidden-5f1d" not in output
        assert "Traceback" not in output
    worker.request("GET", f"/connectors/{name}", code=404)


# -- servers -------------------------------------------------------------------------------------


def test_unreachable_broker(
    kafka: Kafka, make_worker: MakeWorker, tmp_path: Path, unique: str
) -> None:
    topic, lines, read = kafka.new_topic(), tmp_path / "in.txt", tmp_path / "out.txt"
    lines.write_text("from a file\n")
    produce(kafka, topic, [b"first", b"second"])
    kafka.stop()
    sink, source = f"sink-{unique}", f"source-{unique}"
    file_source = {"connector.class": "FileStreamSource", "file": str(lines), "topic": unique}
    worker = make_worker(
        {sink: file_sink(topic, read, value_converter=STRING), source: file_source}
    )
    worker.start()
    for name in (sink, source):
        trace = worker.wait_for_failure(name, seconds=60)
        for word in (f"connector {name}, task 0", kafka.bootstrap_servers, "Check the address"):
            assert word in trace, trace
    kafka.start()
    for name in (sink, source):
        worker.restart(name)
    worker.wait_for(lambda: read.exists() and read.read_text() == "first\nsecond\n", "both lines")
    worker.wait_for(lambda: values(kafka, unique) == ["from a file"], "the file's line")


def test_unreachable_database_of_a_sink(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    produce(kafka, topic, rows((1, 10), (2, 20)))
    postgres.server.stop()
    worker.create(name, jdbc_sink(postgres, topic, auto_create="true"))
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}, task 0", f"{postgres.host}:{postgres.port}", "Check that"):
        assert word in trace, trace
    assert committed(kafka, name, topic) == {}
    postgres.server.start()
    worker.restart(name)
    arrives(worker, postgres, "1\t10\n2\t20")


def test_unreachable_database_of_a_source(
    worker: CoracleWorker, name: str, kafka: Kafka, mariadb: Database[MariaDB], unique: str
) -> None:
    mariadb.sql("CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY)")
    mariadb.sql("INSERT INTO things VALUES (1), (2)")
    mariadb.server.stop()
    worker.create(name, jdbc_source(mariadb, f"{unique}-"))
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}", f"{mariadb.host}:{mariadb.port}", "Check that"):
        assert word in trace, trace
    assert stored(kafka, name) == []
    mariadb.server.start()
    worker.restart(name)
    worker.wait_for(lambda: len(values(kafka, f"{unique}-things")) == 2, "both rows")


def test_wrong_password_of_a_sink(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    produce(kafka, topic, rows((1, 10)))
    wrong = "not-the-password-82c6"
    config = jdbc_sink(postgres, topic, auto_create="true") | {"connection.password": wrong}
    worker.create(name, config)
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}, task 0", postgres.user, "connection.password"):
        assert word in trace, trace
    assert committed(kafka, name, topic) == {}
    postgres.sql(f"ALTER ROLE {postgres.user} PASSWORD '{wrong}'")
    worker.restart(name)
    arrives(worker, postgres, "1\t10")


def test_wrong_password_of_a_source(
    worker: CoracleWorker, name: str, kafka: Kafka, mariadb: Database[MariaDB], unique: str
) -> None:
    mariadb.sql("CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY)")
    mariadb.sql("INSERT INTO things VALUES (1)")
    wrong = "not-the-password-c28e"
    config = jdbc_source(mariadb, f"{unique}-") | {"connection.password": wrong}
    worker.create(name, config)
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}", mariadb.user, "connection.password"):
        assert word in trace, trace
    assert stored(kafka, name) == []
    mariadb.sql(f"ALTER USER {mariadb.user}@'%' IDENTIFIED BY '{wrong}'")
    worker.restart(name)
    worker.wait_for(lambda: len(values(kafka, f"{unique}-things")) == 1, "the row")


# -- tables --------------------------------------------------------------------------------------


def test_table_without_the_incrementing_column(
    worker: CoracleWorker, name: str, kafka: Kafka, mariadb: Database[MariaDB], unique: str
) -> None:
    mariadb.sql("CREATE TABLE things (number INT)")
    mariadb.sql("INSERT INTO things VALUES (7), (8)")
    worker.create(name, jdbc_source(mariadb, f"{unique}-"))
    trace = worker.wait_for_failure(name)
    expected = (f"connector {name}, task 0", "Incrementing column: id does not exist", "number")
    for word in expected:
        assert word in trace, trace
    assert stored(kafka, name) == []
    mariadb.sql("ALTER TABLE things ADD id INT AUTO_INCREMENT PRIMARY KEY")
    worker.restart(name)
    expected_rows = [{"number": 7, "id": 1}, {"number": 8, "id": 2}]
    worker.wait_for(lambda: values(kafka, f"{unique}-things") == expected_rows, "both rows")


def test_table_of_a_source_dropped_while_running(
    worker: CoracleWorker, name: str, kafka: Kafka, mariadb: Database[MariaDB], unique: str
) -> None:
    create = "CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, amount INT)"
    mariadb.sql(f"{create}; INSERT INTO things VALUES (1, 10), (2, 20)")
    worker.create(name, jdbc_source(mariadb, f"{unique}-"))
    worker.wait_for(lambda: stored(kafka, name) == [{"incrementing": 2}], "the offset")
    mariadb.sql("DROP TABLE things")
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}, task 0", "stage TASK_POLL", "things"):
        assert word in trace, trace
    assert stored(kafka, name) == [{"incrementing": 2}]
    mariadb.sql(f"{create}; INSERT INTO things VALUES (2, 20), (3, 30)")
    worker.restart(name)
    expected = [{"id": n, "amount": 10 * n} for n in (1, 2, 3)]
    worker.wait_for(lambda: values(kafka, f"{unique}-things") == expected, "the new row")


def test_table_of_a_sink_dropped_while_running(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    create = (
        f"CREATE TABLE things (id INT, amount INT); ALTER TABLE things OWNER TO {postgres.user}"
    )
    postgres.sql(create)
    produce(kafka, topic, rows((1, 10)))
    worker.create(name, jdbc_sink(postgres, topic))
    arrives(worker, postgres, "1\t10")
    worker.wait_for(lambda: committed(kafka, name, topic) == {0: 1}, "the commit")
    postgres.sql("DROP TABLE things")
    produce(kafka, topic, rows((2, 20), (3, 30)))
    failed_at(worker, kafka, name, topic, 1, "stage TASK_PUT", "things", "auto.create")
    worker.wait_for_failure(name)
    postgres.sql(create)
    worker.restart(name)
    arrives(worker, postgres, "2\t20\n3\t30")


# -- records a sink cannot write -----------------------------------------------------------------


def test_value_that_does_not_fit_its_column(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    postgres.sql("CREATE TABLE things (id INT, note VARCHAR(5))")
    postgres.sql(f"ALTER TABLE things OWNER TO {postgres.user}")
    produce(kafka, topic, rows((1, "short"), (2, "too long"), (3, "fits"), schema=TEXT_ROW))
    worker.create(name, jdbc_sink(postgres, topic))
    words = ("stage TASK_PUT", "Table things refuses", "too long", "column note", "transform")
    failed_at(worker, kafka, name, topic, 1, *words)
    worker.wait_for_failure(name)
    postgres.sql("ALTER TABLE things ALTER note TYPE TEXT")
    worker.restart(name)
    arrives(worker, postgres, "1\tshort\n2\ttoo long\n3\tfits")


def test_schema_that_changes_incompatibly(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    produce(kafka, topic, rows((1, 10)))
    worker.create(name, jdbc_sink(postgres, topic, auto_create="true", auto_evolve="true"))
    arrives(worker, postgres, "1\t10")
    words = struct(id="int32", amount="string")
    produce(kafka, topic, rows((2, "twenty"), schema=words))
    failed_at(worker, kafka, name, topic, 1, "stage TASK_PUT", "things", "amount", "Change")
    worker.wait_for_failure(name)
    postgres.sql("ALTER TABLE things ALTER amount TYPE TEXT")
    worker.restart(name)
    arrives(worker, postgres, "1\t10\n2\ttwenty")


def test_new_field_that_no_column_can_be_made_for(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    topic = kafka.new_topic()
    produce(kafka, topic, rows((1, 10)))
    worker.create(name, jdbc_sink(postgres, topic, auto_create="true", auto_evolve="true"))
    arrives(worker, postgres, "1\t10")
    wider = struct(id="int32", amount="int32", place="string")
    produce(kafka, topic, [envelope(wider, {"id": 2, "amount": 20, "place": "Oslo"})])
    failed_at(worker, kafka, name, topic, 1, "stage TASK_PUT", "add missing field", "place", "Add")
    worker.wait_for_failure(name)
    postgres.sql("ALTER TABLE things ADD place TEXT NOT NULL DEFAULT 'unknown'")
    worker.restart(name)
    arrives(worker, postgres, "1\t10\tunknown\n2\t20\tOslo")


def test_nul_character_in_text(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    """PostgreSQL's text holds every character but this one; it is never left out."""
    topic = kafka.new_topic()
    notes = [(1, "whole"), (2, "in\x00two"), (3, "whole, too")]
    produce(kafka, topic, rows(*notes, schema=TEXT_ROW))
    config = jdbc_sink(postgres, topic, auto_create="true")
    worker.create(name, config)
    failed_at(worker, kafka, name, topic, 1, "stage TASK_PUT", "things", "note", "NUL")
    worker.wait_for_failure(name)
    worker.configure(name, config | {"errors.tolerance": "all"})
    arrives(worker, postgres, "1\twhole\n3\twhole, too")
    worker.wait_for(lambda: committed(kafka, name, topic) == {0: 3}, "the commit")


# -- converters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("schemas", ["true", "false"])
def test_json_converter_meets_plain_text(
    schemas: str, worker: CoracleWorker, name: str, kafka: Kafka, tmp_path: Path
) -> None:
    topic, output = kafka.new_topic(), tmp_path / "out.txt"
    produce(kafka, topic, [b"hello world", b"and good night"])
    json_settings = {"value.converter": JSON, "value.converter.schemas.enable": schemas}
    worker.create(name, file_sink(topic, output) | json_settings)
    failed_at(worker, kafka, name, topic, 0, "stage VALUE_CONVERTER", JSON, "converter")
    worker.wait_for_failure(name)
    worker.configure(name, file_sink(topic, output, value_converter=STRING))
    worker.wait_for(lambda: output.read_text() == "hello world\nand good night\n", "the lines")


def test_schemas_enable_meets_plain_json(
    worker: CoracleWorker, name: str, kafka: Kafka, tmp_path: Path
) -> None:
    topic, output = kafka.new_topic(), tmp_path / "out.txt"
    produce(kafka, topic, [b'"one"', b'"two"'])
    config = file_sink(topic, output, value_converter=JSON)
    worker.create(name, config)
    failed_at(worker, kafka, name, topic, 0, "stage VALUE_CONVERTER", JSON, "schemas.enable")
    worker.wait_for_failure(name)
    worker.configure(name, config | {"value.converter.schemas.enable": "false"})
    worker.wait_for(lambda: output.read_text() == "one\ntwo\n", "the lines")


def test_json_that_is_not_json(
    worker: CoracleWorker, name: str, kafka: Kafka, postgres: Database[Postgres]
) -> None:
    """All before the bad record is written; the bad one is skipped where that is wanted."""
    topic = kafka.new_topic()
    produce(kafka, topic, [*rows((1, 10)), b'{"schema": {"type": "st', *rows((3, 30))])
    config = jdbc_sink(
        postgres, topic, auto_create="true", insert_mode="upsert", pk_mode="record_value"
    ) | {"pk.fields": "id"}
    worker.create(name, config)
    failed_at(worker, kafka, name, topic, 1, "stage VALUE_CONVERTER", JSON)
    worker.wait_for_failure(name)
    worker.configure(name, config | {"errors.tolerance": "all"})
    arrives(worker, postgres, "1\t10\n3\t30")
    worker.wait_for(lambda: committed(kafka, name, topic) == {0: 3}, "the commit")


# -- large records -------------------------------------------------------------------------------


def test_row_of_five_megabytes(
    worker: CoracleWorker,
    name: str,
    kafka: Kafka,
    mariadb: Database[MariaDB],
    postgres: Database[Postgres],
    unique: str,
) -> None:
    """Each limit in its way is named in turn; once both are raised, it arrives whole."""
    size = 5 * 1024 * 1024
    mariadb.sql(
        "CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, note LONGTEXT NOT NULL); "
        f"INSERT INTO things VALUES (1, 'small'), (2, REPEAT('0123456789abcdef', {size // 16}))"
    )
    topic = kafka.topic(f"{unique}-things")
    config = jdbc_source(mariadb, f"{unique}-")
    worker.create(name, config)
    trace = worker.wait_for_failure(name)
    expected = (f"connector {name}, task 0", "stage KAFKA_PRODUCE", topic, "max.request.size")
    for word in expected:
        assert word in trace, trace
    assert {"incrementing": 2} not in stored(kafka, name)

    worker.configure(name, config | {"producer.override.max.request.size": "16000000"})
    trace = worker.wait_for_failure(name)
    for word in (f"connector {name}, task 0", "stage KAFKA_PRODUCE", topic, "max.message.bytes"):
        assert word in trace, trace
    assert {"incrementing": 2} not in stored(kafka, name)

    configure(kafka, topic, {"max.message.bytes": "16000000"})
    worker.restart(name)
    worker.wait_for(lambda: stored(kafka, name) == [{"incrementing": 2}], "the offset")
    worker.delete(name)
    worker.create(name, jdbc_sink(postgres, topic, auto_create="true"))
    arrives(worker, postgres, f"1\t5\n2\t{size}", "id, length(note)")
    digest = mariadb.sql("SELECT MD5(note) FROM things WHERE id = 2")
    assert postgres.sql("SELECT md5(note) FROM things WHERE id = 2") == digest

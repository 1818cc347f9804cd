"""Who competes, and how each is started: one process, one task, batches of 3,000.

Both workers are started the same way, with a worker's properties and a connector's JSON, and find
the same settings in them. The JVM gets the heap and collector that Kafka's own start scripts give
it, and a driver told to send its inserts as multi-row statements.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import jvm
from tests.servers.database import Database
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres
from tests.servers.process import Server

from bench.shapes import TABLE, Shape

BATCH = "3000"


@dataclass(frozen=True)
class Job:
    """What to move where.

    Attributes:
        name: of the connector, new for every trial, so that no offsets are committed yet.
        bootstrap_servers: the broker.
        topic: what to read.
        shape: what is in the topic.
        database: where the table is.
    """

    name: str
    bootstrap_servers: str
    topic: str
    shape: Shape
    database: Database[Postgres]


class Contestant(Server):
    """A process that does a job. ``start`` returns at once: being ready is what is measured.

    Attributes:
        key: short name, for options and results.
        title: what it is, in a few words.
        rest_port: the port of its REST API, ``None`` when it has none.
    """

    key = ""
    title = ""

    def __init__(self, job: Job) -> None:
        super().__init__(self.key)
        self.job = job
        self.rest_port: int | None = None

    def ready(self) -> bool:
        """At once."""
        return True


class BareScript(Contestant):
    """``bare_script.py``."""

    key = "script"
    title = "bare script"

    def command(self) -> list[str]:
        """The script, from the repository's root."""
        job = self.job
        script = Path(__file__).with_name("bare_script.py")
        coupon = ["--coupon"] if job.shape.interleaved else []
        arguments = [job.bootstrap_servers, job.topic, job.name, job.database.dsn, *coupon]
        return [sys.executable, str(script), *arguments]


class Worker(Contestant):
    """A Connect worker, standalone: ``worker.properties`` and ``connector.json``."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.rest_port = free_port()

    def connector(self) -> Mapping[str, str]:
        """The sink's settings."""
        raise NotImplementedError

    def worker(self) -> Mapping[str, str]:
        """The worker's settings."""
        converters = "org.apache.kafka.connect"
        return {
            "bootstrap.servers": self.job.bootstrap_servers,
            "key.converter": f"{converters}.storage.StringConverter",
            "value.converter": f"{converters}.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            "consumer.max.poll.records": BATCH,
            "listeners": f"http://127.0.0.1:{self.rest_port}",
        }

    def _write_worker(self) -> Path:
        path = self.folder / "worker.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self.worker().items()))
        return path

    def _write_connector(self) -> Path:
        path = self.folder / "connector.json"
        common = {"topics": self.job.topic, "tasks.max": "1", "batch.size": BATCH}
        config = {**common, "insert.mode": "insert", **self.connector()}
        path.write_text(json.dumps({"name": self.job.name, "config": config}, indent=2))
        return path


class Coracle(Worker):
    """Coracle with its JDBC sink, configured as Confluent's."""

    key = "coracle"
    title = "Coracle"

    def command(self) -> list[str]:
        """``coracle run``."""
        program = Path(sys.executable).with_name("coracle")
        worker = ["--worker", str(self._write_worker())]
        return [
            str(program),
            "run",
            str(self._write_connector()),
            *worker,
            "--log-level",
            "warning",
        ]

    def connector(self) -> Mapping[str, str]:
        """Confluent's keys."""
        database = self.job.database
        return {
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
            "connection.url": database.jdbc_url,
            "connection.user": database.user,
            "connection.password": database.password,
            "table.name.format": TABLE,
            "pk.mode": "record_value",
            "pk.fields": "id",
        }


class Jvm(Worker):
    """Kafka Connect on the JVM with Debezium's JDBC sink."""

    key = "jvm"
    title = "JVM Connect, Debezium sink"

    def command(self) -> list[str]:
        """``connect-standalone``, with the flags of ``kafka-run-class.sh``."""
        return [
            str(jvm.java()),
            "-Xms256M",
            "-Xmx2G",
            "-server",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={jvm.SOURCES / 'log4j2.properties'}",
            "-Dcoracle.log.level=WARN",
            "-cp",
            f"{jvm.fetched(jvm.KAFKA)}/*",
            "org.apache.kafka.connect.cli.ConnectStandalone",
            str(self._write_worker()),
            str(self._write_connector()),
        ]

    def worker(self) -> Mapping[str, str]:
        """What a JVM worker needs besides."""
        return {
            **super().worker(),
            "offset.storage.file.filename": str(self.folder / "offsets"),
            "plugin.path": str(jvm.fetched(jvm.DEBEZIUM_JDBC)),
        }

    def connector(self) -> Mapping[str, str]:
        """Debezium's keys."""
        database = self.job.database
        return {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "connection.url": f"{database.jdbc_url}?reWriteBatchedInserts=true",
            "connection.username": database.user,
            "connection.password": database.password,
            "collection.name.format": TABLE,
            "primary.key.mode": "record_value",
            "primary.key.fields": "id",
            "schema.evolution": "none",
        }


CONTESTANTS: Mapping[str, type[Contestant]] = {
    contestant.key: contestant for contestant in (BareScript, Coracle, Jvm)
}

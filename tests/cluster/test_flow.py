"""Rows from a table through Kafka into a table, in real pods."""

import logging
import threading
import time

import pytest

from tests.cluster import flows
from tests.cluster.flows import Coracle
from tests.servers.database import Database
from tests.servers.postgres import Postgres

logger = logging.getLogger(__name__)

SOURCE = "io.confluent.connect.jdbc.JdbcSourceConnector"
SINK = "io.confluent.connect.jdbc.JdbcSinkConnector"


def fill(database: Database[Postgres], table: str, first: int, last: int) -> None:
    database.sql(
        f"SET ROLE {database.user};"
        f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, customer text, amount float8);"
        f"INSERT INTO {table} SELECT i, 'customer ' || i % 97, i / 8.0 "
        f"FROM generate_series({first}, {last}) i"
    )


def rows(database: Database[Postgres], table: str) -> int:
    if not database.sql(f"SELECT to_regclass('{table}')"):
        return 0
    return int(database.sql(f"SELECT count(*) FROM {table}"))


def source(database: Database[Postgres], table: str) -> dict[str, str]:
    return flows.login(database) | {
        "mode": "incrementing",
        "incrementing.column.name": "id",
        "table.whitelist": table,
        "topic.prefix": "flow-",
        "poll.interval.ms": "200",
    }


def sink(database: Database[Postgres], topic: str, table: str) -> dict[str, str]:
    return flows.login(database) | {
        "topics": topic,
        "table.name.format": table,
        "auto.create": "true",
        "insert.mode": "upsert",
        "pk.mode": "record_value",
        "pk.fields": "id",
        "metadata.max.age.ms": "1000",
    }


@pytest.mark.timeout(300)
def test_rows_flow_through_pods(coracle: Coracle, postgres: Database[Postgres]) -> None:
    flows.database_secret(coracle, postgres)
    fill(postgres, "orders", 1, 5000)
    coracle.connector("orders", SOURCE, source(postgres, "orders"))
    coracle.connector("copy", SINK, sink(postgres, "flow-orders", "copied"))
    coracle.ready("orders")
    coracle.ready("copy")
    coracle.until("5000 rows", lambda: rows(postgres, "copied") == 5000)
    fill(postgres, "orders", 5001, 6000)
    coracle.until("6000 rows", lambda: rows(postgres, "copied") == 6000)
    different = "SELECT count(*) FROM orders NATURAL FULL JOIN copied"
    assert postgres.sql(different) == "6000"
    status = coracle.get("copy")["status"]
    assert status["connectorStatus"]["connector"]["state"] == "RUNNING"
    assert [task["state"] for task in status["connectorStatus"]["tasks"]] == ["RUNNING"]
    text = str(
        coracle.kubectl("get", "all,configmaps,events,kafkaconnectors.coracle.dev", "-oyaml")
    )
    assert postgres.password not in text
    coracle.delete("orders")
    coracle.delete("copy")
    assert coracle.pods("orders") == coracle.pods("copy") == []


@pytest.mark.timeout(300)
def test_from_apply_to_the_first_row(coracle: Coracle, postgres: Database[Postgres]) -> None:
    """Measured on a warm image; the time stands in the log."""
    flows.database_secret(coracle, postgres)
    fill(postgres, "quick", 1, 10)
    coracle.connector("quick", SOURCE, source(postgres, "quick"))
    coracle.ready("quick")
    begin = time.monotonic()
    coracle.connector("quick-copy", SINK, sink(postgres, "flow-quick", "quick_copied"))
    coracle.until("a row", lambda: rows(postgres, "quick_copied") > 0)
    seconds = time.monotonic() - begin
    logger.info("from kubectl apply to the first row: %.1f s", seconds)
    assert seconds < 20
    coracle.delete("quick")
    coracle.delete("quick-copy")


@pytest.mark.timeout(400)
def test_scaling_moves_only_what_must_move(coracle: Coracle, postgres: Database[Postgres]) -> None:
    """1 to 3 to 2 pods with kubectl scale, while rows arrive."""
    flows.database_secret(coracle, postgres)
    topic = coracle.kafka.new_topic(partitions=6)
    coracle.connector(
        "numbers",
        "io.confluent.kafka.connect.datagen.DatagenConnector",
        {"quickstart": "users", "kafka.topic": topic, "max.interval": "5", "iterations": "-1"},
    )
    coracle.connector("scaled", "FileStreamSink", {"topics": topic, "file": "/dev/null"})
    coracle.ready("scaled")
    (first,) = coracle.live_pods("scaled").items()

    coracle.kubectl("scale", "kafkaconnectors.coracle.dev/scaled", "--replicas=3")
    coracle.until("3 pods and tasks", lambda: _spread(coracle, "scaled") == [1, 1, 1])
    three = coracle.owners("scaled")
    assert first in coracle.live_pods("scaled").items(), "scaling has rolled the first pod"
    kept = next(iter(coracle.kubectl.get(f"pod/{first[0]}")["status"]["podIPs"]))["ip"]
    assert kept in three[0], "task 0 had no reason to move"

    coracle.kubectl("scale", "kafkaconnectors.coracle.dev/scaled", "--replicas=2")
    coracle.until("2 pods and tasks", lambda: _spread(coracle, "scaled") == [1, 1])
    two = coracle.owners("scaled")
    alive = {pod["status"].get("podIP") for pod in coracle.pods("scaled")}
    for number, worker in two.items():
        if three[number].split(":")[0] in alive:
            assert worker == three[number], f"task {number} moved from a pod that is still there"
    coracle.delete("scaled")
    coracle.delete("numbers")


def _spread(coracle: Coracle, name: str) -> list[int]:
    """How many running tasks each live pod has."""
    ips = {
        pod["status"].get("podIP", "")
        for pod in coracle.pods(name)
        if "deletionTimestamp" not in pod["metadata"]
    }
    owners = [worker.split(":")[0] for worker in coracle.owners(name).values()]
    if not set(owners) <= ips:
        return []
    return sorted(owners.count(ip) for ip in ips)


@pytest.mark.timeout(400)
def test_a_killed_pod_loses_its_tasks_to_others_without_the_operator(coracle: Coracle) -> None:
    topic = coracle.kafka.new_topic(partitions=4)
    coracle.connector(
        "survivor", "FileStreamSink", {"topics": topic, "file": "/dev/null"}, tasksMax=2
    )
    coracle.until("2 pods", lambda: _spread(coracle, "survivor") == [1, 1])
    operator = "deployment/coracle-operator"
    coracle.kubectl("scale", operator, "--replicas=0")
    operators = ("pod", "-l", "app.kubernetes.io/component=operator")
    coracle.kubectl("wait", *operators, "--for=delete", "--timeout=60s")
    try:
        victim = coracle.pods("survivor")[0]
        dead = f"{victim['status']['podIP']}:"
        (number,) = (n for n, at in coracle.owners("survivor").items() if at.startswith(dead))
        killed = flows.kill(victim)
        # Its container would come back under the same address.
        name = f"pod/{victim['metadata']['name']}"
        coracle.kubectl("delete", name, "--force", "--grace-period=0", "--wait=false")
        coracle.until(
            "the task to run elsewhere",
            lambda: not coracle.owners("survivor").get(number, dead).startswith(dead),
            seconds=flows.SESSION_SECONDS + 30,
        )
        seconds = time.monotonic() - killed
        logger.info("from SIGKILL to the task elsewhere: %.1f s", seconds)
        assert seconds < flows.SESSION_SECONDS + 2
    finally:
        coracle.kubectl("scale", operator, "--replicas=1")
    coracle.delete("survivor")


@pytest.mark.timeout(300)
def test_a_config_change_never_has_two_versions_running(coracle: Coracle) -> None:
    topic = coracle.kafka.new_topic(partitions=2)
    config = {"topics": topic, "file": "/dev/null"}
    coracle.connector("edited", "FileStreamSink", config, tasksMax=2)
    coracle.until("2 pods", lambda: _spread(coracle, "edited") == [1, 1])
    seen: list[set[str]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            hashes = {
                pod["metadata"]["annotations"]["coracle.dev/config-hash"]
                for pod in coracle.pods("edited")
                if any("running" in c["state"] for c in pod["status"].get("containerStatuses", []))
            }
            seen.append(hashes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(10):
            coracle.patch("edited", {"config": config | {"description": str(number)}})
        generation = coracle.get("edited")["metadata"]["generation"]
        coracle.until(
            "the last version to run",
            lambda: (
                _spread(coracle, "edited") == [1, 1]
                and coracle.get("edited")["status"]["observedGeneration"] == generation
                and len(set().union(*seen)) > 1
                and coracle.condition("edited", "Ready")["status"] == "True"
            ),
        )
    finally:
        done.set()
        watcher.join()
    assert max(map(len, seen)) == 1, "two versions ran at once"
    coracle.delete("edited")


@pytest.mark.timeout(200)
def test_one_table_is_one_pod(coracle: Coracle, postgres: Database[Postgres]) -> None:
    flows.database_secret(coracle, postgres)
    fill(postgres, "lonely", 1, 10)
    coracle.connector("lonely", SOURCE, source(postgres, "lonely"), tasksMax=10)
    coracle.ready("lonely")
    time.sleep(5)
    assert len(coracle.pods("lonely")) == 1
    assert coracle.get("lonely")["status"]["tasksMax"] == 1
    coracle.delete("lonely")

"""A pod's process against a real API server and a real Kafka: what it hears, and what it says.

The rights are those of a pod, so these tests also show that they are enough.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coracle.kafka.offsets import OffsetTopic
from tests.cluster.binaries import programs
from tests.cluster.commands import Command
from tests.cluster.task_pod import Resource, TaskPod, seconds_until
from tests.cluster.throwaway import ControlPlaneServer
from tests.integration.conftest import started
from tests.integration.kafka.test_consume import joined, produce, take_all
from tests.servers.kafka import Kafka
from tests.servers.process import wait_for

pytestmark = pytest.mark.timeout(180)

STRING = "org.apache.kafka.connect.storage.StringConverter"
CRDS = Path(__file__).parents[2] / "k8s" / "crds" / "coracle.dev_kafkaconnectors.yaml"
RUNNING = "RUNNING"

MakeResource = Callable[..., Resource]
MakePod = Callable[..., TaskPod]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlaneServer]:
    """An API server that knows KafkaConnectors; no node is needed."""
    server = ControlPlaneServer()
    try:
        server.start()
        kubectl = Command(str(programs() / "kubectl"), server.kubeconfig)
        kubectl("apply", "--server-side", "--filename", str(CRDS))
        names = ("api-resources", "--api-group=coracle.dev", "--output=name")
        wait_for(lambda: "kafkaconnectors" in kubectl(*names), seconds=20, what="the resource")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def kafka_server() -> Iterator[Kafka]:
    """A broker; what is to reach it are processes of this machine."""
    yield from started(Kafka)


@pytest.fixture
def resource_of(plane: ControlPlaneServer) -> Iterator[MakeResource]:
    """Makes KafkaConnectors."""
    made: list[Resource] = []

    def make(*args: Any, **control: Any) -> Resource:
        made.append(Resource(plane.kubeconfig, *args, **control))
        return made[-1]

    yield make
    for resource in made:
        resource.delete()


@pytest.fixture
def pod_of() -> Iterator[MakePod]:
    """Makes pods, not started."""
    made: list[TaskPod] = []

    def make(resource: Resource, **environment: str) -> TaskPod:
        made.append(TaskPod(resource, **environment))
        return made[-1]

    yield make
    for pod in made:
        pod.kill()


@pytest.fixture
def worker(kafka: Kafka) -> dict[str, str]:
    """A worker's settings."""
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": f"coracle-{secrets.token_hex(3)}",
        "offset.storage.topic": f"offsets-{secrets.token_hex(3)}",
        "offset.flush.interval.ms": "500",
        "key.converter": STRING,
        "value.converter": STRING,
    }


def file_sink(topic: str, file: Path | str) -> dict[str, str]:
    return {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "topics": topic,
        "file": str(file),
    }


def file_source(topic: str, file: Path) -> dict[str, str]:
    return {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "topic": topic,
        "file": str(file),
    }


def send(kafka: Kafka, topic: str, values: list[bytes | None]) -> None:
    asyncio.run(produce(kafka, topic, values))


async def read(kafka: Kafka, topic: str, count: int) -> None:
    async with joined(kafka, topic) as consumer:
        await take_all(consumer, count)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> float:
    return seconds_until(condition, seconds=seconds, what=what)


def state_is(resource: Resource, *states: str) -> float:
    """Wait for the states of connector and tasks."""
    return until(lambda: resource.states() == list(states), f"{resource.name} to be {states}")


def test_what_a_pod_does_is_on_its_resource_within_a_second(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic, file = kafka.new_topic(partitions=2), tmp_path / "out"
    send(kafka, topic, [b"one", b"two"])
    resource = resource_of(file_sink(topic, file), worker, tasksMax=2)
    pod = pod_of(resource)
    began = time.monotonic()
    pod.start()
    until(lambda: sorted(lines(file)) == ["one", "two"], "the first rows")
    first = time.monotonic() - began
    state_is(resource, RUNNING, RUNNING, RUNNING)
    until(lambda: pod.probe("/ready") == 200, "the readiness probe")

    found = resource.connector_status()
    assert (found["name"], found["type"]) == (resource.name, "sink")
    connector, tasks = found["connector"], resource.tasks()
    assert connector["worker_id"] == f"127.0.0.1:{pod.port}"
    assert (connector["tasks"], connector["useful"]) == (2, 2)
    assert {task["epoch"] for task in tasks.values()} == {connector["epoch"]}
    assert abs(connector["epoch"] / 1000 - time.time()) < 60
    owners = resource.status_managers()
    assert owners == {"coracle-connector", "coracle-task-0", "coracle-task-1"}

    time.sleep(1)
    resource.tell(state="paused")
    paused = state_is(resource, "PAUSED", "PAUSED", "PAUSED")
    tasks = resource.tasks().values()
    assert sum(task["records"] for task in tasks) == 2
    assert [task["lag"] for task in tasks] == [0, 0]
    commits = [task["lastCommit"] for task in tasks if "lastCommit" in task]
    assert commits
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", commit) for commit in commits)
    resource.tell(state="running")
    resumed = state_is(resource, RUNNING, RUNNING, RUNNING)
    print(
        f"first row {first:.2f} s after the process began, {pod.memory() / 2**20:.0f} MB resident; "
        f"paused after {paused:.2f} s, resumed after {resumed:.2f} s"
    )
    assert max(paused, resumed) < 2
    assert pod.memory() < 100 * 2**20
    status = pod.answer(f"/connectors/{resource.name}/status")
    assert [task["state"] for task in status["tasks"]] == [RUNNING, RUNNING]
    assert pod.probe(f"/connectors/{resource.name}/tasks/7/status") == 404
    code, seconds = pod.terminate()
    assert (code, seconds < 5) == (0, True)


def test_a_zombies_entry_is_refused_and_dropped(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    resource = resource_of(file_sink(kafka.new_topic(), tmp_path / "out"), worker)
    pod = pod_of(resource)
    pod.start()
    state_is(resource, RUNNING, RUNNING)
    newer = resource.tasks()[0]["epoch"] + 1000
    entry = {"id": 0, "state": RUNNING, "worker_id": "10.0.0.9:8083", "epoch": newer}
    resource.apply_status("coracle-task-0", {"connectorStatus": {"tasks": [entry]}})
    resource.tell(state="paused")
    state_is(resource, "PAUSED", RUNNING)
    until(lambda: "has a newer owner than this pod" in pod.log_text(), "the pod to see it")
    time.sleep(1.5)
    assert resource.tasks()[0]["worker_id"] == "10.0.0.9:8083"
    assert pod.log_text().count("has a newer owner") == 1


def test_rows_move_while_the_api_server_is_away_and_wishes_are_heard_when_it_is_back(
    kafka: Kafka,
    worker: dict[str, str],
    resource_of: MakeResource,
    pod_of: MakePod,
    plane: ControlPlaneServer,
    tmp_path: Path,
) -> None:
    topic, file = kafka.new_topic(), tmp_path / "out"
    resource = resource_of(file_sink(topic, file), worker)
    pod = pod_of(resource)
    pod.start()
    state_is(resource, RUNNING, RUNNING)
    plane.apiserver.kill()
    try:
        began = time.monotonic()
        while time.monotonic() - began < 10:
            send(kafka, topic, [b"row"])
            time.sleep(0.5)
        moved = len(lines(file))
        assert moved > 10
        assert pod.probe("/health") == 200
    finally:
        plane.apiserver.start()
    resource.tell(state="paused")
    heard = state_is(resource, "PAUSED", "PAUSED")
    print(f"{moved} rows without an API server; heard and said {heard:.1f} s after it was back")
    assert "ConfigMap" in pod.log_text()
    assert pod.log_text().count("cannot be watched") < 10


def test_a_secret_that_is_missing_is_named_and_used_when_it_appears(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic = kafka.new_topic()
    send(kafka, topic, [b"row"])
    resource = resource_of(file_sink(topic, "${secrets:out:path}"), worker)
    pod = pod_of(resource)
    pod.start()
    until(lambda: resource.connector().get("state") == "FAILED", "the connector to fail")
    trace = resource.connector()["trace"]
    assert "there is no Secret out, or it has no key path, in namespace" in trace
    assert "kubectl create secret generic out --from-file=path" in trace
    assert (pod.probe("/health"), pod.probe("/ready")) == (200, 503)

    # An error quotes the path, and the path is a secret.
    pod.mount("secrets", "out", {"path": str(tmp_path / "hush-none" / "out")})
    state_is(resource, RUNNING, "FAILED")
    trace = resource.tasks()[0]["trace"]
    assert "Couldn't find or create file '[hidden]' for FileStreamSinkTask" in trace
    first, second = tmp_path / "hush-first", tmp_path / "hush-second"
    pod.mount("secrets", "out", {"path": str(first)})
    noticed = until(lambda: lines(first) == ["row"], "the row")
    state_is(resource, RUNNING, RUNNING)
    epoch = resource.connector()["epoch"]
    pod.mount("secrets", "out", {"path": str(first)})
    time.sleep(5)
    assert resource.connector()["epoch"] == epoch
    assert pod.log_text().count("starts anew") == 2

    began = time.monotonic()
    pod.mount("secrets", "out", {"path": str(second)})
    until(lambda: resource.connector()["epoch"] > epoch, "the restart")
    state_is(resource, RUNNING, RUNNING)
    send(kafka, topic, [b"another"])
    until(lambda: lines(second) == ["another"], "the other row")
    changed = time.monotonic() - began
    print(
        f"a Secret that appeared was used after {noticed:.1f} s, one that changed {changed:.1f} s"
    )
    shown = str(pod.answer(f"/connectors/{resource.name}/status"))
    assert "hush" not in pod.log_text() + str(resource.connector_status()) + shown


def test_a_secret_of_the_worker_is_waited_for_too(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    servers = worker["bootstrap.servers"]
    worker |= {"bootstrap.servers": "${secrets:kafka:servers}"}
    resource = resource_of(file_sink(kafka.new_topic(), tmp_path / "out"), worker)
    pod = pod_of(resource)
    pod.start()
    until(lambda: resource.connector().get("state") == "FAILED", "the connector to fail")
    assert "no Secret kafka, or it has no key servers" in resource.connector()["trace"]
    pod.mount("secrets", "kafka", {"servers": servers})
    state_is(resource, RUNNING, RUNNING)


def test_a_restart_is_done_once(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    restart = {"id": "old", "connector": True, "includeTasks": True, "onlyFailed": True}
    resource = resource_of(file_sink(kafka.new_topic(), folder / "out"), worker, restart=restart)
    pod = pod_of(resource)
    pod.start()
    state_is(resource, RUNNING, "FAILED")
    assert "Couldn't find or create file" in resource.tasks()[0]["trace"]
    assert (pod.probe("/health"), pod.probe("/ready")) == (200, 200)
    resource.tell(loggers={"coracle.rest": "INFO"})
    time.sleep(1)
    assert "restarting" not in pod.log_text()

    folder.mkdir()
    resource.tell(restart=restart | {"id": "new"})
    state_is(resource, RUNNING, RUNNING)
    assert "trace" not in resource.tasks()[0]
    resource.tell(loggers={})
    resource.tell(restartTasks={"0": "once"})
    until(lambda: pod.log_text().count("restarting tasks 0") == 2, "the second restart")
    resource.tell(loggers={"coracle.rest": "INFO"})
    time.sleep(1)
    assert pod.log_text().count("restarting tasks 0") == 2
    state_is(resource, RUNNING, RUNNING)


def test_tasks_max_restarts_no_task_that_stays(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic, file = kafka.new_topic(partitions=4), tmp_path / "out"
    resource = resource_of(file_sink(topic, file), worker)
    pod = pod_of(resource)
    pod.start()
    state_is(resource, RUNNING, RUNNING)
    resource.tell(tasksMax=3)
    more = until(
        lambda: [t["state"] for t in resource.tasks().values()] == [RUNNING] * 3, "three tasks"
    )
    until(lambda: resource.connector()["tasks"] == 3, "the leader to say so")
    resource.tell(tasksMax=1)
    less = until(lambda: resource.connector()["tasks"] == 1, "the leader to say so")
    tasks = pod.answer(f"/connectors/{resource.name}/status")["tasks"]
    assert [task["id"] for task in tasks] == [0]
    send(kafka, topic, [b"row"] * 8)
    until(lambda: len(lines(file)) == 8, "the rows")
    print(f"three tasks after {more:.1f} s, one again after {less:.1f} s")
    starts = [line for line in pod.log_text().splitlines() if "task-0] " in line]
    assert not [line for line in starts if "failed" in line or "stopp" in line]


def test_tasks_that_move_are_said_by_their_new_pod(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic = kafka.new_topic(partitions=2)
    resource = resource_of(file_sink(topic, tmp_path / "out"), worker, tasksMax=2)
    first, second = pod_of(resource), pod_of(resource)

    def are_at(*pods: TaskPod) -> Callable[[], bool]:
        """Whether the connector and its tasks run, and are said to run in these pods."""
        expected = sorted(f"127.0.0.1:{pod.port}" for pod in pods)

        def holds() -> bool:
            entries = [resource.connector(), *resource.tasks().values()]
            if any(entry.get("state") != RUNNING for entry in entries):
                return False
            return sorted({entry["worker_id"] for entry in entries}) == expected

        return holds

    first.start()
    until(are_at(first), "both tasks in the first pod")
    second.start()
    until(are_at(first, second), "a task in each pod")
    epoch = resource.connector()["epoch"]
    code, stopped = first.terminate()
    left = until(are_at(second), "both tasks in the second pod")
    assert code == 0
    assert resource.connector()["epoch"] > epoch
    first.start()
    until(are_at(first, second), "a task in each pod again")
    epoch = resource.connector()["epoch"]
    second.kill()
    died = until(are_at(first), "both tasks in the pod that is left", seconds=30)
    assert resource.connector()["epoch"] > epoch
    print(
        f"a pod stopped in {stopped:.1f} s, its work was another's {left:.1f} s later; that of one "
        f"that was killed after {died:.1f} s, of a session of 10 s"
    )
    assert "Traceback" not in first.log_text() + second.log_text()
    resource.tell(state="stopped")
    until(lambda: resource.connector()["state"] == "STOPPED", "the connector to be stopped")


def test_log_levels_follow(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    resource = resource_of(file_sink(kafka.new_topic(), tmp_path / "out"), worker)
    pod = pod_of(resource)
    pod.start()
    state_is(resource, RUNNING, RUNNING)
    assert "GET /ready" not in pod.log_text()
    resource.tell(loggers={"coracle.rest.access": "DEBUG"})
    until(lambda: pod.probe("/ready") == 200 and "GET /ready" in pod.log_text(), "a debug line")
    resource.tell(loggers={})
    time.sleep(1)
    seen = pod.log_text().count("GET /ready")
    assert pod.probe("/ready") == 200
    assert pod.log_text().count("GET /ready") == seen


def test_a_pod_waits_for_the_configuration_that_it_is_for(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    resource = resource_of(file_sink(kafka.new_topic(), tmp_path / "old"), worker)
    resource.definition["config"]["file"] = str(tmp_path / "new")
    pod = pod_of(resource)
    pod.start()
    until(lambda: "another configuration than" in pod.log_text(), "it to see the other one")
    assert (pod.probe("/health"), pod.probe("/ready")) == (200, 503)
    assert resource.connector_status() == {}
    resource.write()
    state_is(resource, RUNNING, RUNNING)
    resource.definition["config"]["file"] = str(tmp_path / "newer")
    resource.tell(state="paused")
    state_is(resource, "PAUSED", "PAUSED")
    assert not (tmp_path / "newer").exists()


def test_a_class_that_does_not_exist_is_said_and_leaves_the_pod_alive(
    worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod
) -> None:
    resource = resource_of({"connector.class": "com.example.Nowhere", "topics": "t"}, worker)
    pod = pod_of(resource)
    pod.start()
    until(lambda: resource.connector().get("state") == "FAILED", "the connector to fail")
    assert "com.example.Nowhere" in resource.connector()["trace"]
    assert len(resource.connector()["trace"].encode()) <= 4096
    assert pod.probe("/health") == 200
    assert pod.terminate()[0] == 0


def test_a_process_that_is_no_pod_says_why_it_ends(
    worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    resource = resource_of(file_sink("t", tmp_path / "out"), worker)
    nameless = pod_of(resource, CORACLE_RESOURCE="")
    done = nameless.run_to_end("task")
    assert done.returncode == 1
    assert "CORACLE_RESOURCE is not set" in done.stderr
    lost = pod_of(resource, KUBECONFIG=str(tmp_path / "none"))
    done = lost.run_to_end("task")
    assert done.returncode == 3
    assert "There is no way to the Kubernetes API" in done.stderr


def test_the_offsets_of_a_sink_are_reset(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic, file = kafka.new_topic(), tmp_path / "out"
    send(kafka, topic, [b"row"])
    resource = resource_of(file_sink(topic, file), worker)
    pod = pod_of(resource)
    pod.start()
    until(lambda: lines(file) == ["row"], "the row")
    assert pod.terminate()[0] == 0
    done = pod.run_to_end("offsets", "reset")
    assert done.returncode == 0, done.stderr
    assert f"consumer group connect-{resource.name} is deleted" in done.stderr
    pod.start()
    until(lambda: lines(file) == ["row", "row"], "the row once more")


def test_the_offsets_of_a_source_are_reset(
    kafka: Kafka, worker: dict[str, str], resource_of: MakeResource, pod_of: MakePod, tmp_path: Path
) -> None:
    topic, file = kafka.new_topic(), tmp_path / "in"
    file.write_text("a\nb\n")
    resource = resource_of(file_source(topic, file), worker)
    pod = pod_of(resource)
    pod.start()
    asyncio.run(read(kafka, topic, 2))
    assert pod.terminate()[0] == 0
    props = {"bootstrap.servers": kafka.bootstrap_servers}
    done = pod.run_to_end("offsets", "reset")
    assert done.returncode == 0, done.stderr
    assert "offsets of 1 source partitions erased" in done.stderr
    offsets = OffsetTopic(resource.name, worker["offset.storage.topic"], props, props, props)
    assert asyncio.run(offsets.erase()) == 0

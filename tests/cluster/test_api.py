"""The Kafka Connect REST API over KafkaConnector resources, on a real API server.

No pod runs here: states are written into the status as pods write them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from coracle.kube.model import KafkaConnect
from coracle.kube.names import resource_name
from coracle_operator.manifests import access
from tests.cluster.connect_api import ConnectApi, apply_crds, kubectl, manifest
from tests.cluster.throwaway import ControlPlaneServer
from tests.servers.process import wait_for

SINK = {"connector.class": "FileStreamSink", "topics": "orders", "file": "/tmp/lines.txt"}
JDBC = {
    "connector.class": "JdbcSink",
    "topics": "orders",
    "connection.url": "jdbc:postgresql://db/shop",
}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[str]:
    apply_crds(kubeconfig)
    name = f"rest-{time.time_ns()}"
    assert kubectl(kubeconfig, "create", "namespace", name)[0] == 0
    yield name
    kubectl(kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def process(kubeconfig: Path, namespace: str) -> Iterator[ConnectApi]:
    process = ConnectApi(kubeconfig, namespace)
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def client(process: ConnectApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.url, timeout=20) as client:
        yield client


Get = Callable[[str], dict[str, Any]]


@pytest.fixture
def get(kubeconfig: Path, namespace: str) -> Get:
    """Reads a resource, named `kind/name`."""

    def read(resource: str) -> dict[str, Any]:
        code, said = kubectl(kubeconfig, "get", resource, "-n", namespace, "-o", "json")
        assert code == 0, said
        return json.loads(said)

    return read


Report = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def report(kubeconfig: Path, namespace: str) -> Report:
    """Writes the status of a connector as its pods do."""

    def write(name: str, status: dict[str, Any]) -> None:
        patch = json.dumps({"status": {"connectorStatus": status}})
        arguments = ("--subresource=status", "--type=merge", "-p", patch)
        code, said = kubectl(
            kubeconfig, "patch", "kafkaconnector", name, "-n", namespace, *arguments
        )
        assert code == 0, said

    return write


async def create(client: httpx.AsyncClient, name: str, config: dict[str, str], **more: str) -> Any:
    answer = await client.post("/connectors", json={"name": name, "config": config, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "name",
    ["orders", "sink_postgres_00_json", "shop.orders.v1", "x" * 200, "Ünïcode ☃", "-"],
    ids=["plain", "underscores", "dotted", "long", "unicode", "hyphen"],
)
async def test_a_connector_is_a_resource_whatever_its_name(
    client: httpx.AsyncClient, get: Get, name: str
) -> None:
    created = await create(client, name, SINK | {"tasks.max": "3"})
    config = {**SINK, "name": name, "tasks.max": "3"}
    assert created == {"name": name, "config": config, "tasks": [], "type": "sink"}
    resource = get(f"kafkaconnector/{resource_name(name)}")
    assert resource["spec"] == {
        "class": "FileStreamSink",
        "config": {"topics": "orders", "file": "/tmp/lines.txt"},
        "connect": {"name": "connect"},
        "tasksMax": 3,
        **({} if resource_name(name) == name else {"name": name}),
    }
    assert name in (await client.get("/connectors")).json()
    assert (await client.get(f"/connectors/{name}")).json() == created
    assert (await client.get(f"/connectors/{name}/config")).json() == config
    assert (await client.delete(f"/connectors/{name}")).status_code == 204
    assert name not in (await client.get("/connectors")).json()
    gone = await client.get(f"/connectors/{name}")
    assert gone.json() == {"error_code": 404, "message": f"Connector {name} not found"}


async def test_a_name_that_is_taken(client: httpx.AsyncClient) -> None:
    await create(client, "taken", SINK)
    again = await client.post("/connectors", json={"name": "taken", "config": SINK})
    assert again.status_code == 409
    assert again.json()["message"] == "Connector taken already exists"


async def test_a_resource_that_is_another_connectors(
    client: httpx.AsyncClient, kubeconfig: Path, namespace: str
) -> None:
    spec = {"class": "FileStreamSink", "connect": {"name": "somebody-elses"}, "config": {}}
    other = manifest("KafkaConnector", "occupied", namespace, spec)
    assert kubectl(kubeconfig, "apply", "-f-", text=other)[0] == 0
    assert "occupied" not in (await client.get("/connectors")).json()
    answer = await client.post("/connectors", json={"name": "occupied", "config": SINK})
    assert answer.status_code == 409
    assert "not of the KafkaConnect connect" in answer.json()["message"]


async def test_a_wrong_configuration_makes_nothing(client: httpx.AsyncClient) -> None:
    config = {**JDBC, "batch.size": "many"}
    answer = await client.post("/connectors", json={"name": "wrong", "config": config})
    assert answer.status_code == 400
    assert "Invalid value many for configuration batch.size" in answer.json()["message"]
    assert (await client.put("/connectors/wrong/config", json=config)).status_code == 400
    assert (await client.get("/connectors/wrong")).status_code == 404


async def test_initial_state(client: httpx.AsyncClient, get: Get) -> None:
    await create(client, "born-stopped", SINK, initial_state="STOPPED")
    assert get("kafkaconnector/born-stopped")["spec"]["state"] == "stopped"
    status = (await client.get("/connectors/born-stopped/status")).json()
    assert status["connector"]["state"] == "STOPPED"


async def test_put_replaces_and_patch_merges(client: httpx.AsyncClient, get: Get) -> None:
    created = await client.put("/connectors/changing/config", json={**SINK, "tasks.max": "2"})
    assert created.status_code == 201
    replaced = await client.put(
        "/connectors/changing/config",
        json={"connector.class": "FileStreamSink", "topics": "b"},
    )
    assert replaced.status_code == 200
    assert replaced.json()["config"] == {
        "name": "changing",
        "connector.class": "FileStreamSink",
        "tasks.max": "1",
        "topics": "b",
    }
    patched = await client.patch("/connectors/changing/config", json={"file": "/f", "topics": "c"})
    assert patched.status_code == 200
    assert get("kafkaconnector/changing")["spec"]["config"] == {"file": "/f", "topics": "c"}


async def test_a_password_goes_to_a_secret_and_stays(
    client: httpx.AsyncClient, kubeconfig: Path, namespace: str, get: Get
) -> None:
    await create(client, "with_password", JDBC | {"connection.password": "hunter2"})
    name = resource_name("with_password")
    text = json.dumps(get(f"kafkaconnector/{name}"))
    assert "hunter2" not in text
    config = (await client.get("/connectors/with_password/config")).json()
    secret = config["connection.password"].removeprefix("${secrets:").partition(":")[0]
    kept = get(f"secret/{secret}")
    assert kept["metadata"]["ownerReferences"][0]["name"] == name
    assert kept["data"] == {"connection.password": "aHVudGVyMg=="}

    put = await client.put("/connectors/with_password/config", json={**config, "batch.size": "5"})
    assert put.json()["config"]["connection.password"] == config["connection.password"]
    again = {**config, "connection.password": "hunter2"}
    put = await client.put("/connectors/with_password/config", json=again)
    assert put.json()["config"] == config
    changed = {**config, "connection.password": "hunter3"}
    put = await client.put("/connectors/with_password/config", json=changed)
    assert put.status_code == 200
    assert put.json()["config"]["connection.password"] != config["connection.password"]
    code, said = kubectl(kubeconfig, "get", "secrets", "-n", namespace, "-o", "name")
    assert code == 0
    assert said.count(f"secret/{name}-") == 2


async def test_status_is_what_the_pods_reported(client: httpx.AsyncClient, report: Report) -> None:
    await create(client, "reported", SINK)
    path = "/connectors/reported"
    empty = {
        "name": "reported",
        "connector": {"state": "UNASSIGNED", "worker_id": ""},
        "tasks": [],
        "type": "sink",
    }
    assert (await client.get(f"{path}/status")).json() == empty
    worker = {"state": "RUNNING", "worker_id": "10.1.2.3:8083", "version": "0.1.0"}
    failed = {"id": 1, "state": "FAILED", "worker_id": "10.1.2.4:8083", "trace": "why"}
    report(
        "reported",
        {
            "name": "reported",
            "type": "sink",
            "connector": {**worker, "epoch": 1, "tasks": 2, "useful": 1},
            "tasks": [{"id": 0, **worker, "epoch": 1, "records": 9}, {**failed, "epoch": 1}],
        },
    )
    shown = {
        "name": "reported",
        "connector": worker,
        "tasks": [{"id": 0, **worker}, failed],
        "type": "sink",
    }
    await until(client, f"{path}/status", shown)
    assert (await client.get(f"{path}/tasks/1/status")).json() == failed
    both = (await client.get("/connectors", params={"expand": ["status", "info"]})).json()
    assert both["reported"]["status"] == shown
    assert [task["task"] for task in both["reported"]["info"]["tasks"]] == [0, 1]
    unreachable = await client.get(f"{path}/tasks")
    assert unreachable.status_code == 500
    assert "10.1.2.3:8083" in unreachable.json()["message"]


async def until(client: httpx.AsyncClient, path: str, wanted: Any) -> None:
    """Wait until the watch has told the api."""
    async with asyncio.timeout(5):
        while (answer := (await client.get(path)).json()) != wanted:
            assert answer
            await asyncio.sleep(0.02)


async def test_pause_resume_stop(client: httpx.AsyncClient, get: Get) -> None:
    await create(client, "aimed", SINK)
    for verb, code, state in (
        ("pause", 202, "paused"),
        ("pause", 202, "paused"),
        ("resume", 202, "running"),
        ("stop", 204, "stopped"),
    ):
        assert (await client.put(f"/connectors/aimed/{verb}")).status_code == code
        assert get("kafkaconnector/aimed")["spec"]["state"] == state


async def test_restarts_are_asked_of_the_operator(
    client: httpx.AsyncClient, kubeconfig: Path, namespace: str, get: Get, report: Report
) -> None:
    def annotations() -> dict[str, str]:
        return get("kafkaconnector/restarted")["metadata"].get("annotations", {})

    await create(client, "restarted", SINK)
    worker = {"state": "RUNNING", "worker_id": "10.1.2.3:8083"}
    failed = {"id": 1, "state": "FAILED", "worker_id": "10.1.2.3:8083", "trace": "why"}
    status = {"type": "sink", "connector": worker, "tasks": [{"id": 0, **worker}, failed]}
    report("restarted", status)
    path = "/connectors/restarted"
    await until(client, f"{path}/tasks/1/status", failed)

    query = "includeTasks=true&onlyFailed=true"
    answer = await client.post(f"{path}/restart?{query}")
    assert answer.status_code == 202
    states = answer.json()
    assert states["connector"]["state"] == "RUNNING"
    assert [task["state"] for task in states["tasks"]] == ["RUNNING", "RESTARTING"]
    assert states["tasks"][1]["trace"] == "why"
    assert annotations()["coracle.dev/restart"] == "includeTasks,onlyFailed"
    assert (await client.post(f"{path}/restart?{query}")).status_code == 202  # the same wish

    # Another wish waits until the operator has taken up the first.
    waiting = asyncio.create_task(client.post(f"{path}/restart"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    taken_up = ("annotate", "kafkaconnector/restarted", "-n", namespace, "coracle.dev/restart-")
    assert kubectl(kubeconfig, *taken_up)[0] == 0
    assert (await waiting).status_code == 204
    assert annotations()["coracle.dev/restart"] == "true"

    assert (await client.post(f"{path}/tasks/1/restart")).status_code == 204
    assert annotations()["coracle.dev/restart-task"] == "1"
    unknown = await client.post(f"{path}/tasks/9/restart")
    assert unknown.json() == {"error_code": 404, "message": "Unknown task: restarted-9"}
    busy = await client.post(f"{path}/tasks/0/restart")
    assert busy.status_code == 409
    assert "coracle.dev/restart-task: 1" in busy.json()["message"]


async def test_ten_writers_at_once_lose_nothing(
    client: httpx.AsyncClient, report: Report, get: Get
) -> None:
    """Each sets a key of its own by reading, changing and writing, while the status changes too."""
    await create(client, "busy", SINK)

    async def pods() -> None:
        for epoch in range(1, 6):
            state = {"connector": {"state": "RUNNING", "worker_id": "w", "epoch": epoch}}
            await asyncio.to_thread(report, "busy", state)

    async def write(number: int) -> int:
        patch = {f"consumer.override.x{number}": str(number)}
        return (await client.patch("/connectors/busy/config", json=patch)).status_code

    codes, _ = await asyncio.gather(asyncio.gather(*map(write, range(10))), pods())
    assert codes == [200] * 10
    config = get("kafkaconnector/busy")["spec"]["config"]
    assert {f"consumer.override.x{number}" for number in range(10)} <= config.keys()


async def test_a_connector_made_with_kubectl(
    client: httpx.AsyncClient, kubeconfig: Path, namespace: str
) -> None:
    spec = {
        "class": "FileStreamSink",
        "connect": {"name": "connect"},
        "config": {"topics": "orders", "errors.retry.timeout": 5, "errors.log.enable": True},
    }
    made = manifest("KafkaConnector", "from-git", namespace, spec)
    assert kubectl(kubeconfig, "apply", "-f-", text=made)[0] == 0
    config = {
        "name": "from-git",
        "connector.class": "FileStreamSink",
        "tasks.max": "1",
        "topics": "orders",
        "errors.retry.timeout": "5",
        "errors.log.enable": "true",
    }
    await until(client, "/connectors/from-git/config", config)
    assert kubectl(kubeconfig, "delete", "-n", namespace, "kafkaconnector/from-git")[0] == 0
    missing = {"error_code": 404, "message": "Connector from-git not found"}
    await until(client, "/connectors/from-git/config", missing)


async def test_while_it_is_being_deleted_it_is_gone_and_its_name_is_taken(
    client: httpx.AsyncClient, kubeconfig: Path, namespace: str
) -> None:
    await create(client, "leaving", SINK)
    finalizers = json.dumps({"metadata": {"finalizers": ["coracle.dev/stop"]}})
    patch = ("patch", "kafkaconnector/leaving", "-n", namespace, "--type=merge", "-p")
    assert kubectl(kubeconfig, *patch, finalizers)[0] == 0
    assert (await client.delete("/connectors/leaving")).status_code == 204
    assert (await client.get("/connectors/leaving")).status_code == 404
    again = await client.post("/connectors", json={"name": "leaving", "config": SINK})
    assert again.status_code == 409
    assert "still being deleted" in again.json()["message"]
    assert kubectl(kubeconfig, *patch, '{"metadata": {"finalizers": null}}')[0] == 0
    await create(client, "leaving", SINK)


async def test_unknown_connectors(client: httpx.AsyncClient) -> None:
    for method, path, message in (
        ("GET", "nope", "Connector nope not found"),
        ("GET", "nope/status", "No status found for connector nope"),
        ("PUT", "nope/pause", "Unknown connector nope"),
        ("POST", "nope/restart", "Unknown connector: nope"),
        ("POST", "nope/tasks/0/restart", "Unknown connector: nope"),
        ("DELETE", "nope", "Connector nope not found"),
    ):
        answer = await client.request(method, f"/connectors/{path}")
        assert answer.json() == {"error_code": 404, "message": message}


async def test_the_process_survives_being_stopped_and_started(
    client: httpx.AsyncClient, process: ConnectApi
) -> None:
    """It keeps nothing: another process knows the same."""
    before = (await client.get("/connectors")).json()
    assert before
    process.stop()
    assert "Traceback" not in process.log.read_text()
    process.start()
    wait_for(process.ready, seconds=10, what="the api")
    assert (await client.get("/connectors")).json() == before


async def test_while_the_api_server_is_away_reads_go_on(control_plane: ControlPlaneServer) -> None:
    """It freezes, and it restarts; what happened meanwhile is seen afterwards."""
    here = control_plane.kubeconfig
    apply_crds(here)
    process = ConnectApi(here, "default")
    process.start()
    try:
        async with httpx.AsyncClient(base_url=process.url, timeout=40) as client:
            await create(client, "orders", SINK)
            control_plane.apiserver.pause()
            assert (await client.get("/connectors")).json() == ["orders"]
            assert (await client.get("/connectors/orders/status")).status_code == 200
            assert (await client.get("/health")).status_code == 200
            answer = await client.put("/connectors/orders/pause")
            assert answer.status_code == 500
            assert "The Kubernetes API did not do" in answer.json()["message"]
            control_plane.apiserver.resume()
            assert (await client.put("/connectors/orders/pause")).status_code == 202

            control_plane.apiserver.kill()
            await asyncio.to_thread(control_plane.apiserver.start)
            spec = {"class": "FileStreamSink", "connect": {"name": "connect"}}
            made = manifest("KafkaConnector", "later", "default", spec)
            assert kubectl(here, "apply", "-f-", text=made)[0] == 0
            assert kubectl(here, "delete", "kafkaconnector/orders")[0] == 0
            async with asyncio.timeout(20):
                while (await client.get("/connectors")).json() != ["later"]:
                    await asyncio.sleep(0.1)
    finally:
        process.stop()


STRIMZI_CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kafkaconnectors.kafka.strimzi.io}
spec:
  group: kafka.strimzi.io
  scope: Namespaced
  names: {plural: kafkaconnectors, kind: KafkaConnector, singular: kafkaconnector}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


async def test_what_comes_from_strimzi_is_changed_there(control_plane: ControlPlaneServer) -> None:
    """The operator makes a resource of ours from Strimzi's, and would undo a change of it."""
    here = control_plane.kubeconfig
    apply_crds(here)
    assert kubectl(here, "apply", "-f-", text=STRIMZI_CRD)[0] == 0
    wait = ("wait", "--for=condition=Established", "crd/kafkaconnectors.kafka.strimzi.io")
    assert kubectl(here, *wait)[0] == 0
    spec = {"class": "FileStreamSink", "tasksMax": 2, "config": {"topics": "a", "file": "/f"}}
    theirs = json.loads(manifest("KafkaConnector", "orders", "default", spec))
    theirs["apiVersion"] = "kafka.strimzi.io/v1"
    assert kubectl(here, "create", "-f-", text=json.dumps(theirs))[0] == 0

    def read() -> Any:
        code, said = kubectl(here, "get", "kafkaconnectors.kafka.strimzi.io/orders", "-o", "json")
        assert code == 0, said
        return json.loads(said)

    ours = json.loads(
        manifest("KafkaConnector", "orders", "default", {**spec, "connect": {"name": "connect"}})
    )
    owner = {key: theirs[key] for key in ("apiVersion", "kind")}
    owner |= {"name": "orders", "uid": read()["metadata"]["uid"], "controller": True}
    ours["metadata"]["ownerReferences"] = [owner]
    assert kubectl(here, "create", "-f-", text=json.dumps(ours))[0] == 0
    process = ConnectApi(here, "default")
    process.start()
    try:
        async with httpx.AsyncClient(base_url=process.url, timeout=20) as client:
            config = {"connector.class": "FileStreamSink", "topics": "b", "tasks.max": "3"}
            answer = await client.put("/connectors/orders/config", json=config)
            assert answer.status_code == 200
            assert answer.json()["config"] == {**config, "name": "orders"}
            assert (await client.put("/connectors/orders/stop")).status_code == 204
            assert read()["spec"] == {
                "class": "FileStreamSink",
                "tasksMax": 3,
                "config": {"topics": "b"},
                "state": "stopped",
            }
            assert (await client.delete("/connectors/orders")).status_code == 204
            assert (await client.get("/connectors")).json() == []
            assert kubectl(here, "get", "kafkaconnectors.kafka.strimzi.io/orders")[0] == 1
    finally:
        process.stop()


@pytest.fixture
def limited(kubeconfig: Path, namespace: str, tmp_path: Path) -> Path:
    """Connects as a ServiceAccount with the rights that the operator gives to api pods."""
    connect = KafkaConnect.model_validate(
        {
            "metadata": {"name": "connect", "namespace": namespace},
            "spec": {"bootstrapServers": "kafka:9092", "rest": {"enabled": True}},
        }
    )
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "api", "namespace": namespace},
        "rules": access.connect_rules(connect),
    }
    place = ("-n", namespace)
    assert kubectl(kubeconfig, "create", "-f-", text=json.dumps(role))[0] == 0
    assert kubectl(kubeconfig, "create", "serviceaccount", "api", *place)[0] == 0
    binding = ("rolebinding", "api", "--role=api", f"--serviceaccount={namespace}:api")
    assert kubectl(kubeconfig, "create", *binding, *place)[0] == 0
    code, token = kubectl(kubeconfig, "create", "token", "api", *place)
    assert code == 0
    config = yaml.safe_load(kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token.strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_the_rights_that_the_operator_gives_are_enough(limited: Path, namespace: str) -> None:
    """With no more than those, everything that the REST API does can be done."""
    assert kubectl(limited, "get", "secrets", "-n", namespace)[0] == 1

    process = ConnectApi(limited, namespace)
    process.start()
    try:
        async with httpx.AsyncClient(base_url=process.url, timeout=20) as client:
            await create(client, "humble", JDBC | {"connection.password": "hunter2"})
            changed = {**JDBC, "connection.password": "hunter3"}
            for method, path, body in (
                ("PUT", "/config", changed),
                ("PATCH", "/config", {"batch.size": "5"}),
                ("PUT", "/pause", None),
                ("POST", "/restart", None),
                ("GET", "/status", None),
                ("DELETE", "", None),
            ):
                answer = await client.request(method, f"/connectors/humble{path}", json=body)
                assert answer.is_success, answer.text
    finally:
        process.stop()

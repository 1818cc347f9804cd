"""The operator against a real API server and its controllers; there are no nodes."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from coracle.kube import crds, names
from tests.cluster import binaries
from tests.cluster.commands import Kubectl
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.throwaway import ControlPlaneServer
from tests.servers.process import wait_for

KINDS = "deployment,configmap,service,serviceaccount,role,rolebinding,pdb,networkpolicy"


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlaneServer]:
    server = ControlPlaneServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def admin(server: ControlPlaneServer) -> Kubectl:
    kubectl = Kubectl(server.kubeconfig, program=str(binaries.programs() / "kubectl"))
    definitions = crds.definitions().values()
    kubectl.apply(*definitions)
    crd_names = [f"crd/{one['metadata']['name']}" for one in definitions]
    kubectl("wait", "--for=condition=Established", *crd_names)
    return kubectl


@pytest.fixture(scope="module")
def operator(server: ControlPlaneServer, admin: Kubectl) -> Iterator[OperatorProcess]:
    operator = OperatorProcess(server.kubeconfig)
    operator.start()
    yield operator
    operator.kill()


@pytest.fixture
def kubectl(admin: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """kubectl in a namespace of the test's own, which has a KafkaConnect."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    admin("create", "namespace", name)
    kubectl = admin.within(name)
    kubectl.apply(connect())
    return kubectl


def connect(**spec: Any) -> dict[str, Any]:
    # Without api pods: nothing here could run them.
    return resource("KafkaConnect", "lab", bootstrapServers="kafka:9092", replicas=0, **spec)


def connector(name: str = "orders", /, **spec: Any) -> dict[str, Any]:
    spec = {
        "class": "JdbcSinkConnector",
        "connect": {"name": "lab"},
        # A group of its own: the tests share what they call a Kafka cluster.
        "config": {"topics": "orders", "consumer.override.group.id": f"{time.monotonic_ns()}"},
        **spec,
    }
    return resource("KafkaConnector", name, **spec)


def resource(kind: str, name: str, /, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def made(kubectl: Kubectl, name: str = "orders") -> list[str]:
    """The kinds of the objects of a connector."""
    label = f"{names.CONNECTOR_LABEL}={name}"
    found = json.loads(kubectl("get", KINDS, f"--selector={label}", "--output=json"))
    return sorted(each["kind"] for each in found["items"])


def wait_until_made(kubectl: Kubectl, name: str = "orders", seconds: float = 20) -> None:
    wait_for(lambda: len(made(kubectl, name)) == 8, seconds=seconds, what=f"objects of {name}")


def ready(kubectl: Kubectl, name: str = "orders") -> dict[str, Any]:
    conditions = kubectl.get(f"kafkaconnector/{name}").get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Ready"), {})


def wait_for_reason(kubectl: Kubectl, reason: str, name: str = "orders") -> None:
    wait_for(lambda: ready(kubectl, name).get("reason") == reason, seconds=20, what=reason)


@pytest.mark.usefixtures("operator")
def test_apply(kubectl: Kubectl) -> None:
    kubectl.apply(connector())
    wait_until_made(kubectl)
    # No node takes the pod: that is as far as it can come here.
    wait_for_reason(kubectl, "Unschedulable")
    found = kubectl.get("kafkaconnector/orders")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["metadata"]["finalizers"] == [names.FINALIZER]
    pod = kubectl.get("pods")["items"][0]
    assert pod["metadata"]["labels"][names.CONNECTOR_LABEL] == "orders"
    assert kubectl("get", "cconn", "orders", "--output=wide")


@pytest.mark.usefixtures("operator")
def test_ten_edits_in_a_second_end_in_the_last(kubectl: Kubectl) -> None:
    kubectl.apply(connector())
    wait_until_made(kubectl)
    for size in range(10):
        change = {"spec": {"config": {"batch.size": size}, "tasksMax": size + 1}}
        kubectl("patch", "kafkaconnector", "orders", "--type=merge", f"-p={json.dumps(change)}")

    def is_last() -> bool:
        data = kubectl.get("configmap/orders-connector")["data"]
        settings = json.loads(data["connector.json"])["config"]
        return settings["batch.size"] == "9" and json.loads(data["control.json"])["tasksMax"] == 10

    wait_for(is_last, seconds=10, what="the last edit")
    config_hash = kubectl.get("deployment/orders-connector")["spec"]["template"]["metadata"][
        "annotations"
    ][names.CONFIG_HASH]
    wait_for(
        lambda: (
            {
                pod["metadata"]["annotations"][names.CONFIG_HASH]
                for pod in kubectl.get("pods")["items"]
            }
            == {config_hash}
        ),
        seconds=20,
        what="pods of the last configuration only",
    )


@pytest.mark.usefixtures("operator")
def test_delete(kubectl: Kubectl) -> None:
    kubectl.apply(connector())
    wait_until_made(kubectl)
    kubectl("delete", "kafkaconnector", "orders", "--timeout=30s")
    wait_for(lambda: not made(kubectl), seconds=60, what="the garbage collector")


@pytest.mark.usefixtures("operator")
def test_what_is_refused_once_is_made_later_without_an_event(kubectl: Kubectl) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/configmaps": "0"}},
    }
    kubectl.apply(quota)
    wait_for(
        lambda: "hard" in kubectl.get("resourcequota/none").get("status", {}),
        seconds=20,
        what="the quota",
    )
    kubectl.apply(connector())
    wait_for(lambda: "Role" in made(kubectl), seconds=10, what="the first objects")
    time.sleep(1)
    assert "ConfigMap" not in made(kubectl)
    kubectl("delete", "resourcequota", "none")
    wait_until_made(kubectl)


@pytest.mark.usefixtures("operator")
def test_a_connect_that_comes_later(kubectl: Kubectl) -> None:
    kubectl.apply(connector(connect={"name": "later"}))
    wait_for_reason(kubectl, "ConnectMissing")
    late = connect()
    late["metadata"]["name"] = "later"
    kubectl.apply(late)
    wait_until_made(kubectl)


@pytest.mark.usefixtures("operator")
def test_what_is_changed_by_hand_is_put_right(kubectl: Kubectl) -> None:
    kubectl.apply(connector())
    wait_until_made(kubectl)
    kubectl("delete", "configmap", "orders-connector")
    kubectl("scale", "deployment", "orders-connector", "--replicas=5")
    wait_until_made(kubectl)
    wait_for(
        lambda: kubectl.get("deployment/orders-connector")["spec"]["replicas"] == 1,
        seconds=10,
        what="one replica",
    )


@pytest.mark.usefixtures("operator")
def test_two_connectors_of_one_group(kubectl: Kubectl, admin: Kubectl) -> None:
    admin("create", "namespace", "younger")
    younger = admin.within("younger")
    younger.apply(connect())
    config = {"topics": "shared"}
    kubectl.apply(connector("same", config=config))
    wait_until_made(kubectl, "same")
    time.sleep(1.1)  # creation times are whole seconds
    younger.apply(connector("same", config=config))
    wait_for_reason(younger, "GroupConflict", "same")
    assert made(younger, "same") == []
    kubectl("delete", "kafkaconnector", "same", "--timeout=30s")
    wait_until_made(younger, "same")


@pytest.mark.usefixtures("operator")
def test_autoscaling(kubectl: Kubectl) -> None:
    kubectl.apply(connector(autoscaling={"maxTasks": 3, "cpu": 70}))
    wait_until_made(kubectl)
    kubectl.get("hpa/orders-connector")
    kubectl("scale", "kafkaconnector", "orders", "--replicas=2")
    wait_for(
        lambda: (
            json.loads(kubectl.get("configmap/orders-connector")["data"]["control.json"])[
                "tasksMax"
            ]
            == 2
        ),
        seconds=10,
        what="tasksMax 2",
    )
    change = {"spec": {"autoscaling": {"maxTasks": 3, "cpu": None, "lag": 100}}}
    kubectl("patch", "kafkaconnector", "orders", "--type=merge", f"-p={json.dumps(change)}")

    def refused() -> bool:
        conditions = kubectl.get("kafkaconnector/orders").get("status", {}).get("conditions", [])
        return any(one["type"] == "Warning" and "KEDA" in one["message"] for one in conditions)

    wait_for(refused, seconds=10, what="a warning that KEDA is not there")
    assert kubectl("get", "hpa", "--output=name") == ""


@pytest.mark.usefixtures("operator")
def test_restart_annotation(kubectl: Kubectl) -> None:
    kubectl.apply(connector())
    wait_until_made(kubectl)
    kubectl("annotate", "kafkaconnector", "orders", f"{names.RESTART}=includeTasks")

    def restarts() -> dict[str, Any]:
        data = kubectl.get("configmap/orders-connector")["data"]
        return json.loads(data["control.json"]).get("restart", {})

    wait_for(lambda: restarts().get("includeTasks") is True, seconds=10, what="the restart")
    wait_for(
        lambda: (
            names.RESTART
            not in kubectl.get("kafkaconnector/orders")["metadata"].get("annotations", {})
        ),
        seconds=10,
        what="the annotation to go",
    )


@pytest.mark.usefixtures("operator")
def test_names_that_kubernetes_does_not_allow(kubectl: Kubectl) -> None:
    long = "n" * 200
    kubectl.apply(connector("a.dotted.name"), connector("slug", name="sink_postgres_00_json"))
    kubectl.apply(connector(long))
    for name in ("a.dotted.name", "slug", long):
        wait_until_made(kubectl, names.label_value(name))
    data = kubectl.get("configmap/slug-connector")["data"]
    assert json.loads(data["connector.json"])["name"] == "sink_postgres_00_json"
    kubectl("delete", "kafkaconnector", long, "--timeout=30s")


def test_the_api_server_is_away(server: ControlPlaneServer, admin: Kubectl) -> None:
    """With an operator of its own: it goes on where it was, and nobody has to restart it."""
    admin("create", "namespace", "away")
    kubectl = admin.within("away")
    kubectl.apply(connect())
    operator = OperatorProcess(server.kubeconfig, CORACLE_NAMESPACES="away")
    operator.start()
    try:
        kubectl.apply(connector("before"))
        wait_until_made(kubectl, "before")
        server.apiserver.kill()
        time.sleep(15)
        server.apiserver.start()
        kubectl.apply(connector("after"))
        wait_until_made(kubectl, "after", seconds=30)
        kubectl("delete", "kafkaconnector", "before", "--timeout=40s")
        assert operator.running
    finally:
        operator.kill()


def test_the_operator_is_killed_in_the_middle(server: ControlPlaneServer, admin: Kubectl) -> None:
    admin("create", "namespace", "killed")
    kubectl = admin.within("killed")
    kubectl.apply(connect())
    operator = OperatorProcess(server.kubeconfig, CORACLE_NAMESPACES="killed")
    operator.start()
    try:
        kubectl.apply(*(connector(f"c{number}") for number in range(30)))
        wait_for(lambda: len(made(kubectl, "c0")) > 0, seconds=20, what="a first object")
        operator.kill()
        operator.start()
        for number in range(30):
            wait_until_made(kubectl, f"c{number}", seconds=60)
        wait_for(
            lambda: all(ready(kubectl, f"c{number}") for number in range(30)),
            seconds=30,
            what="a status each",
        )
        time.sleep(2)
        before = operator.requests()
        time.sleep(10)
        assert operator.requests() - before <= 30 * 10 * 0.02
    finally:
        operator.kill()

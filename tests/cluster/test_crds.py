"""The CRDs on a real API server: what it takes, refuses, prints and scales."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from coracle.kube import crds, strimzi
from coracle.kube.model import KafkaConnector, KafkaConnectorStatus
from tests.cluster import binaries
from tests.cluster.commands import CommandError, Kubectl
from tests.cluster.throwaway import ControlPlaneServer

DEFINITIONS = [f"{definition['metadata']['name']}" for definition in crds.definitions().values()]
SINK = "io.confluent.connect.jdbc.JdbcSinkConnector"


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """kubectl on an API server of this module's own: CRDs belong to a whole cluster."""
    server = ControlPlaneServer()
    server.start()
    kubectl = Kubectl(server.kubeconfig, program=str(binaries.programs() / "kubectl"))
    kubectl.apply(*crds.definitions().values())
    kubectl("wait", "--for=condition=Established", *(f"crd/{name}" for name in DEFINITIONS))
    yield kubectl
    server.stop()


def connector(spec: str, name: str = "orders") -> str:
    return _resource("KafkaConnector", spec, name)


def connect(spec: str, name: str = "connect") -> str:
    return _resource("KafkaConnect", spec, name)


def _resource(kind: str, spec: str, name: str) -> str:
    resource = {
        "apiVersion": "coracle.dev/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": yaml.safe_load(spec),
    }
    return json.dumps(resource)


def tried(kubectl: Kubectl, text: str) -> None:
    kubectl("apply", "--server-side", "--dry-run=server", "-f-", text=text)


@pytest.mark.parametrize(
    "text",
    [
        connector("{class: A}"),
        connector("{class: A, config: {topics: a, b: 1, c: true, d: 1.5, e: [x], f: null}}"),
        connector("{class: A, config: {topics: 2026}}"),
        connector("{class: A, config: {topics: '', topics.regex: b}}"),
        connector("{class: A, autoscaling: {maxTasks: 1, lag: 10}}"),
        connector("{class: A, resources: {requests: {cpu: 1, memory: 64Mi}}}"),
        connector(f"{{class: A, name: {'n' * 200}}}"),
        connector("{class: A, name: sink_postgres_00_json}"),
        connector("{class: A}", name="a.dotted.name"),
        connect("{bootstrapServers: b, replicas: 0}"),
        connect("{bootstrapServers: b, allowedNamespaces: {}, jvmOptions: {-Xmx: 1g}}"),
        connect("{bootstrapServers: b, allowedNamespaces: {from: Selector, selector: {}}}"),
    ],
)
def test_accepted(kubectl: Kubectl, text: str) -> None:
    tried(kubectl, text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            connector("{class: A, config: {topics: a, topics.regex: b}}"),
            "spec.config: .*topics and topics.regex are mutually exclusive",
        ),
        (connector("{class: A, tasksMax: 0}"), "spec.tasksMax.*greater than or equal to 1"),
        (connector("{tasksMax: 1}"), "spec.class: Required value"),
        (connector("{class: A, state: STOPPED}"), 'supported values: "running", "paused"'),
        (connector("{class: A, tasksmax: 3}"), "tasksmax: field not declared in schema"),
        (
            connector("{class: A, autoscaling: {minTasks: 3, maxTasks: 2, cpu: 70}}"),
            "minTasks must not be more than maxTasks",
        ),
        (connector("{class: A, autoscaling: {maxTasks: 2}}"), "set exactly one of cpu and lag"),
        (
            connector("{class: A, autoscaling: {maxTasks: 2, cpu: 70, lag: 1}}"),
            "set exactly one of cpu and lag",
        ),
        (connector("{class: A, resources: {limits: {cpu: lots}}}"), "spec.resources.limits.cpu"),
        (
            connector("{class: A, logging: {loggers: {root: LOUD}}}"),
            'spec.logging.loggers.root: Unsupported value: "LOUD"',
        ),
        (connector('{class: A, name: "a\\tb"}'), "spec.name"),
        (connect("{}"), "spec.bootstrapServers: Required value"),
        (
            connect("{bootstrapServers: b, authentication: {type: plain}}"),
            "needs username and passwordSecret",
        ),
        (
            connect("{bootstrapServers: b, authentication: {type: tls}}"),
            "type tls needs certificateAndKey",
        ),
        (
            connect("{bootstrapServers: b, tls: {trustedCertificates: [{secretName: a}]}}"),
            "one file with certificate, or several with pattern",
        ),
        (
            connect("{bootstrapServers: b, allowedNamespaces: {from: Selector}}"),
            "selector belongs to from: Selector",
        ),
    ],
)
def test_refused_with_the_reason(kubectl: Kubectl, text: str, why: str) -> None:
    with pytest.raises(CommandError) as refused:
        tried(kubectl, text)
    assert re.search(why, str(refused.value)), refused.value


class Resource:
    """A KafkaConnector in the cluster, for as long as a test."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl, self.name = kubectl, name
        kubectl.apply(connector(f"class: {SINK}", name))

    def patch(self, patch: dict[str, Any]) -> None:
        self.kubectl("patch", "cconn", self.name, "--type=merge", "-p", json.dumps(patch))

    def report(self, manager: str, status: dict[str, Any]) -> None:
        """Apply a part of the status as one field manager."""
        resource = json.loads(connector("{class: A}", self.name)) | {"status": status}
        del resource["spec"]
        self.kubectl(
            *(
                "apply",
                "--server-side",
                "--subresource=status",
                f"--field-manager={manager}",
                "-f-",
            ),
            text=json.dumps(resource),
        )

    def report_task(self, id: int, **entry: Any) -> None:  # noqa: A002
        tasks = [{"id": id, **entry}] if entry else []
        self.report(f"coracle-task-{id}", {"connectorStatus": {"tasks": tasks}} if tasks else {})

    def read(self) -> KafkaConnector:
        return KafkaConnector.model_validate(self.kubectl.get(f"cconn/{self.name}"))

    def tasks(self) -> dict[int, tuple[str | None, int | None]]:
        status = self.read().status
        assert status is not None
        assert status.connector_status is not None
        return {task.id: (task.worker_id, task.epoch) for task in status.connector_status.tasks}


@pytest.fixture
def resource(kubectl: Kubectl, request: pytest.FixtureRequest) -> Resource:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Resource(kubectl, name)


def test_tasks_report_side_by_side(resource: Resource) -> None:
    for task in range(3):
        resource.report_task(task, state="RUNNING", worker_id=f"10.0.0.{task}:8083", epoch=5)
    resource.report(
        "coracle-connector",
        {"connectorStatus": {"name": "x", "connector": {"state": "RUNNING", "epoch": 5}}},
    )
    assert resource.tasks() == {task: (f"10.0.0.{task}:8083", 5) for task in range(3)}
    # A task that moves is written by another pod under the same manager.
    resource.report_task(1, state="RUNNING", worker_id="10.0.0.9:8083", epoch=6)
    assert resource.tasks()[1] == ("10.0.0.9:8083", 6)
    managers = json.loads(
        resource.kubectl("get", "cconn", resource.name, "-o=json", "--show-managed-fields")
    )["metadata"]["managedFields"]
    assert sorted(m["manager"] for m in managers if m.get("subresource") == "status") == [
        "coracle-connector", "coracle-task-0", "coracle-task-1", "coracle-task-2",
    ]  # fmt: skip
    # And the operator takes out an entry by applying nothing in its name.
    resource.report_task(2)
    assert set(resource.tasks()) == {0, 1}


def test_a_late_report_of_an_older_leader_is_refused(resource: Resource) -> None:
    resource.report_task(0, state="RUNNING", worker_id="new", epoch=1_770_000_000_001)
    resource.report("coracle-connector", {"connectorStatus": {"connector": {"epoch": 7}}})
    with pytest.raises(CommandError, match=r"tasks\[0\].*epoch never decreases"):
        resource.report_task(0, state="FAILED", worker_id="old", epoch=1_770_000_000_000)
    with pytest.raises(CommandError, match=r"tasks\[0\].*epoch never decreases"):
        resource.report_task(0, state="FAILED", worker_id="old")
    with pytest.raises(CommandError, match=r"connectorStatus.connector.*epoch never decreases"):
        resource.report("coracle-connector", {"connectorStatus": {"connector": {"epoch": 6}}})
    resource.report_task(0, state="UNASSIGNED", worker_id="", epoch=1_770_000_000_001)
    assert resource.tasks() == {0: ("", 1_770_000_000_001)}


def test_kubectl_scale(resource: Resource) -> None:
    assert resource.read().spec.tasks_max == 1
    resource.report("coracle-operator", {"replicas": 1, "labelSelector": "a=b"})
    resource.kubectl("scale", "cconn", resource.name, "--replicas=4")
    assert resource.read().spec.tasks_max == 4
    scale = json.loads(
        resource.kubectl("get", "cconn", resource.name, "--subresource=scale", "-o=json")
    )
    assert scale["spec"] == {"replicas": 4}
    assert scale["status"] == {"replicas": 1, "selector": "a=b"}
    with pytest.raises(CommandError, match="greater than or equal to 1"):
        resource.kubectl("scale", "cconn", resource.name, "--replicas=0")
    # What git does not mention it does not set back.
    resource.kubectl.apply(connector(f"class: {SINK}", resource.name))
    assert resource.read().spec.tasks_max == 4


def test_kubectl_wait_minds_the_generation(resource: Resource) -> None:
    def ready(generation: int) -> None:
        condition = {"type": "Ready", "status": "True", "observedGeneration": generation}
        resource.report(
            "coracle-operator", {"observedGeneration": generation, "conditions": [condition]}
        )

    wait = ("wait", "--for=condition=Ready", f"cconn/{resource.name}", "--timeout=1s")
    ready(1)
    resource.kubectl(*wait)
    resource.patch({"spec": {"config": {"topics": "a"}}})
    with pytest.raises(CommandError, match="timed out"):
        resource.kubectl(*wait)
    ready(2)
    resource.kubectl(*wait)


def test_the_connectors_name_stays(resource: Resource) -> None:
    with pytest.raises(CommandError, match="name cannot be changed"):
        resource.patch({"spec": {"name": "other"}})
    resource.patch({"spec": {"name": resource.name}})
    resource.patch({"spec": {"name": None, "connect": {"name": "another"}}})


def test_settings_that_leave_git_leave_the_resource(resource: Resource) -> None:
    def applied(config: str) -> dict[str, str]:
        text = connector(f"{{class: {SINK}, config: {config}}}", resource.name)
        resource.kubectl.apply(text)
        return resource.read().spec.settings()

    assert applied("{topics: a, batch.size: 1}") == {"topics": "a", "batch.size": "1"}
    assert applied("{topics.regex: b}") == {"topics.regex": "b"}


def test_columns(resource: Resource) -> None:
    resource.patch({"spec": {"tasksMax": 3}})
    ready = {"type": "Ready", "status": "False", "reason": "TaskFailed", "message": "Task 1: boom"}
    resource.report("coracle-operator", {"replicas": 2, "tasksMax": 2, "conditions": [ready]})
    resource.report("coracle-connector", {"connectorStatus": {"connector": {"state": "RUNNING"}}})
    head, row = resource.kubectl("get", "cconn", resource.name).splitlines()
    assert head.split() == ["NAME", "CLASS", "TASKS", "ACTUAL", "STATE", "READY", "AGE"]
    assert row.split()[:-1] == [resource.name, SINK, "3", "2", "RUNNING", "False"]
    wide = resource.kubectl("get", "cconn", resource.name, "-o=wide").splitlines()[1]
    assert re.search(r"\b2 +TaskFailed +Task 1: boom$", wide)
    assert f"kafkaconnector.coracle.dev/{resource.name}" in resource.kubectl("get", "coracle")


def test_300_failed_tasks_with_whole_traces_fit_into_a_status(resource: Resource) -> None:
    """etcd takes 1.5 MiB; one character more in a trace is refused before."""
    tasks: list[dict[str, Any]] = [
        {"id": task, "state": "FAILED", "worker_id": "w", "epoch": 1, "trace": "x" * 4096}
        for task in range(300)
    ]
    resource.report("coracle-operator", {"connectorStatus": {"tasks": tasks}})
    assert len(resource.tasks()) == 300
    tasks[0]["trace"] += "x"
    with pytest.raises(CommandError, match=r"trace.*4096"):
        resource.report("coracle-operator", {"connectorStatus": {"tasks": tasks}})


def test_explain_reads_like_documentation(kubectl: Kubectl) -> None:
    def explained(path: str) -> str:
        text = kubectl("explain", path, "--api-version=coracle.dev/v1")
        return " ".join(text.split())

    assert "Most tasks to divide the work into" in explained("kafkaconnector.spec")
    assert "Default: 1." in explained("kafkaconnector.spec.tasksMax")
    assert "ENUM: running paused stopped" in explained("kafkaconnector.spec.state")
    assert "for example orders,payments" in explained("kafkaconnector.spec.config")
    assert "for example user.crt" in explained(
        "kafkaconnect.spec.authentication.certificateAndKey.certificate"
    )


def test_strimzis_manifests_are_accepted_once_translated(kubectl: Kubectl) -> None:
    kafka_connect = {
        "metadata": {"name": "connect", "namespace": "default"},
        "spec": {
            "version": "4.0.0",
            "replicas": 1,
            "bootstrapServers": "my-cluster-kafka-bootstrap:9093",
            "tls": {"trustedCertificates": [{"secretName": "ca", "pattern": "*.crt"}]},
            "authentication": {"type": "oauth", "tokenEndpointUri": "https://x", "clientId": "c"},
            "config": {"group.id": "g", "config.storage.replication.factor": -1},
            "template": {"pod": {"hostAliases": []}, "buildPod": {}},
            "jvmOptions": {"-Xmx": "1g"},
            "metricsConfig": {"type": "jmxPrometheusExporter"},
        },
    }
    kafka_connector = {
        "metadata": {"name": "translated", "namespace": "default", "labels": {
            "strimzi.io/cluster": "connect"}},
        "spec": {"class": SINK, "tasksMax": 2, "pause": False, "autoRestart": {"enabled": True},
                 "config": {"topics": "a", "name": "x"}},
    }  # fmt: skip
    for translation in (strimzi.connect(kafka_connect), strimzi.connector(kafka_connector)):
        tried(kubectl, json.dumps(translation.resource))


def test_status_model_and_schema_agree(resource: Resource) -> None:
    """A status with every field, as the model writes it, comes back as it was."""
    status = KafkaConnectorStatus.model_validate(
        {
            "observedGeneration": 1,
            "conditions": [
                {"type": "Ready", "status": "Unknown", "observedGeneration": 1, "reason": "R",
                 "message": "m", "lastTransitionTime": "2026-03-01T12:00:00Z"},
            ],
            "replicas": 1,
            "labelSelector": "a=b",
            "tasksMax": 1,
            "topics": ["a"],
            "autoRestart": {"count": 1, "connectorName": "x",
                            "lastRestartTimestamp": "2026-03-01T12:00:00Z"},
            "connectorStatus": {
                "name": "x", "type": "sink",
                "connector": {"state": "FAILED", "worker_id": "w", "trace": "t", "version": "1",
                              "epoch": 1, "tasks": 3, "useful": 2},
                "tasks": [{"id": 0, "state": "PAUSED", "worker_id": "w", "trace": "t",
                           "version": "1", "epoch": 1, "records": 2, "lag": 3,
                           "lastCommit": "2026-03-01T12:00:00Z"}],
            },
        }
    )  # fmt: skip
    resource.report("coracle-operator", status.to_json())
    assert resource.read().status == status

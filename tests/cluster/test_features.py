"""What a KafkaConnector can say beyond its configuration, in real pods."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.cluster import flows, wheel_index
from tests.cluster.commands import CommandError, Kubectl
from tests.cluster.flows import Coracle
from tests.cluster.test_flow import SOURCE, fill, source
from tests.integration.kafka.test_consume import produce
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.timeout(240)

STRIMZI = "kafka.strimzi.io"
STRING = "org.apache.kafka.connect.storage.StringConverter"
TEXTS = {"value.converter": STRING, "metadata.max.age.ms": "1000"}


@pytest.fixture(scope="module")
def strimzi_kinds(cluster: Kubectl) -> Iterator[None]:
    """Strimzi's kinds, by their names alone."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    made = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{kind.lower()}s.{STRIMZI}"},
            "spec": {
                "group": STRIMZI,
                "names": {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()},
                "scope": "Namespaced",
                "versions": [version],
            },
        }
        for kind in ("KafkaConnect", "KafkaConnector")
    ]
    names = [f"crd/{one['metadata']['name']}" for one in made]
    there = STRIMZI in cluster("get", "crds", "--output=name")
    if not there:
        cluster.apply(*made)
    cluster("wait", "--for=condition=Established", *names)
    yield
    if not there:
        cluster("delete", *names)


@pytest.fixture(scope="module")
def release(
    cluster: Kubectl, kafka_server: Kafka, image: str, strimzi_kinds: None
) -> Iterator[Coracle]:
    """Coracle with everything switched on."""
    more = {
        "features.strimzi": "true",
        "connect.spec.rest.enabled": "true",
        "connect.spec.strimzi.enabled": "true",
    }
    coracle = flows.install(cluster, kafka_server, image, more)
    yield coracle
    flows.uninstall(coracle)


def send(coracle: Coracle, topic: str, *values: str) -> None:
    asyncio.run(produce(coracle.kafka, topic, [value.encode() for value in values]))


def log(coracle: Coracle, name: str) -> str:
    """What the pods of a connector have said; a sink without a file says what it is given."""
    try:
        return coracle.kubectl(
            "logs",
            f"--selector=coracle.dev/connector={name},app.kubernetes.io/component=task",
            "--tail=-1",
        )
    except CommandError:  # a pod that has not begun, or has ended
        return ""


def says(coracle: Coracle, name: str, line: str) -> None:
    coracle.until(f"{line} in the log of {name}", lambda: line in log(coracle, name).splitlines())


def state_is(coracle: Coracle, name: str, *states: str) -> None:
    """Wait for the states of connector and tasks."""

    def reported() -> list[str]:
        status = coracle.get(name).get("status", {}).get("connectorStatus", {})
        entries = [status.get("connector", {}), *status.get("tasks", [])]
        return [entry.get("state") for entry in entries]

    coracle.until(f"{name} to be {states}", lambda: reported() == list(states))


def annotate(coracle: Coracle, resource: str, annotation: str) -> None:
    """Annotate a resource, and wait until the annotation is gone again."""
    coracle.kubectl("annotate", resource, annotation)
    key = annotation.split("=", maxsplit=1)[0]
    coracle.until(
        f"{key} to be taken up",
        lambda: key not in coracle.kubectl.get(resource)["metadata"].get("annotations", {}),
    )


def consumer_groups(kafka: Kafka) -> set[str]:
    async def listed() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            return {group for group, _ in await admin.list_consumer_groups()}
        finally:
            await admin.close()

    return asyncio.run(listed())


def records(kafka: Kafka, topic: str) -> int:
    """How many records are in a topic of one partition."""

    async def end() -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
        await consumer.start()
        try:
            partition = TopicPartition(topic, 0)
            return (await consumer.end_offsets([partition]))[partition]
        finally:
            await consumer.stop()

    return asyncio.run(end())


def test_states_restarts_and_log_levels_roll_no_pod(coracle: Coracle) -> None:
    topic = coracle.kafka.new_topic()
    coracle.connector("steady", "FileStreamSink", {"topics": topic, **TEXTS})
    send(coracle, topic, "one")
    says(coracle, "steady", "one")
    pods = coracle.live_pods("steady")
    assert len(pods) == 1

    coracle.patch("steady", {"state": "paused"})
    state_is(coracle, "steady", "PAUSED", "PAUSED")
    send(coracle, topic, "two")
    time.sleep(2)
    assert "two" not in log(coracle, "steady").splitlines()
    coracle.patch("steady", {"state": "running"})
    says(coracle, "steady", "two")
    state_is(coracle, "steady", "RUNNING", "RUNNING")

    resource = "kafkaconnectors.coracle.dev/steady"
    annotate(coracle, resource, "coracle.dev/restart=includeTasks")
    annotate(coracle, resource, "coracle.dev/restart-task=0")
    coracle.until(
        "two restarts",
        lambda: (
            (
                log(coracle, "steady").count("restarting the connector tasks 0"),
                log(coracle, "steady").count("restarting tasks 0"),
            )
            == (1, 1)
        ),
    )
    assert "GET /ready" not in log(coracle, "steady")
    coracle.patch("steady", {"logging": {"loggers": {"coracle.rest.access": "DEBUG"}}})
    coracle.until("a debug line", lambda: "GET /ready" in log(coracle, "steady"))
    assert log(coracle, "steady").count("restarting") == 2, "a restart is done once"
    state_is(coracle, "steady", "RUNNING", "RUNNING")
    assert coracle.live_pods("steady") == pods

    coracle.patch("steady", {"state": "stopped"})
    coracle.until("no pod", lambda: coracle.pods("steady") == [])
    assert coracle.get("steady")["status"]["replicas"] == 0
    send(coracle, topic, "three")
    coracle.patch("steady", {"state": "running"})
    says(coracle, "steady", "three")
    said = log(coracle, "steady")
    assert not {"one", "two"} & set(said.splitlines()), "offsets are kept"
    assert "restarting" not in said, "a new pod repeats no restart of before"
    coracle.delete("steady")


def test_offsets_are_deleted_before_the_connector_is_gone(coracle: Coracle) -> None:
    topic = coracle.kafka.new_topic()
    policy = {"offsets": "Delete"}
    coracle.connector(
        "forgotten", "FileStreamSink", {"topics": topic, **TEXTS}, deletionPolicy=policy
    )
    send(coracle, topic, "one")
    says(coracle, "forgotten", "one")
    assert "connect-forgotten" in consumer_groups(coracle.kafka)
    coracle.kubectl("delete", "kafkaconnectors.coracle.dev/forgotten", "--wait=false")
    coracle.until(
        "the Job",
        lambda: coracle.kubectl("get", "job/forgotten-connector", "--ignore-not-found"),
    )
    assert coracle.get("forgotten")["metadata"]["finalizers"]
    coracle.kubectl("wait", "kafkaconnectors.coracle.dev/forgotten", "--for=delete")
    assert "connect-forgotten" not in consumer_groups(coracle.kafka)


@pytest.mark.parametrize(
    ("policy", "again"), [({}, False), ({"offsets": "Delete"}, True)], ids=["kept", "deleted"]
)
def test_a_source_of_the_same_name_goes_on_or_begins_anew(
    coracle: Coracle, postgres: Database[Postgres], policy: dict[str, str], again: bool
) -> None:
    flows.database_secret(coracle, postgres)
    table = f"t_{secrets.token_hex(3)}"
    config = source(postgres, table) | {"topic.prefix": ""}
    fill(postgres, table, 1, 5)
    coracle.kafka.topic(table)
    coracle.connector("reborn", SOURCE, config, deletionPolicy=policy)
    coracle.until("5 records", lambda: records(coracle.kafka, table) == 5)
    time.sleep(2)  # two of offset.flush.interval.ms
    coracle.delete("reborn")
    fill(postgres, table, 6, 7)
    coracle.connector("reborn", SOURCE, config)
    total = 12 if again else 7
    coracle.until(f"{total} records", lambda: records(coracle.kafka, table) >= total)
    time.sleep(1)
    assert records(coracle.kafka, table) == total
    coracle.delete("reborn")


def test_an_autoscaler_adds_pods_up_to_the_partitions(coracle: Coracle) -> None:
    """An idle pod is busy enough for a target this low."""
    topic = coracle.kafka.new_topic(partitions=2)
    coracle.connector(
        "busy",
        "FileStreamSink",
        {"topics": topic, "file": "/dev/null", **TEXTS},
        autoscaling={"minTasks": 1, "maxTasks": 4, "cpu": 1},
        resources={"requests": {"cpu": "20m"}},
    )
    coracle.until(
        "the autoscaler",
        lambda: coracle.kubectl("get", "hpa/busy-connector", "--ignore-not-found"),
    )
    target = coracle.kubectl.get("hpa/busy-connector")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "coracle.dev/v1", "kind": "KafkaConnector", "name": "busy"}
    coracle.until("4 tasks", lambda: coracle.get("busy")["spec"].get("tasksMax") == 4, seconds=120)
    coracle.until("2 pods", lambda: len(coracle.live_pods("busy")) == 2)
    status = coracle.kubectl.get("hpa/busy-connector")["status"]
    assert status["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 1
    # Autoscaler and operator agree: nothing goes back and forth.
    for _ in range(12):
        assert coracle.get("busy")["spec"]["tasksMax"] == 4
        assert len(coracle.pods("busy")) == 2
        time.sleep(1)
    coracle.delete("busy")


def test_an_autoscaler_of_ones_own(coracle: Coracle) -> None:
    """`kubectl autoscale`, and lag without KEDA."""
    topic = coracle.kafka.new_topic(partitions=3)
    coracle.connector(
        "lagging",
        "FileStreamSink",
        {"topics": topic, "file": "/dev/null", **TEXTS},
        autoscaling={"maxTasks": 3, "lag": 100},
    )
    coracle.ready("lagging")
    warning = coracle.condition("lagging", "Warning")
    assert "spec.autoscaling.lag is refused: it needs KEDA" in warning["message"]
    assert coracle.kubectl("get", "hpa/lagging-connector", "--ignore-not-found") == ""
    coracle.patch("lagging", {"autoscaling": None})
    coracle.kubectl("autoscale", "kafkaconnectors.coracle.dev/lagging", "--min=2", "--max=3")
    coracle.until("tasksMax 2", lambda: coracle.get("lagging")["spec"].get("tasksMax", 1) >= 2)
    coracle.until("2 pods", lambda: len(coracle.live_pods("lagging")) >= 2)
    coracle.kubectl("delete", "hpa/lagging")
    coracle.delete("lagging")


def test_plugins_are_installed_from_an_index(coracle: Coracle) -> None:
    """A wheel with a transform and a sink, whose task fails at first and is restarted."""
    url = wheel_index.serve(coracle.kubectl, coracle.image)
    spec = coracle.kubectl.get("kafkaconnects.coracle.dev/connect")["spec"]
    plugins = {"packages": [f"{wheel_index.PACKAGE}==1.4.2"], "indexUrl": url}
    coracle.kubectl.apply(
        {
            "apiVersion": "coracle.dev/v1",
            "kind": "KafkaConnect",
            "metadata": {"name": "acme"},
            "spec": {**spec, "plugins": plugins},
        }
    )
    acme = api(coracle, "acme")
    topic = coracle.kafka.new_topic()
    coracle.connector(
        "loud",
        wheel_index.SINK,
        {
            "topics": topic,
            "transforms": "shout",
            "transforms.shout.type": wheel_index.SHOUT,
            **TEXTS,
        },
        connect={"name": "acme"},
        autoRestart={"enabled": True},
    )
    send(coracle, topic, "hello")
    says(coracle, "loud", "HELLO")
    assert coracle.get("loud")["status"]["autoRestart"]["count"] == 1
    state_is(coracle, "loud", "RUNNING", "RUNNING")

    listed = httpx.get(
        f"{acme}/connector-plugins", params={"connectorsOnly": "false"}, timeout=20
    ).json()
    found = {plugin["class"]: plugin for plugin in listed}
    sink = {"class": wheel_index.SINK, "type": "sink", "version": "1.4.2"}
    assert found[wheel_index.SINK] == sink
    assert found[wheel_index.SHOUT]["type"] == "transformation"
    resource = "kafkaconnects.coracle.dev/acme"
    coracle.until(
        "the plugin in the status",
        lambda: sink in coracle.kubectl.get(resource)["status"]["connectorPlugins"],
    )
    coracle.delete("loud")
    coracle.kubectl("delete", resource)


def api(coracle: Coracle, connect: str) -> str:
    """Where the api of a KafkaConnect answers, once it does."""
    resource = f"kafkaconnects.coracle.dev/{connect}"
    coracle.kubectl("wait", resource, "--for=condition=Ready", "--timeout=60s")
    url = coracle.kubectl.get(resource)["status"]["url"]
    assert url == f"http://{connect}-connect-api.{coracle.kubectl.namespace}.svc:8083"
    return url


def test_connectors_over_rest(coracle: Coracle, postgres: Database[Postgres]) -> None:
    fill(postgres, "first", 1, 10)
    fill(postgres, "second", 1, 10)
    name = f"Shop_{secrets.token_hex(3)}"
    config = source(postgres, "first,second") | {
        "connector.class": SOURCE,
        "tasks.max": "2",
        "connection.user": postgres.user,
        "connection.password": postgres.password,
    }
    with httpx.Client(base_url=api(coracle, "connect"), timeout=20) as rest:

        def status() -> list[str]:
            answer = rest.get(f"/connectors/{name}/status").json()
            return [answer["connector"]["state"], *(task["state"] for task in answer["tasks"])]

        def becomes(*states: str) -> None:
            coracle.until(f"{name} to be {states}", lambda: status() == list(states))

        created = rest.post("/connectors", json={"name": name, "config": config})
        assert created.status_code == 201, created.text
        becomes("RUNNING", "RUNNING", "RUNNING")
        answer = rest.get(f"/connectors/{name}/tasks")
        assert answer.status_code == 200, answer.text
        tasks = answer.json()
        assert [task["id"] for task in tasks] == [
            {"connector": name, "task": number} for number in (0, 1)
        ]
        assert {task["config"]["connection.url"] for task in tasks} == {postgres.jdbc_url}
        assert len({task["config"]["tables"] for task in tasks}) == 2
        everything = coracle.kubectl(
            "get", "configmaps,deployments,events,kafkaconnectors.coracle.dev", "--output=json"
        )
        assert name in everything
        assert postgres.password not in everything
        assert postgres.password not in answer.text + log_of_all(coracle)

        assert rest.put(f"/connectors/{name}/pause").status_code == 202
        becomes("PAUSED", "PAUSED", "PAUSED")
        assert rest.put(f"/connectors/{name}/resume").status_code == 202
        becomes("RUNNING", "RUNNING", "RUNNING")
        restart = rest.post(f"/connectors/{name}/restart", params={"includeTasks": "true"})
        assert restart.status_code == 202, restart.text
        assert [task["state"] for task in restart.json()["tasks"]] == ["RESTARTING"] * 2
        becomes("RUNNING", "RUNNING", "RUNNING")
        assert rest.put(f"/connectors/{name}/stop").status_code == 204
        becomes("STOPPED")
        assert rest.get(f"/connectors/{name}/tasks").json() == []
        (resource,) = (
            one
            for one in coracle.kubectl.get("kafkaconnectors.coracle.dev")["items"]
            if one["spec"].get("name") == name
        )
        assert coracle.pods(resource["metadata"]["name"]) == []
        assert rest.delete(f"/connectors/{name}").status_code == 204
        assert name not in rest.get("/connectors").json()
    coracle.kubectl(
        "wait",
        f"kafkaconnectors.coracle.dev/{resource['metadata']['name']}",
        "--for=delete",
        "--timeout=30s",
    )


def log_of_all(coracle: Coracle) -> str:
    """What everything of Coracle's says in its namespace."""
    selector = "--selector=app.kubernetes.io/name=coracle"
    return coracle.kubectl("logs", selector, "--tail=-1", "--ignore-errors")


def test_strimzis_pair_runs(coracle: Coracle) -> None:
    topic = coracle.kafka.new_topic()
    connect = {
        "apiVersion": f"{STRIMZI}/v1",
        "kind": "KafkaConnect",
        "metadata": {
            "name": "my-connect",
            "annotations": {
                "coracle.dev/adopt": "true",
                "strimzi.io/use-connector-resources": "true",
            },
        },
        "spec": {
            "version": "4.1.0",
            "replicas": 1,
            "bootstrapServers": coracle.kafka.bootstrap_servers,
            "groupId": f"{coracle.kubectl.namespace}-strimzi",
            "offsetStorageTopic": f"{coracle.kubectl.namespace}-strimzi-offsets",
            "configStorageTopic": f"{coracle.kubectl.namespace}-strimzi-configs",
            "statusStorageTopic": f"{coracle.kubectl.namespace}-strimzi-status",
            "config": {"key.converter": STRING, "value.converter": STRING},
        },
    }
    connector = {
        "apiVersion": f"{STRIMZI}/v1",
        "kind": "KafkaConnector",
        "metadata": {"name": "my-sink", "labels": {"strimzi.io/cluster": "my-connect"}},
        "spec": {
            "class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "tasksMax": 1,
            "autoRestart": {"enabled": True},
            "config": {"topics": topic},
        },
    }
    coracle.kubectl.apply(connect, connector)
    theirs = f"kafkaconnectors.{STRIMZI}/my-sink"
    for resource in (f"kafkaconnects.{STRIMZI}/my-connect", theirs):
        coracle.kubectl("wait", resource, "--for=condition=Ready", "--timeout=60s")
    send(coracle, topic, "one")
    says(coracle, "my-sink", "one")

    annotate(coracle, theirs, "strimzi.io/restart=true")
    coracle.until(
        "a restart", lambda: log(coracle, "my-sink").count("restarting the connector") == 1
    )
    state_is(coracle, "my-sink", "RUNNING", "RUNNING")

    def settled() -> bool:
        status = coracle.kubectl.get(theirs)["status"]
        return status["connectorStatus"]["connector"]["state"] == "RUNNING"

    coracle.until("the status of Strimzi's resource", settled)
    status: dict[str, Any] = coracle.kubectl.get(theirs)["status"]
    reported = status["connectorStatus"]
    assert (reported["name"], reported["type"]) == ("my-sink", "sink")
    assert set(reported["tasks"][0]) <= {"id", "state", "worker_id", "version"}
    assert status["tasksMax"] == 1
    assert status["topics"] == [topic]
    (ready,) = (one for one in status["conditions"] if one["type"] == "Ready")
    assert ready["status"] == "True"
    there = coracle.kubectl.get(f"kafkaconnects.{STRIMZI}/my-connect")["status"]
    assert there["url"].startswith("http://my-connect-connect-api.")

    annotate(coracle, theirs, "strimzi.io/restart-task=0")
    coracle.until("a restart", lambda: log(coracle, "my-sink").count("restarting tasks 0") == 1)

    def conditions() -> set[str]:
        return {one["type"] for one in coracle.kubectl.get(theirs)["status"]["conditions"]}

    coracle.kubectl("annotate", theirs, "strimzi.io/pause-reconciliation=true")
    coracle.until("a pause", lambda: "ReconciliationPaused" in conditions())
    paused = '{"spec": {"state": "paused"}}'
    coracle.kubectl("patch", theirs, "--type=merge", "-p", paused)
    send(coracle, topic, "two")
    says(coracle, "my-sink", "two")
    assert coracle.tasks("my-sink")[0]["state"] == "RUNNING"
    coracle.kubectl("annotate", theirs, "strimzi.io/pause-reconciliation-")
    state_is(coracle, "my-sink", "PAUSED", "PAUSED")

    # Given back, they stay, and nothing of ours does.
    coracle.kubectl("annotate", f"kafkaconnects.{STRIMZI}/my-connect", "coracle.dev/adopt-")
    coracle.until(
        "nothing of ours",
        lambda: (
            not coracle.pods("my-sink")
            and "my-" not in coracle.kubectl("get", "coracle,deployments", "--output=name")
        ),
    )
    assert coracle.kubectl.get(theirs)["spec"]["class"] == connector["spec"]["class"]
    kinds = f"kafkaconnectors.{STRIMZI},kafkaconnects.{STRIMZI}"
    coracle.kubectl("delete", kinds, "--all", "--timeout=60s")


def test_over_rest_strimzis_connector_is_changed_where_it_comes_from(coracle: Coracle) -> None:
    """One of ours takes the place of Strimzi's KafkaConnect, and has the REST API."""
    topic = coracle.kafka.new_topic()
    connector = {
        "apiVersion": f"{STRIMZI}/v1",
        "kind": "KafkaConnector",
        "metadata": {"name": "let-in", "labels": {"strimzi.io/cluster": flows.CONNECT}},
        "spec": {
            "class": "FileStreamSink",
            "tasksMax": 1,
            "config": {"topics": topic, "file": "/dev/null", **TEXTS},
        },
    }
    coracle.kubectl.apply(connector)
    theirs = f"kafkaconnectors.{STRIMZI}/let-in"
    coracle.kubectl("wait", theirs, "--for=condition=Ready", "--timeout=60s")
    with httpx.Client(base_url=api(coracle, flows.CONNECT), timeout=20) as rest:
        paused = rest.put("/connectors/let-in/pause")
        assert paused.status_code == 202, paused.text
        assert coracle.kubectl.get(theirs)["spec"]["state"] == "paused"
        state_is(coracle, "let-in", "PAUSED", "PAUSED")
        deleted = rest.delete("/connectors/let-in")
        assert deleted.status_code == 204, deleted.text
    coracle.kubectl("wait", theirs, "--for=delete", "--timeout=60s")
    coracle.until("no pod", lambda: coracle.pods("let-in") == [])


def test_a_secret_that_changes_restarts_the_tasks(coracle: Coracle) -> None:
    """The kubelet brings the change into the pod: at its next look, which a change of the pod's
    annotations makes at once.
    """
    topic = coracle.kafka.new_topic()

    def secret(path: str) -> None:
        coracle.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "place"},
                "stringData": {"path": path},
            }
        )

    secret("/dev/null")
    coracle.connector(
        "turning", "FileStreamSink", {"topics": topic, "file": "${secrets:place:path}", **TEXTS}
    )
    coracle.ready("turning")
    pods = coracle.live_pods("turning")
    secret("/dev/stdout")
    coracle.kubectl("annotate", "pods", *pods, "example.com/look=1")
    coracle.until(
        "the pod to see it", lambda: "the connector starts anew" in log(coracle, "turning"), 100
    )
    send(coracle, topic, "one")
    says(coracle, "turning", "one")
    assert coracle.live_pods("turning") == pods
    coracle.delete("turning")

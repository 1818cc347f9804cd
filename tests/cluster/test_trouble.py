"""What goes wrong around a connector, on real pods: what people are told, and how it ends."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from coracle.kube import names
from tests.cluster.commands import CommandError, Kubectl
from tests.cluster.flows import Coracle
from tests.integration.kafka.test_consume import produce

logger = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(200)

UNCHECKED = "unchecked"
"""A KafkaConnect without api pods: the webhook has nobody to ask."""

KINDS = "all,configmap,serviceaccount,role,rolebinding,pdb,networkpolicy"


@pytest.fixture(scope="module")
def unchecked(release: Coracle) -> Iterator[str]:
    """The name of a KafkaConnect that checks nothing."""
    release.kubectl.apply(connect(release, UNCHECKED))
    yield UNCHECKED
    release.kubectl("delete", "kafkaconnects.coracle.dev", UNCHECKED)


def connect(coracle: Coracle, name: str) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KAFKA_CONNECT,
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "bootstrapServers": coracle.kafka.bootstrap_servers,
            "groupId": f"{coracle.kubectl.namespace}-{name}",
        },
    }


def sink(coracle: Coracle, **config: str) -> dict[str, str]:
    """Settings of a sink that prints what it reads, from a topic of its own."""
    converter = "org.apache.kafka.connect.storage.StringConverter"
    return {"topics": coracle.kafka.new_topic(), "value.converter": converter, **config}


def until_reason(coracle: Coracle, name: str, reason: str, seconds: float = 30) -> str:
    """Wait until a connector is not ready for this reason; returns the message."""

    def told() -> bool:
        ready = coracle.condition(name, "Ready")
        return (ready.get("status"), ready.get("reason")) == ("False", reason)

    coracle.until(f"{name} to say {reason}", told, seconds=seconds)
    return coracle.condition(name, "Ready")["message"]


def events(kubectl: Kubectl, about: str, kind: str = "Warning") -> list[str]:
    """What Events say of objects whose name begins so."""
    return [
        f"{each['involvedObject']['kind']} {each['reason']} x{each.get('count')}: {each['message']}"
        for each in kubectl.get("events")["items"]
        if each["involvedObject"]["name"].startswith(about) and each["type"] == kind
    ]


def warnings(coracle: Coracle, name: str) -> list[str]:
    """What Coracle itself warns of in Events."""
    return [each for each in events(coracle.kubectl, name) if each.startswith("KafkaConnector ")]


def left(kubectl: Kubectl, name: str) -> list[str]:
    """The objects of a connector that are there."""
    selector = f"{names.CONNECTOR_LABEL}={names.label_value(name)}"
    return kubectl("get", KINDS, "-l", selector, "--output=name").split()


def deleted_within(coracle: Coracle, name: str, seconds: float) -> float:
    """Delete a connector; how long it took until it and all its objects were gone."""
    begin = time.monotonic()
    coracle.delete(name, seconds)
    gone = time.monotonic() - begin
    assert coracle.pods(name) == []
    coracle.until("the garbage collector", lambda: left(coracle.kubectl, name) == [], seconds=30)
    logger.info("%s was gone after %.1f s", name, gone)
    return gone


def test_a_start_that_goes_well_warns_of_nothing(coracle: Coracle) -> None:
    """Once of three times: on a busy machine a start can take longer than probes wait for it."""
    noise = {}
    for name in ("calm-1", "calm-2", "calm-3"):
        coracle.connector(name, "FileStreamSink", sink(coracle))
        coracle.ready(name)
        pod = f"pod/{coracle.pods(name)[0]['metadata']['name']}"
        coracle.kubectl("wait", pod, "--for=condition=Ready", "--timeout=30s")
        assert len(events(coracle.kubectl, name, "Normal")) > 3
        noise[name] = events(coracle.kubectl, name)
        log = coracle.kubectl("logs", "deployment/coracle-operator").splitlines()
        noise[name] += [line for line in log if name in line and "trying again" in line]
        own = coracle.kubectl("logs", pod).splitlines()
        noise[name] += [line for line in own if "WARN" in line and "(coracle." in line]
        coracle.delete(name)
        if not noise[name]:
            return
        logger.info("%s: %s", name, noise[name])
    pytest.fail(json.dumps(noise, indent=1))


def test_a_class_that_does_not_exist(coracle: Coracle, unchecked: str) -> None:
    with pytest.raises(CommandError, match=r"(?s)denied the request.*com\.example\.Nowhere"):
        coracle.connector("nowhere", "com.example.Nowhere", {"topics": "t"})
    coracle.connector(
        "nowhere", "com.example.Nowhere", {"topics": "t"}, connect={"name": unchecked}
    )
    message = until_reason(coracle, "nowhere", "ConnectorFailed")
    assert "com.example.Nowhere" in message
    assert coracle.condition("nowhere", "Stalled")["status"] == "True"
    status = coracle.get("nowhere")["status"]["connectorStatus"]["connector"]
    assert "com.example.Nowhere" in status["trace"]
    (pod,) = coracle.pods("nowhere")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert len(warnings(coracle, "nowhere")) == 1
    coracle.patch("nowhere", {"class": "FileStreamSink", "config": sink(coracle)})
    coracle.ready("nowhere")
    coracle.delete("nowhere")


def test_a_kafka_connect_that_comes_later(coracle: Coracle) -> None:
    coracle.connector("early", "FileStreamSink", sink(coracle), connect={"name": "late"})
    message = until_reason(coracle, "early", "ConnectMissing")
    assert f"no KafkaConnect late in the namespace {coracle.kubectl.namespace}" in message
    assert coracle.condition("early", "Stalled") == {}
    assert left(coracle.kubectl, "early") == []
    coracle.kubectl.apply(connect(coracle, "late"))
    coracle.ready("early")
    coracle.delete("early")
    coracle.kubectl("delete", "kafkaconnects.coracle.dev", "late")


def test_a_secret_that_appears(coracle: Coracle) -> None:
    coracle.connector("waits", "FileStreamSink", sink(coracle, file="${secrets:later:path}"))
    message = until_reason(coracle, "waits", "ConnectorFailed")
    assert "there is no Secret later, or it has no key path" in message
    # The kubelet looks at what it has mounted when a probe's outcome changes, as in a start, and
    # otherwise about once a minute: this is the otherwise.
    coracle.until("the start to be over", lambda: started(coracle, "waits"))
    time.sleep(3)
    coracle.kubectl("create", "secret", "generic", "later", "--from-literal=path=/tmp/hush")
    begin = time.monotonic()
    coracle.ready("waits", seconds=150)
    logger.info("a Secret that appeared was used after %.1f s", time.monotonic() - begin)
    assert "hush" not in json.dumps(coracle.get("waits"))
    (pod,) = coracle.pods("waits")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    coracle.delete("waits")


def started(coracle: Coracle, name: str) -> bool:
    """Whether the startup probe of the only pod has succeeded."""
    (pod,) = coracle.pods(name)
    return bool(pod["status"]["containerStatuses"][0].get("started"))


def test_an_image_that_cannot_be_pulled(coracle: Coracle) -> None:
    image = "localhost:1/coracle:none"
    coracle.connector("unpulled", "FileStreamSink", sink(coracle), image=image)
    message = until_reason(coracle, "unpulled", "ImagePull")
    assert image in message
    assert coracle.condition("unpulled", "Stalled")["status"] == "True"
    name = "unpulled-connector"
    before = coracle.kubectl.get(f"deployment/{name}")["metadata"]["generation"]
    versions = set()
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        versions.add(coracle.get("unpulled")["metadata"]["resourceVersion"])
        time.sleep(0.5)
    # The kubelet tries, fails and rests in turn; that is worth two writes each time.
    assert len(versions) <= 4
    assert coracle.kubectl.get(f"deployment/{name}")["metadata"]["generation"] == before
    assert len(warnings(coracle, "unpulled")) == 1
    coracle.patch("unpulled", {"image": None})
    coracle.ready("unpulled")
    coracle.delete("unpulled")


def test_a_pod_that_crashes(coracle: Coracle) -> None:
    crash = {"container": {"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]}}
    coracle.connector("crashes", "FileStreamSink", sink(coracle), template=crash)
    message = until_reason(coracle, "crashes", "CrashLoop", seconds=60)
    assert "exit code 1" in message
    assert "kubectl logs crashes-connector-" in message
    assert coracle.condition("crashes", "Stalled")["status"] == "True"
    (pod,) = coracle.pods("crashes")
    assert pod["status"]["containerStatuses"][0]["restartCount"] <= 3
    assert len(warnings(coracle, "crashes")) == 1
    coracle.patch("crashes", {"template": None})
    coracle.ready("crashes")
    coracle.delete("crashes")


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0])
def test_deleted_while_it_starts(coracle: Coracle, seconds: float) -> None:
    coracle.connector("hasty", "FileStreamSink", sink(coracle))
    time.sleep(seconds)
    assert deleted_within(coracle, "hasty", 30) < 15


def test_one_name_in_two_namespaces(coracle: Coracle, unchecked: str) -> None:
    config = sink(coracle)
    coracle.connector("twin", "FileStreamSink", config)
    coracle.ready("twin")
    time.sleep(1.1)  # creation times are whole seconds
    second = Coracle(coracle.neighbour, coracle.kubectl, coracle.kafka, coracle.image)
    second.kubectl.apply(connect(coracle, UNCHECKED))
    second.connector("twin", "FileStreamSink", config, connect={"name": UNCHECKED})
    message = until_reason(second, "twin", "GroupConflict")
    assert f"twin in the namespace {coracle.kubectl.namespace} is older" in message
    assert second.condition("twin", "Stalled")["status"] == "True"
    assert second.pods("twin") == []
    assert coracle.condition("twin", "Ready")["status"] == "True"
    coracle.delete("twin")
    second.ready("twin")
    assert second.condition("twin", "Stalled") == {}
    second.delete("twin")
    second.kubectl("delete", "kafkaconnects.coracle.dev", UNCHECKED)


def test_names_that_are_hard_on_kubernetes(coracle: Coracle) -> None:
    config = sink(coracle)
    asyncio.run(produce(coracle.kafka, config["topics"], [b"a line"]))
    named = {"n" * 200: {}, "dotted.name": {}, "slug": {"name": "sink_postgres_00_json"}}
    for name, spec in named.items():
        coracle.connector(name, "FileStreamSink", config, **spec)
    for name, spec in named.items():
        coracle.ready(name)
        (pod,) = coracle.pods(name)
        log = f"pod/{pod['metadata']['name']}"
        coracle.until("the line", lambda log=log: "\na line" in coracle.kubectl("logs", log))
        reported = coracle.get(name)["status"]["connectorStatus"]
        assert reported["name"] == spec.get("name", name)
        assert coracle.kubectl("get", f"kafkaconnectors.coracle.dev/{name}")
    for name in named:
        deleted_within(coracle, name, 30)


STUCK = """
import asyncio, time
from coracle.connectors.file.sink import FileStreamSinkConnector, FileStreamSinkTask

class ThreadTask(FileStreamSinkTask):
    async def stop(self):
        await asyncio.to_thread(time.sleep, 3600)

class LoopTask(FileStreamSinkTask):
    async def stop(self):
        time.sleep(3600)

class Thread(FileStreamSinkConnector):
    task_class = ThreadTask

class Loop(FileStreamSinkConnector):
    task_class = LoopTask
"""
ENTRY_POINTS = """
[coracle.connectors]
com.example.Thread = stuck:Thread
com.example.Loop = stuck:Loop
"""


@pytest.fixture(scope="module")
def stuck(release: Coracle) -> dict[str, Any]:
    """A template of pods that have connectors which hang in stop."""
    paths = {
        "stuck.py": STUCK,
        "stuck-1.dist-info/entry_points.txt": ENTRY_POINTS,
        "stuck-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: stuck\nVersion: 1\n",
    }
    files = {path.rpartition("/")[2]: text for path, text in paths.items()}
    release.kubectl.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stuck"}, "data": files}
    )
    items = [{"key": path.rpartition("/")[2], "path": path} for path in paths]
    return {
        "pod": {
            "volumes": [{"name": "stuck", "configMap": {"name": "stuck", "items": items}}],
        },
        "container": {
            "volumeMounts": [{"name": "stuck", "mountPath": "/opt/stuck"}],
            "env": [{"name": "PYTHONPATH", "value": "/opt/stuck"}],
        },
    }


@pytest.mark.parametrize("how", ["Thread", "Loop"])
def test_a_connector_that_hangs_in_stop(
    coracle: Coracle, unchecked: str, stuck: dict[str, Any], how: str
) -> None:
    """Its graceful time is 5 seconds and its pod's 30."""
    name = f"hangs-{how.lower()}"
    reference = {"name": unchecked}
    coracle.connector(name, f"com.example.{how}", sink(coracle), connect=reference, template=stuck)
    coracle.ready(name)
    assert deleted_within(coracle, name, 60) < 15


def test_a_drain_of_the_only_pod(coracle: Coracle) -> None:
    coracle.connector("drained", "FileStreamSink", sink(coracle))
    coracle.ready("drained")
    (first,) = coracle.live_pods("drained")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": first, "namespace": coracle.kubectl.namespace},
    }
    path = f"/api/v1/namespaces/{coracle.kubectl.namespace}/pods/{first}/eviction"
    coracle.kubectl("create", "--raw", path, "-f-", text=json.dumps(eviction))
    begin = time.monotonic()

    def elsewhere() -> bool:
        (pod, *others) = coracle.pods("drained") or [{}]
        if others or not pod or pod["metadata"]["name"] == first:
            return False
        return coracle.owners("drained") == {0: f"{pod['status'].get('podIP')}:8083"}

    coracle.until("the task to run elsewhere", elsewhere)
    logger.info("from the eviction to the task elsewhere: %.1f s", time.monotonic() - begin)
    coracle.ready("drained")
    coracle.delete("drained")


def test_more_settings_than_a_config_map_holds(coracle: Coracle, unchecked: str) -> None:
    config = sink(coracle)
    reference = {"name": unchecked}
    coracle.connector("large", "FileStreamSink", config, connect=reference)
    coracle.ready("large")
    large = {**config, "long": "x" * 1_048_576}
    coracle.connector("large", "FileStreamSink", large, connect=reference)
    message = until_reason(coracle, "large", "ConfigTooLarge")
    assert "1 MiB" in message
    assert "${configmaps:" in message
    assert coracle.condition("large", "Stalled")["status"] == "True"
    assert len(coracle.owners("large")) == 1, "what ran before goes on"
    coracle.delete("large")


@pytest.mark.parametrize("what", ["pods", "count/deployments.apps"])
def test_a_quota(coracle: Coracle, what: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    coracle.kubectl.apply({**quota, "spec": {"hard": {what: "0"}}})
    try:
        coracle.until(
            "the quota", lambda: "hard" in coracle.kubectl.get("resourcequota/small")["status"]
        )
        coracle.connector("poor", "FileStreamSink", sink(coracle))
        message = until_reason(coracle, "poor", "PodsMissing" if what == "pods" else "Refused")
        assert "exceeded quota: small" in message
    finally:
        coracle.kubectl("delete", "resourcequota", "small")
    coracle.ready("poor")
    coracle.delete("poor")

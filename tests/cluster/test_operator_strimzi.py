"""Strimzi's resources beside ours, on a real API server: adopted only where somebody said so."""

from collections.abc import Iterator
from typing import Any

import pytest

from coracle.kube import crds, names
from tests.cluster import binaries
from tests.cluster.commands import Kubectl
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.throwaway import ControlPlaneServer
from tests.servers.process import wait_for

STRIMZI = "kafka.strimzi.io"


def definition(kind: str, short: str) -> dict[str, Any]:
    """Strimzi's kind with as much schema as matters here: none."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": anything, "status": anything},
            }
        },
        "subresources": {"status": {}},
    }
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{STRIMZI}"},
        "spec": {
            "group": STRIMZI,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "shortNames": [short]},
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """kubectl on an API server that knows Strimzi's kinds, with an operator that may look."""
    server = ControlPlaneServer()
    server.start()
    kubectl = Kubectl(server.kubeconfig, program=str(binaries.programs() / "kubectl"))
    definitions = [
        *crds.definitions().values(),
        definition("KafkaConnector", "kctr"),
        definition("KafkaConnect", "kc"),
    ]
    kubectl.apply(*definitions)
    crd_names = [f"crd/{one['metadata']['name']}" for one in definitions]
    kubectl("wait", "--for=condition=Established", *crd_names)
    operator = OperatorProcess(server.kubeconfig, CORACLE_STRIMZI="true")
    operator.start()
    yield kubectl
    operator.kill()
    server.stop()


def connect(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": f"{STRIMZI}/v1",
        "kind": "KafkaConnect",
        "metadata": {
            "name": name,
            "annotations": {"strimzi.io/use-connector-resources": "true", **annotations},
        },
        "spec": {
            "replicas": 1,
            "bootstrapServers": "my-cluster-kafka-bootstrap:9093",
            "tls": {"trustedCertificates": [{"secretName": "ca", "pattern": "*.crt"}]},
            "groupId": "my-connect-group",
            "offsetStorageTopic": "my-connect-offsets",
            "configStorageTopic": "my-connect-configs",
            "statusStorageTopic": "my-connect-status",
            "config": {"config.storage.replication.factor": -1},
        },
    }


def connector(name: str, cluster: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{STRIMZI}/v1",
        "kind": "KafkaConnector",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {
            "class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "tasksMax": 2,
            "config": {"file": "/opt/kafka/LICENSE", "topic": "my-topic"},
        },
    }


def test_a_pair_is_adopted_and_another_left_alone(kubectl: Kubectl) -> None:
    kubectl.apply(connect("theirs", {}), connector("their-source", "theirs"))
    kubectl.apply(connect("my-connect", {"coracle.dev/adopt": "true"}))
    kubectl.apply(connector("my-source", "my-connect"))

    def deployed() -> bool:
        found = kubectl("get", "deployments", "--output=name").split()
        wanted = {"my-source-connector", "my-connect-connect-api"}
        return {f"deployment.apps/{name}" for name in wanted} == set(found)

    wait_for(deployed, seconds=30, what="the Deployments of what was adopted")

    def told() -> bool:
        status = kubectl.get(f"kafkaconnectors.{STRIMZI}/my-source").get("status", {})
        return any(one["type"] == "NotReady" for one in status.get("conditions", []))

    # No node runs the pods here: what is told is that it is not ready, in Strimzi's words.
    wait_for(told, seconds=20, what="a status in Strimzi's shape")
    ours = kubectl.get(f"kafkaconnectors.{names.GROUP}/my-source")
    assert ours["metadata"]["finalizers"] == [names.FINALIZER]
    assert ours["spec"]["config"]["topic"] == "my-topic"
    assert "status" not in kubectl.get(f"kafkaconnectors.{STRIMZI}/their-source")
    kubectl(
        *("patch", f"kafkaconnectors.{STRIMZI}", "my-source", "--type=merge"),
        '-p={"spec":{"tasksMax":3}}',
    )
    wait_for(
        lambda: kubectl.get(f"kafkaconnectors.{names.GROUP}/my-source")["spec"]["tasksMax"] == 3,
        seconds=10,
        what="the change in ours",
    )
    kubectl("delete", f"kafkaconnectors.{STRIMZI}", "my-source", "--timeout=30s")
    wait_for(
        lambda: (
            "my-source" not in kubectl("get", f"kafkaconnectors.{names.GROUP}", "--output=name")
        ),
        # The garbage collector learns of new kinds every half minute.
        seconds=90,
        what="ours to go too",
    )

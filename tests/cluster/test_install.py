"""The chart where pods run: installed, tested, upgraded and removed by Helm."""

import os
import subprocess

import pytest

from tests.cluster.commands import CommandError, Helm, Kubectl
from tests.cluster.release import CHART, ROOT
from tests.docs.commands import blocks
from tests.servers.kafka import Kafka

USERS = "kafkaconnectors.coracle.dev/users"


def settings(namespace: str, image: str, kafka: Kafka) -> list[str]:
    repository, _, tag = image.rpartition(":")
    values = [
        f"image.repository={repository}",
        f"image.tag={tag}",
        f"watchNamespaces={{{namespace}}}",
        "connect.create=true",
        f"connect.spec.bootstrapServers={kafka.bootstrap_servers}",
        f"connect.spec.groupId={namespace}",
    ]
    # Other tests bring the same CRDs, so that no release owns them yet.
    flags = ["--wait", "--timeout=120s", "--take-ownership"]
    return [*flags, *(part for value in values for part in ("--set", value))]


def documented(text: str) -> str:
    """The commands of docs/kubernetes.md that have a text in them."""
    (script,) = (
        block.script for block in blocks(ROOT / "docs" / "kubernetes.md") if text in block.script
    )
    return script


def trusted(kubectl: Kubectl) -> str:
    """Whom the API server trusts to be the webhook."""
    name = f"validatingwebhookconfigurations/coracle-{kubectl.namespace}"
    return kubectl.get(name)["webhooks"][0]["clientConfig"]["caBundle"]


def task_pods(kubectl: Kubectl) -> set[str]:
    pods = kubectl.get("pods")["items"]
    labelled = (pod for pod in pods if "coracle.dev/connector" in pod["metadata"]["labels"])
    return {pod["metadata"]["uid"] for pod in labelled}


def refused(kubectl: Kubectl) -> str:
    """What the webhook says to a configuration that is wrong."""
    wrong = '{"spec": {"config": {"quickstart": "nothing_like_it"}}}'
    with pytest.raises(CommandError) as error:
        kubectl("patch", USERS, "--type=merge", "-p", wrong)
    return str(error.value)


@pytest.mark.timeout(500)
def test_life_of_a_release(
    helm: Helm, kubectl: Kubectl, namespace: str, image: str, kafka: Kafka
) -> None:
    arguments = ["coracle", str(CHART), *settings(namespace, image, kafka)]
    helm("install", *arguments, seconds=180)
    assert "the webhook refuses a class" in helm("test", "coracle", "--logs", seconds=120)

    # As the page tells everybody to begin.
    script = documented("kind: KafkaConnector")
    script = script.replace("shop", namespace).replace("kafka:9092", kafka.bootstrap_servers)
    script = script.replace("kafka.topic: users", f"kafka.topic: {namespace}-users")
    script = script.replace(f"kubectl create namespace {namespace}", "true")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quickstart" in refused(kubectl)

    before, running = trusted(kubectl), task_pods(kubectl)
    assert len(running) == 1
    helm("upgrade", *arguments, "--set", "webhook.failurePolicy=Fail", seconds=180)
    assert trusted(kubectl) == before
    assert "quickstart" in refused(kubectl)
    assert task_pods(kubectl) == running

    helm("uninstall", "coracle", "--wait", seconds=120)
    assert kubectl.get(USERS)["status"]["conditions"]
    assert task_pods(kubectl) == running

    helm("install", *arguments, seconds=180)
    assert task_pods(kubectl) == running
    kubectl("delete", USERS, "--timeout=60s")
    kubectl("delete", "kafkaconnects.coracle.dev/connect", "--timeout=60s")
    assert task_pods(kubectl) == set()

"""The cluster that all other tests here stand on: pods, names, servers beside it, images."""

import json

import pytest
from lightkube import Client
from lightkube.resources.core_v1 import ConfigMap

from tests.cluster.commands import CommandError, Helm, Kubectl
from tests.cluster.throwaway import ControlPlaneServer
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres
from tests.servers.process import wait_for

WHO = "import json, os, sys; print(json.dumps([os.getuid(), os.getgid(), sys.version_info[:2]]))"
ROOT_IS_READ_ONLY = """
import errno
try:
    open('/opt/coracle/file', 'w')
except OSError as error:
    assert error.errno in (errno.EROFS, errno.EACCES), error
    print(errno.errorcode[error.errno])
"""


def test_coracle_runs_as_nobody_special_on_a_read_only_root(kubectl: Kubectl, image: str) -> None:
    assert kubectl.run_pod("version", image, "coracle", "--version").startswith("coracle ")
    uid, gid, _ = json.loads(kubectl.run_pod("who", image, "python", "-c", WHO))
    assert (uid, gid) == (10001, 10001)
    assert kubectl.run_pod("root", image, "python", "-c", ROOT_IS_READ_ONLY) == "EROFS"


def test_plugins_are_found_in_the_image(kubectl: Kubectl, image: str) -> None:
    said = kubectl.run_pod("plugins", image, "coracle", "plugins")
    assert "JdbcSinkConnector" in said


def test_pip_is_in_the_image(kubectl: Kubectl, image: str) -> None:
    assert "asyncpg" in kubectl.run_pod("pip", image, "pip", "--no-cache-dir", "list")


def test_a_pod_that_fails_fails_the_test(kubectl: Kubectl, image: str) -> None:
    code = "import sys; sys.exit('no such file here')"
    with pytest.raises(CommandError, match="no such file here"):
        kubectl.run_pod("fails", image, "python", "-c", code, seconds=5)


# A Service leads to a pod that is Ready once kube-proxy and the DNS have heard of it.
ASK = """
import time, urllib.request
end = time.monotonic() + 20
while True:
    try:
        print(urllib.request.urlopen("{url}", timeout=9).status)
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.2)
"""


def test_names_of_services_lead_to_pods(kubectl: Kubectl, image: str, namespace: str) -> None:
    labels = {"app": "web"}
    kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [
                            {
                                "name": "web",
                                "image": image,
                                "command": ["python", "-m", "http.server", "8080"],
                                "workingDir": "/tmp",
                                "readinessProbe": {
                                    "httpGet": {"path": "/", "port": 8080},
                                    "periodSeconds": 1,
                                },
                            }
                        ],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    for number, name in enumerate(("web", f"web.{namespace}.svc.cluster.local")):
        code = ASK.format(url=f"http://{name}/")
        assert kubectl.run_pod(f"client-{number}", image, "python", "-c", code) == "200"


def test_kafka_is_in_reach_of_a_pod(kubectl: Kubectl, image: str, kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=3)
    code = f"""
import asyncio
from aiokafka import AIOKafkaProducer

async def main():
    async with AIOKafkaProducer(bootstrap_servers="{kafka.bootstrap_servers}") as producer:
        await producer.send_and_wait("{topic}", b"from a pod")
        print(len(await producer.partitions_for("{topic}")))

asyncio.run(main())
"""
    assert kubectl.run_pod("producer", image, "python", "-c", code) == "3"


def test_postgresql_is_in_reach_of_a_pod(
    kubectl: Kubectl, image: str, postgres: Database[Postgres]
) -> None:
    code = f"""
import asyncio, asyncpg

async def main():
    connection = await asyncpg.connect("{postgres.dsn}")
    await connection.execute("CREATE TABLE reached (id int)")
    await connection.close()

asyncio.run(main())
"""
    kubectl.run_pod("client", image, "python", "-c", code)
    assert postgres.sql("SELECT count(*) FROM reached") == "0"


def test_usage_is_measured(kubectl: Kubectl, image: str) -> None:
    code = "import time\nwhile True: sum(range(10000)); time.sleep(0.001)"
    kubectl("run", "busy", f"--image={image}", "--", "python", "-c", code)
    kubectl("wait", "pod/busy", "--for=condition=Ready", "--timeout=30s")

    def usage() -> str:
        return kubectl(
            "get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{kubectl.namespace}/pods"
        )

    wait_for(lambda: bool(json.loads(usage())["items"]), seconds=40, what="the pod's usage")
    (item,) = json.loads(usage())["items"]
    assert int(item["containers"][0]["usage"]["cpu"].removesuffix("n")) > 1_000_000
    assert "busy" in kubectl("top", "pods")


def test_helm_and_lightkube_see_the_same_cluster(
    kubectl: Kubectl, helm: Helm, client: Client
) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=a=1")
    assert client.get(ConfigMap, "settings").data == {"a": "1"}
    assert helm("list", "--short") == ""


def test_a_control_plane_of_ones_own(control_plane: ControlPlaneServer) -> None:
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl("create", "configmap", "kept", "--from-literal=a=1")
    control_plane.apiserver.kill()
    with pytest.raises(CommandError):
        kubectl("get", "configmap", "kept", "--request-timeout=2s")
    control_plane.apiserver.start()
    assert kubectl.get("configmap/kept")["data"] == {"a": "1"}

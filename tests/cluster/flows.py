"""A running Coracle on the cluster, and connectors on it: what the tests of behaviour start from.

One release serves a namespace of its own for the whole run; each test has connectors, topics and
tables of its own names there.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coracle.kube import names
from tests.cluster.commands import Helm, Kubectl
from tests.cluster.release import CHART
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres
from tests.servers.process import wait_for

CONNECT = "connect"
SESSION_SECONDS = 6
SECRET = "database"


@dataclass(frozen=True)
class Coracle:
    """An installed release.

    Attributes:
        kubectl: in the namespace that has its KafkaConnect.
        neighbour: in the other namespace that it looks after, where nothing is.
        kafka: the broker of its KafkaConnect.
        image: Coracle's.
    """

    kubectl: Kubectl
    neighbour: Kubectl
    kafka: Kafka
    image: str

    def connector(self, name: str, class_: str, config: Mapping[str, Any], /, **spec: Any) -> None:
        """Apply a KafkaConnector; `spec` is more of its spec."""
        self.kubectl.apply(
            {
                "apiVersion": "coracle.dev/v1",
                "kind": "KafkaConnector",
                "metadata": {"name": name},
                "spec": {
                    "connect": {"name": CONNECT},
                    "class": class_,
                    "config": dict(config),
                    **spec,
                },
            }
        )

    def get(self, name: str) -> dict[str, Any]:
        """The resource of a connector."""
        return self.kubectl.get(f"kafkaconnectors.coracle.dev/{name}")

    def ready(self, name: str, seconds: float = 60) -> None:
        """Wait as people do."""
        self.kubectl(
            "wait",
            f"kafkaconnectors.coracle.dev/{name}",
            "--for=condition=Ready",
            f"--timeout={seconds:.0f}s",
            seconds=seconds + 10,
        )

    def patch(self, name: str, spec: Mapping[str, Any]) -> None:
        """Change some of a connector's spec."""
        self.kubectl(
            "patch",
            f"kafkaconnectors.coracle.dev/{name}",
            "--type=merge",
            "-p",
            json.dumps({"spec": dict(spec)}),
        )

    def delete(self, name: str, seconds: float = 60) -> None:
        """Delete a connector and wait until it is gone."""
        self.kubectl(
            "delete",
            f"kafkaconnectors.coracle.dev/{name}",
            f"--timeout={seconds:.0f}s",
            seconds=seconds + 10,
        )

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The pods of a connector, those that are going included."""
        selector = f"{names.CONNECTOR_LABEL}={names.label_value(name)}"
        return json.loads(self.kubectl("get", "pods", "-l", selector, "--output=json"))["items"]

    def live_pods(self, name: str) -> dict[str, str]:
        """Uid by name of the pods that run and are not being deleted."""
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in self.pods(name)
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
        }

    def tasks(self, name: str) -> dict[int, dict[str, Any]]:
        """The entries of a connector's status, by task."""
        status = self.get(name).get("status", {}).get("connectorStatus", {})
        return {task["id"]: task for task in status.get("tasks", [])}

    def owners(self, name: str) -> dict[int, str]:
        """Which worker runs each task, of those that are RUNNING."""
        return {
            number: task["worker_id"]
            for number, task in self.tasks(name).items()
            if task["state"] == "RUNNING"
        }

    def condition(self, name: str, type_: str) -> dict[str, Any]:
        """A condition of a connector; empty while it has none of that type."""
        conditions = self.get(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def until(self, what: str, condition: Any, seconds: float = 60) -> None:
        """Wait for something."""
        wait_for(condition, seconds=seconds, what=what)


def install(
    cluster: Kubectl, kafka: Kafka, image: str, more: Mapping[str, str] | None = None
) -> Coracle:
    """Install the chart into a namespace of its own, with a KafkaConnect; `more` are values."""
    namespace = f"flows-{secrets.token_hex(3)}"
    neighbour = f"{namespace}-neighbour"
    cluster("create", "namespace", namespace)
    cluster("create", "namespace", neighbour)
    repository, _, tag = image.rpartition(":")
    values = {
        "image.repository": repository,
        "image.tag": tag,
        "watchNamespaces": f"{{{namespace},{neighbour}}}",
        "connect.create": "true",
        "connect.spec.bootstrapServers": kafka.bootstrap_servers,
        "connect.spec.groupId": namespace,
        "connect.spec.config.session\\.timeout\\.ms": str(SESSION_SECONDS * 1000),
        "connect.spec.config.offset\\.flush\\.interval\\.ms": "1000",
        **(more or {}),
    }
    Helm(cluster.kubeconfig, namespace)(
        "install",
        "coracle",
        str(CHART),
        "--wait",
        "--timeout=120s",
        "--take-ownership",
        *(part for key, value in values.items() for part in ("--set", f"{key}={value}")),
        seconds=180,
    )
    return Coracle(cluster.within(namespace), cluster.within(neighbour), kafka, image)


def uninstall(coracle: Coracle) -> None:
    """Remove connectors, release and namespace."""
    kubectl = coracle.kubectl
    everything = "kafkaconnectors.coracle.dev,kafkaconnects.coracle.dev"
    namespaces = (kubectl.namespace, coracle.neighbour.namespace)
    for namespace in namespaces:
        kubectl.within(namespace)("delete", everything, "--all", "--timeout=60s")
    Helm(kubectl.kubeconfig, kubectl.namespace)("uninstall", "coracle", "--wait", seconds=120)
    kubectl("delete", "namespace", *namespaces, "--wait=false")


def database_secret(coracle: Coracle, database: Database[Postgres], name: str = SECRET) -> None:
    """Put a database's user and password into a Secret."""
    coracle.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"user": database.user, "password": database.password},
        }
    )


def login(database: Database[Postgres], secret: str = SECRET) -> dict[str, str]:
    """The keys with which a JDBC connector logs in, its password in a Secret."""
    return {
        "connection.url": database.jdbc_url,
        "connection.user": f"${{secrets:{secret}:user}}",
        "connection.password": f"${{secrets:{secret}:password}}",
    }


def kill(pod: Mapping[str, Any]) -> float:
    """SIGKILL what runs in a pod on this machine's node; when, by the monotonic clock.

    Found by the name that the pod knows itself by.
    """
    name = f"POD_NAME={pod['metadata']['name']}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if name in environment:
            os.kill(int(folder.name), signal.SIGKILL)
            return time.monotonic()
    raise AssertionError(f"no process of pod {pod['metadata']['name']} runs here")

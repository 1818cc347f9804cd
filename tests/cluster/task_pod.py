"""What is inside a pod, without the pod: `coracle task` as a process of this machine.

A `Resource` is a KafkaConnector with what the operator makes for its pods: the ConfigMap, and a
service account that may do what theirs may and nothing else. A `TaskPod` is the process, with a
folder of its own where the kubelet would mount Secrets.
"""

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from lightkube import Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import PolicyRule, RoleRef, Subject
from lightkube.resources.core_v1 import ConfigMap, Namespace, ServiceAccount, ServiceAccountToken
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding
from lightkube.types import PatchType

from coracle.kube.references import config_hash
from tests.servers.ports import free_port
from tests.servers.process import Server, wait_for

COMMAND = Path(sys.executable).with_name("coracle")
KafkaConnector = create_namespaced_resource(
    "coracle.dev", "v1", "KafkaConnector", "kafkaconnectors"
)


class Resource:
    """A KafkaConnector in a namespace of its own, and all that its pods need.

    Attributes:
        name: Of the resource, and of the connector.
        namespace: Its namespace.
        definition: `connector.json`.
        control: `control.json`.
    """

    def __init__(
        self, kubeconfig: Path, config: Mapping[str, str], worker: Mapping[str, str], **control: Any
    ) -> None:
        """Create it.

        Args:
            kubeconfig: Of an administrator.
            config: The connector's.
            worker: The worker's settings.
            control: More of `control.json`.
        """
        self.name = f"orders-{secrets.token_hex(3)}"
        self.namespace = f"pods-{secrets.token_hex(4)}"
        self._kubeconfig = kubeconfig
        self.client = Client(KubeConfig.from_file(kubeconfig), namespace=self.namespace)
        self.definition: dict[str, Any] = {
            "name": self.name,
            "config": dict(config),
            "worker": dict(worker),
        }
        self.control: dict[str, Any] = {"tasksMax": 1, "state": "running", **control}
        self.client.create(Namespace(metadata=ObjectMeta(name=self.namespace)))
        self.client.create(
            KafkaConnector(
                metadata=ObjectMeta(name=self.name, namespace=self.namespace),
                spec={
                    "connect": {"name": "none"},
                    "class": config.get("connector.class", ""),
                    "config": {key: value for key, value in config.items() if key == "topics"},
                },
            )
        )
        self.client.create(ConfigMap(metadata=ObjectMeta(name=self.config_map), data=self._data()))

    @property
    def config_map(self) -> str:
        """The name of its ConfigMap."""
        return f"{self.name}-connector"

    @property
    def hash(self) -> str:
        """Of what the ConfigMap defines."""
        return config_hash(self._data()["connector.json"])

    def _data(self) -> dict[str, str]:
        return {
            "connector.json": json.dumps(self.definition),
            "control.json": json.dumps(self.control),
        }

    def tell(self, **control: Any) -> None:
        """Change `control.json`, as the operator does."""
        self.control |= control
        self.write()

    def write(self) -> None:
        """Write the ConfigMap."""
        self.client.patch(ConfigMap, self.config_map, {"data": self._data()})

    def apply_status(self, manager: str, status: Mapping[str, Any]) -> None:
        """Write status as somebody."""
        self.client.patch(
            KafkaConnector.Status,
            self.name,
            {
                "apiVersion": "coracle.dev/v1",
                "kind": "KafkaConnector",
                "metadata": {"name": self.name},
                "status": dict(status),
            },
            patch_type=PatchType.APPLY,
            field_manager=manager,
            force=True,
        )

    def connector_status(self) -> dict[str, Any]:
        """`status.connectorStatus`; empty when there is none yet."""
        found = self.client.get(KafkaConnector, self.name)
        return (found.get("status") or {}).get("connectorStatus") or {}

    def status_managers(self) -> set[str]:
        """The field managers that own something of the status."""
        metadata = self.client.get(KafkaConnector, self.name).metadata
        assert metadata is not None
        fields = metadata.managedFields or []
        return {str(field.manager) for field in fields if field.subresource == "status"}

    def connector(self) -> dict[str, Any]:
        """What the leader says of the connector."""
        return self.connector_status().get("connector", {})

    def tasks(self) -> dict[int, dict[str, Any]]:
        """The tasks' entries by id."""
        return {task["id"]: task for task in self.connector_status().get("tasks", [])}

    def states(self) -> list[str]:
        """The states of connector and tasks, in this order."""
        tasks = self.tasks()
        return [self.connector().get("state", ""), *(tasks[i]["state"] for i in sorted(tasks))]

    def pods_kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig of a service account with the rights of the connector's pods."""
        name = f"pod-{secrets.token_hex(3)}"
        account = ObjectMeta(name=name, namespace=self.namespace)
        self.client.create(ServiceAccount(metadata=account))
        self.client.create(
            Role(
                metadata=account,
                rules=[
                    PolicyRule(
                        apiGroups=[""],
                        resources=["configmaps"],
                        resourceNames=[self.config_map],
                        verbs=["get", "watch"],
                    ),
                    PolicyRule(
                        apiGroups=["coracle.dev"],
                        resources=["kafkaconnectors/status"],
                        resourceNames=[self.name],
                        verbs=["patch"],
                    ),
                ],
            )
        )
        self.client.create(
            RoleBinding(
                metadata=account,
                roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name=name),
                subjects=[Subject(kind="ServiceAccount", name=name, namespace=self.namespace)],
            )
        )
        request = ServiceAccountToken(
            metadata=account,
            spec=TokenRequestSpec(audiences=["https://kubernetes.default.svc.cluster.local"]),
        )
        made = self.client.create(request, name)
        assert made.status is not None
        config = yaml.safe_load(self._kubeconfig.read_text())
        [user] = config["users"]
        user["user"] = {"token": made.status.token}
        path = folder / "pod.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def delete(self) -> None:
        """Delete its namespace with everything in it."""
        self.client.delete(Namespace, self.namespace)
        self.client.close()


class TaskPod(Server):
    """A `coracle task` process.

    Attributes:
        port: Of probes and status.
        mounts: Where the kubelet would mount Secrets and ConfigMaps.
    """

    start_seconds = 30.0

    def __init__(self, resource: Resource, **environment: str) -> None:
        """Prepare it.

        Args:
            resource: What it is a pod of.
            environment: Variables that are not to be what the operator makes them.
        """
        super().__init__("coracle-task")
        self.port = free_port()
        self.mounts = self.folder / "mounts"
        self._resource = resource
        self._environment = {
            "KUBECONFIG": str(resource.pods_kubeconfig(self.folder)),
            "CORACLE_NAMESPACE": resource.namespace,
            "CORACLE_RESOURCE": resource.name,
            "CORACLE_API_VERSION": "coracle.dev/v1",
            "CORACLE_KIND": "KafkaConnector",
            "CORACLE_CONFIG_MAP": resource.config_map,
            "CORACLE_CONFIG_HASH": resource.hash,
            "CORACLE_MOUNTS": str(self.mounts),
            "POD_NAME": self.folder.name,
            "POD_IP": "127.0.0.1",
            **environment,
        }

    def command(self) -> list[str]:
        """The process of the pod's only container."""
        return self._command("task", "--port", str(self.port))

    def run_to_end(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in the pod's environment that ends by itself."""
        command = self._command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def _command(self, *arguments: str) -> list[str]:
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        return ["env", *variables, str(COMMAND), *arguments]

    def ready(self) -> bool:
        """Whether its liveness probe succeeds."""
        return self.probe("/health") == 200

    def probe(self, path: str) -> int:
        """The status code of an answer, 0 when there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def answer(self, path: str) -> Any:
        """What it answers."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).json()

    def log_text(self) -> str:
        """All that it has logged."""
        return self.log.read_text()

    def mount(self, kind: str, name: str, data: Mapping[str, str]) -> None:
        """Mount a Secret or ConfigMap as the kubelet does: behind a link that is swapped."""
        folder = self.mounts / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        version = f"..{secrets.token_hex(4)}"
        (folder / version).mkdir()
        for key, text in data.items():
            (folder / version / key).write_text(text)
        (folder / "..new").symlink_to(version)
        (folder / "..new").replace(folder / "..data")
        for key in data:
            if not (folder / key).is_symlink():
                (folder / key).symlink_to(f"..data/{key}")

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code and the seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._gone()
        return code, time.monotonic() - began

    def memory(self) -> int:
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * 4096


def seconds_until(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """How long it takes until something holds.

    Raises:
        TimeoutError: It did not within `seconds`.
    """
    began = time.monotonic()
    wait_for(condition, seconds=seconds, what=what)
    return time.monotonic() - began

"""`coracle api` as a process on this machine, for a KafkaConnect on a real API server."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.cluster.binaries import programs
from tests.servers.ports import free_port
from tests.servers.process import Server

CRDS = Path(__file__).parents[2] / "k8s" / "crds"
COMMAND = Path(sys.executable).with_name("coracle")


class ConnectApi(Server):
    """The api of a KafkaConnect with its REST API.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, kubeconfig: Path, namespace: str, connect: str = "connect") -> None:
        """Prepare to start it for a KafkaConnect."""
        super().__init__("coracle-api")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "bootstrap.servers": "127.0.0.1:1",
            "listeners": self.url,
            "ssl.truststore.password": "${secrets:kafka:password}",
        }
        worker = self.folder / "worker.json"
        worker.write_text(json.dumps(settings))
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "CORACLE_NAMESPACE": namespace,
            "CORACLE_CONNECT": connect,
            "CORACLE_REST": "true",
        }
        self._worker = worker

    def command(self) -> list[str]:
        """Program and arguments."""
        environment = [f"{name}={value}" for name, value in self._environment.items()]
        env = shutil.which("env")
        assert env
        return [env, *environment, str(COMMAND), "api", "--worker", str(self._worker)]

    def ready(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def kubectl(kubeconfig: Path, *arguments: str, text: str = "") -> tuple[int, str]:
    """The exit code of kubectl, and all it wrote, warnings too."""
    program = shutil.which("kubectl") or str(programs() / "kubectl")
    done = subprocess.run(
        [program, f"--kubeconfig={kubeconfig}", *arguments],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def apply_crds(kubeconfig: Path) -> None:
    """Have the API server know our kinds."""
    for crd in sorted(CRDS.glob("coracle.dev_*.yaml")):
        code, said = kubectl(kubeconfig, "apply", "--server-side", "-f", str(crd))
        assert code == 0, said
    wait = ("wait", "--for=condition=Established", "--timeout=20s", "crd")
    for kind in ("kafkaconnectors", "kafkaconnects"):
        code, said = kubectl(kubeconfig, *wait, f"{kind}.coracle.dev")
        assert code == 0, said


def manifest(kind: str, name: str, namespace: str, spec: Mapping[str, object]) -> str:
    """A resource of ours as JSON."""
    return json.dumps(
        {
            "apiVersion": "coracle.dev/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
    )

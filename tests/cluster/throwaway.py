"""A control plane for one test: etcd, API server and controllers on free ports, without any node.

It needs neither root nor a network of its own, and ends with the Python process that started it. A
test may stop, kill and freeze its API server.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.control import ControlPlane, Ports
from tests.cluster.daemon import Program
from tests.servers import guard
from tests.servers.ports import free_port
from tests.servers.process import Server


class ProgramServer(Server):
    """A program, as a server that a test may stop, start, kill, pause and resume."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.name)
        self._program = program
        self.start_seconds = program.seconds

    def command(self) -> Sequence[str]:
        """The program's."""
        return self._program.command

    def ready(self) -> bool:
        """Whether the program's own command says so."""
        ready = self._program.ready
        return not ready or subprocess.run(ready, capture_output=True).returncode == 0


class ControlPlaneServer:
    """The API, with its controllers.

    Attributes:
        kubeconfig: Of the administrator.
        url: The API server's.
        apiserver: The API server alone.
    """

    def __init__(self) -> None:
        """Make its keys and certificates.

        Raises:
            ClusterError: Kubernetes was not built yet, and cannot be.
        """
        folder = Path(tempfile.mkdtemp(prefix="control-plane-", dir=guard.guard().folder))
        ports = Ports(*(free_port() for _ in range(5)))
        control = ControlPlane(folder, binaries.programs(), ports=ports)
        self.kubeconfig = control.kubeconfig
        self.url = control.url
        self._programs = {
            program.name: ProgramServer(program) for stage in control.stages() for program in stage
        }
        self.apiserver = self._programs["kube-apiserver"]

    def start(self) -> None:
        """Start everything, and return when all of it answers.

        Raises:
            ServerError: A program did not start.
        """
        for program in self._programs.values():
            program.start()

    def stop(self) -> None:
        """End everything; its data goes too."""
        for program in reversed(self._programs.values()):
            program.kill()

"""The operator as a process of a test's own, outside of the cluster it looks after."""

import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import free_port
from tests.servers.process import Server


class OperatorProcess(Server):
    """`coracle-operator run`, which a test may stop, kill and start again.

    Args:
        kubeconfig: How it connects.
        settings: More of its environment.
    """

    def __init__(self, kubeconfig: Path, **settings: str) -> None:
        super().__init__("coracle-operator")
        self._port = free_port()
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "CORACLE_IMAGE": "localhost/coracle:test",
            "CORACLE_OPERATOR_PORT": str(self._port),
            **settings,
        }

    def command(self) -> Sequence[str]:
        """The console script beside this interpreter."""
        variables = [f"{key}={value}" for key, value in self._environment.items()]
        script = "from coracle_operator.cli import main; main()"
        return ["/usr/bin/env", "-i", *variables, sys.executable, "-c", script, "run"]

    def ready(self) -> bool:
        """Whether it has seen everything there is."""
        try:
            return bool(self._read("/ready"))
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> dict[str, float]:
        """Its metrics, by name and labels."""
        lines = re.findall(r"^(coracle_operator_\S+) (\S+)$", self._read("/metrics"), re.MULTILINE)
        return {name: float(value) for name, value in lines}

    def requests(self) -> float:
        """How many requests it has made to the API server, watches and lists aside."""
        return sum(
            value
            for name, value in self.metrics().items()
            if name.startswith("coracle_operator_api_requests_total") and 'verb="watch"' not in name
        )

    def memory(self) -> tuple[float, float]:
        """Its resident memory now and at most, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        now, most = (re.search(rf"{key}:\s+(\d+)", status) for key in ("VmRSS", "VmHWM"))
        assert now
        assert most
        return int(now[1]) / 1024, int(most[1]) / 1024

    def _read(self, path: str) -> str:
        url = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

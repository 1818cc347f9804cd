"""`coracle run` as people start it: connector files, a worker file, a port; and a look inside."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers.ports import free_port
from tests.servers.process import Server, wait_for

COMMAND = Path(sys.executable).with_name("coracle")
SECRET_KEY = re.compile(r"password|secret", re.IGNORECASE)

Connectors = Mapping[str, Mapping[str, str]]
"""Configurations by connector name."""


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit code.
        seconds: from the signal to the end.
    """

    code: int
    seconds: float


class CoracleWorker(Server):
    """A `coracle run` process and its REST API.

    Attributes:
        port: the REST API's.
        secrets: values that must appear in no log line, status or trace; those of all
            configurations that went through here.
    """

    start_seconds = 60.0

    def __init__(
        self,
        bootstrap_servers: str,
        connectors: Connectors | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a worker.

        Args:
            bootstrap_servers: the brokers.
            connectors: what its connector files say.
            settings: what its worker file says.
        """
        super().__init__("coracle")
        self.port = free_port()
        self.secrets: set[str] = set()
        self._bootstrap_servers = bootstrap_servers
        self._settings = dict(settings or {})
        self._files = [self._write(name, config) for name, config in (connectors or {}).items()]

    def _write(self, name: str, config: Mapping[str, str]) -> Path:
        self._note_secrets(config)
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"name": name, "config": config}))
        return path

    def _note_secrets(self, config: Mapping[str, str]) -> None:
        self.secrets |= {value for key, value in config.items() if SECRET_KEY.search(key)}

    @property
    def url(self) -> str:
        """Root of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The worker."""
        worker = self.folder / "worker.properties"
        worker.write_text("".join(f"{key}={value}\n" for key, value in self._settings.items()))
        arguments = ["-w", str(worker), "-b", self._bootstrap_servers, "--listeners", self.url]
        return [str(COMMAND), "run", *map(str, self._files), *arguments]

    def ready(self) -> bool:
        """Whether it answers and knows the connectors of its files."""
        try:
            names = httpx.get(f"{self.url}/connectors", timeout=10).json()
        except httpx.HTTPError:
            return False
        return len(names) >= len(self._files)

    def run_to_end(self) -> subprocess.CompletedProcess[str]:
        """Run in the foreground: for a worker that is expected to refuse to start."""
        return subprocess.run(self.command(), capture_output=True, text=True, timeout=60)

    def terminate(self, timeout: float = 60) -> Ended:
        """Send SIGTERM and wait for the end."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout)
        ended = Ended(code, time.monotonic() - began)
        self._gone()
        return ended

    def peak_rss(self) -> int:
        """The most memory it ever had resident, in bytes: VmHWM of proc(5)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024

    def log_text(self) -> str:
        """All it has logged, over all its starts."""
        return self.log.read_text(errors="replace")

    # -- the REST API ----------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: Any = None, *, code: int | None = None
    ) -> httpx.Response:
        """Ask the REST API; with `code`, that status code is expected."""
        answer = httpx.request(method, self.url + path, json=body, timeout=30)
        if code is not None:
            assert answer.status_code == code, answer.text
        return answer

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """Add a connector."""
        self._note_secrets(config)
        self.request("POST", "/connectors", {"name": name, "config": dict(config)}, code=201)

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Give a connector another configuration."""
        self._note_secrets(config)
        self.request("PUT", f"/connectors/{name}/config", dict(config), code=200)

    def delete(self, name: str) -> None:
        """Stop and forget a connector."""
        self.request("DELETE", f"/connectors/{name}", code=204)

    def restart(self, name: str) -> None:
        """Restart a connector and its tasks."""
        self.request("POST", f"/connectors/{name}/restart?includeTasks=true", code=202)

    def status(self, name: str) -> dict[str, Any]:
        """A connector's status; no secret may be in it."""
        answer = self.request("GET", f"/connectors/{name}/status", code=200)
        for secret in self.secrets:
            assert secret not in answer.text
        return answer.json()

    def states(self, name: str) -> list[str]:
        """States of the connector and of its tasks, in this order."""
        status = self.status(name)
        return [part["state"] for part in (status["connector"], *status["tasks"])]

    def wait_for_states(self, name: str, *states: str, seconds: float = 30) -> None:
        """Wait until connector and tasks have these states."""
        self.wait_for(
            lambda: self.states(name) == list(states), f"{name} to be {states}", seconds=seconds
        )

    def wait_for_failure(self, name: str, *, seconds: float = 30) -> str:
        """Wait until a task, or the connector, has FAILED; returns its trace."""
        self.wait_for(
            lambda: "FAILED" in self.states(name), f"{name} to be FAILED", seconds=seconds
        )
        status = self.status(name)
        parts = [status["connector"], *status["tasks"]]
        return next(part["trace"] for part in parts if part["state"] == "FAILED")

    def wait_for(self, condition: Any, what: str, *, seconds: float = 30) -> None:
        """Wait for something it should bring about; shows its log if that does not happen."""

        def happened() -> bool:
            assert self.running, f"the worker ended\n{self.last_lines()}"
            return condition()

        try:
            wait_for(happened, seconds=seconds, what=what)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.last_lines()}") from None

"""``coracle run`` as a process of its own; no Kafka is needed to answer REST."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

COMMAND = Path(sys.executable).with_name("coracle")


class Process:
    """A running ``coracle``, and what it wrote to standard error so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.popen = process
        self.lines: list[str] = []
        self._grew = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self._grew:
                self.lines.append(line)
                self._grew.notify_all()

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line like this."""
        with self._grew:
            found = self._grew.wait_for(
                lambda: next(filter(None, (re.search(pattern, each) for each in self.lines)), None),
                timeout=30,
            )
        assert found, "".join(self.lines)
        return found

    def end(self) -> int:
        code = self.popen.wait(timeout=30)
        self._reader.join()
        return code


@contextmanager
def running(*args: str, command: Sequence[str | Path] = (COMMAND,)) -> Iterator[Process]:
    popen = subprocess.Popen([*command, "run", *args], stderr=subprocess.PIPE, text=True)
    process = Process(popen)
    try:
        yield process
    finally:
        popen.kill()
        process.end()
        assert popen.stderr is not None
        popen.stderr.close()


def test_answers_and_stops_on_a_signal() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with running("--listeners", "http://127.0.0.1:0") as process:
            url = process.line(r"REST API at (http://127\.0\.0\.1:\d+)")[1]
            assert httpx.get(f"{url}/connectors").json() == []
            assert httpx.get(f"{url}/health").json()["status"] == "healthy"
            answer = httpx.post(f"{url}/connectors", json={"name": "x", "config": {}})
            assert answer.status_code == 400
            assert psutil.Process(process.popen.pid).memory_info().rss < 80e6
            process.popen.send_signal(number)
            assert process.end() == 0


def test_connector_over_rest(tmp_path: Path) -> None:
    """Wrong settings are listed, right ones make a connector that pauses, resumes and goes away."""
    source = {"connector.class": "FileStreamSource", "file": str(tmp_path / "in"), "topic": "t"}
    # Nothing listens on port 1: the connector is there whether or not its tasks get to Kafka.
    with running("--listeners", "http://127.0.0.1:0", "-b", "127.0.0.1:1") as process:
        url = process.line(r"REST API at (http://127\.0\.0\.1:\d+)")[1]
        with httpx.Client(base_url=url, timeout=30) as client:
            wrong = client.put("/connectors/lines/config", json={**source, "tasks.max": "many"})
            assert wrong.status_code == 400
            assert "contains the following 1 error(s):\n" in wrong.json()["message"]
            assert client.get("/connectors").json() == []

            unknown = client.put("/connectors/lines/config", json={"connector.class": "Nope"})
            assert unknown.json()["message"].startswith("Failed to find any class that implements")

            created = client.post("/connectors", json={"name": "lines", "config": source})
            assert created.status_code == 201
            assert created.json()["type"] == "source"
            status = client.get("/connectors/lines/status").json()
            assert status["connector"]["worker_id"] == url.removeprefix("http://")
            assert client.put("/connectors/lines/pause").status_code == 202
            assert client.put("/connectors/lines/resume").status_code == 202
            assert client.post("/connectors", json={"name": "lines", "config": source}).json() == {
                "error_code": 409,
                "message": "Connector lines already exists",
            }
            assert client.delete("/connectors/lines").status_code == 204
            assert client.get("/connectors/lines").status_code == 404
        process.popen.terminate()
        assert process.end() == 0


def test_taken_port_ends_with_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("--listeners", f"http://127.0.0.1:{port}") as process:
            assert process.end() == 3
    assert f"port {port} of 127.0.0.1: another process does" in "".join(process.lines)
    assert "Traceback" not in "".join(process.lines)


def test_a_second_signal_kills() -> None:
    code = (
        "import asyncio\n"
        "from coracle.cli import main, run\n"
        "async def hang(worker): await asyncio.Event().wait()\n"
        "run.Worker.stop = hang\n"
        "main()\n"
    )
    patched = [sys.executable, "-c", code]
    with running("--listeners", "http://127.0.0.1:0", command=patched) as process:
        process.line("REST API at")
        process.popen.send_signal(signal.SIGINT)
        process.line("SIGINT received, stopping; once more kills")
        process.popen.send_signal(signal.SIGINT)
        assert process.end() == -signal.SIGINT

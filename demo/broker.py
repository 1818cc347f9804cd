"""The embedded broker: `noida-db`, which speaks Kafka's protocol, from a wheel on PyPI.

It stands in for Kafka here and nowhere else; the tests run against Apache Kafka.
https://pypi.org/project/noida-db/
"""

from __future__ import annotations

import asyncio
import socket
from importlib.resources import files
from pathlib import Path

from demo import DemoError
from demo.processes import Background

_START_SECONDS = 15.0


class Broker(Background):
    """A broker on a free port, its data in a folder of the demo."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "broker.log")
        self._folder = folder
        self.address = ""

    async def up(self) -> None:
        """Start, and wait until it answers.

        Raises:
            DemoError: when it does not.
        """
        binary = _binary()
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        data = str(self._folder / "broker")
        options = ["--only", "kafka", "--kafka-port", str(port), "--data-dir", data]
        await self.start([str(binary), "start", *options], self._folder)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not _answers(port):
                    if self.ended:
                        break
                    await asyncio.sleep(0.05)
                else:
                    return
        except TimeoutError:
            pass
        raise DemoError(f"The embedded broker did not start. It said:\n{self.log_end()}")


def _binary() -> Path:
    """The program itself: the package's command is a process between that passes no signals on."""
    binary = Path(str(files("noida_db").joinpath("noida-db")))
    if not binary.is_file():
        raise DemoError(f"The embedded broker is not there: {binary}. Try: make clean demo")
    binary.chmod(0o755)
    return binary


def free_port(wanted: int = 0) -> int:
    """The wanted port if nobody has it, else any that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("No port is free.")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

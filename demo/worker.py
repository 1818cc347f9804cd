"""``coracle run`` as a process of its own, watched through its REST API."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo import DemoError
from demo.processes import Background

_START_SECONDS = 30.0


class Worker(Background):
    """A Coracle worker.

    Args:
        folder: where it runs, so that ``jdbc:sqlite:shop.db`` is the file there.
        broker: host and port.
        port: of the REST API.
        files: the connectors.
    """

    def __init__(self, folder: Path, broker: str, port: int, files: Sequence[Path]) -> None:
        super().__init__(folder / "worker.log")
        self._folder = folder
        self._command = [
            str(Path(sys.executable).with_name("coracle")),
            "run",
            *map(str, files),
            "--bootstrap-servers",
            broker,
            "--listeners",
            f"http://127.0.0.1:{port}",
        ]
        self.url = f"http://127.0.0.1:{port}"

    async def up(self) -> None:
        """Start, and wait until the REST API answers.

        Raises:
            DemoError: when it does not.
        """
        await self.start(self._command, self._folder)
        for _ in range(int(_START_SECONDS / 0.1)):
            if self.ended:
                break
            try:
                await self.get("/")
            except urllib.error.URLError:
                await asyncio.sleep(0.1)
            else:
                return
        raise DemoError(f"The worker did not start. It said:\n{self.log_end()}")

    async def get(self, path: str) -> Any:
        """What the REST API answers.

        Raises:
            urllib.error.URLError: when it does not.
        """

        def request() -> Any:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return json.load(answer)

        return await asyncio.to_thread(request)

    async def check(self) -> None:
        """Make sure that everything works.

        Raises:
            DemoError: when the worker has ended, or a connector or task has failed.
        """
        if self.ended:
            raise DemoError(f"The worker ended by itself. It said:\n{self.log_end()}")
        for name, views in (await self.get("/connectors?expand=status")).items():
            status = views["status"]
            for part in (status["connector"], *status["tasks"]):
                if part["state"] == "FAILED":
                    raise DemoError(f"{name} has failed:\n{part.get('trace', '')}")

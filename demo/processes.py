"""Processes that end with the demo, however it ends.

Every one runs below a small shell that waits on a pipe from here. When this end of the pipe closes,
on purpose or because the demo was killed, the shell sends SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

_UNTIL_THE_PIPE_CLOSES = """
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
(read -r _ <&3; kill "$child" 2>/dev/null) &
wait "$child"
"""

_STOP_SECONDS = 15.0


class Background:
    """A command in the background, its output in a file.

    Attributes:
        log: that file.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, command: Sequence[str], folder: Path) -> None:
        """Start the command in a folder; a Ctrl-C in the terminal does not reach it."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                _UNTIL_THE_PIPE_CLOSES,
                "sh",
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself or was never started."""
        return self._process is None or self._process.returncode is not None

    async def stop(self) -> int | None:
        """Ask it to stop, insist after a while; its exit code, None if there was none."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                return await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return await process.wait()

    def log_end(self, lines: int = 15) -> str:
        """The last lines of its output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

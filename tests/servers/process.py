"""A server's process: start, stop, pause, resume, kill, and start again where it was."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.servers import guard

LOG_LINES = 30


class ServerError(Exception):
    """A server did not start, or ended by itself; the message shows the end of its log."""


class Server:
    """A command that is a server, with a throwaway folder of its own.

    A subclass names the command and says when the server is ready.

    Attributes:
        name: What it is called in messages.
        folder: Its throwaway folder, there until this Python process ends.
    """

    stop_signal = signal.SIGTERM
    start_seconds = 60.0
    stop_seconds = 20.0

    def __init__(self, name: str, *, user: str | None = None) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=guard.guard().folder))
        self._user = user
        if user:
            shutil.chown(self.folder, user, user)
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    def command(self) -> Sequence[str]:
        """Program and arguments."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers; asked again and again while it starts."""
        raise NotImplementedError

    @property
    def log(self) -> Path:
        """The file its output goes to."""
        return self.folder / "output.log"

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            ServerError: It is not running.
        """
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process is there (it may be paused)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and return when it answers. Started again, it has the same ports and data.

        Raises:
            ServerError: It ended, or did not answer in `start_seconds`.
        """
        self._process = guard.guard().spawn(
            self.command(), log=self.log, cwd=self.folder, user=self._user
        )
        deadline = time.monotonic() + self.start_seconds
        while not self.ready():
            if (code := self._process.poll()) is not None:
                self._gone()
                raise ServerError(f"{self.name} ended with code {code}\n{self.last_lines()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(
                    f"{self.name} did not answer in {self.start_seconds:.0f} s\n{self.last_lines()}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in an orderly way, killing it when it takes longer than `stop_seconds`."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._gone()

    def kill(self) -> None:
        """End it and all its children with SIGKILL, as a crash would."""
        if self._process is None:
            return
        guard.send(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._gone()

    def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open and nothing answers."""
        guard.send(self.pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a paused server go on."""
        if self._paused:
            guard.send(self.pid, signal.SIGCONT)
            self._paused = False

    def restore(self) -> None:
        """Make it run and answer again, whatever a test did to it."""
        if self.running:
            self.resume()
        else:
            self.kill()
            self.start()

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES:])

    def _gone(self) -> None:
        if self._process is not None:
            guard.guard().forget(self._process.pid)
        self._process, self._paused = None, False


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll a condition until it holds.

    Raises:
        TimeoutError: It did not within `seconds`; the message says what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)

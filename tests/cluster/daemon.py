"""Processes that outlive the command that started them, and are found again by their pid files."""

import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOG_LINES = 20


class ClusterError(Exception):
    """The cluster cannot be had; the message says why, and what to do about it."""


@dataclass(frozen=True)
class Program:
    """What to run, and how to know that it works.

    Attributes:
        name: What it is called in messages and file names.
        command: Program and arguments.
        ready: A command that ends with 0 once the program answers; empty when another one's
            readiness implies it.
        seconds: How long that may take.
        environment: Variables beside those of this process.
    """

    name: str
    command: Sequence[str]
    ready: Sequence[str] = ()
    seconds: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)


class Daemon:
    """A program in the background, known by its pid file.

    Attributes:
        name: The program's.
        log: The file its output goes to.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """One that may run already, or not.

        Args:
            folder: Where the pid file and the log are.
            name: The program's.
        """
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it, in a session of its own, and note its process id."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        # The start time tells it from a later process that is given the same number.
        identity = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        self._pid_file.write_text(json.dumps(identity))
        return process

    @property
    def process(self) -> psutil.Process | None:
        """Its process, None when it does not run."""
        try:
            identity = json.loads(self._pid_file.read_text())
            process = psutil.Process(identity["pid"])
            same = process.create_time() == identity["started"]
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal, SIGSTOP and SIGCONT for one; nothing when it does not run."""
        if process := self.process:
            process.send_signal(signum)

    def stop(self, signum: signal.Signals = signal.SIGKILL, *, seconds: float = 10.0) -> None:
        """End it; with SIGKILL when another signal did not within `seconds`."""
        if process := self.process:
            process.send_signal(signum)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(seconds)
        self._pid_file.unlink(missing_ok=True)

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES:])

    def wait(self, ready: Sequence[str], seconds: float) -> None:
        """Return when a command succeeds.

        Raises:
            ClusterError: The daemon ended, or the command did not succeed in `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (done := subprocess.run(ready, capture_output=True, text=True)).returncode:
            if self.process is None:
                raise ClusterError(f"{self.name} ended\n{self.last_lines()}")
            if time.monotonic() > deadline:
                said = (done.stderr or done.stdout).strip()
                raise ClusterError(
                    f"{self.name} is not ready after {seconds:.0f} s: {said}\n{self.last_lines()}"
                )
            time.sleep(0.1)

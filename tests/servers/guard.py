"""Nothing started here outlives this Python process, not even when it is killed with SIGKILL.

The guard is a second, tiny process holding the reading end of a pipe. Every child reports its own
process id through that pipe before it turns into the server, so at no moment does one run that the
guard does not know of. When the writing end closes, which the kernel does however
the owner ended, the guard stops what is still running and removes the throwaway folder.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psutil

GRACE_SECONDS = 3.0
"""How long a server may take to end by itself (PostgreSQL frees its shared memory), else killed."""

# dash knows one-digit descriptors only, hence the pipe stands in for standard input until the exec.
_REPORT_AND_BECOME = 'echo "+$$" >&0 && exec "$@" </dev/null'


class Guard:
    """The pipe to the guard process, and the folder that goes away with it.

    Attributes:
        folder: The throwaway folder of this Python process; servers make their own folders in it.
    """

    def __init__(self) -> None:
        # Servers may run as users of their own: they must walk through, but need not look around.
        self.folder = Path(tempfile.mkdtemp(prefix="coracle-"))
        self.folder.chmod(0o711)
        reading, self._writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)],
            stdin=reading,
            start_new_session=True,
        )
        os.close(reading)
        atexit.register(self._end)

    def spawn(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: dict[str, str] | None = None,
        user: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, known to the guard before it runs.

        Args:
            command: Program and arguments.
            log: File that standard output and standard error are appended to.
            cwd: Working folder.
            env: The whole environment; None inherits this process's.
            user: Name of the user (and group) to run as; None stays the current one.
        """
        with log.open("ab") as out:
            return subprocess.Popen(
                ["/bin/sh", "-c", _REPORT_AND_BECOME, "sh", *command],
                stdin=self._writing,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=env,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )

    def forget(self, pid: int) -> None:
        """Take a process that has ended off the guard's list: its id may be given to another."""
        os.write(self._writing, b"-%d\n" % pid)

    def _end(self) -> None:
        os.close(self._writing)
        self._process.wait()


@cache
def guard() -> Guard:
    """The one guard of this Python process, started when first asked for."""
    return Guard()


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants, the root first; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(pid: int, signum: signal.Signals) -> None:
    """Send a signal to a process and all its descendants.

    A process group would not do: PostgreSQL's children make sessions of their own.
    """
    for process in tree(pid):
        try:
            process.send_signal(signum)
        except psutil.NoSuchProcess:
            continue


def end(pids: Sequence[int]) -> None:
    """Stop processes and their descendants: politely, then after `GRACE_SECONDS` for certain."""
    doomed = [process for pid in pids for process in tree(pid)]
    for pid in pids:
        send(pid, signal.SIGCONT)
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    psutil.wait_procs(doomed, timeout=GRACE_SECONDS)
    for process in doomed:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(doomed, timeout=GRACE_SECONDS)


def main() -> None:
    """Be the guard: read process ids from standard input until it closes, then clean up."""
    # A Ctrl-C in the terminal is the owner's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        running.add(pid) if line[0] == "+" else running.discard(pid)
    end(sorted(running))
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()

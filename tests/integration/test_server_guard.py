"""Nothing that tests start outlives them, even when they are killed."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests.servers.process import wait_for

ROOT = Path(__file__).parents[2]

# Servers with children, with helpers in sessions of their own, running, busy and paused.
SCRIPT = """
import subprocess, sys, time
from tests.servers.guard import guard
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

servers = [Kafka(), MariaDB(), Postgres(), Postgres()]
for server in servers:
    server.start()
servers[0].pause()
servers[3].pause()
print(guard().folder, flush=True)
servers[2].sql("SELECT pg_sleep(600)")
"""


def processes_of(folder: str) -> list[psutil.Process]:
    """The processes that have this folder in their command line or as working folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(folder in word for word in process.cmdline()) or folder in process.cwd():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or not ours to look into
            continue
    return found


def test_nothing_is_left_after_sigkill() -> None:
    owner = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert owner.stdout
        folder = owner.stdout.readline().decode().strip()
        assert Path(folder).is_dir()
        # Four servers, PostgreSQL's helpers, and the guard itself.
        assert len(processes_of(folder)) > 10
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close() if owner.stdout else None
    wait_for(lambda: not processes_of(folder), seconds=20, what=f"processes of {folder} to end")
    wait_for(lambda: not Path(folder).exists(), seconds=5, what=f"{folder} to be removed")

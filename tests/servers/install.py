"""Install what the test servers need: Debian's packages with apt-get, jars with Maven.

`python -m tests.servers.install` brings what is missing and nothing else; where it may not install,
it ends with the command that would. What is here already, wherever it came from, is used as it is.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.servers import jvm, mariadb, postgres
from tests.servers.missing import MissingServerError

# Debian starts a daemon when its package is installed, unless this program says no (exit code 101,
# see invoke-rc.d(8)). The tests start their own.
POLICY = Path("/usr/sbin/policy-rc.d")
APT_GET = ["apt-get", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"]


PROGRAMS: dict[str, Callable[[], object]] = {
    postgres.PACKAGE: postgres.programs,
    mariadb.PACKAGE: lambda: mariadb.program("mariadbd"),
    jvm.JAVA_PACKAGE: jvm.java,
    jvm.MAVEN_PACKAGE: jvm.maven,
}


def missing() -> list[str]:
    """Debian's packages of the programs that are not here."""
    packages: list[str] = []
    for package, find in PROGRAMS.items():
        try:
            find()
        except MissingServerError:
            packages.append(package)
    return packages


def install(packages: list[str]) -> None:
    """Install packages of Debian's without starting any daemon.

    Raises:
        SystemExit: apt-get failed; what it said has been shown.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with ExitStack() as cleanup:
        if not POLICY.exists():
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
            cleanup.callback(POLICY.unlink)
        for step in (["update"], ["install", "--no-install-recommends", *packages]):
            command = [*APT_GET, *step]
            say(" ".join(command))
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode:
                sys.exit(f"{done.stdout}\napt-get failed with code {done.returncode}")


def main() -> None:
    """Install what is missing, then fetch the jars."""
    if packages := missing():
        command = f"apt-get install {' '.join(packages)}"
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit(f"Test servers are missing. Install them as root: sudo {command}")
        say(f"installing {', '.join(packages)}; this can take minutes")
        install(packages)
    for bundle in (jvm.KAFKA, jvm.DEBEZIUM_JDBC):
        begin = time.monotonic()
        folder = jvm.fetched(bundle)
        size = sum(path.stat().st_size for path in folder.rglob("*")) >> 20
        say(f"{bundle}: {folder} ({size} MiB, {time.monotonic() - begin:.0f} s)")


def say(line: str) -> None:
    """Tell the person watching."""
    print(f"servers: {line}", flush=True)


if __name__ == "__main__":
    main()

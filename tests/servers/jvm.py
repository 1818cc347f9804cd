"""Java, and the jars of servers that are published on Maven Central.

A `pom.xml` under `java/` names the artifacts of a bundle; Maven fetches them once into the user's
cache folder, in a folder named after the pom's digest, so a changed pom fetches anew.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.servers.missing import MissingServerError, find_program
from tests.servers.process import ServerError

JAVA_VERSION = 17
JAVA_PACKAGE = f"openjdk-{JAVA_VERSION}-jre-headless"
DEBIAN_HOMES = Path("/usr/lib/jvm")
MAVEN_PACKAGE = "maven"
MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

SOURCES = Path(__file__).parent / "java"

KAFKA = "kafka"
DEBEZIUM_JDBC = "debezium-jdbc"
_GOALS = {KAFKA: "copy-dependencies", DEBEZIUM_JDBC: "unpack-dependencies"}


@cache
def java() -> Path:
    """A Java runtime of at least `JAVA_VERSION`: JAVA_HOME's, PATH's, or one Debian installed.

    Raises:
        MissingServerError: There is none.
    """
    homes = [Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin"]
    debian = sorted(DEBIAN_HOMES.glob("*/bin/java"))
    for candidate in (find_program("java", homes), *debian):
        if candidate and _version(candidate) >= JAVA_VERSION:
            return candidate
    raise MissingServerError(f"Java {JAVA_VERSION} or later", JAVA_PACKAGE)


def _version(program: Path) -> int:
    """The feature release of a Java program, 0 when it does not say."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0


def command(
    main: str, *arguments: str, bundle: str = KAFKA, heap: str = "384m", log_level: str = "WARN"
) -> list[str]:
    """A command that runs a bundle's main class, with flags that favour a quick start.

    Args:
        main: Name of the main class.
        arguments: Its arguments.
        bundle: Folder under `java/` whose jars are the class path.
        heap: Largest heap, as -Xmx takes it.
        log_level: Level of the root logger.
    """
    return [
        str(java()),
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={SOURCES / 'log4j2.properties'}",
        f"-Dcoracle.log.level={log_level}",
        "-cp",
        f"{fetched(bundle)}/*",
        main,
        *arguments,
    ]


def maven() -> Path:
    """Maven.

    Raises:
        MissingServerError: It is not installed.
    """
    found = find_program("mvn")
    if found is None:
        raise MissingServerError("Maven", MAVEN_PACKAGE)
    return found


def cache_folder() -> Path:
    """The folder that bundles are kept in, under $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "coracle" / "test-servers"


def fetched(bundle: str) -> Path:
    """The folder holding a bundle, fetched by Maven when it is not there yet.

    Raises:
        MissingServerError: It must be fetched and Maven is not installed.
        ServerError: Maven failed; the message holds its output.
    """
    pom = SOURCES / bundle / "pom.xml"
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"{bundle}-{digest}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # another run may have fetched it while we waited
            _fetch(pom, _GOALS[bundle], folder)
    return folder


def _fetch(pom: Path, goal: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        # Maven leaves a target/ folder beside the pom it works on, so it gets a copy.
        shutil.copy(pom, scratch)
        arrived = Path(scratch) / "arrived"
        command = [str(maven()), "-q", "-B", f"{MAVEN_DEPENDENCY_PLUGIN}:{goal}"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={arrived}"]
        environment = os.environ | {"JAVA_HOME": str(java().resolve().parent.parent)}
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"`{' '.join(command)}` failed\n{done.stdout}{done.stderr}")
        shutil.move(arrived, folder)

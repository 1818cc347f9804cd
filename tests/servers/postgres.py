"""PostgreSQL 15, Debian's package, logical replication on, durability off."""

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from tests.servers.database import Database
from tests.servers.missing import MissingServerError, find_program
from tests.servers.ports import free_port
from tests.servers.process import Server, ServerError

VERSION = 15
PACKAGE = f"postgresql-{VERSION}"
# PostgreSQL refuses to run as root; Debian's package makes this user.
USER = "postgres"
SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # In the data folder, so that nothing stays behind in /dev/shm after a SIGKILL.
    "dynamic_shared_memory_type": "mmap",
}


def programs() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        MissingServerError: It is not installed.
    """
    found = find_program("initdb", [Path(f"/usr/lib/postgresql/{VERSION}/bin")])
    if found is None:
        raise MissingServerError(f"PostgreSQL {VERSION}", PACKAGE)
    return found.resolve().parent


class Postgres(Server):
    """A PostgreSQL server. `start` it, then make `database`s.

    Args:
        settings: of ``postgresql.conf``, over those of ``SETTINGS``.
        host: Where to listen; clients there, and in any network, need a password.
    """

    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self.port = free_port(host)
        self._settings = SETTINGS | dict(settings or {})
        self._programs = programs()
        super().__init__("postgres", user=USER if os.geteuid() == 0 else None)

    @cached_property
    def _data(self) -> Path:
        data = self.folder / "data"
        command = [self._programs / "initdb", "-D", data, "-U", USER, "--no-sync", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ServerError(f"initdb failed\n{done.stderr}")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        return data

    def command(self) -> list[str]:
        """The server in the foreground, without pg_ctl."""
        settings = self._settings | {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        return [
            str(self._programs / "postgres"),
            "-D",
            str(self._data),
            *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
        ]

    def ready(self) -> bool:
        """Whether it takes connections."""
        return self._client("pg_isready", "-q").returncode == 0

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run SQL as the superuser over the local socket; rows as tab-separated lines.

        Raises:
            ServerError: A statement failed; those before it stay done.
        """
        done = self._client(
            "psql", "-XqAt", "-F\t", "-vON_ERROR_STOP=1", "-d", database, text=statements
        )
        if done.returncode:
            raise ServerError(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def database(self) -> Database["Postgres"]:
        """Make a database and a user, not a superuser, that owns it."""
        name, password = f"test_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        self.sql(f"CREATE DATABASE {name} OWNER {name}")
        return Database(self, "postgresql", name, name, password, self.host)

    def drop(self, database: Database["Postgres"]) -> None:
        """Remove a database with its user; connections still open are ended."""
        self.sql(f"DROP DATABASE {database.database} WITH (FORCE)")
        self.sql(f"DROP ROLE {database.user}")

    def _client(
        self, program: str, *arguments: str, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        address = ["-h", str(self.folder), "-p", str(self.port), "-U", USER]
        return subprocess.run(
            [self._programs / program, *address, *arguments],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )

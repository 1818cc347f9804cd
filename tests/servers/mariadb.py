"""MariaDB 10.11, Debian's package: a row binlog with full metadata, durability relaxed."""

import getpass
import os
import secrets
import subprocess
from functools import cached_property
from pathlib import Path

from tests.servers.database import Database
from tests.servers.missing import MissingServerError, find_program
from tests.servers.ports import free_port
from tests.servers.process import Server, ServerError

PACKAGE = "mariadb-server"
# MariaDB refuses to run as root; Debian's package makes this user.
USER = "mysql"
OPTIONS = [
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--skip-name-resolve",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=2",
    "--sync-binlog=0",
    "--server-id=1",
    "--log-bin=mysql-bin",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--gtid-strict-mode=1",
    "--log-slave-updates=1",
    "--local-infile=1",
    # A row of several MB must be a matter of the connector, not of this server.
    "--max-allowed-packet=64M",
]


def program(name: str) -> Path:
    """One of MariaDB's programs.

    Raises:
        MissingServerError: It is not installed.
    """
    found = find_program(name)
    if found is None:
        raise MissingServerError("MariaDB", PACKAGE)
    return found


class MariaDB(Server):
    """A MariaDB server. `start` it, then make `database`s."""

    def __init__(self) -> None:
        self.port = free_port()
        self._daemon, self._client = program("mariadbd"), program("mariadb")
        super().__init__("mariadb", user=USER if os.geteuid() == 0 else None)

    @property
    def _socket(self) -> Path:
        return self.folder / "server.sock"

    @cached_property
    def _data(self) -> Path:
        data = self.folder / "data"
        command = [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
        command += [f"--user={self._user or getpass.getuser()}", "--skip-test-db"]
        command += ["--auth-root-authentication-method=normal", "--skip-name-resolve"]
        command += ["--innodb-flush-method=nosync"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"mariadb-install-db failed\n{done.stdout}{done.stderr}")
        return data

    def command(self) -> list[str]:
        """The server in the foreground, without mariadbd-safe."""
        return [
            str(self._daemon),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'server.pid'}",
            f"--port={self.port}",
            *OPTIONS,
        ]

    def ready(self) -> bool:
        """Whether it answers queries."""
        return self._run("SELECT 1").returncode == 0

    def sql(self, statements: str, database: str = "mysql") -> str:
        """Run SQL as root over the local socket; rows as tab-separated lines, without a heading.

        Raises:
            ServerError: A statement failed; those before it stay done.
        """
        done = self._run(statements, database)
        if done.returncode:
            raise ServerError(f"mariadb: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def database(self) -> Database["MariaDB"]:
        """Make a database and a user that may do everything in it."""
        name, password = f"test_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.sql(
            f"CREATE DATABASE {name}; "
            f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'; "
            f"GRANT ALL ON {name}.* TO {name}@'%'"
        )
        return Database(self, "mariadb", name, name, password)

    def drop(self, database: Database["MariaDB"]) -> None:
        """Remove a database with its user, ending the user's connections."""
        self.sql(f"KILL HARD USER {database.user}; DROP USER {database.user}@'%'")
        self.sql(f"DROP DATABASE {database.database}")

    def _run(self, statements: str, database: str = "mysql") -> subprocess.CompletedProcess[str]:
        command = [self._client, "--no-defaults", f"--socket={self._socket}", "-uroot", "-BN"]
        return subprocess.run(
            [*command, "--default-character-set=utf8mb4", database],
            input=statements,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )

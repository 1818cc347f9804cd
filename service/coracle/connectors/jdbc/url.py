"""JDBC connection URLs, as they stand in ``connection.url``.

Understood are the forms of the four drivers that Kafka Connect configurations name most:

    jdbc:postgresql://host1:port,host2:port/database?parameter=value&…     jdbc:postgresql:database
    jdbc:mysql://user:password@host:port/database?…                        jdbc:mariadb://host/database
    jdbc:sqlite:path/to/file.db                                            jdbc:sqlite::memory:

Sources: https://jdbc.postgresql.org/documentation/use/ ,
https://dev.mysql.com/doc/connector-j/en/connector-j-reference-jdbc-url-format.html ,
https://mariadb.com/docs/connectors/mariadb-connector-j/about-mariadb-connector-j ,
https://github.com/xerial/sqlite-jdbc/blob/master/USAGE.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from coracle.api import ConfigError, Password

DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
EXAMPLES = {
    "postgresql": "jdbc:postgresql://db.example.com:5432/shop",
    "mysql": "jdbc:mysql://db.example.com:3306/shop",
    "mariadb": "jdbc:mariadb://db.example.com:3306/shop",
    "sqlite": "jdbc:sqlite:/var/lib/shop.db",
}
_FAILOVER_MODES = ("loadbalance", "replication", "sequential", "aurora", "failover")
_SECRET_WORDS = ("password", "secret", "token")


@dataclass(frozen=True)
class JdbcUrl:
    """A parsed URL. Printing one never shows a password.

    Attributes:
        subprotocol: ``postgresql``, ``mysql``, ``mariadb`` or ``sqlite``.
        hosts: (host, port) pairs to try in order; empty for a file.
        database: the database's name, or the file's path for SQLite; empty when the URL has none.
        params: the parameters as written, credentials excepted.
        user, password: credentials found in the URL; ``None`` when it has none.
    """

    subprotocol: str
    hosts: tuple[tuple[str, int], ...]
    database: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    password: Password | None = None

    @property
    def host(self) -> str:
        """The first host; empty for a file."""
        return self.hosts[0][0] if self.hosts else ""

    @property
    def port(self) -> int:
        """The first host's port; 0 for a file."""
        return self.hosts[0][1] if self.hosts else 0

    def param(self, *names: str) -> str | None:
        """The value of the first of these parameters that is set; names ignore case."""
        folded = {key.lower(): value for key, value in self.params.items()}
        return next((folded[name.lower()] for name in names if name.lower() in folded), None)

    def __str__(self) -> str:
        if not self.hosts:
            return f"jdbc:{self.subprotocol}:{self.database}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"jdbc:{self.subprotocol}://{hosts}/{self.database}"


def parse_url(text: str, *, key: str = "connection.url") -> JdbcUrl:
    """Parse a JDBC URL.

    Args:
        text: the URL.
        key: the setting it came from, for the message.

    Raises:
        ConfigError: naming the key and an example; the URL itself is not repeated, it may hold a
            password.
    """
    scheme, _, rest = text.strip().partition(":")
    subprotocol, _, rest = rest.partition(":")
    subprotocol = subprotocol.lower()
    if scheme.lower() != "jdbc" or not rest:
        raise _wrong(key, "is not a JDBC URL", EXAMPLES["postgresql"])
    if subprotocol not in EXAMPLES:
        raise _wrong(
            key,
            f"names the database {subprotocol!r}, which is not supported "
            f"(supported: {', '.join(EXAMPLES)})",
            EXAMPLES["postgresql"],
        )
    if subprotocol == "sqlite":
        path, _, query = rest.partition("?")
        return JdbcUrl(subprotocol, (), path, dict(parse_qsl(query, keep_blank_values=True)))
    return _parse_server(subprotocol, rest, key)


def _parse_server(subprotocol: str, rest: str, key: str) -> JdbcUrl:
    mode, _, after = rest.partition(":")
    if mode.lower() in _FAILOVER_MODES and after.startswith("//"):
        rest = after
    address, _, query = rest.partition("?")
    params = dict(parse_qsl(query, keep_blank_values=True))
    if address.startswith("//"):
        authority, _, database = address[2:].partition("/")
    else:
        authority, database = "", address.lstrip("/")
    credentials, at, hosts_text = authority.rpartition("@")
    user = params.pop("user", None)
    password = params.pop("password", None)
    if at:
        name, colon, secret = credentials.partition(":")
        user = unquote(name) if user is None else user
        if colon and password is None:
            password = unquote(secret)
    default_port = DEFAULT_PORTS[subprotocol]
    hosts = tuple(
        _host(part, default_port, key, EXAMPLES[subprotocol])
        for part in (hosts_text.split(",") if hosts_text else [f"localhost:{default_port}"])
    )
    return JdbcUrl(
        subprotocol,
        hosts,
        unquote(database),
        params,
        user,
        None if password is None else Password(password),
    )


def _host(text: str, default_port: int, key: str, example: str) -> tuple[str, int]:
    """``host``, ``host:port``, ``[ipv6]`` or ``[ipv6]:port``."""
    text = text.strip()
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not port:
        return host or "localhost", default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _wrong(key, f"has the port {port!r}, which is no number from 1 to 65535", example)
    return host or "localhost", int(port)


def _wrong(key: str, what: str, example: str) -> ConfigError:
    return ConfigError(f"{key} {what}.", field=key, fix=f"It should look like {example}")


def is_secret(name: str) -> bool:
    """Whether a driver parameter's value must not be shown."""
    return any(word in name.lower() for word in _SECRET_WORDS)

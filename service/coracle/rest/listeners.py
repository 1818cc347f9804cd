"""``listeners``: where the REST API listens, in Kafka Connect's notation.

``http://:8083`` is every address of the machine, ``http://127.0.0.1:0`` any free port of one.
https://kafka.apache.org/documentation/#connectconfigs_listeners
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from coracle.api import ConfigError, ConnectError

_LISTENER = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9a-f:.%]*\]|[^:/\[\]]*):(?P<port>\d{1,5})/?", re.I
)


@dataclass(frozen=True)
class Listener:
    """One address. An empty host is every address of the machine, port 0 any free port."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether it is every address of the machine."""
        return self.host in ("", "0.0.0.0", "::")  # noqa: S104

    @property
    def url(self) -> str:
        """How a client on this machine reaches it."""
        host = "localhost" if self.is_wildcard else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def parse_listener(text: str) -> Listener:
    """Read one entry of the setting.

    Raises:
        ConfigError: when it is none, or asks for https.
    """
    match = _LISTENER.fullmatch(text.strip())
    port = int(match["port"]) if match else -1
    if match is None or port > 65535:
        raise ConfigError(
            f"Invalid value {text} for configuration listeners: must be http://host:port.",
            field="listeners",
            fix="For example http://:8083, or http://127.0.0.1:0 for a free port.",
        )
    if match["scheme"].lower() != "http":
        raise ConfigError(
            f"Invalid value {text} for configuration listeners: "
            f"{match['scheme'].lower()} is not supported yet.",
            field="listeners",
            fix="Use http:// and let a proxy or the ingress speak TLS.",
        )
    return Listener(match["host"].strip("[]"), port)


def bind(listeners: Sequence[Listener]) -> list[tuple[Listener, socket.socket]]:
    """Open a socket for each listener; the result names the ports that were chosen.

    Raises:
        ConnectError: when a port is taken or an address is not this machine's; none stays open.
    """
    with ExitStack() as opened:
        bound: list[tuple[Listener, socket.socket]] = []
        for listener in listeners:
            try:
                sock = opened.enter_context(_open(listener))
            except OSError as error:
                raise _explain(listener, error) from error
            # asyncio sets this only on sockets made with an explicit protocol; accepted connections
            # inherit it, and without it an answer waits 40 ms for the client's delayed ACK.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound.append((Listener(listener.host, sock.getsockname()[1]), sock))
        opened.pop_all()
        return bound


def _open(listener: Listener) -> socket.socket:
    if not listener.host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", listener.port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        except OSError as error:
            # IPv6 is compiled in but switched off on this machine.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    return socket.create_server((listener.host, listener.port), family=family)


def _explain(listener: Listener, error: OSError) -> ConnectError:
    where = f"port {listener.port}" + (f" of {listener.host}" if listener.host else "")
    another = f"http://{listener.host}:{listener.port + 1 if listener.port < 65535 else 0}"
    if error.errno == errno.EADDRINUSE:
        return ConnectError(
            f"The REST API cannot listen on {where}: another process does.",
            fix=f"Stop that process, or choose another port: listeners={another}.",
        )
    if error.errno == errno.EACCES:
        return ConnectError(
            f"The REST API may not listen on {where}: the system reserves it.",
            fix="Choose a port above 1023 in listeners.",
        )
    return ConnectError(
        f"The REST API cannot listen on {where}: {error.strerror or error}.",
        fix="Check the host name in listeners: it must be an address of this machine.",
    )

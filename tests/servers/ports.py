"""Free TCP ports below the kernel's ephemeral range.

Ports from 32768 up (`net.ipv4.ip_local_port_range`) may at any moment become the local end of some
client's connection, so a server that is to be stopped and started on the same port takes one below.
Choosing and binding are two steps; an abstract Unix socket named after the port reserves it among
all test runs on this machine, and vanishes with the process.
"""

import random
import socket

PORTS = range(20000, 32000)

_reserved: list[socket.socket] = []


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on, reserved for this process until it ends.

    Args:
        host: The address that a server is to listen on.

    Raises:
        OSError: None of many tried was free.
    """
    for port in random.sample(PORTS, 200):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0coracle-test-port-{port}")
            with socket.socket() as probe:
                probe.bind((host, port))
        except OSError:
            reservation.close()
            continue
        _reserved.append(reservation)
        return port
    raise OSError(f"no free port found between {PORTS.start} and {PORTS.stop}")


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections at this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0

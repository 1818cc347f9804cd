"""The REST server on real sockets."""

import asyncio
import signal
import socket

import httpx
import pytest

from coracle.api import ConfigError, ConnectError
from coracle.rest.app import create_app
from coracle.rest.listeners import Listener, parse_listener
from coracle.rest.server import RestServer
from tests.unit.rest.fake_store import FakeStore


async def test_serves_on_a_free_port_and_stops() -> None:
    server = RestServer(create_app(FakeStore()), ["http://127.0.0.1:0", "HTTP://localhost:0"])
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    urls = await server.start()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    async with httpx.AsyncClient() as client:
        for url in urls:
            answer = await client.get(f"{url}/health")
            assert answer.status_code == 200
            assert "server" not in answer.headers
            assert (await client.head(f"{url}/connectors")).content == b""
        await server.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(urls[0])
    await server.stop()


async def test_every_address_is_reachable_by_both_protocols() -> None:
    server = RestServer(create_app(FakeStore()), ["http://:0"])
    (url,) = await server.start()
    assert url.startswith("http://localhost:")
    port = url.rpartition(":")[2]
    hosts = ["127.0.0.1", "[::1]"] if _has_ipv6() else ["127.0.0.1"]
    async with httpx.AsyncClient() as client:
        for host in hosts:
            assert (await client.get(f"http://{host}:{port}/")).status_code == 200
    await server.stop()


async def test_taken_port_names_the_port_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = RestServer(create_app(FakeStore()), [f"http://127.0.0.1:{port}"])
        with pytest.raises(ConnectError) as caught:
            await server.start()
    assert f"port {port} of 127.0.0.1: another process does" in str(caught.value)
    assert f"listeners=http://127.0.0.1:{port + 1}" in str(caught.value)
    await server.stop()


async def test_a_foreign_address() -> None:
    server = RestServer(create_app(FakeStore()), ["http://192.0.2.1:0"])
    with pytest.raises(ConnectError, match="must be an address of this machine"):
        await server.start()


async def test_first_listener_is_closed_when_the_second_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = RestServer(create_app(FakeStore()), [f"http://127.0.0.1:{port}", "http://192.0.2.1:0"])
    with pytest.raises(ConnectError):
        await server.start()
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_an_answer_does_not_wait_for_the_clients_delayed_ack() -> None:
    server = RestServer(create_app(FakeStore()), ["http://127.0.0.1:0"])
    (url,) = await server.start()
    async with httpx.AsyncClient() as client:
        await client.get(url)
        durations = sorted([(await client.get(url)).elapsed for _ in range(20)])
    await server.stop()
    assert durations[0].total_seconds() < 0.03  # with Nagle's algorithm every one takes 40 ms


async def test_an_idle_connection_does_not_hold_up_the_stop() -> None:
    server = RestServer(create_app(FakeStore()), ["http://127.0.0.1:0"])
    (url,) = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(3):
        await server.stop()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("http://:8083", Listener("", 8083)),
        (" HTTP://0.0.0.0:80 ", Listener("0.0.0.0", 80)),
        ("http://[::1]:8083", Listener("::1", 8083)),
        ("http://host.example:1/", Listener("host.example", 1)),
    ],
)
def test_listener(text: str, listener: Listener) -> None:
    assert parse_listener(text) == listener


@pytest.mark.parametrize(
    "text", ["", "8083", "http://host", "http://:99999", "http://a b:1:2", "http://h:x"]
)
def test_no_listener(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be http://host:port") as caught:
        parse_listener(text)
    assert caught.value.field == "listeners"


def test_https_is_not_there_yet() -> None:
    with pytest.raises(ConfigError, match="https is not supported yet"):
        parse_listener("https://:8443")


def test_url_of_an_ipv6_address() -> None:
    assert Listener("::1", 80).url == "http://[::1]:80"


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True

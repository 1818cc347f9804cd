import asyncio

import httpx
import pytest
from httpx import AsyncClient

from coracle.rest import dialect, health
from coracle.rest.app import assemble
from tests.unit.rest.fake_store import FakeStore

JSON = {"content-type": "application/json"}


async def test_root(client: AsyncClient) -> None:
    assert (await client.get("/")).json() == {
        "version": "4.3.1",
        "commit": "abc",
        "kafka_cluster_id": "cluster",
    }


async def test_health(client: AsyncClient, store: FakeStore) -> None:
    healthy = await client.get("/health")
    assert healthy.status_code == 200
    assert healthy.json() == {
        "status": "healthy",
        "message": "Worker has completed startup and is ready to handle requests.",
    }
    store.is_ready = False
    starting = await client.get("/health")
    assert (starting.status_code, starting.json()["status"]) == (503, "starting")


async def test_a_worker_that_does_not_answer_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(health, "HEALTH_TIMEOUT", 0.01)
    transport = httpx.ASGITransport(assemble([health.routes(hangs)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://worker:8083") as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (500, "unhealthy")


async def test_requests_are_bounded(
    client: AsyncClient, store: FakeStore, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(dialect, "REQUEST_TIMEOUT", 0.01)
    monkeypatch.setattr(store, "delete", hangs)
    answer = await client.delete("/connectors/orders")
    assert answer.status_code == 500
    assert answer.json()["message"].startswith("Request timed out.")


async def test_trailing_slash_changes_nothing(client: AsyncClient, orders: None) -> None:
    for path in ("/connectors", "/connectors/orders/status", "/health", ""):
        plain, slash = await client.get(path), await client.get(path + "/")
        assert (slash.status_code, slash.content) == (200, plain.content)
    assert (await client.put("/connectors/orders/pause/")).status_code == 202


async def test_head_is_get_without_a_body(client: AsyncClient, orders: None) -> None:
    for path in ("/", "/connectors", "/connectors/orders/status"):
        get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert (await client.head("/connectors/nope")).status_code == 404


async def test_unknown_path(client: AsyncClient) -> None:
    for method, path in (
        ("GET", "/nope"),
        ("GET", "/connectors/x/nope"),
        ("GET", "/connectors/x/tasks-config"),
        ("OPTIONS", "/nope"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == 404
        assert answer.json() == {"error_code": 404, "message": "HTTP 404 Not Found"}


async def test_wrong_method_names_the_right_ones(client: AsyncClient) -> None:
    for method, path, allow in (
        ("PUT", "/connectors", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/connectors/x", "DELETE, GET, HEAD, OPTIONS"),
        ("GET", "/connectors/x/restart", "OPTIONS, POST"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == 405
        assert answer.json() == {"error_code": 405, "message": "HTTP 405 Method Not Allowed"}
        assert answer.headers["allow"] == allow


async def test_options(client: AsyncClient) -> None:
    answer = await client.options("/connectors/x/config")
    assert answer.status_code == 200
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, PATCH, PUT"


async def test_only_json_is_taken(client: AsyncClient, store: FakeStore) -> None:
    body = b'{"name":"q","config":{"connector.class":"C"}}'
    for headers in ({"content-type": "text/plain"}, {"content-type": "text/json"}, {}):
        answer = await client.post("/connectors", content=body, headers=headers)
        assert answer.status_code == 415
        assert answer.json() == {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}
    assert store.configs == {}
    capitals = {"content-type": "application/JSON;charset=UTF-8"}
    assert (await client.post("/connectors", content=body, headers=capitals)).status_code == 201


async def test_only_json_is_given(client: AsyncClient) -> None:
    for accept, code in (
        ("text/html", 406),
        ("text/html, */*;q=0.1", 200),
        ("application/*", 200),
        ("application/json, text/plain", 200),
    ):
        answer = await client.get("/connectors", headers={"accept": accept})
        assert answer.status_code == code
    refused = await client.get("/connectors", headers={"accept": "text/html"})
    assert refused.json() == {"error_code": 406, "message": "HTTP 406 Not Acceptable"}
    assert (await client.get("/nope", headers={"accept": "text/html"})).status_code == 404

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from coracle.api import ConfigError
from coracle.kube.validation import Verdict
from coracle.rest import validation
from coracle.rest.app import create_api

asked: list[Any] = []


def judge(
    name: str, config: Mapping[str, Any], tasks_max: int | None, namespace: str | None
) -> Verdict:
    asked.append((name, dict(config), tasks_max, namespace))
    if name == "slow":
        time.sleep(0.2)
    error = ConfigError("It is wrong.", field="topic", fix="Do it right.")
    return Verdict("sink", [error], ["odd"], frozenset())


async def ready() -> bool:
    return True


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_api(judge, ready))
    return httpx.AsyncClient(transport=transport, base_url="http://api:8083")


async def test_the_verdict_is_answered() -> None:
    body = {"name": "orders", "config": {"a": 1.10}, "tasksMax": 3, "namespace": "shop"}
    async with client() as api:
        answer = await api.post("/coracle/v1/validate", json=body)
    assert answer.status_code == 200
    assert answer.json() == {
        "type": "sink",
        "errors": [{"field": "topic", "message": "It is wrong.", "fix": "Do it right."}],
        "warnings": ["odd"],
    }
    assert asked.pop() == ("orders", {"a": "1.1"}, 3, "shop")


async def test_a_slow_check_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "TIMEOUT", 0.05)
    async with client() as api:
        answer = await api.post("/coracle/v1/validate", json={"name": "slow", "config": {}})
    assert answer.status_code == 504


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"name": ["x"], "config": {}}, []])
async def test_a_body_that_is_no_question(body: Any) -> None:
    async with client() as api:
        answer = await api.post("/coracle/v1/validate", json=body)
    assert answer.status_code == 400


async def test_without_a_store_there_are_no_connectors() -> None:
    async with client() as api:
        assert (await api.get("/health")).status_code == 200
        assert (await api.get("/connector-plugins")).status_code == 200
        for path in ("/", "/connectors", "/connectors/x/status"):
            assert (await api.get(path)).status_code == 404

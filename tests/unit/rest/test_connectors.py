from typing import Any

import pytest
from httpx import AsyncClient

from coracle.store import ConflictError, State
from tests.unit.rest.fake_store import FakeStore

CONFIG = {"connector.class": "C", "a": "1"}
NAMED = {**CONFIG, "name": "orders"}


async def test_no_connectors(client: AsyncClient) -> None:
    answer = await client.get("/connectors")
    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["content-type"] == "application/json"


async def test_create(client: AsyncClient, store: FakeStore) -> None:
    answer = await client.post("/connectors", json={"name": " orders ", "config": CONFIG})
    assert answer.status_code == 201
    assert answer.headers["location"] == "http://worker:8083/connectors/orders"
    assert answer.json() == {"name": "orders", "config": NAMED, "tasks": [], "type": "source"}
    assert store.configs == {"orders": NAMED}
    assert store.statuses["orders"].state is State.RUNNING


async def test_create_in_a_state(client: AsyncClient, store: FakeStore) -> None:
    body = {"name": "orders", "config": CONFIG, "initial_state": "stopped"}
    assert (await client.post("/connectors", json=body)).status_code == 201
    assert store.statuses["orders"].state is State.STOPPED


async def test_create_twice(client: AsyncClient, orders: None) -> None:
    answer = await client.post("/connectors", json={"name": "orders", "config": CONFIG})
    assert answer.status_code == 409
    assert answer.json() == {"error_code": 409, "message": "Connector orders already exists"}


async def test_invalid_configuration_lists_everything(client: AsyncClient) -> None:
    body = {"name": "x", "config": {"connector.class": "Wrong"}}
    answer = await client.post("/connectors", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        "Connector configuration is invalid and contains the following 2 error(s):\n"
        "Invalid value x for configuration tasks.max\n"
        "Missing topic Add it.\n"
        "You can also find the above list of errors at the endpoint "
        "`/connector-plugins/{connectorType}/config/validate`"
    )


async def test_unknown_class_is_the_only_message(client: AsyncClient) -> None:
    body = {"name": "x", "config": {"connector.class": "Unknown"}}
    answer = await client.post("/connectors", json=body)
    assert answer.json() == {"error_code": 400, "message": "No plugin is called Unknown."}


async def test_missing_class_never_shows_values(client: AsyncClient) -> None:
    body = {"name": "x", "config": {"password": "hunter2"}}
    answer = await client.post("/connectors", json=body)
    assert answer.json() == {
        "error_code": 400,
        "message": "Connector config {password, name} contains no connector type",
    }


async def test_another_name_in_the_configuration(client: AsyncClient) -> None:
    body = {"name": "orders", "config": {**CONFIG, "name": "zz"}}
    message = "Connector name configuration (zz) doesn't match connector name in the URL (orders)"
    for answer in (
        await client.post("/connectors", json=body),
        await client.put("/connectors/orders/config", json=body["config"]),
    ):
        assert answer.json() == {"error_code": 400, "message": message}


async def test_a_name_is_needed(client: AsyncClient) -> None:
    for body in (
        {"config": CONFIG},
        {"name": None, "config": CONFIG},
        {"name": " ", "config": CONFIG},
    ):
        answer = await client.post("/connectors", json=body)
        assert answer.status_code == 400
        assert "configuration name: String may not be empty" in answer.json()["message"]


async def test_bodies_that_are_no_connector(client: AsyncClient, store: FakeStore) -> None:
    nested = "configuration n: must be a string"
    states = "must be one of RUNNING, PAUSED, STOPPED"
    wrong = {
        b"": "is empty",
        b"  ": "is empty",
        b'{"name":': "is not valid JSON",
        b'{"name":"q","config":{}} x': "is not valid JSON",
        b'{"name":"q","config":{"connector.class":NaN}}': "is not valid JSON",
        b'{"name":"\\ud800","config":{}}': "is not valid JSON",
        b"\xff": "is not valid JSON",
        b"[" * 100_000: "is not valid JSON",
        b"[]": "must be a JSON object",
        b"null": "must be a JSON object",
        b'{"name":"q"}': '"config" must be an object',
        b'{"name":"q","config":"x"}': '"config" must be an object',
        b'{"name":["q"],"config":{}}': '"name" must be a string',
        b'{"name":"q","config":{},"foo":1}': 'Unrecognized field "foo"',
        b'{"name":"q","config":{"connector.class":"C"},"initial_state":"zz"}': states,
        b'{"name":"q","config":{"connector.class":"C"},"initial_state":true}': states,
        b'{"name":"q","config":{"connector.class":"C","n":{}}}': nested,
        b'{"name":"q","config":{"connector.class":"C","n":[1]}}': nested,
        b'{"name":"q","config":{"connector.class":"C","n":null}}': "Null value can not be supplied",
    }
    for content, expected in wrong.items():
        answer = await client.post(
            "/connectors", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400, content[:80]
        assert answer.json()["error_code"] == 400
        assert expected in answer.json()["message"], content[:80]
    assert store.configs == {}


async def test_scalars_become_the_text_they_were_written_as(
    client: AsyncClient, store: FakeStore
) -> None:
    content = (
        '{"connector.class":"C","i":5,"f":1.50,"e":1e3,"b":true,"big":123456789012345678901234}'
    )
    headers = {"content-type": "application/json; charset=utf-8"}
    await client.put("/connectors/n/config", content=content, headers=headers)
    assert store.configs["n"] == {
        "connector.class": "C",
        "i": "5",
        "f": "1.50",
        "e": "1e3",
        "b": "true",
        "big": "123456789012345678901234",
        "name": "n",
    }


async def test_expand(client: AsyncClient, orders: None) -> None:
    info = (await client.get("/connectors/orders")).json()
    status = (await client.get("/connectors/orders/status")).json()
    for query, views in {
        "expand=status": {"status": status},
        "expand=info": {"info": info},
        "expand=status&expand=info": {"status": status, "info": info},
        "expand=foo": {},
        "expand=status,info": {},
        "expand=": {},
    }.items():
        assert (await client.get(f"/connectors?{query}")).json() == {"orders": views}


async def test_expand_leaves_out_what_was_deleted_meanwhile(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    store.configs["gone"] = {}
    del store.statuses["orders"]
    store.configs.pop("orders")

    async def stale() -> list[str]:
        return ["orders"]

    store.names = stale
    assert (await client.get("/connectors?expand=status")).json() == {}


async def test_read(client: AsyncClient, orders: None) -> None:
    answer = await client.get("/connectors/orders")
    assert answer.json() == {
        "name": "orders",
        "config": NAMED,
        "tasks": [{"connector": "orders", "task": 0}],
        "type": "source",
    }
    assert (await client.get("/connectors/orders/config")).json() == NAMED


async def test_unknown_connector(client: AsyncClient) -> None:
    for answer in (
        await client.get("/connectors/nope"),
        await client.get("/connectors/nope/config"),
        await client.patch("/connectors/nope/config", json={"a": "b"}),
        await client.delete("/connectors/nope"),
        await client.get("/connectors/nope/tasks"),
    ):
        assert answer.status_code == 404
        assert answer.json() == {"error_code": 404, "message": "Connector nope not found"}


async def test_put_creates_then_replaces(client: AsyncClient, store: FakeStore) -> None:
    created = await client.put("/connectors/orders/config", json=CONFIG)
    assert created.status_code == 201
    assert created.headers["location"] == "http://worker:8083/connectors/orders"
    replaced = await client.put("/connectors/orders/config", json={"connector.class": "C", "b": 2})
    assert replaced.status_code == 200
    assert "location" not in replaced.headers
    assert replaced.json()["config"] == {"connector.class": "C", "b": "2", "name": "orders"}
    assert replaced.json()["tasks"] == [{"connector": "orders", "task": 0}]


async def test_put_wrong_changes_nothing(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    answer = await client.put("/connectors/orders/config", json={"connector.class": "Wrong"})
    assert answer.status_code == 400
    assert store.configs["orders"] == NAMED


async def test_patch_merges_and_null_removes(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    answer = await client.patch("/connectors/orders/config", json={"a": None, "b": True})
    assert answer.status_code == 200
    assert store.configs["orders"] == {"connector.class": "C", "name": "orders", "b": "true"}


async def test_patch_cannot_rename_or_remove_the_class(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    for patch in ({"name": "zz"}, {"connector.class": None}):
        answer = await client.patch("/connectors/orders/config", json=patch)
        assert answer.status_code == 400
    assert store.configs["orders"] == NAMED


async def test_delete(client: AsyncClient, store: FakeStore, orders: None) -> None:
    answer = await client.delete("/connectors/orders")
    assert (answer.status_code, answer.content) == (204, b"")
    assert store.configs == {}


async def test_names_may_hold_anything_but_a_slash(client: AsyncClient, store: FakeStore) -> None:
    answer = await client.post("/connectors", json={"name": "ü ö?%41", "config": CONFIG})
    assert answer.headers["location"] == "http://worker:8083/connectors/%C3%BC%20%C3%B6%3F%2541"
    assert (await client.get(answer.headers["location"])).json()["name"] == "ü ö?%41"
    slash = await client.get("/connectors/a%2Fstatus")
    assert slash.status_code == 400
    assert "slash" in slash.json()["message"]


async def test_a_bug_is_answered_and_logged(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.put("/connectors/x/config", json={"connector.class": "Broken"})
    assert answer.json() == {"error_code": 500, "message": "RuntimeError: a bug"}
    assert "Traceback" in caplog.text


async def test_a_patch_is_applied_anew_to_what_somebody_else_wrote(
    client: AsyncClient, store: FakeStore, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_config = store.put_config

    async def interrupted(name: str, config: Any, **more: Any) -> Any:
        monkeypatch.undo()
        store.configs["orders"] = {**store.configs["orders"], "b": "2"}
        return await put_config(name, config, **more)

    monkeypatch.setattr(store, "put_config", interrupted)
    answer = await client.patch("/connectors/orders/config", json={"c": "3"})
    assert answer.status_code == 200
    assert answer.json()["config"] == {**NAMED, "b": "2", "c": "3"}


async def test_a_patch_gives_up_in_the_end(
    client: AsyncClient, store: FakeStore, orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(name: str, config: Any, **more: Any) -> Any:
        raise ConflictError.changed(name)

    monkeypatch.setattr(store, "put_config", refuses)
    answer = await client.patch("/connectors/orders/config", json={"c": "3"})
    assert answer.status_code == 409
    assert answer.json()["message"] == "The connector orders was changed at the same time."

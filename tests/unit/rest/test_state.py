from httpx import AsyncClient

from coracle.store import State
from tests.unit.rest.fake_store import WORKER, FakeStore

RUNNING = {"state": "RUNNING", "worker_id": WORKER, "version": "1.0"}


async def test_status(client: AsyncClient, orders: None) -> None:
    assert (await client.get("/connectors/orders/status")).json() == {
        "name": "orders",
        "connector": RUNNING,
        "tasks": [{"id": 0, **RUNNING}],
        "type": "source",
    }


async def test_trace_and_version_are_shown_only_when_known(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    store.fail_task("orders", "why")
    failed = {"id": 0, "state": "FAILED", "worker_id": WORKER, "trace": "why"}
    assert (await client.get("/connectors/orders/status")).json()["tasks"] == [failed]
    assert (await client.get("/connectors/orders/tasks/0/status")).json() == failed


async def test_pause_resume_stop(client: AsyncClient, store: FakeStore, orders: None) -> None:
    for verb, code, state in (
        ("pause", 202, State.PAUSED),
        ("pause", 202, State.PAUSED),
        ("resume", 202, State.RUNNING),
        ("stop", 204, State.STOPPED),
    ):
        answer = await client.put(f"/connectors/orders/{verb}")
        assert (answer.status_code, answer.content) == (code, b"")
        assert store.statuses["orders"].state is state


async def test_restart_of_the_connector_alone_has_no_body(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    for query in ("", "?includeTasks=false", "?includeTasks=foo", "?includeTasks"):
        answer = await client.post(f"/connectors/orders/restart{query}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert set(store.restarts) == {("orders", False, False)}


async def test_restart_with_parameters_answers_states(
    client: AsyncClient, store: FakeStore, orders: None
) -> None:
    for query in ("includeTasks=true", "onlyFailed=TRUE", "includeTasks=true&onlyFailed=true"):
        answer = await client.post(f"/connectors/orders/restart?{query}")
        assert answer.status_code == 202
        assert answer.json()["connector"]["state"] == "RESTARTING"
    assert store.restarts == [
        ("orders", True, False),
        ("orders", False, True),
        ("orders", True, True),
    ]


async def test_tasks(client: AsyncClient, orders: None) -> None:
    assert (await client.get("/connectors/orders/tasks")).json() == [
        {
            "id": {"connector": "orders", "task": 0},
            "config": {"connector.class": "C", "name": "orders", "a": "1", "task.class": "T"},
        }
    ]
    assert (await client.get("/connectors/orders/tasks/0/status")).json() == {"id": 0, **RUNNING}


async def test_restart_task(client: AsyncClient, store: FakeStore, orders: None) -> None:
    answer = await client.post("/connectors/orders/tasks/0/restart")
    assert (answer.status_code, answer.content) == (204, b"")
    assert store.restarts == [("orders", 0)]


async def test_each_endpoint_has_its_words_for_what_is_unknown(
    client: AsyncClient, orders: None
) -> None:
    for method, path, message in (
        ("GET", "nope/status", "No status found for connector nope"),
        ("PUT", "nope/pause", "Unknown connector nope"),
        ("PUT", "nope/resume", "Unknown connector nope"),
        ("PUT", "nope/stop", "Unknown connector nope"),
        ("POST", "nope/restart", "Unknown connector: nope"),
        ("POST", "nope/restart?includeTasks=true", "Unknown connector: nope"),
        ("GET", "nope/tasks/0/status", "No status found for task nope-0"),
        ("GET", "orders/tasks/99/status", "No status found for task orders-99"),
        ("GET", "orders/tasks/x/status", "HTTP 404 Not Found"),
        ("POST", "orders/tasks/99/restart", "Unknown task: orders-99"),
        ("POST", "orders/tasks/x/restart", "HTTP 404 Not Found"),
        ("POST", "nope/tasks/0/restart", "Unknown connector: nope"),
    ):
        answer = await client.request(method, f"/connectors/{path}")
        assert answer.status_code == 404
        assert answer.json() == {"error_code": 404, "message": message}

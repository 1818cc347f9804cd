"""What a task pod answers."""

from collections.abc import Mapping, Sequence

import httpx
import pytest

from coracle.rest.pod import create_pod_app
from coracle.store import ConnectorStatus, State, TaskStatus

TASKS = [{"table": "a"}, {"table": "b"}]


class PodOf:
    """A pod that runs task 1 of ``orders``, which has two."""

    def __init__(self, configs: Sequence[Mapping[str, str]] | None) -> None:
        self._configs = configs

    def unready(self) -> str:
        return ""

    def status(self) -> ConnectorStatus:
        tasks = [TaskStatus(1, State.RUNNING, "10.0.0.1:8083")]
        return ConnectorStatus("orders", State.RUNNING, "10.0.0.1:8083", "source", tasks=tasks)

    def task_configs(self) -> Sequence[Mapping[str, str]] | None:
        return self._configs


async def answer(pod: PodOf, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(create_pod_app(pod))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1:8083") as client:
        return await client.get(path)


async def test_the_leader_tells_the_tasks_of_all_pods() -> None:
    found = await answer(PodOf(TASKS), "/connectors/orders/tasks")
    assert found.json() == [
        {"id": {"connector": "orders", "task": 0}, "config": {"table": "a"}},
        {"id": {"connector": "orders", "task": 1}, "config": {"table": "b"}},
    ]


async def test_a_pod_that_does_not_lead_tells_no_tasks() -> None:
    found = await answer(PodOf(None), "/connectors/orders/tasks")
    assert found.status_code == 409
    assert found.json()["error_code"] == 409


@pytest.mark.parametrize("path", ["tasks", "status", "tasks/1/status"])
async def test_another_connector_is_none_of_this_pods(path: str) -> None:
    found = await answer(PodOf(TASKS), f"/connectors/invoices/{path}")
    assert found.status_code == 404


async def test_states_are_those_of_the_pods_own_tasks() -> None:
    status = (await answer(PodOf(TASKS), "/connectors/orders/status")).json()
    assert [task["id"] for task in status["tasks"]] == [1]
    assert (await answer(PodOf(TASKS), "/connectors/orders/tasks/1/status")).status_code == 200
    assert (await answer(PodOf(TASKS), "/connectors/orders/tasks/0/status")).status_code == 404

"""``/connectors/{name}/tasks``: the tasks' configurations and states, and restarting one."""

from __future__ import annotations

from fastapi import APIRouter, Response

from coracle.rest.dialect import ConnectRoute, json_response
from coracle.rest.entities import task_id, task_status
from coracle.rest.errors import RestError, missing
from coracle.store import ConnectorStore, NotFoundError


def routes(store: ConnectorStore) -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/connectors/{name}/tasks")
    async def tasks(name: str) -> Response:
        with missing(f"Connector {name} not found"):
            configs = await store.task_configs(name)
        return json_response(
            [
                {"id": task_id(name, task), "config": dict(config)}
                for task, config in enumerate(configs)
            ]
        )

    @router.get("/connectors/{name}/tasks/{task:int}/status")
    async def status(name: str, task: int) -> Response:
        unknown = f"No status found for task {name}-{task}"
        with missing(unknown):
            connector = await store.status(name)
        for state in connector.tasks:
            if state.id == task:
                return json_response(task_status(state))
        raise RestError(404, unknown)

    @router.post("/connectors/{name}/tasks/{task:int}/restart")
    async def restart(name: str, task: int) -> Response:
        try:
            await store.restart_task(name, task)
        except NotFoundError:
            known = name in await store.names()
            what = f"Unknown task: {name}-{task}" if known else f"Unknown connector: {name}"
            raise RestError(404, what) from None
        return Response(status_code=204)

    return router

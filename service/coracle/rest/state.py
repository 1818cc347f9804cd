"""``/connectors/{name}/status`` and what changes it: pause, resume, stop, restart."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from coracle.rest.dialect import ConnectRoute, json_response
from coracle.rest.entities import connector_status
from coracle.rest.errors import missing
from coracle.store import ConnectorStore, TargetState


def routes(store: ConnectorStore) -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/connectors/{name}/status")
    async def status(name: str) -> Response:
        with missing(f"No status found for connector {name}"):
            return json_response(connector_status(await store.status(name)))

    @router.put("/connectors/{name}/pause")
    async def pause(name: str) -> Response:
        return await _aim(store, name, TargetState.PAUSED, 202)

    @router.put("/connectors/{name}/resume")
    async def resume(name: str) -> Response:
        return await _aim(store, name, TargetState.RUNNING, 202)

    @router.put("/connectors/{name}/stop")
    async def stop(name: str) -> Response:
        return await _aim(store, name, TargetState.STOPPED, 204)

    @router.post("/connectors/{name}/restart")
    async def restart(name: str, request: Request) -> Response:
        include_tasks = _flag(request, "includeTasks")
        only_failed = _flag(request, "onlyFailed")
        with missing(f"Unknown connector: {name}"):
            status = await store.restart(name, include_tasks=include_tasks, only_failed=only_failed)
        if include_tasks or only_failed:
            return json_response(connector_status(status), 202)
        return Response(status_code=204)  # as before KIP-745 added the parameters

    return router


async def _aim(store: ConnectorStore, name: str, target: TargetState, code: int) -> Response:
    with missing(f"Unknown connector {name}"):
        await store.set_target(name, target)
    return Response(status_code=code)


def _flag(request: Request, name: str) -> bool:
    """A query parameter as Java's ``Boolean.valueOf`` reads it: anything but ``true`` is false."""
    return request.query_params.get(name, "").lower() == "true"

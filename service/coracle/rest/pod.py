"""What a task pod answers: probes, and what it knows of its connector.

The custom resource is the truth, so nothing can be changed here. ``GET /health`` is the liveness
probe and asks no more than whether the event loop turns: a FAILED connector is no reason to kill a
pod. ``GET /ready`` is the readiness probe. Traces are whole here; in the custom resource's status
they are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from coracle.rest import health
from coracle.rest.dialect import ConnectPaths, ConnectRoute, answer_unrouted, json_response
from coracle.rest.entities import connector_status, task_id, task_status
from coracle.rest.errors import RestError
from coracle.store import ConnectorStatus


class PodView(Protocol):
    """What there is to know about a pod."""

    def unready(self) -> str:
        """Why the pod has no share of the work yet; empty when it is ready."""
        ...

    def status(self) -> ConnectorStatus | None:
        """State of the connector as far as this pod knows, and of its own tasks."""
        ...

    def task_configs(self) -> Sequence[Mapping[str, str]] | None:
        """The configuration of every task, other pods' too; ``None`` unless this pod knows all."""
        ...


def create_pod_app(pod: PodView) -> FastAPI:
    """The endpoints of one pod."""
    app = FastAPI(title="Coracle", openapi_url=None, redirect_slashes=False)
    routers = [health.routes(_alive), _routes(pod)]
    for router in routers:
        app.include_router(router)
    app.add_middleware(ConnectPaths)
    every_route = [route for router in routers for route in router.routes]

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return answer_unrouted(request, error.status_code, every_route)

    return app


async def _alive() -> bool:
    return True


def _routes(pod: PodView) -> APIRouter:
    router = APIRouter(route_class=ConnectRoute)

    def status_of(name: str) -> ConnectorStatus:
        status = pod.status()
        if status is None or status.name != name:
            raise RestError(404, f"No status found for connector {name}")
        return status

    @router.get("/ready")
    async def ready() -> Response:
        why = pod.unready()
        content = {"status": "unready" if why else "ready", "message": why}
        return json_response(content, 503 if why else 200)

    @router.get("/connectors")
    async def names() -> Response:
        status = pod.status()
        return json_response([] if status is None else [status.name])

    @router.get("/connectors/{name}/status")
    async def connector(name: str) -> Response:
        return json_response(connector_status(status_of(name)))

    @router.get("/connectors/{name}/tasks")
    async def tasks(name: str) -> Response:
        status_of(name)
        configs = pod.task_configs()
        if configs is None:
            raise RestError(409, "The pod that leads the connector knows its tasks, not this one")
        return json_response(
            [{"id": task_id(name, task), "config": dict(one)} for task, one in enumerate(configs)]
        )

    @router.get("/connectors/{name}/tasks/{task:int}/status")
    async def one_task(name: str, task: int) -> Response:
        for status in status_of(name).tasks:
            if status.id == task:
                return json_response(task_status(status))
        raise RestError(404, f"No status found for task {name}-{task}")

    return router

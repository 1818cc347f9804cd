"""``/connectors``: list, create, read, configure, delete."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from coracle.rest.body import config_request, create_request, patch_request
from coracle.rest.dialect import ConnectRoute, json_response
from coracle.rest.entities import connector_info, connector_status
from coracle.rest.errors import missing
from coracle.store import ConflictError, ConnectorStore, NotFoundError

PATCH_ATTEMPTS = 10
"""How often a patch is applied anew to what somebody else has changed meanwhile."""


def routes(store: ConnectorStore) -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/connectors")
    async def list_connectors(request: Request) -> Response:
        names = await store.names()
        if "expand" not in request.query_params:
            return json_response(list(names))
        wanted = request.query_params.getlist("expand")
        expanded: dict[str, dict[str, Any]] = {}
        for name in names:
            try:
                expanded[name] = await _expand(store, name, wanted)
            except NotFoundError:
                continue  # deleted since it was listed
        return json_response(expanded)

    @router.post("/connectors")
    async def create(request: Request) -> Response:
        wanted = await create_request(request)
        info = await store.create(wanted.name, wanted.config, wanted.target)
        return json_response(connector_info(info), 201, _location(request, info.name))

    @router.get("/connectors/{name}")
    async def read(name: str) -> Response:
        with missing(f"Connector {name} not found"):
            return json_response(connector_info(await store.info(name)))

    @router.delete("/connectors/{name}")
    async def delete(name: str) -> Response:
        with missing(f"Connector {name} not found"):
            await store.delete(name)
        return Response(status_code=204)

    @router.get("/connectors/{name}/config")
    async def read_config(name: str) -> Response:
        with missing(f"Connector {name} not found"):
            info = await store.info(name)
        return json_response(dict(info.config))

    @router.put("/connectors/{name}/config")
    async def put_config(name: str, request: Request) -> Response:
        info, created = await store.put_config(name, await config_request(request, name))
        if created:
            return json_response(connector_info(info), 201, _location(request, name))
        return json_response(connector_info(info))

    @router.patch("/connectors/{name}/config")
    async def patch_config(name: str, request: Request) -> Response:
        attempts = PATCH_ATTEMPTS
        while True:
            with missing(f"Connector {name} not found"):
                current = (await store.info(name)).config
            merged = await patch_request(request, name, current)
            try:
                info, _ = await store.put_config(name, merged, instead_of=current)
                return json_response(connector_info(info))
            except ConflictError:
                attempts -= 1
                if not attempts:
                    raise

    return router


async def _expand(store: ConnectorStore, name: str, wanted: list[str]) -> dict[str, Any]:
    views: dict[str, Any] = {}
    if "status" in wanted:
        views["status"] = connector_status(await store.status(name))
    if "info" in wanted:
        views["info"] = connector_info(await store.info(name))
    return views


def _location(request: Request, name: str) -> dict[str, str]:
    return {"Location": f"{request.base_url}connectors/{quote(name)}"}

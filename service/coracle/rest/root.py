"""``GET /``: which worker this is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from coracle.rest.dialect import ConnectRoute, json_response
from coracle.store import ConnectorStore


def routes(store: ConnectorStore) -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/")
    async def worker() -> Response:
        info = await store.worker_info()
        return json_response(
            {
                "version": info.version,
                "commit": info.commit,
                "kafka_cluster_id": info.kafka_cluster_id,
            }
        )

    return router

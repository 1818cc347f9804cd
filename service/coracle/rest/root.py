"""``GET /`` and ``GET /health``: which worker this is, and whether it works."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from coracle.rest.dialect import ConnectRoute, json_response
from coracle.store import ConnectorStore

HEALTH_TIMEOUT = 10.0
"""Seconds after which a worker that does not answer is unhealthy (KIP-1017)."""


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

    @router.get("/health")
    async def health() -> Response:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                ready = await store.ready()
        except Exception:
            return _health(
                500,
                "unhealthy",
                "Worker was unable to handle this request and may be unable to handle "
                "other requests.",
            )
        if not ready:
            return _health(503, "starting", "Worker is still starting up.")
        return _health(
            200, "healthy", "Worker has completed startup and is ready to handle requests."
        )

    return router


def _health(code: int, status: str, message: str) -> Response:
    return json_response({"status": status, "message": message}, code)

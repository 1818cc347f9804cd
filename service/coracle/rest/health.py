"""``GET /health``: whether this process works (KIP-1017)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from coracle.rest.dialect import ConnectRoute, json_response

HEALTH_TIMEOUT = 10.0
"""Seconds after which a worker that does not answer is unhealthy (KIP-1017)."""


def routes(ready: Callable[[], Awaitable[bool]]) -> APIRouter:
    """The endpoints of this module; ``ready`` says whether start-up is complete."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/health")
    async def health() -> Response:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                is_ready = await ready()
        except Exception:
            return _health(
                500,
                "unhealthy",
                "Worker was unable to handle this request and may be unable to handle "
                "other requests.",
            )
        if not is_ready:
            return _health(503, "starting", "Worker is still starting up.")
        return _health(
            200, "healthy", "Worker has completed startup and is ready to handle requests."
        )

    return router


def _health(code: int, status: str, message: str) -> Response:
    return json_response({"status": status, "message": message}, code)

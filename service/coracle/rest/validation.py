"""``POST /coracle/v1/validate``: Coracle's own, for the admission webhook.

The image that holds the plugins answers; the webhook, which holds none, asks. Kafka Connect's
``PUT /connector-plugins/{class}/config/validate`` cannot say what the webhook needs: warnings, what
to do, and what only matters in Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from coracle.kube.validation import Verdict
from coracle.rest.body import object_body
from coracle.rest.dialect import ConnectRoute, json_response
from coracle.rest.errors import RestError

TIMEOUT = 3.0
"""Seconds a check may take: ``kubectl apply`` waits for it."""

Check = Callable[[str, Mapping[str, Any], int | None, str | None], Verdict]
"""Checks name, settings, ``tasksMax`` and namespace (``None`` is this process's own)."""


def routes(check: Check) -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.post("/coracle/v1/validate")
    async def validate(request: Request) -> Response:
        body = await object_body(request)
        name, config = body.get("name"), body.get("config")
        if not isinstance(name, str) or not isinstance(config, dict):
            raise RestError(400, '"name" must be a string and "config" an object')
        try:
            # In a thread: a plugin's checks are its own, and health must be answered meanwhile.
            async with asyncio.timeout(TIMEOUT):
                verdict = await asyncio.to_thread(
                    check, name, config, _tasks_max(body), body.get("namespace")
                )
        except TimeoutError:
            raise RestError(504, f"The check took longer than {TIMEOUT:.0f} s.") from None
        return json_response(
            {
                "type": verdict.type,
                "errors": [
                    {"field": error.field, "message": error.message, "fix": error.fix}
                    for error in verdict.errors
                ],
                "warnings": verdict.warnings,
            }
        )

    return router


def _tasks_max(body: Mapping[str, Any]) -> int | None:
    given = body.get("tasksMax")
    if given is None:
        return None
    try:
        return int(given)
    except (TypeError, ValueError):
        raise RestError(400, '"tasksMax" must be a number') from None

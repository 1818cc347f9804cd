"""What all answers have in common, so that endpoints only say what is theirs.

``ConnectPaths`` stands before the router: trailing slashes and HEAD. ``ConnectRoute`` stands around
each endpoint: content types, the time limit, and errors as Kafka Connect words them. A path that
matches no route is answered by ``answer_unrouted``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from coracle.rest.errors import RestError, answer_error, error_response, http_text

REQUEST_TIMEOUT = 90.0
"""Seconds an endpoint may take, as ``DEFAULT_REST_REQUEST_TIMEOUT_MS`` of Kafka Connect."""

access = logging.getLogger("coracle.rest.access")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An answer with a body."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


class ConnectPaths:
    """Evens out what routers are strict about and Kafka Connect is not.

    A trailing slash changes nothing, and HEAD is GET without the body (the server leaves it out).
    An encoded slash within a name is refused, because it could not be told from a separator.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request with its path and method evened out."""
        if scope["type"] == "http":
            if b"%2f" in scope.get("raw_path", b"").lower():
                answer = error_response(
                    400, "Ambiguous URI path separator: a name in a URL cannot contain a slash"
                )
                return await answer(scope, receive, send)
            scope = {
                **scope,
                "path": scope["path"].rstrip("/") or "/",
                "method": "GET" if scope["method"] == "HEAD" else scope["method"],
            }
        return await self.app(scope, receive, send)


class ConnectRoute(APIRoute):
    """A route that speaks Kafka Connect's dialect."""

    def get_route_handler(self) -> Handler:
        """The endpoint with everything around it that all endpoints share."""
        endpoint = super().get_route_handler()

        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            try:
                _negotiate(request)
                async with asyncio.timeout(REQUEST_TIMEOUT):
                    response = await endpoint(request)
            except Exception as error:
                response = answer_error(error)
            access.debug(
                "%s %s %d %.1f ms",
                request.method,
                request.url.path,
                response.status_code,
                (time.perf_counter() - started) * 1000,
            )
            return response

        return answer


def _negotiate(request: Request) -> None:
    """Refuse anything but JSON, in both directions; weights (``q=``) are not looked at.

    Raises:
        RestError: 415 or 406.
    """
    headers = request.headers
    sends_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    content_type = headers.get("content-type", "")
    if (content_type or sends_body) and _media_type(content_type) != "application/json":
        raise RestError(415, http_text(415))
    accepted = headers.get("accept", "*/*").split(",")
    if not any(
        _media_type(item) in ("application/json", "application/*", "*/*") for item in accepted
    ):
        raise RestError(406, http_text(406))


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def answer_unrouted(request: Request, status: int, routes: Sequence[BaseRoute]) -> Response:
    """Answer a request that no endpoint takes: 404, or 405 with the methods the path has.

    OPTIONS on a known path is answered with the same methods.
    """
    if status != 405:
        return error_response(status, http_text(status))
    methods = {
        method
        for route in routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    if "GET" in methods:
        methods.add("HEAD")
    allow = ", ".join(sorted(methods | {"OPTIONS"}))
    if request.method == "OPTIONS":
        return Response(allow, 200, {"Allow": allow}, media_type="text/plain")
    return error_response(405, http_text(405), {"Allow": allow})

"""The application: families of endpoints.

A new family is a module with ``routes(…)``, added to the lists here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from coracle.rest import connectors, health, plugins, root, state, tasks, validation
from coracle.rest.dialect import ConnectPaths, answer_unrouted
from coracle.store import ConnectorStore


def create_app(store: ConnectorStore) -> FastAPI:
    """The Kafka Connect REST API over ``store``, ready to be served."""
    return assemble([health.routes(store.ready), *_connect(store)])


def create_api(
    check: validation.Check,
    ready: Callable[[], Awaitable[bool]],
    store: ConnectorStore | None = None,
) -> FastAPI:
    """What the api of a KafkaConnect serves: health, plugins and checks.

    Args:
        check: judges a connector's configuration.
        ready: whether start-up is complete.
        store: the connectors, for the whole Kafka Connect REST API; ``None`` leaves it out.
    """
    routers = [health.routes(ready), validation.routes(check)]
    return assemble([*routers, *(_connect(store) if store else [plugins.routes()])])


def assemble(routers: Sequence[APIRouter]) -> FastAPI:
    """An application of these endpoints that speaks Kafka Connect's dialect.

    Kafka Connect serves no description of itself, so neither OpenAPI nor its pages are served.
    """
    app = FastAPI(title="Coracle", openapi_url=None, redirect_slashes=False)
    for router in routers:
        app.include_router(router)
    app.add_middleware(ConnectPaths)
    every_route = [route for router in routers for route in router.routes]

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return answer_unrouted(request, error.status_code, every_route)

    return app


def _connect(store: ConnectorStore) -> list[APIRouter]:
    families = (root, connectors, state, tasks)
    return [plugins.routes(), *(family.routes(store) for family in families)]

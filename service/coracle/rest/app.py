"""The application: every family of endpoints over one store.

A new family is a module with ``routes(store)``, added to the list here.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from coracle.rest import connectors, root, state, tasks
from coracle.rest.dialect import ConnectPaths, answer_unrouted
from coracle.store import ConnectorStore


def create_app(store: ConnectorStore) -> FastAPI:
    """The Kafka Connect REST API over ``store``, ready to be served.

    Kafka Connect serves no description of itself, so neither OpenAPI nor its pages are served.
    """
    app = FastAPI(title="Coracle", openapi_url=None, redirect_slashes=False)
    routers = [family.routes(store) for family in (root, connectors, state, tasks)]
    for router in routers:
        app.include_router(router)
    app.add_middleware(ConnectPaths)
    every_route = [route for router in routers for route in router.routes]

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return answer_unrouted(request, error.status_code, every_route)

    return app

"""Serves the REST API inside the running event loop.

Uvicorn would like to own the process: its signal handlers and its logging are left out, so that the
command line decides when to stop and the worker stops in order.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from coracle.rest.listeners import bind, parse_listener

CLOSE_TIMEOUT = 1
"""Seconds that requests under way get when the server stops."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class RestServer:
    """The REST API on its listeners.

    Args:
        app: what ``create_app`` made.
        listeners: entries as in the worker's ``listeners`` setting.

    Raises:
        ConfigError: when an entry is no listener.
    """

    def __init__(self, app: ASGIApp, listeners: Sequence[str]) -> None:
        self._app = app
        self._listeners = [parse_listener(text) for text in listeners]
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> list[str]:
        """Listen, and return a URL per listener with the port that was chosen.

        Raises:
            ConnectError: when a port is taken or an address is not this machine's.
        """
        bound = bind(self._listeners)
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSE_TIMEOUT,
        )
        sockets = [sock for _, sock in bound]
        server = self._server = _Server(config)
        serving = self._serving = asyncio.create_task(server.serve(sockets), name="rest")
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await serving
        return [listener.url for listener, _ in bound]

    async def stop(self) -> None:
        """Close the listeners; requests under way get a moment. Safe to call at any time."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

"""Health and metrics of the operator over HTTP: ``/health``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

PORT = 8080


async def serve(
    port: int, *, ready: Callable[[], bool], refresh: Callable[[], None]
) -> web.AppRunner:
    """Start to listen; the caller ends it with ``cleanup``.

    Args:
        port: on all addresses, 0 for a free one.
        ready: whether everything there is has been seen once.
        refresh: called before metrics are read.
    """

    def answer(well: bool) -> web.Response:
        return web.json_response(
            {"status": "ok" if well else "unavailable"}, status=200 if well else 503
        )

    async def on_health(_: web.Request) -> web.Response:
        return answer(True)

    async def on_ready(_: web.Request) -> web.Response:
        return answer(ready())

    async def on_metrics(_: web.Request) -> web.Response:
        refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/health", on_health)
    app.router.add_get("/ready", on_ready)
    app.router.add_get("/metrics", on_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner

"""``/connector-plugins``: what is installed."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from fastapi import APIRouter, Request, Response

from coracle.api import ConfigError
from coracle.config import plugins
from coracle.config.plugins import PluginInfo, PluginKind
from coracle.rest.dialect import ConnectRoute, json_response


def routes() -> APIRouter:
    """The endpoints of this module."""
    router = APIRouter(route_class=ConnectRoute)

    @router.get("/connector-plugins")
    async def list_plugins(request: Request) -> Response:
        found = await asyncio.to_thread(installed)
        if request.query_params.get("connectorsOnly", "true").lower() == "true":
            found = [plugin for plugin in found if plugin["type"] in ("sink", "source")]
        return json_response(found)

    return router


@lru_cache(maxsize=1)
def installed() -> list[dict[str, str]]:
    """Every plugin that can be loaded, in Kafka Connect's order; the first call imports them."""
    available = plugins.available()
    shown = [
        _plugin(info, info.kind.value)
        for info in available
        if info.kind is not PluginKind.CONFIG_PROVIDER
    ]
    # As in Kafka, where every converter is a header converter too.
    shown += [
        _plugin(info, PluginKind.HEADER_CONVERTER.value)
        for info in available
        if info.kind is PluginKind.CONVERTER
    ]
    return [plugin for plugin in shown if plugin]


def _plugin(info: PluginInfo, type_: str) -> dict[str, str]:
    """Class, type and, when it is known, version; empty for what cannot be loaded."""
    try:
        version = plugins.plugin_version(info.load())
        if info.kind is PluginKind.CONNECTOR:
            type_ = info.type
    except ConfigError:
        return {}
    plugin = {"class": info.name, "type": type_}
    return plugin if version == "undefined" else {**plugin, "version": version}

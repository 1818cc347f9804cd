"""``coracle offsets reset``: what the operator runs, as a Job, before a connector is gone for good.

It has the environment of the connector's pods, which have ended by then.
"""

from __future__ import annotations

import asyncio
import logging
import os

from coracle.api import ConfigError, ConnectError
from coracle.cli.exits import Exit
from coracle.cli.task import identity
from coracle.config.worker import load_worker
from coracle.kube.client import pod_client, status_code
from coracle.kube.control import CONNECTOR_JSON, config_map, parse_definition
from coracle.kube.validation import type_of
from coracle.runtime.pod import PodIdentity
from coracle.runtime.reset import reset_offsets

logger = logging.getLogger(__name__)


def run_reset() -> Exit:
    """Forget the offsets of the connector that the environment names."""
    try:
        asyncio.run(_reset(identity(os.environ, 0)))
    except ConfigError as error:
        logger.critical("%s", error)
        return Exit.INVALID
    except ConnectError as error:
        logger.critical("the offsets are not reset: %s", error)
        return Exit.FAILED
    return Exit.OK


async def _reset(who: PodIdentity) -> None:
    import httpx2

    client = pod_client(who.namespace)
    try:
        data = await config_map(client, who.config_map)
    except httpx2.HTTPError as error:
        code = status_code(error)
        raise ConnectError(
            f"ConfigMap {who.config_map} cannot be read: {code or ''} {error}",
            fix="The operator writes it; it must be there until the offsets are reset.",
        ) from error
    finally:
        await client.close()
    definition = parse_definition(data.get(CONNECTOR_JSON, ""), "")
    worker = load_worker(overrides=definition.worker)
    await reset_offsets(definition.name, definition.config, type_of(definition.config), worker)

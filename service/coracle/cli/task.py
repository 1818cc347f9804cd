"""``coracle task``: one pod of a connector. The operator starts it; its environment says for what.

Exit codes: 0 when it was told to stop, 1 when the environment is not what the operator writes, 3
when it cannot listen, has no way to the Kubernetes API, meets an error of its own, or hangs when it
is told to stop. A connector that fails is no reason to end.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping

import uvloop

from coracle import __version__
from coracle.api import ConfigError, ConfigErrors, ConnectError
from coracle.cli.exits import Exit
from coracle.cli.logs import set_levels
from coracle.cli.process import LastResort, collect_less_often, on_stop_signal
from coracle.kube.client import pod_client
from coracle.rest.pod import create_pod_app
from coracle.rest.server import RestServer
from coracle.runtime.pod import Pod, PodIdentity

logger = logging.getLogger(__name__)

_STOP_MARGIN = 3.0
"""Seconds that a pod gets to stop beyond ``task.shutdown.graceful.timeout.ms``."""


def identity(environment: Mapping[str, str], port: int) -> PodIdentity:
    """Who this pod is.

    Raises:
        ConfigErrors: with every variable that is missing.
    """
    names = (
        "CORACLE_NAMESPACE",
        "CORACLE_RESOURCE",
        "CORACLE_CONFIG_MAP",
        "CORACLE_CONFIG_HASH",
        "POD_IP",
    )
    missing = [
        ConfigError(
            f"The environment variable {name} is not set.",
            field=name,
            code="missing",
            fix="The operator sets it; to run connectors by yourself, use coracle run.",
        )
        for name in names
        if not environment.get(name)
    ]
    if missing:
        raise ConfigErrors(missing)
    *values, address = (environment[name] for name in names)
    host = f"[{address}]" if ":" in address else address
    return PodIdentity(*values, worker_id=f"{host}:{port}")


def run_task(port: int) -> Exit:
    """Run this pod's share of its connector until a signal ends the process."""
    try:
        who = identity(os.environ, port)
    except ConfigErrors as error:
        for each in error.errors:
            logger.critical("%s", each)
        return Exit.INVALID
    with LastResort() as ending, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(who, port, ending))


async def _serve(who: PodIdentity, port: int, ending: LastResort) -> Exit:
    stopped = asyncio.Event()
    on_stop_signal(stopped.set)
    try:
        client = pod_client(who.namespace)
        pod = Pod(who, client, set_levels)
        server = RestServer(create_pod_app(pod), [f"http://:{port}"])
        await server.start()
    except ConnectError as error:
        logger.critical("%s", error)
        return Exit.FAILED
    logger.info(
        "Coracle %s, a pod of KafkaConnector %s in %s", __version__, who.resource, who.namespace
    )
    collect_less_often()
    pod.start()
    told, broken = asyncio.create_task(stopped.wait()), asyncio.create_task(pod.broken())
    try:
        await asyncio.wait({told, broken}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            # An error of ours. A new process may do better, and people see that there was one.
            logger.critical("the pod cannot go on", exc_info=broken.result())
            return Exit.FAILED
    finally:
        told.cancel()
        broken.cancel()
        ending.within(pod.graceful_seconds + _STOP_MARGIN)
        await pod.stop()
        await server.stop()
        await client.close()
    return Exit.OK

"""``coracle run``: a worker with its REST API in this process, until a signal ends it.

Everything that can be wrong with files is found before anything is started, and a port that is
taken before any connector is. Stopping goes the other way round: first the API, then connectors.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

import uvloop

from coracle import __version__
from coracle.api import ConfigError, ConnectError
from coracle.cli.checks import Checked, check_files
from coracle.cli.exits import Exit
from coracle.cli.process import LastResort, collect_less_often, on_stop_signal
from coracle.cli.progress import Progress, has_failed
from coracle.cli.screen import errors, show_error, show_findings
from coracle.config.worker import WorkerConfig
from coracle.rest.app import create_app
from coracle.rest.listeners import parse_listener
from coracle.rest.server import RestServer
from coracle.runtime.worker import Worker
from coracle.store import ConnectorStatus, TargetState

logger = logging.getLogger(__name__)

STOP_MARGIN = 5.0
"""Seconds the worker gets to stop beyond ``task.shutdown.graceful.timeout.ms``."""

_REST_SECONDS = 5.0
"""What the REST API may take of its own, before the worker's time begins."""


def run_files(
    paths: Sequence[Path], config: WorkerConfig, *, exit_on_failure: bool, shared: bool = False
) -> Exit:
    """Check the files, then run their connectors until a signal ends the process.

    Args:
        paths: connector files; none is fine, connectors can come over REST.
        config: the worker's settings.
        exit_on_failure: end as soon as a connector or task is FAILED.
        shared: share the tasks with the other processes that run the same connectors.
    """
    checked = check_files(paths, config)
    wrong = [each for each in checked if each.errors]
    for each in wrong:
        show_findings(each, errors())
    if wrong:
        return Exit.INVALID
    collect_less_often()
    with LastResort() as ending, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(checked, config, exit_on_failure, shared, ending))


async def _serve(
    checked: Sequence[Checked],
    config: WorkerConfig,
    exit_on_failure: bool,
    shared: bool,
    ending: LastResort,
) -> Exit:
    """Start, wait for the end, stop; whatever went wrong has been shown."""
    ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def end(code: Exit) -> None:
        if not ended.done():
            ended.set_result(code)

    on_stop_signal(lambda: end(Exit.OK))
    console = errors()
    progress = Progress(console if console.is_terminal else None)
    worker = Worker(config, shared=shared)

    def changed(status: ConnectorStatus) -> None:
        progress.changed(status)
        if exit_on_failure and has_failed(status):
            end(Exit.FAILED)

    worker.subscribe(changed)
    server: RestServer | None = None
    try:
        server = RestServer(create_app(worker), config.config["listeners"])
        starting = asyncio.create_task(_start(worker, server, checked, config, progress))
        await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        else:
            starting.cancel()
        return await ended
    except ConnectError as error:
        logger.debug("Could not start", exc_info=True)
        show_error("Cannot start", error)
        return Exit.INVALID if isinstance(error, ConfigError) else Exit.FAILED
    finally:
        graceful = config.config["task.shutdown.graceful.timeout.ms"] / 1000
        ending.within(graceful + STOP_MARGIN + _REST_SECONDS)
        await _stop(worker, server, graceful)


async def _start(
    worker: Worker,
    server: RestServer,
    checked: Sequence[Checked],
    config: WorkerConfig,
    progress: Progress,
) -> None:
    await worker.start()
    urls = await server.start()
    worker.worker_id = _advertised(config, urls[0])
    progress.announce(
        f"Coracle {__version__} is up, REST API at {', '.join(urls)}",
        f"Try: curl '{urls[0]}/connectors?expand=status'",
    )
    for each in checked:
        if (definition := each.definition) is None:
            continue
        await worker.create(
            definition.name, definition.config, TargetState(definition.initial_state)
        )


async def _stop(worker: Worker, server: RestServer | None, graceful: float) -> None:
    if server is not None:
        await server.stop()
    try:
        async with asyncio.timeout(graceful + STOP_MARGIN):
            await worker.stop()
    except TimeoutError:
        logger.error("The worker did not stop within %.0f s, giving up", graceful + STOP_MARGIN)


def _advertised(config: WorkerConfig, url: str) -> str:
    """``host:port`` that others reach the REST API by, which is the worker's id in every status."""
    settings = config.config
    listener = parse_listener(url)
    configured = parse_listener(settings["listeners"][0])
    host = settings["rest.advertised.host.name"] or (
        socket.gethostname() if configured.is_wildcard else listener.host
    )
    return f"{host}:{settings['rest.advertised.port'] or listener.port}"

"""``coracle api``: what the pods of a KafkaConnect run, with the image that holds the plugins.

It answers the admission webhook, lists the plugins, and with ``CORACLE_REST=true`` serves Kafka
Connect's REST API over the KafkaConnectors of its namespace. Checking needs neither Kubernetes nor
Kafka; the REST API needs Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

from coracle.api import ConfigError, ConnectError
from coracle.cli.exits import Exit
from coracle.cli.process import on_stop_signal
from coracle.cli.screen import show_error
from coracle.config.worker import WorkerConfig, load_worker
from coracle.kafka.admin import Admin
from coracle.kube.client import pod_client
from coracle.kube.store import KubernetesStore
from coracle.kube.validation import Verdict, check, offline_worker
from coracle.rest.app import create_api
from coracle.rest.plugins import installed
from coracle.rest.server import RestServer

logger = logging.getLogger(__name__)

_CLUSTER_ID_SECONDS = 3.0


@dataclass(frozen=True)
class ApiSettings:
    """Where the api is.

    Attributes:
        worker: the file with the worker's settings, a JSON object of strings.
        namespace: the KafkaConnect's.
        connect: the KafkaConnect's name.
        rest: whether the Kafka Connect REST API is served.
    """

    worker: Path
    namespace: str
    connect: str
    rest: bool


def run_api(settings: ApiSettings) -> Exit:
    """Serve until a signal ends the process."""
    # Config providers would take it for the namespace of every connector that is checked.
    os.environ.pop("CORACLE_NAMESPACE", None)
    try:
        props = _read(settings.worker)
        worker = offline_worker(props)
    except ConfigError as error:
        show_error("The worker's configuration is invalid", error)
        return Exit.INVALID
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, props, worker))
    except ConnectError as error:
        show_error("Cannot start", error)
        return Exit.FAILED
    return Exit.OK


async def _serve(settings: ApiSettings, props: Mapping[str, str], worker: WorkerConfig) -> None:
    def judge(
        name: str, config: Mapping[str, Any], tasks_max: int | None, namespace: str | None
    ) -> Verdict:
        where = namespace or settings.namespace
        return check(name, config, tasks_max, worker=worker, namespace=where)

    stopped = asyncio.Event()
    on_stop_signal(stopped.set)
    # What the first check would otherwise wait for: importing every connector.
    imported = asyncio.create_task(asyncio.to_thread(installed))
    store = following = None
    if settings.rest:
        client = pod_client(settings.namespace)
        store = KubernetesStore(
            client,
            settings.namespace,
            settings.connect,
            worker,
            cluster_id=_cluster_id(props),
        )
        following = asyncio.create_task(store.run(), name="mirror")

    async def ready() -> bool:
        return imported.done() and (store is None or await store.ready())

    server = RestServer(create_api(judge, ready, store), worker.config["listeners"])
    try:
        urls = await server.start()
        logger.info(
            "the api of KafkaConnect %s is up at %s, %s the Kafka Connect REST API",
            settings.connect,
            ", ".join(urls),
            "with" if store else "without",
        )
        await stopped.wait()
    finally:
        await server.stop()
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        await imported


def _read(path: Path) -> dict[str, str]:
    """The worker's settings.

    Raises:
        ConfigError: when there is no such file, or it holds something else.
    """
    try:
        props = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the worker's settings cannot be read: {error}.") from error
    if not isinstance(props, dict) or not all(isinstance(text, str) for text in props.values()):
        raise ConfigError(f"{path}: the worker's settings must be a JSON object of strings.")
    return props


def _cluster_id(props: Mapping[str, str]) -> Callable[[], Awaitable[str]]:
    """Tells the Kafka cluster's id once it could be asked for, and an empty text until then."""
    known = ""

    async def cluster_id() -> str:
        nonlocal known
        if not known:
            try:
                async with asyncio.timeout(_CLUSTER_ID_SECONDS):
                    async with Admin(load_worker(None, props).client("admin")) as admin:
                        known = await admin.cluster_id()
            except (ConnectError, TimeoutError) as error:
                logger.warning("the Kafka cluster's id is unknown: %s", error or "timeout")
        return known

    return cluster_id

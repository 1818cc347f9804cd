"""What a connector's pods are told: one ConfigMap, written by the operator and watched by them.

``connector.json`` says what runs and ``control.json`` how. The first is fixed for a pod's life: a
pod is started for one version of it, whose hash is in its environment, and never acts on another;
so a connector never runs two configurations at once. The second may change at any time and moves no
pod. A restart is an id: whoever sees another id than before does it once, and a pod that has just
started has done all there were.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from coracle.api import ConfigError
from coracle.kube.client import WATCH_SECONDS, Backoff, status_code
from coracle.kube.references import config_hash
from coracle.store import TargetState

if TYPE_CHECKING:
    from lightkube import AsyncClient

logger = logging.getLogger(__name__)

CONNECTOR_JSON = "connector.json"
CONTROL_JSON = "control.json"

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF")
"""The levels of loggers, as Log4j names them."""

_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Definition:
    """What runs: ``connector.json``.

    Attributes:
        name: the connector's name.
        config: its configuration, references unresolved; without ``tasks.max``.
        worker: the worker's settings, references unresolved.
        hash: of the text it was read from.
    """

    name: str
    config: Mapping[str, str]
    worker: Mapping[str, str]
    hash: str


@dataclass(frozen=True)
class Restart:
    """A restart that somebody asked for; another id than before means once more.

    Attributes:
        connector: whether the connector instance is meant.
        include_tasks: whether its tasks are.
        only_failed: of these, only what is FAILED.
    """

    id: str = ""
    connector: bool = True
    include_tasks: bool = False
    only_failed: bool = False


@dataclass(frozen=True)
class Control:
    """How it runs: ``control.json``.

    Attributes:
        tasks_max: the most tasks there may be.
        state: what the connector shall be.
        loggers: levels, one of ``LEVELS``, by logger; the others have their default.
        restart: the last restart asked for.
        restart_tasks: the id of the last restart asked for, by task.
    """

    tasks_max: int = 1
    state: TargetState = TargetState.RUNNING
    loggers: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = Restart()
    restart_tasks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """All that a pod is told.

    Attributes:
        definition: what runs; ``None`` while the ConfigMap holds another version than the pod's.
        control: how it runs.
    """

    definition: Definition | None
    control: Control


def parse(data: Mapping[str, str], expected_hash: str) -> Desired:
    """Read the ConfigMap's data.

    Args:
        data: texts by key.
        expected_hash: of the version that the pod was started for; empty takes any.

    Raises:
        ConfigError: saying which key is missing or what in it is wrong.
    """
    text = data.get(CONNECTOR_JSON, "")
    found = config_hash(text)
    definition = (
        parse_definition(text, found) if not expected_hash or found == expected_hash else None
    )
    return Desired(definition, parse_control(data.get(CONTROL_JSON, "")))


def parse_definition(text: str, text_hash: str) -> Definition:
    """Read ``connector.json``.

    Raises:
        ConfigError: when it is not what the operator writes.
    """
    content = _object(CONNECTOR_JSON, text)
    name = content.get("name")
    if not isinstance(name, str) or not name:
        raise _wrong(CONNECTOR_JSON, "name must be the connector's name")
    return Definition(
        name,
        _texts(CONNECTOR_JSON, "config", content.get("config")),
        _texts(CONNECTOR_JSON, "worker", content.get("worker", {})),
        text_hash,
    )


def parse_control(text: str) -> Control:
    """Read ``control.json``.

    Raises:
        ConfigError: when it is not what the operator writes.
    """
    content = _object(CONTROL_JSON, text)
    tasks_max = content.get("tasksMax", 1)
    if type(tasks_max) is not int or tasks_max < 1:
        raise _wrong(CONTROL_JSON, "tasksMax must be a number of at least 1")
    state = str(content.get("state", "running"))
    if state not in ("running", "paused", "stopped"):
        raise _wrong(CONTROL_JSON, "state must be running, paused or stopped")
    loggers = {
        name: level.upper()
        for name, level in _texts(CONTROL_JSON, "loggers", content.get("loggers", {})).items()
    }
    if any(level not in LEVELS for level in loggers.values()):
        raise _wrong(CONTROL_JSON, f"every level in loggers must be one of {', '.join(LEVELS)}")
    tasks = _texts(CONTROL_JSON, "restartTasks", content.get("restartTasks", {}))
    if not all(task.isdecimal() for task in tasks):
        raise _wrong(CONTROL_JSON, "restartTasks must be ids by task number")
    return Control(
        tasks_max,
        TargetState(state.upper()),
        loggers,
        _restart(content.get("restart")),
        {int(task): wish for task, wish in tasks.items()},
    )


def _restart(content: Any) -> Restart:
    if content is None:
        return Restart()
    if not isinstance(content, dict) or not isinstance(content.get("id"), str):
        raise _wrong(CONTROL_JSON, "restart must be an object with an id")
    flags = {
        key: content.get(key, default)
        for key, default in (("connector", True), ("includeTasks", False), ("onlyFailed", False))
    }
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise _wrong(CONTROL_JSON, f"{', '.join(flags)} of restart must be true or false")
    return Restart(content["id"], *flags.values())


def _object(key: str, text: str) -> dict[str, Any]:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(key, f"it is not JSON: {error}" if text else "it is missing") from None
    if not isinstance(content, dict):
        raise _wrong(key, "it must be a JSON object")
    return content


def _texts(key: str, member: str, content: Any) -> dict[str, str]:
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise _wrong(key, f"{member} must be an object whose values are strings")
    return content


def _wrong(key: str, what: str) -> ConfigError:
    return ConfigError(
        f"{key} in the connector's ConfigMap is wrong: {what}.",
        field=key,
        fix="The operator writes it; take back what was edited by hand.",
    )


async def config_map(client: AsyncClient, name: str) -> Mapping[str, str]:
    """The data of a ConfigMap as of now.

    Raises:
        httpx2.HTTPError: when there is none, or the API server does not answer.
    """
    from lightkube.resources.core_v1 import ConfigMap

    return (await client.get(ConfigMap, name)).data or {}


async def watch_config_map(client: AsyncClient, name: str) -> AsyncIterator[Mapping[str, str]]:
    """The data of a ConfigMap now and after every change, for ever.

    An API server that is away, or refuses, is said in the log and tried again; so is a ConfigMap
    that is not there yet. What has not changed is not told twice.
    """
    from lightkube.resources.core_v1 import ConfigMap

    backoff = Backoff()
    known: Mapping[str, str] | None = None
    while True:
        waiting = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, _say_missing, name)
        trouble = ""
        try:
            # The selector makes it a watch of one object: a pod may watch no other. Without a
            # version to begin at, a watch begins with what there is.
            events: Any = client.watch(
                ConfigMap, fields={"metadata.name": name}, server_timeout=WATCH_SECONDS
            )
            async with aclosing(events):
                async for event, found in events:
                    waiting.cancel()
                    backoff.reset()
                    data = found.data or {}
                    if event != "DELETED" and data != known:
                        known = data
                        yield data
        # Whatever it was: a pod that no longer listens could never be told anything again.
        except Exception as error:
            code = status_code(error)
            trouble = f"{code} {error}" if code else f"{type(error).__name__} {error}".rstrip()
        finally:
            waiting.cancel()
        wait = backoff.seconds()
        if trouble:
            logger.warning(
                "ConfigMap %s cannot be watched, which is tried again in %.1f s; what runs goes on "
                "running: %s",
                name,
                wait,
                trouble,
            )
        await asyncio.sleep(wait)


def _say_missing(name: str) -> None:
    logger.warning("there is no ConfigMap %s yet, or the API server does not say: waiting", name)

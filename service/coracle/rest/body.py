"""What requests may say: JSON bodies, read strictly.

Kafka Connect answers 500 to a body that is not what it expects (the text is the JSON library's);
this API answers 400 and says what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from coracle.api import ConfigError, ConfigErrors
from coracle.config.connector import texts
from coracle.rest.errors import RestError
from coracle.store import TargetState


@dataclass(frozen=True)
class CreateRequest:
    """The body of ``POST /connectors``; ``config`` includes ``name``."""

    name: str
    config: Mapping[str, str]
    target: TargetState


async def create_request(request: Request) -> CreateRequest:
    """Read ``{"name", "config", "initial_state"?}``.

    ``initial_state`` is RUNNING, PAUSED or STOPPED in any case (KIP-980).

    Raises:
        RestError: 400 for anything else.
        ConfigErrors: for settings that are no scalars.
    """
    body = await object_body(request)
    for field in body:
        if field not in ("name", "config", "initial_state"):
            raise RestError(
                400, f'Unrecognized field "{field}": known are "name", "config", "initial_state"'
            )
    raw_name = body.get("name")
    if raw_name is not None and not isinstance(raw_name, str):
        raise RestError(400, '"name" must be a string')
    config = body.get("config")
    if not isinstance(config, dict):
        raise RestError(400, '"config" must be an object: the connector\'s settings')
    name = (raw_name or "").strip()
    return CreateRequest(name, _named(name, texts(config)), _target(body.get("initial_state")))


async def config_request(request: Request, name: str) -> Mapping[str, str]:
    """Read a connector's settings; ``name`` is added, and refused when it is another.

    Raises:
        RestError: 400 for a body that is no object, and for another name.
        ConfigErrors: for settings that are no scalars.
    """
    return _named(name, texts(await object_body(request)))


async def patch_request(
    request: Request, name: str, current: Mapping[str, str]
) -> Mapping[str, str]:
    """Read a merge patch (RFC 7386, KIP-477) and apply it: ``null`` removes a key.

    Raises:
        RestError: 400 for a body that is no object, and for another name.
        ConfigErrors: for settings that are no scalars.
    """
    patch = await object_body(request)
    removed = {key for key, value in patch.items() if value is None}
    changed = texts({key: value for key, value in patch.items() if value is not None})
    merged = {key: value for key, value in current.items() if key not in removed} | changed
    return _named(name, merged)


async def object_body(request: Request) -> dict[str, Any]:
    """The body as a JSON object; its numbers are strings, spelled as the client spelled them.

    Raises:
        RestError: 400 for anything else.
    """
    body = await request.body()
    if not body.strip():
        raise RestError(400, "The request body is empty: a JSON object was expected")
    try:
        orjson.loads(body)  # strict: no NaN, no lone surrogates, bounded nesting
        value = json.loads(body, parse_int=str, parse_float=str)
    except ValueError as error:
        raise RestError(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RestError(400, "The request body must be a JSON object")
    return value


def _named(name: str, config: dict[str, str]) -> dict[str, str]:
    included = config.setdefault("name", name)
    if included != name:
        raise RestError(
            400,
            f"Connector name configuration ({included}) doesn't match "
            f"connector name in the URL ({name})",
        )
    if not name:
        raise ConfigErrors(
            [
                ConfigError(
                    "Invalid value  for configuration name: String may not be empty", field="name"
                )
            ]
        )
    if "connector.class" not in config:
        # Kafka Connect prints the whole configuration here, passwords included: keys are enough.
        keys = ", ".join(config)
        raise RestError(400, f"Connector config {{{keys}}} contains no connector type")
    return config


def _target(initial_state: Any) -> TargetState:
    if initial_state is None:
        return TargetState.RUNNING
    try:
        return TargetState(initial_state.upper())
    except (AttributeError, ValueError):
        allowed = ", ".join(TargetState)
        raise RestError(
            400, f'"initial_state" is {initial_state!r} but must be one of {allowed}'
        ) from None

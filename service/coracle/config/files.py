"""Connector definitions in files: what ``coracle run`` and ``coracle validate`` are given.

All forms that people already have are read, by content rather than by a version or a flag:

- ``.json``: the body of ``POST /connectors`` (``{"name": …, "config": {…}}``), a bare configuration
  (the name inside, or else the file's), or a list of either;
- ``.properties``: as for ``connect-standalone``;
- ``.yaml``, ``.yml``: ``KafkaConnector`` manifests of Strimzi or of Coracle, one or many per file,
next
  to other resources, which are skipped; a bare configuration is fine too.

Numbers keep the text they are written with, as in Kafka Connect, so 1.10 stays ``1.10``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from coracle.api import ConfigError, ConfigErrors
from coracle.config import properties
from coracle.config.connector import texts

logger = logging.getLogger(__name__)

_STATES = ("RUNNING", "PAUSED", "STOPPED")
_API_GROUPS = ("kafka.strimzi.io/", "coracle.dev/")
_SET_BY_SPEC = {
    "name": "metadata.name",
    "connector.class": "spec.class",
    "tasks.max": "spec.tasksMax",
    "connector.plugin.version": "spec.version",
}


@dataclass(frozen=True)
class ConnectorDefinition:
    """A connector that somebody wants.

    Attributes:
        name: its name.
        config: its settings, ``name`` among them, references unresolved.
        initial_state: ``RUNNING``, ``PAUSED`` or ``STOPPED``.
    """

    name: str
    config: dict[str, str] = field(repr=False)
    initial_state: str = "RUNNING"


def load(path: Path) -> list[ConnectorDefinition]:
    """The connectors that a file defines, in order.

    Raises:
        ConfigError: naming the file, the line where one is known, and what to do.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ConfigError(
            f"{path}: no connector configuration by its name.",
            fix="Call it something.json, something.properties or something.yaml.",
        )
    definitions: list[ConnectorDefinition] = []
    for where, document in read(path):
        try:
            definitions += _definitions(document, path.stem, where)
        except ConfigErrors as error:
            raise ConfigErrors([_located(where, each) for each in error.errors]) from None
        except ConfigError as error:
            raise _located(where, error) from None
    if not definitions:
        raise ConfigError(f"{path}: the file defines no connector.", code="missing")
    return definitions


def _located(where: str, error: ConfigError) -> ConfigError:
    return ConfigError(
        f"{where}: {error.message}", field=error.field, code=error.code, fix=error.fix
    )


def _read_json(path: Path) -> Iterator[tuple[str, Any]]:
    text = properties.decode(properties.read_bytes(path))
    try:
        yield str(path), json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}.",
            fix="A comma, quote or bracket before this place is missing or too many.",
        ) from None


def _read_properties(path: Path) -> Iterator[tuple[str, Any]]:
    yield str(path), properties.read(path)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it, except that numbers keep their text."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] not in ("int", "float", "timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_yaml(path: Path) -> Iterator[tuple[str, Any]]:
    loader = _Loader(properties.decode(properties.read_bytes(path)))
    try:
        while loader.check_node():
            node = cast("yaml.Node", loader.get_node())
            line = node.start_mark.line + 1
            document = loader.construct_document(node)
            if document is not None:
                yield f"{path}, line {line}", document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: this is not YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: this is not YAML: {error}.") from None
    finally:
        loader.dispose()


_READERS = {
    ".json": _read_json,
    ".properties": _read_properties,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}


def _definitions(document: Any, default_name: str, where: str) -> Iterator[ConnectorDefinition]:
    """The connectors in one document, whatever its form."""
    if isinstance(document, list):
        for number, item in enumerate(document, 1):
            yield from _definitions(item, f"{default_name}-{number}", where)
    elif not isinstance(document, dict):
        raise ConfigError(
            "this is no connector configuration.",
            fix='Write an object such as {"name": "…", "config": {"connector.class": "…"}}.',
        )
    elif isinstance(document.get("kind"), str) and "apiVersion" in document:
        yield from _from_resource(document, default_name, where)
    elif "config" in document and "connector.class" not in document:
        yield _from_post(document, default_name)
    else:
        name = document.get("name") or default_name
        yield _definition(name, document)


def _from_post(body: Mapping[str, Any], default_name: str) -> ConnectorDefinition:
    if strange := sorted(set(body) - {"name", "config", "initial_state"}):
        raise ConfigError(
            f"unexpected field {strange[0]!r} beside name, config and initial_state.",
            fix="Settings of the connector belong into config.",
        )
    config = _mapping(body, "config")
    name = body.get("name") or config.get("name") or default_name
    if config.get("name", name) != name:
        raise ConfigError(
            f"the connector is called {name!r} outside its config and {config['name']!r} inside.",
            field="name",
            code="conflict",
            fix="Leave the name inside out.",
        )
    return _definition(name, config, body.get("initial_state", "RUNNING"))


def _from_resource(
    resource: Mapping[str, Any], default_name: str, where: str
) -> Iterator[ConnectorDefinition]:
    """The connectors in a Kubernetes resource: a KafkaConnector, or a List that holds some."""
    if resource["kind"] == "List":
        yield from _definitions(resource.get("items") or [], default_name, where)
    elif resource["kind"] == "KafkaConnector" and str(resource["apiVersion"]).startswith(
        _API_GROUPS
    ):
        yield _from_manifest(resource, where)
    else:
        logger.warning("%s: a %s is no connector and is skipped", where, resource["kind"])


def _from_manifest(resource: Mapping[str, Any], where: str) -> ConnectorDefinition:
    spec = _mapping(resource, "spec")
    name = spec.get("name") or _mapping(resource, "metadata").get("name")
    if not name:
        raise ConfigError(
            "the KafkaConnector has no name.", code="missing", fix="Set metadata.name."
        )
    if not spec.get("class"):
        raise ConfigError(
            f"the KafkaConnector {name} has no spec.class.",
            field="connector.class",
            code="missing",
            fix="Set spec.class to the class of the connector.",
        )
    config = {"name": name, "connector.class": spec["class"]}
    if spec.get("tasksMax") is not None:
        config["tasks.max"] = spec["tasksMax"]
    if spec.get("version"):
        config["connector.plugin.version"] = spec["version"]
    for key, value in _mapping(spec, "config").items():
        if key in _SET_BY_SPEC:
            logger.warning(
                "%s: spec.config.%s is ignored, %s says it", where, key, _SET_BY_SPEC[key]
            )
        else:
            config[key] = value
    state = spec.get("state") or ("paused" if spec.get("pause") is True else "running")
    return _definition(name, config, state)


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a mapping of keys to values.", field=key)
    return value


def _definition(
    name: Any, config: Mapping[str, Any], state: Any = "RUNNING"
) -> ConnectorDefinition:
    if str(state).upper() not in _STATES:
        raise ConfigError(
            f"Invalid value {state} for the initial state: must be one of {', '.join(_STATES)}.",
            field="initial_state",
        )
    settings = texts({"name": name, **config})
    settings["name"] = settings["name"].strip()
    return ConnectorDefinition(settings["name"], settings, str(state).upper())

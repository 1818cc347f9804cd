"""A connector's configuration: from the settings people write to what the runtime needs.

``prepare`` resolves references and reads the settings; ``validation.validate`` reads the same way
with references left open. The keys, their groups and order, and the words of errors are those of
Kafka Connect 4.3's ``ConnectorConfig``, ``SourceConnectorConfig`` and ``SinkConnectorConfig``:
https://kafka.apache.org/documentation/#sourceconnectconfigs
https://kafka.apache.org/documentation/#sinkconnectconfigs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coracle.api import ConfigError, ConfigErrors
from coracle.api.config import to_text
from coracle.config import providers
from coracle.config.connector_keys import COMMON, SINK, SOURCE
from coracle.config.prepared import ConnectorConfig, PluginConfig, TransformConfig
from coracle.config.reading import Reading
from coracle.config.topic_creation import TopicCreationGroup
from coracle.config.worker import WorkerConfig

__all__ = [
    "COMMON",
    "SINK",
    "SOURCE",
    "ConnectorConfig",
    "PluginConfig",
    "TopicCreationGroup",
    "TransformConfig",
    "prepare",
    "texts",
]


def prepare(props: Mapping[str, Any], worker: WorkerConfig) -> ConnectorConfig:
    """Resolve and parse a connector's settings.

    Args:
        props: settings as written; JSON scalars are taken as their text.
        worker: whose defaults and config providers apply.

    Raises:
        ConfigErrors: with everything that is wrong. No message quotes a secret.
    """
    raw = texts(props)
    resolved = providers.resolve(raw, worker.providers)
    reading = Reading(resolved.values, worker)
    if reading.errors:
        raise ConfigErrors(resolved.redact(reading.errors))
    return reading.connector_config(raw)


def texts(props: Mapping[str, Any]) -> dict[str, str]:
    """Settings as Kafka Connect stores them: all values strings.

    Raises:
        ConfigErrors: for every value that is null, a list or an object.
    """
    errors = [
        ConfigError(
            f"Invalid value for configuration {name}: "
            + (
                "Null value can not be supplied as the configuration value."
                if value is None
                else "must be a string, a number, true or false."
            ),
            field=name,
            fix="Leave the key out." if value is None else "Write it as one string.",
        )
        for name, value in props.items()
        if not isinstance(value, str | int | float)
    ]
    if errors:
        raise ConfigErrors(errors)
    return {to_text(name): to_text(value) for name, value in props.items()}

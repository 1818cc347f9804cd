"""What a connector's configuration comes to: the types handed to the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from coracle.api import Config, Connector
from coracle.config.topic_creation import TopicCreationGroup


@dataclass(frozen=True)
class PluginConfig:
    """A plugin to construct and the settings to hand it.

    Attributes:
        name: its whole class name, for messages and metrics.
        cls: the class.
        config: its parsed settings, without prefix.
    """

    name: str
    cls: type[Any]
    config: Config = field(repr=False)


@dataclass(frozen=True)
class TransformConfig:
    """One link of the chain of transforms.

    Attributes:
        alias: its name in ``transforms``.
        plugin: the transform.
        predicate: what chooses the records it applies to; ``None`` for all.
        negate: whether it applies to the other records instead.
    """

    alias: str
    plugin: PluginConfig
    predicate: PluginConfig | None = None
    negate: bool = False


@dataclass(frozen=True)
class ConnectorConfig:
    """Everything the runtime needs to know about a connector.

    Attributes:
        name: the connector's name.
        kind: whether it reads into Kafka or writes from it.
        raw: the settings as given, references unresolved; this is what may be shown.
        class_name: the whole name of its class.
        connector_class: its class.
        config: parsed settings of the framework and of the connector; ``originals`` are resolved.
        tasks_max: the most tasks to run.
        key_converter, value_converter, header_converter: the connector's, or else the worker's. A
            header converter may be a ``Converter``.
        transforms: the chain in order.
        producer, consumer, admin: settings of its Kafka clients: brokers, security, the worker's
            for that role, the connector's overrides.
        topic_creation: rules for new topics, ``default`` last; empty leaves them to the broker.
        warnings: what is odd about the settings, one sentence each.
    """

    name: str
    kind: Literal["source", "sink"]
    raw: Mapping[str, str] = field(repr=False)
    class_name: str
    connector_class: type[Connector]
    config: Config = field(repr=False)
    tasks_max: int
    key_converter: PluginConfig
    value_converter: PluginConfig
    header_converter: PluginConfig
    transforms: list[TransformConfig]
    producer: dict[str, str] = field(repr=False)
    consumer: dict[str, str] = field(repr=False)
    admin: dict[str, str] = field(repr=False)
    topic_creation: list[TopicCreationGroup]
    warnings: list[str]

    @property
    def topics(self) -> list[str]:
        """The topics a sink names; empty when it has a pattern, or is a source."""
        return self.config.get("topics", [])

    @property
    def topics_regex(self) -> str:
        """The pattern of a sink's topics; empty when it names them, or is a source."""
        return self.config.get("topics.regex", "")

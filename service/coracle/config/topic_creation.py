"""Topics that a source connector's records make necessary: ``topic.creation.*``.

A connector that sets any of these keys gets its topics created by the worker, by rules in groups:
the first group of ``topic.creation.groups`` whose patterns match a topic decides, the group
``default`` matches everything else. Whatever a group sets beyond the four keys below is a
configuration of the topic.
https://cwiki.apache.org/confluence/display/KAFKA/KIP-158
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from coracle.api import REQUIRED, Config, ConfigKey, ConfigSpec, ConfigType, Importance, Width
from coracle.config.worker import PositiveOrDefault
from coracle.java.regex import JavaRegex, compile_regex

PREFIX = "topic.creation."
DEFAULT_GROUP = "default"
FIXED = ("topic.creation.default.include", "topic.creation.default.exclude")
"""Keys that Kafka Connect declares but never reads."""


@dataclass(frozen=True)
class TopicCreationGroup:
    """One rule for new topics.

    Attributes:
        name: the group's alias, or ``default``.
        include: regular expressions; a topic must wholly match one of them,
        exclude: and none of these.
        replication_factor: replicas of a partition, -1 for the broker's default.
        partitions: number of partitions, -1 for the broker's default.
        configs: further configuration of the topic, such as ``cleanup.policy``.
    """

    name: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    replication_factor: int
    partitions: int
    configs: Mapping[str, str]

    def matches(self, topic: str) -> bool:
        """Whether the rule is for this topic."""
        return bool(self._include.fullmatch(topic)) and not self._exclude.fullmatch(topic)

    @cached_property
    def _include(self) -> re.Pattern[str]:
        return _any_of(self.include)

    @cached_property
    def _exclude(self) -> re.Pattern[str]:
        return _any_of(self.exclude)


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # No pattern at all matches no topic, whose name is never empty.
    return compile_regex("|".join(f"(?:{pattern})" for pattern in patterns))


@dataclass(frozen=True)
class _Patterns:
    """A list of regular expressions."""

    def __call__(self, name: str, value: list[str]) -> None:
        for pattern in value:
            JavaRegex()(name, pattern)

    def __str__(self) -> str:
        return "Java regular expressions"


_KEYS = (
    ConfigKey(
        "include",
        ConfigType.LIST,
        [],
        "Regular expressions for the names of the topics the group applies to.",
        validator=_Patterns(),
        display_name="Inclusion Topic Pattern for {group}",
    ),
    ConfigKey(
        "exclude",
        ConfigType.LIST,
        [],
        "Regular expressions for the names of topics the group does not apply to after all.",
        validator=_Patterns(),
        display_name="Exclusion Topic Pattern for {group}",
    ),
    ConfigKey(
        "replication.factor",
        ConfigType.SHORT,
        doc="Replicas of new topics; -1 for the broker's default.",
        validator=PositiveOrDefault(),
        display_name="Replication Factor for Topics in {group}",
    ),
    ConfigKey(
        "partitions",
        ConfigType.INT,
        doc="Partitions of new topics; -1 for the broker's default.",
        validator=PositiveOrDefault(),
        display_name="Partition Count for Topics in {group}",
    ),
)


def group_spec(name: str, default: Config | None = None) -> ConfigSpec:
    """The keys of one group.

    Args:
        name: the group's alias, or ``default``.
        default: the parsed default group, whose numbers the other groups inherit; ``None`` for the
            default group itself, which has to set them.
    """
    inherited = (
        {"include": [".*"], "exclude": []}
        if default is None
        else {
            "include": [],
            "exclude": [],
            "replication.factor": default["replication.factor"],
            "partitions": default["partitions"],
        }
    )
    return ConfigSpec(
        [
            replace(
                key,
                default=inherited.get(key.name, REQUIRED),
                importance=Importance.LOW,
                width=Width.LONG,
                display_name=key.display_name.format(group=name),
            )
            for key in _KEYS
        ]
    )


def group(name: str, config: Config) -> TopicCreationGroup:
    """The rule that a group's parsed settings make."""
    is_default = name == DEFAULT_GROUP
    return TopicCreationGroup(
        name,
        (".*",) if is_default else tuple(config["include"]),
        () if is_default else tuple(config["exclude"]),
        config["replication.factor"],
        config["partitions"],
        {key: value for key, value in config.originals.items() if key not in config},
    )

"""The keys that every connector has, as Kafka Connect 4.3 declares them.

Groups, order, importance and width are those of ``ConnectorConfig``, ``SourceConnectorConfig`` and
``SinkConnectorConfig``, so that forms built on the REST API look as they did; the two orders that
Kafka itself gives twice are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coracle.api import (
    REQUIRED,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    NonEmpty,
    OneOf,
    Range,
    Width,
)
from coracle.api.config import Validator
from coracle.java.regex import JavaRegex, compile_regex

_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW
_BOOLEAN, _STRING, _CLASS = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.CLASS
_INT, _SHORT, _LONG, _LIST = ConfigType.INT, ConfigType.SHORT, ConfigType.LONG, ConfigType.LIST

COMMON_GROUP = "Common"
TRANSFORMS_GROUP = "Transforms"
PREDICATES_GROUP = "Predicates"
ERROR_GROUP = "Error Handling"
TOPIC_CREATION_GROUP = "Topic Creation"
EXACTLY_ONCE_GROUP = "Exactly Once Support"
OFFSETS_GROUP = "offsets.topic"


@dataclass(frozen=True)
class _Name:
    """A connector's name."""

    def __call__(self, name: str, value: str) -> None:
        if not value or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
            raise ConfigError(
                f"Invalid value {value!r} for configuration {name}: must be {self}.", field=name
            )

    def __str__(self) -> str:
        return "a non-empty string without ISO control characters"


@dataclass(frozen=True)
class UniqueAliases:
    """A list of names none of which is empty or given twice."""

    kind: str

    def __call__(self, name: str, value: Sequence[str]) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        shown = f"Invalid value [{', '.join(value)}] for configuration {name}: "
        if len(set(value)) < len(value):
            raise ConfigError(shown + "Duplicate alias provided.", field=name)
        if "" in value:
            raise ConfigError(shown + "an alias must not be empty.", field=name)

    def __str__(self) -> str:
        return f"unique {self.kind} aliases"


@dataclass(frozen=True)
class _Topics:
    """A list of topics none of which is empty or given twice."""

    def __call__(self, name: str, value: Sequence[str]) -> None:
        for wrong, what in ((len(set(value)) < len(value), "duplicated"), ("" in value, "empty")):
            if wrong:
                raise ConfigError(f"Configuration '{name}' values must not be {what}.", field=name)

    def __str__(self) -> str:
        return "a list of distinct topics"


def _keys(*keys: ConfigKey) -> ConfigSpec:
    return ConfigSpec(keys)


def _key(
    name: str,
    type_: ConfigType,
    default: Any,
    doc: str,
    place: tuple[str, int, Width, str],
    importance: Importance,
    validator: Validator | None = None,
    deprecated: str = "",
) -> ConfigKey:
    group, order, width, display_name = place
    return ConfigKey(
        name,
        type_,
        default,
        doc,
        importance,
        validator,
        group=group,
        order=order,
        width=width,
        display_name=display_name,
        deprecated=deprecated,
    )


def _plugin_version(name: str, order: int, what: str) -> ConfigKey:
    return _key(
        name,
        _STRING,
        None,
        f"Version of the {what} to use. One version of each is installed, so this has no effect.",
        (
            COMMON_GROUP,
            order,
            Width.MEDIUM if what == "connector" else Width.SHORT,
            f"{what.capitalize()} version",
        ),
        _MEDIUM if what == "connector" else _LOW,
    )


COMMON = _keys(
    _key(
        "name",
        _STRING,
        REQUIRED,
        "Name of the connector, unique among all.",
        (COMMON_GROUP, 1, Width.MEDIUM, "Connector name"),
        _HIGH,
        _Name(),
    ),
    _key(
        "connector.class",
        _STRING,
        REQUIRED,
        "Class of the connector: its whole name, or the simple one if only one has it, where the "
        "ending Connector may be left out.",
        (COMMON_GROUP, 2, Width.LONG, "Connector class"),
        _HIGH,
    ),
    _plugin_version("connector.plugin.version", 3, "connector"),
    _key(
        "tasks.max",
        _INT,
        1,
        "The most tasks to share the connector's work out to.",
        (COMMON_GROUP, 4, Width.SHORT, "Tasks max"),
        _HIGH,
        Range(1),
    ),
    _key(
        "tasks.max.enforce",
        _BOOLEAN,
        True,
        "Whether a connector that makes more tasks than tasks.max fails.",
        (COMMON_GROUP, 5, Width.SHORT, "Enforce tasks max"),
        _LOW,
        deprecated="it is deprecated in Kafka and will go away",
    ),
    _key(
        "key.converter",
        _CLASS,
        None,
        "Converter between record keys and their bytes in Kafka; the worker's when unset.",
        (COMMON_GROUP, 6, Width.SHORT, "Key converter class"),
        _LOW,
    ),
    _plugin_version("key.converter.plugin.version", 7, "key converter"),
    _key(
        "value.converter",
        _CLASS,
        None,
        "Converter between record values and their bytes in Kafka; the worker's when unset.",
        (COMMON_GROUP, 8, Width.SHORT, "Value converter class"),
        _LOW,
    ),
    _plugin_version("value.converter.plugin.version", 9, "value converter"),
    _key(
        "header.converter",
        _CLASS,
        None,
        "Converter between record headers and their bytes in Kafka; the worker's when unset.",
        (COMMON_GROUP, 10, Width.SHORT, "Header converter class"),
        _LOW,
    ),
    _plugin_version("header.converter.plugin.version", 11, "header converter"),
    _key(
        "transforms",
        _LIST,
        [],
        "Aliases of the transforms to apply to every record, in order.",
        (TRANSFORMS_GROUP, 12, Width.LONG, "Transforms"),
        _LOW,
        UniqueAliases("transformation"),
    ),
    _key(
        "predicates",
        _LIST,
        [],
        "Aliases of the predicates that transforms refer to.",
        (PREDICATES_GROUP, 13, Width.LONG, "Predicates"),
        _LOW,
        UniqueAliases("predicate"),
    ),
    _key(
        "config.action.reload",
        _STRING,
        "restart",
        "What to do when a config provider reports a new value: restart the connector, or nothing.",
        (COMMON_GROUP, 14, Width.MEDIUM, "Reload Action"),
        _LOW,
        OneOf(("none", "restart")),
    ),
    _key(
        "errors.retry.timeout",
        _LONG,
        0,
        "For how long a failed operation is tried again, in milliseconds; 0 never, -1 for ever.",
        (ERROR_GROUP, 1, Width.MEDIUM, "Retry Timeout for Errors"),
        _MEDIUM,
    ),
    _key(
        "errors.retry.delay.max.ms",
        _LONG,
        60000,
        "The longest wait between two attempts, in milliseconds.",
        (ERROR_GROUP, 2, Width.MEDIUM, "Maximum Delay Between Retries for Errors"),
        _MEDIUM,
    ),
    _key(
        "errors.tolerance",
        _STRING,
        "none",
        "Whether a record that cannot be processed fails its task (none) or is skipped (all).",
        (ERROR_GROUP, 3, Width.SHORT, "Error Tolerance"),
        _MEDIUM,
        OneOf(("none", "all")),
    ),
    _key(
        "errors.log.enable",
        _BOOLEAN,
        False,
        "Whether tolerated errors are logged as well.",
        (ERROR_GROUP, 4, Width.SHORT, "Log Errors"),
        _MEDIUM,
    ),
    _key(
        "errors.log.include.messages",
        _BOOLEAN,
        False,
        "Whether the log shows the record that failed.",
        (ERROR_GROUP, 5, Width.SHORT, "Log Error Details"),
        _MEDIUM,
    ),
)
"""Keys of all connectors."""


SOURCE = _keys(
    _key(
        "topic.creation.groups",
        _LIST,
        [],
        "Aliases of the groups of rules for new topics, in order.",
        (TOPIC_CREATION_GROUP, 1, Width.LONG, "Topic Creation Groups"),
        _LOW,
        UniqueAliases("topic creation group"),
    ),
    _key(
        "exactly.once.support",
        _STRING,
        "requested",
        "Whether exactly-once delivery is a condition for starting, or welcome.",
        (EXACTLY_ONCE_GROUP, 2, Width.SHORT, "Exactly once support"),
        _MEDIUM,
        OneOf(("requested", "required"), ignore_case=True),
    ),
    _key(
        "transaction.boundary",
        _STRING,
        "poll",
        "Where transactions end: with every poll, after an interval, or where the connector says.",
        (EXACTLY_ONCE_GROUP, 3, Width.SHORT, "Transaction Boundary"),
        _MEDIUM,
        OneOf(("poll", "interval", "connector"), ignore_case=True),
    ),
    _key(
        "transaction.boundary.interval.ms",
        _LONG,
        None,
        "Milliseconds between commits for the boundary interval; the worker's "
        "offset.flush.interval.ms when unset.",
        (EXACTLY_ONCE_GROUP, 4, Width.SHORT, "Transaction boundary interval"),
        _LOW,
        Range(0),
    ),
    _key(
        "offsets.storage.topic",
        _STRING,
        None,
        "A topic of this connector's own for its offsets; the worker's when unset.",
        (OFFSETS_GROUP, 1, Width.LONG, "Offsets topic"),
        _LOW,
        NonEmpty(),
    ),
)
"""Further keys of source connectors."""


def _one_way_to_name_topics(values: Mapping[str, Any]) -> list[ConfigError]:
    named, pattern = bool(values["topics"]), bool(values["topics.regex"])
    if named and pattern:
        message = "topics and topics.regex are mutually exclusive options, but both are set."
        code = "conflict"
    elif not named and not pattern:
        message = "Must configure one of topics or topics.regex"
        code = "missing"
    else:
        return []
    return [ConfigError(message, field=key, code=code) for key in ("topics", "topics.regex")]


def _dead_letters_would_be_lost(values: Mapping[str, Any]) -> list[ConfigError]:
    # Skipping what somebody wants kept would be losing it.
    if values["errors.tolerance"] != "all" or not values["errors.deadletterqueue.topic.name"]:
        return []
    return [
        ConfigError(
            "Dead letter queues are not available yet: records that fail would be skipped and "
            "not be found in the topic.",
            field="errors.deadletterqueue.topic.name",
            fix="Set errors.tolerance=none to stop at them, or remove the topic to skip them.",
        )
    ]


def _dead_letters_are_not_read(values: Mapping[str, Any]) -> list[ConfigError]:
    dead_letters = values["errors.deadletterqueue.topic.name"]
    if not dead_letters:
        return []
    if dead_letters in values["topics"]:
        field = "topics"
        message = (
            f"The DLQ topic '{dead_letters}' may not be included in the list of topics "
            f"('topics=[{', '.join(values['topics'])}]') consumed by the connector"
        )
    elif (pattern := values["topics.regex"]) and compile_regex(pattern).fullmatch(dead_letters):
        field = "topics.regex"
        message = (
            f"The DLQ topic '{dead_letters}' may not be matched by the regex for the topics "
            f"('topics.regex={pattern}') consumed by the connector"
        )
    else:
        return []
    return [ConfigError(message, field=field, code="conflict")]


SINK = ConfigSpec(
    [
        _key(
            "topics",
            _LIST,
            [],
            "Topics to read, separated by commas.",
            (COMMON_GROUP, 4, Width.LONG, "Topics"),
            _HIGH,
            _Topics(),
        ),
        _key(
            "topics.regex",
            _STRING,
            "",
            "Regular expression that the whole name of a topic must match to be read.",
            (COMMON_GROUP, 4, Width.LONG, "Topics regex"),
            _HIGH,
            JavaRegex(),
        ),
        _key(
            "errors.deadletterqueue.topic.name",
            _STRING,
            "",
            "Topic that receives the records which cannot be processed; none when empty.",
            (ERROR_GROUP, 6, Width.MEDIUM, "Dead Letter Queue Topic Name"),
            _MEDIUM,
        ),
        _key(
            "errors.deadletterqueue.topic.replication.factor",
            _SHORT,
            3,
            "Replicas of that topic when it is created.",
            (ERROR_GROUP, 7, Width.MEDIUM, "Dead Letter Queue Topic Replication Factor"),
            _MEDIUM,
        ),
        _key(
            "errors.deadletterqueue.context.headers.enable",
            _BOOLEAN,
            False,
            "Whether dead letters carry headers that say what went wrong where.",
            (ERROR_GROUP, 8, Width.MEDIUM, "Enable Error Context Headers"),
            _MEDIUM,
        ),
    ],
    checks=(
        _one_way_to_name_topics,
        _dead_letters_are_not_read,
        _dead_letters_would_be_lost,
    ),
)
"""Further keys of sink connectors."""


def alias_spec(what: str, alias: str) -> ConfigSpec:
    """The keys that every transform or predicate has below ``transforms.<alias>.``.

    Args:
        what: ``Transformation`` or ``Predicate``.
        alias: the alias, for the texts.
    """
    keys = [
        ConfigKey(
            "type",
            _CLASS,
            doc=f"Class of the {what.lower()} {alias}.",
            importance=_HIGH,
            width=Width.LONG,
            display_name=f"{what} type for {alias}",
        ),
        ConfigKey(
            "plugin.version",
            _STRING,
            None,
            f"Version of the {what.lower()} {alias}. One version of each is installed, so this "
            "has no effect.",
        ),
    ]
    if what == "Transformation":
        keys += [
            ConfigKey(
                "predicate",
                _STRING,
                "",
                "Alias of the predicate that chooses the records it applies to; empty for all.",
            ),
            ConfigKey(
                "negate",
                _BOOLEAN,
                False,
                "Whether it applies to the records that the predicate does not choose.",
            ),
        ]
    return ConfigSpec(keys)

"""Checking a connector's configuration without running or reaching anything.

One function serves ``coracle validate``, the REST API's validate and the admission webhook. It is
offline: references are not looked up, so a setting that holds one is unknown, not wrong, and its
placeholder is all that is ever shown of it. Secrets show as ``[hidden]``.
https://kafka.apache.org/43/javadoc/org/apache/kafka/common/config/ConfigValue.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coracle.api import ConfigError, ConfigErrors, ConfigKey, ConfigType
from coracle.api.config import to_text
from coracle.config import plugins, providers
from coracle.config.connector import texts
from coracle.config.plugins import PluginKind
from coracle.config.reading import Part, Reading, literal_references
from coracle.config.worker import WorkerConfig


@dataclass(frozen=True)
class ConfigValue:
    """One key and what is set.

    Attributes:
        name: the whole key.
        key: its declaration under that name, with group and order filled in; ``None`` for a setting
            that is wrong although no plugin declares it, such as a forbidden client override.
        value: the text of the value or default, ``None`` when there is neither.
        recommended: values to offer.
        errors: what is wrong, as text.
        visible: whether a form should show the key.
    """

    name: str
    key: ConfigKey | None
    value: str | None
    recommended: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    visible: bool = True


@dataclass(frozen=True)
class Validation:
    """The outcome of a check.

    Attributes:
        errors: everything that keeps the connector from running.
        warnings: what is merely odd, one sentence each.
        groups: the groups of keys in the order of Kafka Connect's forms.
        configs: all keys that apply, in order.
    """

    errors: list[ConfigError]
    warnings: list[str]
    groups: list[str]
    configs: list[ConfigValue]


def validate(props: Mapping[str, Any], worker: WorkerConfig) -> Validation:
    """Check a configuration as far as that is possible offline.

    Args:
        props: settings as written; JSON scalars are taken as their text.
        worker: whose defaults, policies and config providers apply.
    """
    try:
        values = texts(props)
    except ConfigErrors as error:
        return Validation(list(error.errors), [], [], [])
    unknown = providers.referenced(values, worker.providers.keys())
    reading = Reading(values, worker, unknown)
    wrong = [*providers.check(values, worker.providers), *reading.errors]
    messages: dict[str, list[str]] = {}
    for error in wrong:
        messages.setdefault(error.field, []).append(str(error))
    configs = [
        value for part in reading.parts for value in _values_of(part, values, unknown, messages)
    ]
    declared = {value.name for value in configs}
    configs += [
        ConfigValue(name, None, values.get(name), errors=errors)
        for name, errors in messages.items()
        if name and name not in declared
    ]
    groups = [value.key.group for value in configs if value.key and value.key.group]
    warnings = [*reading.warnings, *literal_references(values, worker)]
    return Validation(wrong, warnings, list(dict.fromkeys(groups)), configs)


def _values_of(
    part: Part,
    values: Mapping[str, str],
    unknown: frozenset[str],
    messages: Mapping[str, list[str]],
) -> Iterator[ConfigValue]:
    """The keys of one part with what is set for each."""
    shown_keys = (key for key in part.spec.keys if not key.internal)
    for position, key in enumerate(shown_keys):
        name = part.prefix + key.name
        given = next(
            (full for alias in (key.name, *key.aliases) if (full := part.prefix + alias) in values),
            None,
        )
        placed = replace(key, name=name)
        if part.group:
            placed = replace(placed, group=part.group, order=position)
        errors = messages.get(name, []) + (
            messages.get(given, []) if given not in (None, name) else []
        )
        yield ConfigValue(
            name,
            placed,
            _shown(key, part.config.get(key.name), values, given, unknown, wrong=bool(errors)),
            _recommended(key, name, part.config),
            errors,
            key.visible(part.config) if key.visible else True,
        )


def _shown(
    key: ConfigKey,
    parsed: Any,
    values: Mapping[str, str],
    given: str | None,
    unknown: frozenset[str],
    *,
    wrong: bool,
) -> str | None:
    if given in unknown:
        return values[given]
    if key.type is ConfigType.PASSWORD and (given or parsed is not None):
        return "[hidden]"
    if given and wrong:
        return values[given]
    if parsed is None:
        return None
    return ",".join(parsed) if isinstance(parsed, list | tuple) else to_text(parsed)


_CLASS_KINDS = {
    "connector.class": PluginKind.CONNECTOR,
    "key.converter": PluginKind.CONVERTER,
    "value.converter": PluginKind.CONVERTER,
    "header.converter": PluginKind.HEADER_CONVERTER,
}


def _recommended(key: ConfigKey, name: str, parsed: Mapping[str, Any]) -> list[str]:
    if key.recommender:
        return [to_text(value) for value in key.recommender(name, parsed)]
    if key.type is not ConfigType.CLASS:
        return []
    if name.startswith("transforms."):
        return plugins.names(PluginKind.TRANSFORM)
    if name.startswith("predicates."):
        return plugins.names(PluginKind.PREDICATE)
    return plugins.names(_CLASS_KINDS[name]) if name in _CLASS_KINDS else []

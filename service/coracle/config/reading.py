"""One pass over a connector's settings that finds everything that is wrong or odd about them.

The same pass serves running, with all references resolved, and checking, with references left open:
what depends on an open value is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from coracle.api import (
    Config,
    ConfigError,
    ConfigErrors,
    ConfigSpec,
    ConfigType,
    SinkConnector,
)
from coracle.api.config import parse_type
from coracle.config import client_overrides, plugins, providers, topic_creation
from coracle.config.connector_keys import COMMON, SINK, SOURCE, alias_spec
from coracle.config.plugins import PluginKind
from coracle.config.prepared import ConnectorConfig, PluginConfig, TransformConfig
from coracle.config.topic_creation import TopicCreationGroup
from coracle.config.worker import WorkerConfig, did_you_mean, ignored_internal_converter

# What stands below these prefixes depends on a list of aliases.
_ALIAS_LISTS = {
    "transforms": "transforms.",
    "predicates": "predicates.",
    "topic.creation.groups": topic_creation.PREFIX,
}


@dataclass(frozen=True)
class Part:
    """Some keys that apply to a configuration, and what they parsed to.

    Attributes:
        spec: the keys.
        prefix: what their names start with here.
        group: the form group of all of them; ``None`` leaves each its own.
        config: the parsed values.
    """

    spec: ConfigSpec
    prefix: str
    group: str | None
    config: Config


class Reading:
    """One pass over a connector's settings.

    Attributes:
        parts: the keys that apply, in the order of Kafka Connect's forms.
        errors, warnings: what was found.
    """

    def __init__(
        self,
        values: Mapping[str, str],
        worker: WorkerConfig,
        unknown: AbstractSet[str] = frozenset(),
    ) -> None:
        """Read.

        Args:
            values: the settings.
            worker: whose defaults apply.
            unknown: the keys in ``values`` whose value is a reference left open: nothing about them
                is wrong, and what depends on them is not judged.
        """
        self._values = values
        self._worker = worker
        self._unknown = unknown
        self.parts: list[Part] = []
        self.errors: list[ConfigError] = []
        self.warnings: list[str] = []

        self._connector = self._load(PluginKind.CONNECTOR, "connector.class")
        cls = self._connector[1] if self._connector else None
        self._kind: Literal["source", "sink"] = (
            "sink" if cls and issubclass(cls, SinkConnector) else "source"
        )
        framework = COMMON
        if cls:
            framework += SINK if self._kind == "sink" else SOURCE
        spec = framework + (cls.spec if cls else ConfigSpec([]))
        self._config = self._collect(spec)
        self._add_part(framework, self._config)
        self._transforms = self._read_transforms()
        reads_into_kafka = cls is not None and self._kind == "source"
        self._topic_creation = self._read_topic_creation() if reads_into_kafka else []
        own = [key for key in spec.keys if framework.get(key.name) is None]
        self._add_part(ConfigSpec(own, spec.prefixes), self._config)
        self._key_converter = self._read_converter("key.converter", PluginKind.CONVERTER)
        self._value_converter = self._read_converter("value.converter", PluginKind.CONVERTER)
        self._header_converter = self._read_converter(
            "header.converter", PluginKind.HEADER_CONVERTER
        )
        self.errors += client_overrides.check(
            values, worker.config, self._config["name"], self._kind
        )
        self._check_exactly_once()
        if cls:
            self.warnings += self._oddities()
        elif "connector.class" in unknown:
            self.warnings.append(
                "connector.class is a reference: the connector's own keys are not checked here"
            )

    def connector_config(self, raw: Mapping[str, str]) -> ConnectorConfig:
        """What was read.

        Args:
            raw: the settings before references were resolved.

        Raises:
            ConfigErrors: when something is wrong.
        """
        if self.errors:
            raise ConfigErrors(self.errors)
        if not (
            self._connector
            and self._key_converter
            and self._value_converter
            and self._header_converter
        ):
            raise ValueError("a configuration with open references is not for running")
        class_name, connector_class = self._connector
        return ConnectorConfig(
            name=self._config["name"],
            kind=self._kind,
            raw=dict(raw),
            class_name=class_name,
            connector_class=connector_class,
            config=self._config,
            tasks_max=self._config["tasks.max"],
            key_converter=self._key_converter,
            value_converter=self._value_converter,
            header_converter=self._header_converter,
            transforms=self._transforms,
            producer=self._client("producer"),
            consumer=self._client("consumer"),
            admin=self._client("admin"),
            topic_creation=self._topic_creation,
            warnings=[*self.warnings, *literal_references(raw, self._worker)],
        )

    def _client(self, role: client_overrides.Role) -> dict[str, str]:
        return self._worker.client(role) | self._config.with_prefix(f"{role}.override.")

    def _collect(self, spec: ConfigSpec, prefix: str = "") -> Config:
        config, errors = spec.collect(self._values, prefix=prefix, unknown=self._unknown)
        self.errors += errors
        return config

    def _add_part(
        self, spec: ConfigSpec, config: Config, prefix: str = "", group: str | None = None
    ) -> None:
        self.parts.append(Part(spec, prefix, group, config))

    def _load(self, kind: PluginKind, class_key: str) -> tuple[str, type[Any]] | None:
        """The whole name and the class of the plugin that a key names.

        ``None`` when the key is absent (for its own declaration to report), open or wrong.
        """
        if class_key not in self._values or class_key in self._unknown:
            return None
        name = self._values[class_key].strip()
        try:
            return _named(kind, name)
        except ConfigError as error:
            self.errors.append(_wrong_class(kind, class_key, name, error))
            return None

    def _aliases(self, list_key: str) -> list[str]:
        """The aliases in a list, once each; the list's own declaration reports what is wrong."""
        if list_key in self._unknown:
            return []
        listed = parse_type(list_key, self._values.get(list_key, ""), ConfigType.LIST)
        return [alias for alias in dict.fromkeys(listed) if alias]

    def _read_transforms(self) -> list[TransformConfig]:
        transforms = {
            alias: self._read_alias(PluginKind.TRANSFORM, "transforms", alias)
            for alias in self._aliases("transforms")
        }
        predicates = {
            alias: self._read_alias(PluginKind.PREDICATE, "predicates", alias)
            for alias in self._aliases("predicates")
        }
        chain: list[TransformConfig] = []
        for alias, (plugin, settings) in transforms.items():
            prefix = f"transforms.{alias}."
            if f"{prefix}negate" in self._values and f"{prefix}predicate" not in self._values:
                self.errors.append(
                    ConfigError(
                        f"Config '{prefix}negate' was provided but there is no config "
                        f"'{prefix}predicate' defining a predicate to be negated.",
                        field=f"{prefix}type",
                        code="conflict",
                    )
                )
            chosen = settings["predicate"]
            if chosen and chosen not in predicates and "predicates" not in self._unknown:
                aliases = ", ".join(predicates) or "there are none"
                self.errors.append(
                    ConfigError(
                        f"Invalid value {chosen} for configuration {prefix}predicate: must be one "
                        f"of the aliases in predicates ({aliases}).",
                        field=f"{prefix}predicate",
                    )
                )
            if plugin:
                predicate = predicates[chosen][0] if chosen in predicates else None
                chain.append(TransformConfig(alias, plugin, predicate, settings["negate"]))
        return chain

    def _read_alias(
        self, kind: PluginKind, list_key: str, alias: str
    ) -> tuple[PluginConfig | None, Config]:
        """The plugin behind an alias in ``transforms`` or ``predicates``, and its settings."""
        prefix = f"{list_key}.{alias}."
        plugin = self._load(kind, prefix + "type")
        spec = alias_spec("Transformation" if kind is PluginKind.TRANSFORM else "Predicate", alias)
        if plugin:
            spec += plugin[1].spec
        config = self._collect(spec, prefix)
        if not plugin:
            spec = _any_key(spec)
        self._add_part(spec, config, prefix, f"{list_key.capitalize()}: {alias}")
        return (PluginConfig(*plugin, config) if plugin else None), config

    def _read_converter(self, class_key: str, kind: PluginKind) -> PluginConfig | None:
        """The connector's converter, or the worker's with the worker's settings for it."""
        prefix = f"{class_key}."
        if class_key not in self._values:
            return self._worker_converter(class_key, kind)
        plugin = self._load(kind, class_key)
        if not plugin:
            self._add_part(_any_key(ConfigSpec([])), Config({}, {}), prefix)
            return None
        spec = plugin[1].spec
        config = self._collect(spec, prefix)
        self._add_part(spec, config, prefix)
        return PluginConfig(*plugin, config)

    def _worker_converter(self, class_key: str, kind: PluginKind) -> PluginConfig | None:
        name = self._worker.config[class_key]
        try:
            found = _named(kind, name)
            config, errors = found[1].spec.collect(
                self._worker.config.originals, prefix=f"{class_key}."
            )
        except ConfigError as error:
            found, config, errors = None, None, [_wrong_class(kind, class_key, name, error)]
        self.errors += [
            ConfigError(
                f"In the worker's configuration: {error.message}",
                field=error.field,
                code=error.code,
                fix=error.fix,
            )
            for error in errors
        ]
        return None if found is None or config is None else PluginConfig(*found, config)

    def _read_topic_creation(self) -> list[TopicCreationGroup]:
        if not any(name.startswith(topic_creation.PREFIX) for name in self._values):
            return []
        if not self._worker.config["topic.creation.enable"]:
            self.warnings.append(
                "topic.creation. settings have no effect: the worker's topic.creation.enable is "
                "false"
            )
            self._add_part(_any_key(ConfigSpec([])), Config({}, {}), topic_creation.PREFIX)
            return []
        default = self._read_topic_group(topic_creation.DEFAULT_GROUP, None)
        self.warnings += [
            f"{name} has no effect: the default group takes every topic that no other group takes"
            for name in topic_creation.FIXED
            if name in self._values
        ]
        aliases = [
            alias
            for alias in self._aliases("topic.creation.groups")
            if alias != topic_creation.DEFAULT_GROUP
        ]
        groups = {alias: self._read_topic_group(alias, default) for alias in aliases}
        if self.errors:  # the numbers of a group may be missing
            return []
        return [
            topic_creation.group(alias, config)
            for alias, config in (groups | {topic_creation.DEFAULT_GROUP: default}).items()
        ]

    def _read_topic_group(self, alias: str, default: Config | None) -> Config:
        prefix = f"{topic_creation.PREFIX}{alias}."
        spec = topic_creation.group_spec(alias, default)
        config = self._collect(spec, prefix)
        self._add_part(_any_key(spec), config, prefix, f"Topic Creation: {alias}")
        return config

    def _check_exactly_once(self) -> None:
        if (
            self._kind == "source"
            and self._config.get("exactly.once.support", "").lower() == "required"
        ):
            self.errors.append(
                ConfigError(
                    "This worker does not have exactly-once source support enabled.",
                    field="exactly.once.support",
                    fix="Sources deliver at least once; set exactly.once.support to requested.",
                )
            )

    def _oddities(self) -> Iterator[str]:
        """Settings that are not wrong but do not do what somebody may think."""
        for name in self._values:
            if warning := ignored_internal_converter(name):
                yield warning
            elif not self._is_known(name):
                yield self._unknown_key(name)
        for part in self.parts:
            for key in part.spec.keys:
                if key.deprecated and part.prefix + key.name in self._values:
                    yield f"{part.prefix}{key.name} is deprecated: {key.deprecated}"

    def _is_known(self, name: str) -> bool:
        if name.startswith(client_overrides.PREFIXES):
            return True
        list_key = next((key for key in _ALIAS_LISTS if name.startswith(_ALIAS_LISTS[key])), None)
        if list_key in self._unknown:
            return True
        return any(
            name.startswith(part.prefix) and part.spec.knows(name.removeprefix(part.prefix))
            for part in self.parts
        )

    def _unknown_key(self, name: str) -> str:
        for class_key in ("key.converter", "value.converter", "header.converter"):
            if name.startswith(f"{class_key}.") and class_key not in self._values:
                return f"{name} has no effect without {class_key}: the worker's converter is used"
        for list_key, prefix in _ALIAS_LISTS.items():
            alias = name.removeprefix(prefix).partition(".")[0]
            if name.startswith(prefix) and alias not in self._aliases(list_key):
                return f"{name} has no effect: {alias} is not listed in {list_key}"
        known = [
            part.prefix + key.name
            for part in self.parts
            for key in part.spec.keys
            if not key.internal
        ]
        return f"unknown key {name}{did_you_mean(name, known)}"


def _named(kind: PluginKind, name: str) -> tuple[str, type[Any]]:
    """The whole name and the class that a configuration means by a name."""
    info = plugins.lookup(kind, name)
    return (name if name in info.names else info.name), info.load()


def _wrong_class(kind: PluginKind, class_key: str, name: str, error: ConfigError) -> ConfigError:
    where = (
        ""
        if kind is PluginKind.CONNECTOR
        else f"Invalid value {name} for configuration {class_key}: "
    )
    return ConfigError(where + error.message, field=class_key, code=error.code, fix=error.fix)


def _any_key(spec: ConfigSpec) -> ConfigSpec:
    """The keys of a spec where others are welcome or cannot be told."""
    return ConfigSpec(spec.keys, ("",))


def literal_references(raw: Mapping[str, str], worker: WorkerConfig) -> Iterator[str]:
    """A warning for every text that looks like a reference to a provider but names none."""
    for name, value in raw.items():
        for provider in providers.unknown_providers(value, worker.providers):
            yield (
                f"{name} holds a reference to the config provider {provider!r}, which is not "
                "configured: the text is used as it is"
            )

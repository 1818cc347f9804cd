"""Finding plugin classes by the names that configurations use.

Every plugin is a Python entry point whose name is the class name people write, a Java one for those
that Kafka Connect users know. The groups are ``coracle.connectors``, ``coracle.converters``, and so
on. Further names of the same class stand in the same group with ``.aliases`` appended (an installed
distribution lists its entry points sorted, so their order cannot say which name is the main one).

Entry points are read once per process; resolving a name imports that one plugin and no other. Names
follow ``Plugins`` of Kafka Connect: the whole class name, or the simple one as long as only one
plugin has it, in both cases with the kind's suffix optional (``FileStreamSink``):
https://kafka.apache.org/documentation/#connect_configuring
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

from coracle.api import (
    ConfigError,
    Connector,
    Converter,
    HeaderConverter,
    Plugin,
    Predicate,
    SinkConnector,
    Transform,
)


class PluginKind(StrEnum):
    """The kinds of plugins; the values are those of ``GET /connector-plugins``."""

    CONNECTOR = "connector"
    CONVERTER = "converter"
    HEADER_CONVERTER = "header_converter"
    TRANSFORM = "transformation"
    PREDICATE = "predicate"
    CONFIG_PROVIDER = "config_provider"


@dataclass(frozen=True)
class _Traits:
    """What differs between kinds: entry point group, Java interface, Python base class."""

    group: str
    interface: str
    base: type

    @property
    def plural(self) -> str:
        return self.interface.lower() + "s"


_TRAITS = {
    PluginKind.CONNECTOR: _Traits("coracle.connectors", "Connector", Connector),
    PluginKind.CONVERTER: _Traits("coracle.converters", "Converter", Converter),
    PluginKind.HEADER_CONVERTER: _Traits(
        "coracle.header_converters", "HeaderConverter", HeaderConverter
    ),
    PluginKind.TRANSFORM: _Traits("coracle.transforms", "Transformation", Transform),
    PluginKind.PREDICATE: _Traits("coracle.predicates", "Predicate", Predicate),
    PluginKind.CONFIG_PROVIDER: _Traits("coracle.config_providers", "ConfigProvider", Plugin),
}


@dataclass(frozen=True)
class PluginInfo:
    """One plugin that can be named in a configuration.

    Attributes:
        kind: what it is.
        name: its main class name.
        aliases: its other class names.
    """

    kind: PluginKind
    name: str
    aliases: tuple[str, ...]
    _entry_point: EntryPoint = field(repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, the main one first."""
        return (self.name, *self.aliases)

    def load(self) -> type[Any]:
        """The class, imported now if it was not yet.

        Raises:
            ConfigError: when it cannot be imported, with what to install if that is the reason.
        """
        try:
            loaded = self._entry_point.load()
        except ImportError as error:
            raise self._not_installed(error) from error
        except Exception as error:  # its module may do anything
            raise ConfigError(
                f"The plugin {self.name} is broken: {error or type(error).__name__}.",
                code="unknown_class",
            ) from error
        base = _TRAITS[self.kind].base
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise ConfigError(
                f"The plugin {self.name} is broken: {self._entry_point.value} is no "
                f"{base.__module__}.{base.__qualname__}.",
                code="unknown_class",
            )
        return loaded

    @property
    def type(self) -> str:
        """The type that ``GET /connector-plugins`` shows; imports the plugin if it is a connector.

        Raises:
            ConfigError: as ``load``.
        """
        if self.kind is not PluginKind.CONNECTOR:
            return self.kind.value
        return "sink" if issubclass(self.load(), SinkConnector) else "source"

    def _not_installed(self, error: ImportError) -> ConfigError:
        missing = (error.name or "").partition(".")[0]
        distribution = self._entry_point.dist
        extra = missing and _extra_providing(missing, distribution.requires if distribution else ())
        if distribution and extra:
            fix = f"Install it with: pip install '{distribution.name}[{extra}]'"
        elif missing and missing != self._entry_point.module.partition(".")[0]:
            fix = f"Install the Python package that provides the module {missing!r}."
        else:
            fix = ""
        return ConfigError(
            f"The plugin {self.name} cannot be loaded: {error}.", code="unknown_class", fix=fix
        )


def find(kind: PluginKind, name: str) -> type[Any]:
    """The class a configuration means.

    Args:
        kind: what is looked for. Converters also serve as header converters; the runtime wraps
            them.
        name: a class name, whole or simple, as ``lookup`` takes it.

    Raises:
        ConfigError: code ``unknown_class``, when there is none, more than one, or it cannot be
            loaded.
    """
    return lookup(kind, name).load()


def lookup(kind: PluginKind, name: str) -> PluginInfo:
    """Like ``find``, without importing the class.

    Raises:
        ConfigError: code ``unknown_class``, when no plugin or more than one goes by that name.
    """
    name = name.strip()
    candidates = list(_catalogue().usable_as(kind))
    by_full_name = [info for info in candidates if name in info.names]
    if by_full_name:
        return by_full_name[0]
    matches = [info for info in candidates if name in _short_names(info)]
    traits = _TRAITS[kind]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(
            f"More than one {traits.interface.lower()} matches alias {name}. Please use full "
            "package and class name instead. "
            f"Classes found: {', '.join(info.name for info in matches)}",
            code="unknown_class",
        )
    raise ConfigError(
        f"Failed to find any class that implements {traits.interface} and which name matches "
        f"{name}, "
        f"available {traits.plural} are: {', '.join(info.name for info in candidates)}"
        + _nearest(name, candidates, traits.interface),
        code="unknown_class",
    )


def names(kind: PluginKind) -> list[str]:
    """The main class names of the plugins usable as a kind, without importing any."""
    return [info.name for info in _catalogue().usable_as(kind)]


def available() -> list[PluginInfo]:
    """All plugins in the order of ``GET /connector-plugins``, config providers last.

    Sinks come first, then sources, so connectors are imported; one that cannot be (a driver is not
    installed) stands after the sources.
    """

    def rank(info: PluginInfo) -> tuple[int, str]:
        if info.kind is not PluginKind.CONNECTOR:
            return _RANKS[info.kind], info.name
        try:
            return _RANKS[info.type], info.name
        except ConfigError:
            return _RANKS[info.kind], info.name

    return sorted(_catalogue().plugins, key=rank)


_RANKS = {
    name: rank
    for rank, name in enumerate(
        (
            "sink",
            "source",
            PluginKind.CONNECTOR,
            PluginKind.TRANSFORM,
            PluginKind.PREDICATE,
            PluginKind.CONVERTER,
            PluginKind.HEADER_CONVERTER,
            PluginKind.CONFIG_PROVIDER,
        )
    )
}


def plugin_version(cls: type[Any]) -> str:
    """The version of a plugin class: its own, else that of the distribution it came with.

    Returns:
        ``undefined``, as in Kafka Connect, when neither is known.
    """
    declared = getattr(cls, "version", "")
    return declared or _catalogue().distribution_versions.get(_target_of(cls), "undefined")


class _Catalogue:
    """The plugins of all installed distributions."""

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        kinds = {traits.group: kind for kind, traits in _TRAITS.items()}
        by_class: dict[tuple[PluginKind, str], dict[str, EntryPoint]] = {}
        # Main names before aliases, otherwise in the order of sys.path, whose first entry wins.
        for point in sorted(points, key=lambda point: point.group.endswith(".aliases")):
            kind = kinds.get(point.group.removesuffix(".aliases"))
            if kind:
                by_class.setdefault((kind, point.value), {}).setdefault(point.name, point)
        self.plugins = [
            PluginInfo(kind, main, tuple(aliases), points[main])
            for (kind, _), points in by_class.items()
            for main, *aliases in [list(points)]
        ]

    def usable_as(self, kind: PluginKind) -> Iterator[PluginInfo]:
        """Plugins of a kind; every converter is a header converter too."""
        yield from (info for info in self.plugins if info.kind is kind)
        if kind is PluginKind.HEADER_CONVERTER:
            yield from self.usable_as(PluginKind.CONVERTER)

    @cached_property
    def distribution_versions(self) -> dict[str, str]:
        """The version of the distribution behind each ``module:class``."""
        points = (info._entry_point for info in self.plugins)
        return {point.value: point.dist.version for point in points if point.dist}


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    return _Catalogue(point for found in distributions() for point in found.entry_points)


def _target_of(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _short_names(info: PluginInfo) -> set[str]:
    simple = {name.rpartition(".")[2] for name in info.names}
    suffix = _TRAITS[info.kind].interface
    return simple | {name.removesuffix(suffix) for name in simple if name != suffix}


def _nearest(name: str, candidates: Iterable[PluginInfo], suffix: str) -> str:
    """The end of a sentence that names the most similar class, or an empty string.

    Simple names are compared, with and without the kind's suffix, because packages differ most. A
    transform's outer class, which Kafka Connect calls abstract, stands for its ``$Key`` and
    ``$Value``.
    """
    full_names = [known for info in candidates for known in info.names]
    by_simple = {known.rpartition(".")[2]: known for known in reversed(full_names)}
    by_short = {simple.removesuffix(suffix): known for simple, known in by_simple.items()}
    by_name = by_short | by_simple
    wanted = name.rpartition(".")[2]
    close = [simple for simple in by_simple if simple.startswith(f"{wanted}$")]
    close = sorted(close) or get_close_matches(wanted, by_name, n=1)
    return f"; did you mean {' or '.join(by_name[simple] for simple in close)}?" if close else ""


def _extra_providing(module: str, requires: Iterable[str] | None) -> str:
    """The extra of a distribution that installs a module; modules are named like their packages."""
    wanted = module.replace("_", "-").lower()
    for requirement in requires or ():
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if package and extra and package[0].replace("_", "-").lower() == wanted:
            return extra[1]
    return ""

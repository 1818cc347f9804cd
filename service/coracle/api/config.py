"""The one declaration of a configuration.

A plugin lists its keys once, as ``ConfigKey`` in a ``ConfigSpec``. Parsing, validation, the REST
``ConfigInfos``, the command line's lint and the reference documentation are all read from it, so
they cannot disagree. Values arrive as strings (or JSON scalars) and leave typed:

    >>> spec = ConfigSpec([ConfigKey("batch.size", ConfigType.INT, 3000, validator=Range(1))])
    >>> spec.parse({"batch.size": "500"})["batch.size"]
    500

Rules of type conversion follow ``org.apache.kafka.common.config.ConfigDef.parseType``:
https://kafka.apache.org/43/javadoc/org/apache/kafka/common/config/ConfigDef.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, cast

from coracle.api.errors import ConfigError, ConfigErrors


class ConfigType(StrEnum):
    """Types of values, with Kafka's names."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    SHORT = "SHORT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"  # noqa: S105 - a type, not a secret


class Importance(StrEnum):
    """How much a user should care about a key."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Width(StrEnum):
    """How wide a form would draw the value."""

    NONE = "NONE"
    SHORT = "SHORT"
    MEDIUM = "MEDIUM"
    LONG = "LONG"


class Required:
    """The default of a key that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()


class Password(str):
    """A secret. It is a string to a driver, but never prints itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[hidden]'"

    def __str__(self) -> str:
        return "[hidden]"

    def __format__(self, format_spec: str) -> str:
        return "[hidden]"

    @property
    def reveal(self) -> str:
        """The secret itself, as a plain ``str``."""
        return str.__str__(self)


class Validator(Protocol):
    """Checks a parsed value. ``str()`` of a validator says what is allowed."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        ...


@dataclass(frozen=True)
class OneOf:
    """The value must be one of these strings."""

    values: tuple[str, ...]
    ignore_case: bool = False

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        candidate = value.lower() if self.ignore_case and isinstance(value, str) else value
        allowed = [v.lower() for v in self.values] if self.ignore_case else self.values
        if candidate not in allowed:
            raise invalid(name, value, str(self))

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """The value must lie between the bounds, both included; ``None`` leaves an end open."""

    minimum: float | None = None
    maximum: float | None = None

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        too_small = self.minimum is not None and value < self.minimum
        if too_small or (self.maximum is not None and value > self.maximum):
            raise invalid(name, value, str(self))

    def __str__(self) -> str:
        if self.maximum is None:
            return f"at least {self.minimum}"
        if self.minimum is None:
            return f"at most {self.maximum}"
        return f"between {self.minimum} and {self.maximum}"


@dataclass(frozen=True)
class NonEmpty:
    """The value must not be an empty string or list."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        if not value:
            raise invalid(name, value, str(self))

    def __str__(self) -> str:
        return "not empty"


@dataclass(frozen=True)
class ValidRegex:
    """The value must compile as a regular expression."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        try:
            re.compile(value)
        except re.error as error:
            raise invalid(name, value, f"a regular expression ({error})") from None

    def __str__(self) -> str:
        return "a regular expression"


def invalid(name: str, value: object, allowed: str) -> ConfigError:
    """The error for a wrong value; it names key, value and what is allowed, in Kafka's words."""
    return ConfigError(
        f"Invalid value {_shown(value)} for configuration {name}: must be {allowed}.", field=name
    )


def missing(name: str) -> ConfigError:
    """The error for an absent key that has no default, in Kafka's words."""
    return ConfigError(
        f'Missing required configuration "{name}" which has no default value.',
        field=name,
        code="missing",
    )


def _shown(value: object) -> str:
    return "[hidden]" if isinstance(value, Password) else str(value)


Recommender = Callable[[str, Mapping[str, Any]], Sequence[Any]]
"""Called with the key and the parsed values; returns the values to offer."""

Visibility = Callable[[Mapping[str, Any]], bool]
"""Called with the parsed values; whether a form should show the key."""


@dataclass(frozen=True)
class ConfigKey:
    """One key, declared once.

    Attributes:
        name: Kafka Connect's name, verbatim.
        type: how the string is parsed.
        default: the typed value when the key is absent; ``REQUIRED`` when there is none.
        doc: one or two sentences for the reference and the REST API.
        importance, group, order, width, display_name: presentation, as in Kafka's ``ConfigKey``.
            ``order`` counts from 1 within the group; -1 means declaration order.
        validator: checks the parsed value; not called for ``None``.
        dependents: keys to validate again when this one changes.
        recommender, visible: values to offer, and whether to offer the key at all.
        aliases: former or foreign names read when this one is absent, in order.
        deprecated: a sentence saying what replaces it; using the key earns a warning.
        internal: written by a connector for its own tasks; hidden from documentation and REST.
    """

    name: str
    type: ConfigType
    default: Any = REQUIRED
    doc: str = ""
    importance: Importance = Importance.MEDIUM
    validator: Validator | None = None
    group: str | None = None
    order: int = -1
    width: Width = Width.NONE
    display_name: str = ""
    dependents: tuple[str, ...] = ()
    recommender: Recommender | None = None
    visible: Visibility | None = None
    aliases: tuple[str, ...] = ()
    deprecated: str = ""
    internal: bool = False

    @property
    def required(self) -> bool:
        """Whether the key has no default."""
        return self.default is REQUIRED

    def parse(self, raw: Any, *, name: str = "") -> Any:
        """The typed and checked value of a raw one.

        Args:
            raw: the setting as given.
            name: what to call the key in an error, when it stands below a prefix.

        Raises:
            ConfigError: naming key, value and what is allowed.
        """
        name = name or self.name
        value = parse_type(name, raw, self.type)
        if self.validator is not None and value is not None:
            self.validator(name, value)
        return value


class Config(Mapping[str, Any]):
    """Typed values of a parsed configuration.

    Attributes:
        originals: every setting as given, including keys the spec does not know, as strings.
    """

    def __init__(self, values: Mapping[str, Any], originals: Mapping[str, str]) -> None:
        self._values = dict(values)
        self.originals = dict(originals)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({self._values!r})"

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """The original settings below a prefix, with the prefix removed."""
        return {
            key[len(prefix) :]: value
            for key, value in self.originals.items()
            if key.startswith(prefix)
        }


Check = Callable[[Mapping[str, Any]], Sequence[ConfigError]]
"""A rule over several keys: called with the parsed values, returns what is wrong."""


class _UndecidedError(Exception):
    """A rule asked for a value that is wrong or not known yet, so it cannot be judged."""


class _Decided(Mapping[str, Any]):
    """Parsed values as a rule sees them: reading an undecided one ends the rule."""

    def __init__(self, values: Mapping[str, Any], undecided: AbstractSet[str]) -> None:
        self._values = values
        self._undecided = undecided

    def __getitem__(self, key: str) -> Any:
        if key in self._undecided:
            raise _UndecidedError(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _below(prefix: str, error: ConfigError) -> ConfigError:
    """The error of a rule whose keys stand below a prefix."""
    if not prefix:
        return error
    return ConfigError(
        f"{prefix.rstrip('.')}: {error.message}",
        field=prefix + error.field if error.field else "",
        code=error.code,
        fix=error.fix,
    )


@dataclass(frozen=True)
class ConfigSpec:
    """All keys of a plugin, in the order people should read them.

    Attributes:
        keys: the declarations; names are unique.
        prefixes: starts of keys that are passed on as they are (``connection.``); they are never
            reported as unknown.
        checks: rules over several keys; one that reads a key whose value is wrong is not judged.
    """

    keys: Sequence[ConfigKey]
    prefixes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    _by_name: dict[str, ConfigKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.name: key for key in self.keys})
        if len(self._by_name) != len(self.keys):
            raise ValueError("a configuration key is declared twice")

    def __add__(self, other: ConfigSpec) -> ConfigSpec:
        """Both specs together; a key of the left one wins over its namesake."""
        added = [key for key in other.keys if key.name not in self._by_name]
        return ConfigSpec(
            [*self.keys, *added], self.prefixes + other.prefixes, self.checks + other.checks
        )

    def get(self, name: str) -> ConfigKey | None:
        """The declaration of a key by its name, or ``None``."""
        return self._by_name.get(name)

    def knows(self, name: str) -> bool:
        """Whether a key, an alias of one, or one of the prefixes covers this name."""
        return (
            name in self._by_name
            or any(name in key.aliases for key in self.keys)
            or name.startswith(self.prefixes or ("\0",))
        )

    def collect(
        self,
        props: Mapping[str, Any],
        *,
        prefix: str = "",
        unknown: AbstractSet[str] = frozenset(),
    ) -> tuple[Config, list[ConfigError]]:
        """Parse everything, keep going after errors.

        Args:
            props: raw settings; ``None`` values count as absent.
            prefix: the settings are those of ``props`` below it (``transforms.a.``); errors
                name the whole key, values and originals are without it.
            unknown: names in ``props`` set to something not known yet. They are not judged,
                and neither is a rule over several keys that reads one of them.

        Returns:
            the parsed values (defaults where a value is wrong, absent or unknown) and every error.
        """
        values: dict[str, Any] = {}
        errors: list[ConfigError] = []
        undecided: set[str] = set()
        for key in self.keys:
            given = next(
                (
                    prefix + name
                    for name in (key.name, *key.aliases)
                    if props.get(prefix + name) is not None
                ),
                None,
            )
            values[key.name] = None if key.required else key.default
            try:
                if given is None:
                    if key.required:
                        raise missing(prefix + key.name)
                elif given in unknown:
                    undecided.add(key.name)
                else:
                    values[key.name] = key.parse(props[given], name=given)
            except ConfigError as error:
                undecided.add(key.name)
                errors.append(error)
        decided = _Decided(values, undecided)
        for check in self.checks:
            try:
                found = check(decided)
            except _UndecidedError:
                continue
            errors.extend(_below(prefix, error) for error in found)
        originals = {
            name.removeprefix(prefix): to_text(raw)
            for name, raw in props.items()
            if raw is not None and name.startswith(prefix)
        }
        return Config(values, originals), errors

    def parse(self, props: Mapping[str, Any]) -> Config:
        """The typed configuration.

        Raises:
            ConfigErrors: with everything that is wrong.
        """
        config, errors = self.collect(props)
        if errors:
            raise ConfigErrors(errors)
        return config


def to_text(value: Any) -> str:
    """A JSON scalar as Kafka Connect stores it: everything is a string, ``true`` in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


_INTEGER_RANGES = {
    ConfigType.SHORT: (-(2**15), 2**15 - 1, "a 16-bit integer"),
    ConfigType.INT: (-(2**31), 2**31 - 1, "a 32-bit integer"),
    ConfigType.LONG: (-(2**63), 2**63 - 1, "a 64-bit integer"),
}


def parse_type(name: str, raw: Any, type_: ConfigType) -> Any:
    """Convert one raw setting to its type.

    Raises:
        ConfigError: when the text is no value of the type.
    """
    if raw is None:
        return None
    if isinstance(raw, list):
        text = ",".join(to_text(item) for item in cast("list[object]", raw))
    else:
        text = to_text(raw)
    if type_ is ConfigType.PASSWORD:
        return Password(raw.reveal if isinstance(raw, Password) else text)
    if type_ in (ConfigType.STRING, ConfigType.CLASS):
        return text.strip()
    text = text.strip()
    if type_ is ConfigType.LIST:
        return [item.strip() for item in text.split(",")] if text else []
    if type_ is ConfigType.BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise invalid(name, text, "true or false")
        return text.lower() == "true"
    if type_ is ConfigType.DOUBLE:
        try:
            return float(text)
        except ValueError:
            raise invalid(name, text, "a number") from None
    low, high, words = _INTEGER_RANGES[type_]
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII) or not low <= int(text) <= high:
        raise invalid(name, text, words)
    return int(text)

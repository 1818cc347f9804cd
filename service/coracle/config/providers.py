"""Settings that stand elsewhere: ``${provider:[path:]key}`` references and who resolves them.

A connector's stored configuration keeps its references; they are resolved when it starts. A
reference
to a provider that is not configured is plain text, as in Kafka: JDBC table formats and log patterns
are full of ``${…}``. One that is configured but has no such path or key is an error, where Kafka
would hand the text ``${…}`` to a database as its password.

The three providers of Kafka are here under the names ``env``, ``file`` and ``directory``, and
Strimzi's two under ``secrets`` and ``configmaps`` (``mounted.py``), without being declared;
``config.providers`` in the worker configuration adds others or renames these.
https://kafka.apache.org/documentation/#config_providers
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from coracle.api import (
    Config,
    ConfigError,
    ConfigErrors,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    Plugin,
    ValidRegex,
)
from coracle.api.config import invalid, missing
from coracle.config import plugins, properties

# The pattern of org.apache.kafka.common.config.ConfigTransformer.
_REFERENCE = re.compile(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}")

BUILT_IN = {
    "env": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "file": "org.apache.kafka.common.config.provider.FileConfigProvider",
    "directory": "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    "secrets": "io.strimzi.kafka.KubernetesSecretConfigProvider",
    "configmaps": "io.strimzi.kafka.KubernetesConfigMapConfigProvider",
}
"""Providers that need no declaration, by name."""


class ConfigProvider(Plugin, ABC):
    """Looks up settings by path and key. Entry points: ``coracle.config_providers``."""

    def configure(self, config: Config) -> None:
        """Take the settings ``config.providers.<name>.param.*``. Called once."""
        self.config = config

    def check(self, path: str, key: str) -> None:
        """Refuse, without looking anything up, a reference that can never be right.

        Raises:
            ConfigError: saying what is wrong with it.
        """

    @abstractmethod
    def get(self, path: str, key: str) -> str:
        """The value of a key.

        Args:
            path: where to look; empty when the reference has none.
            key: what to look for.

        Raises:
            ConfigError: when there is no such path or key. The message never holds a value.
        """


class EnvVarConfigProvider(ConfigProvider):
    """Environment variables: ``${env:NAME}``."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "allowlist.pattern",
                ConfigType.STRING,
                ".*",
                "Regular expression that the whole name of a variable must match to be readable.",
                Importance.LOW,
                ValidRegex(),
            )
        ]
    )

    def get(self, path: str, key: str) -> str:
        """The value of the variable ``key``; there are no paths."""
        if path:
            raise ConfigError(
                f"an environment variable has no path, but {path!r} is given as one",
                fix=f"Write ${{env:{key}}}.",
            )
        if not re.fullmatch(self.config["allowlist.pattern"], key):
            raise ConfigError(
                f"the variable {key} does not match allowlist.pattern", code="forbidden"
            )
        value = os.environ.get(key)
        if value is None:
            raise ConfigError(f"the environment variable {key} is not set", code="missing")
        return value


@dataclass(frozen=True)
class _AbsolutePaths:
    """A list of absolute paths."""

    def __call__(self, name: str, value: Iterable[str]) -> None:
        for path in value:
            if not Path(path).is_absolute():
                raise invalid(name, path, "an absolute path")

    def __str__(self) -> str:
        return "absolute paths"


class _PathProvider(ConfigProvider):
    """What reads files, within the allowed paths."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "allowed.paths",
                ConfigType.LIST,
                [],
                "Paths below which files may be read, separated by commas; everything when empty.",
                Importance.LOW,
                _AbsolutePaths(),
            )
        ]
    )

    def configure(self, config: Config) -> None:
        super().configure(config)
        self._allowed = [Path(os.path.normpath(path)) for path in config["allowed.paths"]]

    def _permitted(self, path: str) -> Path:
        if not path:
            raise ConfigError("the reference names no path", code="missing")
        # As in Kafka the path is taken as written, less "..": mounted secrets are symbolic links.
        normal = Path(os.path.normpath(path))
        if self._allowed and not any(normal.is_relative_to(root) for root in self._allowed):
            raise ConfigError(f"the path {path} is not within allowed.paths", code="forbidden")
        return normal


class FileConfigProvider(_PathProvider):
    """Keys of ``.properties`` files: ``${file:/etc/db.properties:password}``."""

    def get(self, path: str, key: str) -> str:
        """The value of ``key`` in the file ``path``."""
        settings = properties.read(self._permitted(path))
        if key not in settings:
            raise ConfigError(f"the file {path} has no key {key}", code="missing")
        return settings[key]


class DirectoryConfigProvider(_PathProvider):
    """Files of a directory, such as a mounted secret: ``${directory:/etc/db:password}``."""

    def get(self, path: str, key: str) -> str:
        """The whole text of the file ``key`` in the directory ``path``."""
        directory = self._permitted(path)
        file = directory / key
        if file.parent != directory or key in ("", ".", "..") or not file.is_file():
            raise ConfigError(f"the directory {path} has no file {key}", code="missing")
        return properties.decode(properties.read_bytes(file))


def from_worker(props: Mapping[str, str]) -> dict[str, ConfigProvider]:
    """The providers a worker offers, by name.

    Args:
        props: the worker's settings; ``config.providers``, ``config.providers.<name>.class`` and
            ``config.providers.<name>.param.*`` are read.

    Raises:
        ConfigErrors: with every provider that is declared wrongly.
    """
    declared = [name.strip() for name in props.get("config.providers", "").split(",")]
    found: dict[str, ConfigProvider] = {}
    errors: list[ConfigError] = []
    for name in dict.fromkeys([*BUILT_IN, *filter(None, declared)]):
        prefix = f"config.providers.{name}."
        class_name = props.get(prefix + "class") or BUILT_IN.get(name)
        try:
            if not class_name:
                raise missing(prefix + "class")
            cls = plugins.find(plugins.PluginKind.CONFIG_PROVIDER, class_name)
            config, wrong = cls.spec.collect(props, prefix=prefix + "param.")
            if wrong:
                raise ConfigErrors(wrong)
            provider: ConfigProvider = cls()
            provider.configure(config)
            found[name] = provider
        except ConfigErrors as error:
            errors.extend(error.errors)
        except ConfigError as error:
            error.field = error.field or prefix + "class"
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return found


@dataclass(frozen=True)
class Resolved:
    """Settings with their references replaced.

    Attributes:
        values: every setting; treat those of ``referenced`` as secrets.
        referenced: the keys whose value holds something a provider supplied.
        secrets: what providers supplied.
    """

    values: dict[str, str] = field(repr=False)
    referenced: frozenset[str]
    secrets: frozenset[str] = field(repr=False)

    def redact(self, errors: Iterable[ConfigError]) -> list[ConfigError]:
        """The same errors, none of which quotes a value that a provider supplied."""
        # One or two characters occur everywhere: hiding them would hide the message, not the value.
        secrets = [secret for text in self.secrets if len(secret := text.strip()) > 2]

        def redacted(error: ConfigError) -> ConfigError:
            if error.field in self.referenced:
                message, fix = (
                    f"Invalid value for configuration '{error.field}': the value resolved from the "
                    "config provider reference failed validation",
                    "",
                )
            else:
                message, fix = error.message, error.fix
                for secret in secrets:
                    message = message.replace(secret, "[hidden]")
                    fix = fix.replace(secret, "[hidden]")
            return ConfigError(message, field=error.field, code=error.code, fix=fix)

        return [redacted(error) for error in errors]


def resolve(props: Mapping[str, str], providers: Mapping[str, ConfigProvider]) -> Resolved:
    """Replace all references to known providers, once: what comes back is not looked at again.

    Raises:
        ConfigErrors: with every reference that fails, naming key, provider, path and key.
    """
    errors: list[ConfigError] = []
    secrets: set[str] = set()

    def replaced(name: str, text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            if match[1] not in providers:
                return match[0]
            try:
                value = providers[match[1]].get(match[3] or "", match[4])
                secrets.add(value)
                return value
            except ConfigError as error:
                errors.append(_unresolved(name, match[0], error, "missing"))
                return match[0]

        return _REFERENCE.sub(value_of, text)

    values = {name: replaced(name, text) for name, text in props.items()}
    if errors:
        raise ConfigErrors(errors)
    return Resolved(values, referenced(props, providers.keys()), frozenset(secrets))


def check(props: Mapping[str, str], providers: Mapping[str, ConfigProvider]) -> list[ConfigError]:
    """What is wrong with references themselves; nothing is looked up."""
    errors: list[ConfigError] = []
    for name, text in props.items():
        for match in _REFERENCE.finditer(text):
            if match[1] not in providers:
                continue
            try:
                providers[match[1]].check(match[3] or "", match[4])
            except ConfigError as error:
                errors.append(_unresolved(name, match[0], error, error.code))
    return errors


def _unresolved(name: str, reference: str, error: ConfigError, code: str) -> ConfigError:
    return ConfigError(
        f"The reference {reference} in configuration {name} cannot be resolved: "
        f"{error.message.rstrip('.')}.",
        field=name,
        code=code,
        fix=error.fix,
    )


def referenced(props: Mapping[str, str], providers: AbstractSet[str]) -> frozenset[str]:
    """The keys whose values refer to one of the named providers; nothing is looked up."""
    return frozenset(
        name
        for name, text in props.items()
        if any(match[1] in providers for match in _REFERENCE.finditer(text))
    )


def found(text: str) -> Iterator[tuple[str, str, str]]:
    """Provider, path and key of each reference in a value, whether or not there is such a provider.

    The path is empty when the reference has none.
    """
    return ((match[1], match[3] or "", match[4]) for match in _REFERENCE.finditer(text))


def unknown_providers(text: str, providers: Iterable[str]) -> list[str]:
    """The names that stand where a provider's would in the references of a value, but are none."""
    known = set(providers)
    return [match[1] for match in _REFERENCE.finditer(text) if match[1] not in known]

"""What is wrong or odd about a connector that somebody wants to have in a Kubernetes namespace.

``check`` is ``coracle.config.validation.validate``, which REST and the command line use too, plus
what only Kubernetes makes a question: Secrets of another namespace cannot be read, and a password
written into a manifest can be read by everyone who may read manifests. It is offline and pure: no
broker, no database, no API server, and what is behind a ``${…}`` is unknown, not wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coracle.api import ConfigError, ConfigErrors, ConfigType
from coracle.config import client_overrides, plugins, providers
from coracle.config.connector import texts
from coracle.config.plugins import PluginKind
from coracle.config.validation import Validation, validate
from coracle.config.worker import WorkerConfig, load_worker
from coracle.kube import references
from coracle.store import ConnectorType

# Settings of Kafka's clients whose type is PASSWORD and whose value is secret:
# https://kafka.apache.org/documentation/#producerconfigs
_CLIENT_PASSWORDS = (
    "sasl.jaas.config",
    "sasl.oauthbearer.client.credentials.client.secret",
    "ssl.key.password",
    "ssl.keystore.key",
    "ssl.keystore.password",
    "ssl.truststore.password",
)

_PASSWORD_IN_URL = re.compile(r"[?&;]\s*(?:password|pwd)\s*=\s*(?!\$\{)[^&;\s]", re.I)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        type: what the connector's class is; ``unknown`` when that cannot be told.
        errors: everything that keeps it from running.
        warnings: what is merely odd, one sentence each.
        passwords: the keys whose value is a password in plain text.
    """

    type: ConnectorType
    errors: list[ConfigError]
    warnings: list[str]
    passwords: frozenset[str]


def check(
    name: str,
    config: Mapping[str, Any],
    tasks_max: int | None,
    *,
    worker: WorkerConfig,
    namespace: str,
) -> Verdict:
    """Check a connector.

    Args:
        name: its name in Kafka Connect.
        config: its settings with ``connector.class``; JSON scalars are taken as their text.
        tasks_max: the most tasks; ``None`` leaves ``tasks.max`` to the settings.
        worker: whose defaults, policies and config providers apply.
        namespace: where its pods, and so the Secrets they can read, are.
    """
    props = {**config, "name": name}
    if tasks_max is not None:
        props["tasks.max"] = tasks_max
    try:
        values = texts(props)
    except ConfigErrors as error:
        return Verdict("unknown", list(error.errors), [], frozenset())
    validation = validate(values, worker)
    wrong = {error.field for error in validation.errors}
    errors = validation.errors + [
        error for error in _references(values, worker, namespace) if error.field not in wrong
    ]
    passwords = _literal_passwords(values, validation, worker)
    warnings = [
        *validation.warnings,
        *(
            f"{key} is a password in plain text: put it into a Secret and write "
            f"${{secrets:<name>:<key>}}"
            for key in sorted(passwords)
        ),
        *(
            f"{key} has a password in its URL: put the whole URL into a Secret and write "
            f"${{secrets:<name>:<key>}}"
            for key, value in values.items()
            if key not in passwords and _PASSWORD_IN_URL.search(value)
        ),
    ]
    return Verdict(type_of(values), errors, warnings, passwords)


def type_of(config: Mapping[str, str]) -> ConnectorType:
    """What the class in a configuration is; ``unknown`` when it is not installed."""
    try:
        found = plugins.lookup(PluginKind.CONNECTOR, config.get("connector.class", "")).type
    except ConfigError:
        return "unknown"
    return "sink" if found == "sink" else "source"


def offline_worker(props: Mapping[str, str]) -> WorkerConfig:
    """A worker's settings for checking: those that stand in a Secret or file are left out.

    They are the credentials of Kafka clients, which no check needs.

    Raises:
        ConfigErrors: with every wrong setting.
    """
    open_keys = providers.referenced(props, providers.from_worker(props).keys())
    return load_worker(None, {key: text for key, text in props.items() if key not in open_keys})


def _references(
    values: Mapping[str, str], worker: WorkerConfig, namespace: str
) -> tuple[ConfigError, ...]:
    """The references that no pod of the namespace could follow."""
    try:
        references.references(
            values, namespace=namespace, kinds=references.provider_kinds(worker.props)
        )
    except ConfigErrors as error:
        return error.errors
    return ()


def _literal_passwords(
    values: Mapping[str, str], validation: Validation, worker: WorkerConfig
) -> frozenset[str]:
    declared = {
        name
        for value in validation.configs
        if value.key and value.key.type is ConfigType.PASSWORD
        for name in (value.name, *value.key.aliases)
    }
    overrides = {
        prefix + name for prefix in client_overrides.PREFIXES for name in _CLIENT_PASSWORDS
    }
    given = {key for key in declared | overrides if values.get(key)}
    return frozenset(given - providers.referenced(values, worker.providers.keys()))

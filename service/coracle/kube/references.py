"""Which Secrets and ConfigMaps a connector's configuration refers to, without looking into any.

``${secrets:name:key}`` and ``${configmaps:name:key}`` reach a pod as files of projected volumes, so
whoever writes the pod has to know every name and key beforehand. A volume can only show objects of
the pod's own namespace; ``namespace/name`` is understood because Strimzi's provider writes it so
(https://github.com/strimzi/kafka-kubernetes-config-provider), and refused for any other namespace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from coracle.api import ConfigError, ConfigErrors
from coracle.config import providers
from coracle.config.mounted import DEFAULT_MOUNTS

MOUNTS = PurePosixPath(DEFAULT_MOUNTS)
"""The directory of a pod below which the files are: ``<kind>/<name>/<key>``."""


class Kind(StrEnum):
    """What is referred to. The value is the provider's usual name, and the directory's."""

    SECRET = "secrets"  # noqa: S105 - a kind, not a secret
    CONFIG_MAP = "configmaps"


PROVIDERS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}
"""The names under which a configuration may refer to them without declaring a provider."""

_CLASSES = {
    "KubernetesSecretConfigProvider": Kind.SECRET,
    "KubernetesConfigMapConfigProvider": Kind.CONFIG_MAP,
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# IsConfigMapKey of k8s.io/apimachinery: the keys of both kinds.
_KEY = re.compile(r"(?!\.\.|\.$)[-._a-zA-Z0-9]{1,253}")


@dataclass(frozen=True, order=True)
class Reference:
    """One key of a Secret or ConfigMap.

    Attributes:
        kind: of which of the two.
        namespace: as written, ``None`` for the resource's own.
        name: of the Secret or ConfigMap.
        key: in its data.
    """

    kind: Kind
    namespace: str | None
    name: str
    key: str

    @property
    def path(self) -> PurePosixPath:
        """The file that holds the value in a pod."""
        return MOUNTS / self.kind / self.name / self.key


class ForeignNamespaceError(ConfigError):
    """A reference to a Secret or ConfigMap of another namespace, which no pod can mount."""

    def __init__(self, reference: Reference, *, field: str, namespace: str) -> None:
        super().__init__(
            f"Configuration {field} refers to {reference.name} of the namespace "
            f"{reference.namespace}, but only {reference.kind} of the connector's own namespace "
            f"{namespace} can be read.",
            field=field,
            code="foreign_namespace",
            fix=f"Copy it to {namespace} and write ${{{reference.kind}:{reference.name}:"
            f"{reference.key}}}.",
        )
        self.reference = reference


def provider_kinds(worker: Mapping[str, str]) -> dict[str, Kind]:
    """The names by which a configuration may refer to Secrets and ConfigMaps.

    Args:
        worker: the worker's settings. ``config.providers`` may give Strimzi's provider classes
            other names, and the usual names to something else.
    """
    kinds = dict(PROVIDERS)
    for name in filter(None, map(str.strip, worker.get("config.providers", "").split(","))):
        class_name = worker.get(f"config.providers.{name}.class", "")
        kind = _CLASSES.get(class_name.rpartition(".")[2]) or (
            PROVIDERS.get(name) if not class_name else None
        )
        if kind:
            kinds[name] = kind
        else:
            kinds.pop(name, None)
    return kinds


def references(
    config: Mapping[str, str],
    *,
    namespace: str | None = None,
    kinds: Mapping[str, Kind] = PROVIDERS,
) -> Sequence[Reference]:
    """Every key that a configuration refers to, once each and in order.

    Args:
        config: settings of a connector or worker, references unresolved.
        namespace: the resource's own. References to it lose theirs, references to any other are
            errors; ``None`` leaves all as they are written.
        kinds: provider names, see ``provider_kinds``.

    Raises:
        ConfigErrors: with each reference that names no possible key, and a
            ``ForeignNamespaceError`` for each that names another namespace.
    """
    found: set[Reference] = set()
    errors: list[ConfigError] = []
    for field, text in config.items():
        for provider, path, key in providers.found(text):
            if provider not in kinds:
                continue
            reference = _reference(kinds[provider], path, key)
            if not _NAME.fullmatch(reference.name) or not _KEY.fullmatch(key):
                errors.append(_malformed(field, provider, path, key))
            elif namespace is None:
                found.add(reference)
            elif reference.namespace in (None, namespace):
                found.add(Reference(reference.kind, None, reference.name, reference.key))
            else:
                errors.append(ForeignNamespaceError(reference, field=field, namespace=namespace))
    if errors:
        raise ConfigErrors(errors)
    return sorted(found, key=lambda one: (one.kind, one.namespace or "", one.name, one.key))


def keys(references: Iterable[Reference]) -> dict[tuple[Kind, str], list[str]]:
    """The keys to project, by kind and name, in order: equal input gives equal pods."""
    grouped: dict[tuple[Kind, str], set[str]] = {}
    for one in references:
        grouped.setdefault((one.kind, one.name), set()).add(one.key)
    return {place: sorted(found) for place, found in sorted(grouped.items())}


def config_hash(text: str) -> str:
    """What tells one version of ``connector.json`` from another: 16 hexadecimal digits.

    A pod acts on a configuration of its own hash only, and the members of a group on different
    hashes share no tasks: one connector never runs two configurations at once.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _reference(kind: Kind, path: str, key: str) -> Reference:
    namespace, slash, name = path.rpartition("/")
    return Reference(kind, namespace if slash else None, name, key)


def _malformed(field: str, provider: str, path: str, key: str) -> ConfigError:
    written = f"${{{provider}:{path}:{key}}}" if path else f"${{{provider}:{key}}}"
    return ConfigError(
        f"The reference {written} in configuration {field} names no possible key.",
        field=field,
        code="invalid",
        fix=f"Write ${{{provider}:<name>:<key>}}.",
    )

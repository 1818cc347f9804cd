"""Config providers for Kubernetes: ``${secrets:NAME:KEY}`` and ``${configmaps:NAME:KEY}``.

Strimzi's providers of these names read Secrets through the API server, so every worker needs the
right to. Here the operator mounts just the keys that a configuration names into the connector's
pods, as files ``<mounts>/secrets/<name>/<key>``, and the providers read those: no pod may read a
Secret by itself, and the kubelet brings changes. A pod mounts from its own namespace only; the
longer form ``${secrets:NAMESPACE/NAME:KEY}`` is taken when it says the same.

``MountWatch`` notices that mounted files have appeared or changed. The kubelet replaces all files
of a volume at once by swapping a symbolic link, which need not change what any of them says.
https://kubernetes.io/docs/concepts/storage/projected-volumes/
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from coracle.api import ConfigError
from coracle.config import properties
from coracle.config.providers import ConfigProvider

DEFAULT_MOUNTS = "/var/run/coracle"
"""Where what configurations refer to is mounted; ``CORACLE_MOUNTS`` names another place."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"(?!\.\.|\.$)[-._a-zA-Z0-9]{1,253}")


def mounts() -> Path:
    """The folder below which Secrets and ConfigMaps are mounted."""
    return Path(os.environ.get("CORACLE_MOUNTS") or DEFAULT_MOUNTS)


class _MountedProvider(ConfigProvider):
    """Reads keys of one kind of object, each mounted as a file."""

    kind: ClassVar[str]
    folder: ClassVar[str]
    create: ClassVar[str]

    def check(self, path: str, key: str) -> None:
        """Refuse a reference that no mount could ever satisfy."""
        self._name(path, key)

    def get(self, path: str, key: str) -> str:
        """The whole text of the key, as ``kubectl create`` stored it."""
        name = self._name(path, key)
        namespace = os.environ.get("CORACLE_NAMESPACE", "")
        root = mounts()
        if not namespace and not root.is_dir():
            raise ConfigError(
                f"{self.kind}s are mounted into pods on Kubernetes, and this process is not in one",
                code="missing",
                fix="Use ${file:…}, ${directory:…} or ${env:…} outside of Kubernetes.",
            )
        folder = root / self.folder / name
        file = folder / key
        if file.is_file():
            return properties.decode(properties.read_bytes(file))
        what = (
            f"the {self.kind} {name} has no key {key}"
            if _entries(folder)  # that of a Secret that is missing is there and empty
            else f"there is no {self.kind} {name}, or it has no key {key}"
        )
        if namespace:
            what += f", in namespace {namespace}"
        raise ConfigError(
            what,
            code="missing",
            fix=f"Create it ({self.create.format(name=name, key=key)}); it is read as soon as "
            "Kubernetes has mounted it, which takes up to two minutes.",
        )

    def _name(self, path: str, key: str) -> str:
        """The object's name, once namespace, name and key can be those of an object here."""
        form = f"${{{self.folder}:NAME:KEY}}"
        if not path:
            raise ConfigError(
                f"the reference names a key but no {self.kind}",
                code="missing",
                fix=f"Write {form}.",
            )
        namespace, slash, name = path.rpartition("/")
        legal = _NAME.fullmatch(name) and _KEY.fullmatch(key)
        if not legal or (slash and not _NAME.fullmatch(namespace)):
            raise ConfigError(
                f"{path}:{key} is not the name and a key of a {self.kind}", fix=f"Write {form}."
            )
        own = os.environ.get("CORACLE_NAMESPACE", "")
        if namespace and own and namespace != own:
            raise ConfigError(
                f"the {self.kind} {name} is in namespace {namespace}, and a pod can mount only "
                f"what is in its own namespace, {own}",
                code="forbidden",
                fix=f"Copy it to {own} and write ${{{self.folder}:{name}:{key}}}.",
            )
        return name


class KubernetesSecretConfigProvider(_MountedProvider):
    """Keys of Secrets: ``${secrets:orders-db:password}``."""

    kind = "Secret"
    folder = "secrets"
    create = "kubectl create secret generic {name} --from-file={key}"


class KubernetesConfigMapConfigProvider(_MountedProvider):
    """Keys of ConfigMaps: ``${configmaps:orders-settings:url}``."""

    kind = "ConfigMap"
    folder = "configmaps"
    create = "kubectl create configmap {name} --from-file={key}"


_SHORTEST_SECRET = 6
"""Characters; what is shorter stands everywhere, and to hide it would hide the messages."""


def hide_secrets(text: str) -> str:
    """A text for people without anything that a mounted Secret says.

    Settings of type password never get into messages; but a Secret may hold a whole URL, or a
    path, that a driver quotes in its errors.
    """
    for secret in sorted(_secret_lines(), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return text


def _secret_lines() -> set[str]:
    found: set[str] = set()
    for folder in _entries(mounts() / KubernetesSecretConfigProvider.folder):
        for file in _entries(folder):
            try:
                lines = file.read_text(errors="ignore").splitlines()
            except OSError:
                continue
            found.update(line.strip() for line in lines)
    return {line for line in found if len(line) >= _SHORTEST_SECRET}


_Stamp = tuple[int, int, int]


class MountWatch:
    """Tells whether mounted files say something new; looking costs some stats.

    A file that has gone says nothing: what runs with its content goes on, and has nothing to do
    when it comes back as it was, as when somebody deletes and creates a Secret.

    Args:
        root: the folder of mounts; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: dict[Path, _Stamp] = {}
        self._digests: dict[Path, bytes] = {}
        self.changes()

    def changes(self) -> list[str]:
        """The files, relative to the mounts, that say something new since the last call."""
        stamps = dict(self._files())
        if stamps == self._stamps:
            return []
        found: dict[Path, bytes] = {}
        for path in stamps:
            try:
                found[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                continue  # swapped away under our eyes: the next look sees what came instead
        changed = [path for path in found if found[path] != self._digests.get(path)]
        self._stamps = {path: stamps[path] for path in found}
        self._digests |= found
        return sorted(str(path.relative_to(self._root)) for path in changed)

    def _files(self) -> Iterator[tuple[Path, _Stamp]]:
        for kind in (
            KubernetesSecretConfigProvider.folder,
            KubernetesConfigMapConfigProvider.folder,
        ):
            for folder in _entries(self._root / kind):
                for file in _entries(folder):
                    try:
                        found = file.stat()
                    except OSError:
                        continue
                    yield file, (found.st_ino, found.st_mtime_ns, found.st_size)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, without the kubelet's own ``..data`` and its kin."""
    try:
        return [folder / name for name in os.listdir(folder) if not name.startswith("..")]
    except OSError:
        return []

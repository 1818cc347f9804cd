"""Container images as archives that containerd and buildah import (OCI image layout 1.0).

Layers are not compressed: they are unpacked on the machine that made them.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_IMAGE = "application/vnd.oci.image"
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Layer:
    """A tar file, which the image's file system gets on top of the layers before it."""

    file: Path

    @cached_property
    def digest(self) -> str:
        """Of its content, as image manifests name it; noted in a file beside it."""
        return self.file.with_suffix(".digest").read_text()

    @property
    def size(self) -> int:
        """In bytes."""
        return self.file.stat().st_size


def pack(folder: Path, file: Path) -> Layer:
    """Make a layer of what a folder holds, owned by root and without times: the same each time."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=_anonymous)
    with unfinished.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    file.with_suffix(".digest").write_text(f"sha256:{digest}")
    unfinished.rename(file)
    return Layer(file)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        name: With its tag; not `latest`, which Kubernetes asks a registry for each time.
        layers: The lowest first.
        entrypoint: Program and first arguments.
        command: Further arguments, unless others are given.
        user: Number of the user, and of the group.
        environment: Variables.
        labels: For people and programs (image-spec, "annotations").
        folder: The working folder.
    """

    name: str
    layers: Sequence[Layer]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = "0:0"
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"

    @cached_property
    def _config(self) -> bytes:
        return _json(
            {
                "architecture": _ARCHITECTURES[platform.machine()],
                "os": "linux",
                "created": _EPOCH,
                "config": {
                    "Entrypoint": list(self.entrypoint),
                    "Cmd": list(self.command),
                    "User": self.user,
                    "Env": [f"{name}={value}" for name, value in self.environment.items()],
                    "Labels": dict(self.labels),
                    "WorkingDir": self.folder,
                },
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]},
            }
        )

    @cached_property
    def _manifest(self) -> bytes:
        layers = [
            _entry(f"{_IMAGE}.layer.v1.tar", layer.digest, layer.size) for layer in self.layers
        ]
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_IMAGE}.manifest.v1+json",
                "config": _entry_of(f"{_IMAGE}.config.v1+json", self._config),
                "layers": layers,
            }
        )

    @property
    def digest(self) -> str:
        """Of all of it: another content is another digest."""
        return _digest(self._manifest)

    def write(self, archive: Path, without: Collection[str] = ()) -> Path:
        """Write the archive, and return its path.

        Args:
            archive: Where to.
            without: Digests of layers to leave out: whoever imports it has them.
        """
        manifest = _entry_of(f"{_IMAGE}.manifest.v1+json", self._manifest)
        manifest["annotations"] = {
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name,
        }
        index = {"schemaVersion": 2, "mediaType": f"{_IMAGE}.index.v1+json"}
        with tarfile.open(archive, "w") as tar:
            _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            _add(tar, "index.json", _json(index | {"manifests": [manifest]}))
            for content in (self._config, self._manifest):
                _add(tar, _blob(_digest(content)), content)
            for layer in self.layers:
                if layer.digest not in without:
                    tar.add(layer.file, _blob(layer.digest))
        return archive


def _entry(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _entry_of(media_type: str, content: bytes) -> dict[str, Any]:
    return _entry(media_type, _digest(content), len(content))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))

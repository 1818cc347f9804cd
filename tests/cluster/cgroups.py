"""The cgroup of all pods of a cluster: one in each hierarchy of version 1, one in version 2."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


def make(name: str) -> None:
    """Make it, with all controllers that the kubelet asks for."""
    for folder in _folders(name):
        folder.mkdir(exist_ok=True)
    if _one_hierarchy():
        available = (_ROOT / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{name}" for name in _CONTROLLERS if name in available)
        for folder in (_ROOT, _ROOT / name):
            (folder / "cgroup.subtree_control").write_text(wanted)


def remove(name: str, *, seconds: float = 5.0) -> None:
    """Remove it and those below it; what still holds a process after a while stays."""
    deadline = time.monotonic() + seconds
    for folder in _folders(name):
        while folder.exists():
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):  # a process in it is about to end
                    Path(path).rmdir()
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)


def _one_hierarchy() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _folders(name: str) -> Iterator[Path]:
    if _one_hierarchy():
        yield _ROOT / name
        return
    for controller in _ROOT.iterdir():
        # cpu and cpuacct may be links to one folder.
        if controller.is_dir() and not controller.is_symlink():
            yield controller / name

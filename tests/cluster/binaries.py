"""Kubernetes, etcd, CoreDNS, Helm and `pause`, compiled from the Go module beside this file.

Nothing builds twice: programs are kept in a folder named after what they were made from. The first
build takes 7 to 12 minutes on two cores; one after a small change, with Go's own cache, seconds.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.cluster.daemon import ClusterError

MODULE = Path(__file__).parent / "kubernetes"
VERSION = "1.34.10"
HELM_VERSION = "3.19.5"
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_KUBERNETES = "kubernetes"
_HELM = "helm.sh/helm/v3"
_PACKAGES = {
    _KUBERNETES: ".",
    "coredns": "./coredns",
    "pause": "./pause",
    "helm": f"{_HELM}/cmd/helm",
}


def cache_folder() -> Path:
    """Where this package keeps what is costly to make, under $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "coracle" / "cluster"


def programs(say: Callable[[str], None] = print) -> Path:
    """The folder of all programs, built when they are not there yet.

    Args:
        say: Told, in lines for a person, how far a build is.

    Raises:
        ClusterError: Go is missing, or did not build them.
    """
    folder = cache_folder() / f"programs-{_digest()}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "programs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # another run may have built them while we waited
            _build(folder, say)
    return folder


@cache
def _digest() -> str:
    sources = sorted(path for path in MODULE.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    made_from = [*(path.read_text() for path in sources), platform.machine(), repr(_flags())]
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:12]


def _flags() -> Mapping[str, str]:
    """Linker flags by program: the versions they say they are, which their own makefiles set."""
    major, minor, _ = VERSION.split(".")
    kubernetes = {
        f"k8s.io/{package}.{name}": value
        for package in ("component-base/version", "client-go/pkg/version")
        for name, value in {
            "gitVersion": f"v{VERSION}",
            "gitMajor": major,
            "gitMinor": minor,
            "gitTreeState": "clean",
        }.items()
    }
    helm = {f"{_HELM}/internal/version.version": f"v{HELM_VERSION}"} | {
        f"{_HELM}/pkg/{package}.k8sVersion{part}": value
        for package in ("lint/rules", "chartutil")
        for part, value in (("Major", major), ("Minor", minor))
    }
    variables = {_KUBERNETES: kubernetes, "helm": helm}
    return {
        program: " ".join(
            ["-s -w", *(f"-X {name}={value}" for name, value in variables.get(program, {}).items())]
        )
        for program in _PACKAGES
    }


def _build(folder: Path, say: Callable[[str], None]) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise ClusterError(
            "Go is not installed, which Kubernetes is built with. Install 1.25 or later from "
            "https://go.dev/dl, or name a cluster of yours with KUBECONFIG."
        )
    say(f"building Kubernetes {VERSION} from its Go modules, once: 7 to 12 minutes on two cores")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for program, package in _PACKAGES.items():
        command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        command += ["-ldflags", _flags()[program], "-o", str(unfinished / program), package]
        begin = time.monotonic()
        _compile(program, command, say)
        say(f"built {program} in {time.monotonic() - begin:.0f} s")
    for component in COMPONENTS:
        (unfinished / component).symlink_to(_KUBERNETES)
    unfinished.rename(folder)


def _compile(program: str, command: list[str], say: Callable[[str], None]) -> None:
    # A tenth less time for memory that a machine which runs Kubernetes has.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    environment.setdefault("GOGC", "400")
    output: list[str] = []
    with subprocess.Popen(
        command, cwd=MODULE, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(20):
                say(f"building {program}: {len(output)} packages so far")

        threading.Thread(target=report, daemon=True).start()
        assert process.stderr is not None
        output.extend(process.stderr)
        ended.set()
    if process.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed\n{''.join(output[-40:])}")

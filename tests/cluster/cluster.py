"""A cluster of one node that stays until it is taken down."""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.cluster import addresses, binaries, cgroups, images
from tests.cluster.control import ControlPlane
from tests.cluster.daemon import ClusterError, Daemon, Program
from tests.cluster.network import Network
from tests.cluster.node import CNI_PROGRAMS, Node
from tests.cluster.oci import Image
from tests.servers.missing import find_program

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "busybox": "busybox-static",
    "buildah": "buildah",
}
"""Programs of the node that Debian has, and the packages they come in."""
_CNI_PACKAGE = "containernetworking-plugins"
# Stopped in this order: first what would bring others back.
_DAEMONS = (
    *("metrics", "coredns", "kube-proxy", "kubelet", "containerd"),
    *("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"),
)
_SOCKET_PATH_LIMIT = 108
_LONGEST_SOCKET = "kubelet/root/plugins_registry/kubelet.sock.0000000000"


def missing_packages() -> list[str]:
    """Debian's packages of what is not here."""
    missing = [package for name, package in PACKAGES.items() if find_program(name) is None]
    return missing if (CNI_PROGRAMS / "bridge").exists() else [*missing, _CNI_PACKAGE]


def say(line: str) -> None:
    """Tell the person watching."""
    print(f"cluster: {line}", file=sys.stderr, flush=True)


class Cluster:
    """A cluster by name.

    Attributes:
        name: Of its network namespace, its cgroup and its folder.
        folder: All its files.
        kubeconfig: Of its administrator.
    """

    def __init__(self, name: str = "coracle-test") -> None:
        self.name = name
        self.folder = binaries.cache_folder() / name
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self._network = Network(name)
        self._resolv_conf = self.folder / "resolv.conf"
        self._socket = self.folder / "containerd.sock"

    @property
    def running(self) -> bool:
        """Whether all its daemons run."""
        return all(self.daemon(name).process for name in _DAEMONS)

    def daemon(self, name: str) -> Daemon:
        """One of its daemons: `etcd`, `kube-apiserver`, …, `kubelet`, `containerd`."""
        return Daemon(self.folder / "daemons", name)

    def up(self) -> None:
        """Start it, unless it runs. One that runs in part only is started anew.

        Raises:
            ClusterError: Something is missing, or did not start; nothing is left running then.
        """
        self._check()
        programs = binaries.programs(say)
        with self._alone():
            if self.running:
                say(f"{self.name} runs already")
                return
            self._remove()
            self._network.make()
            try:
                self.folder.mkdir(parents=True)
                self._start(programs)
            except BaseException:
                failed = self.folder.with_name(f"{self.name}.failed")
                shutil.rmtree(failed, ignore_errors=True)
                shutil.copytree(self.folder / "daemons", failed, dirs_exist_ok=True)
                say(f"logs of what failed are in {failed}")
                self._remove()
                raise

    def down(self) -> None:
        """Stop it and remove all it left: processes, mounts, cgroups, network, files."""
        with self._alone():
            self._remove()

    def inside(self, command: Sequence[str]) -> list[str]:
        """A command as it runs in the cluster's network, with its DNS, kubectl and helm.

        A mount namespace of its own lets /etc/resolv.conf name the cluster's DNS for it alone.
        """
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        mounted = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script]
        path = f"PATH={binaries.programs(say)}:{os.environ['PATH']}"
        variables = ["env", path, f"KUBECONFIG={self.kubeconfig}"]
        return self._network.inside([*mounted, str(self._resolv_conf), *variables, *command])

    def load(self, image: Image) -> None:
        """Make an image one that pods can run; layers it shares with others are not copied again.

        Raises:
            ClusterError: containerd refused it.
        """
        present = self._ctr("content", "ls", "--quiet").split()
        with tempfile.TemporaryDirectory() as scratch:
            self.load_archive(image.write(Path(scratch) / "image.tar", without=present))

    def load_archive(self, archive: Path) -> None:
        """The same with an OCI archive.

        Raises:
            ClusterError: containerd refused it.
        """
        self._ctr("images", "import", str(archive))

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self._socket), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"`{shlex.join(command)}` failed\n{done.stdout}{done.stderr}")
        return done.stdout

    def _check(self) -> None:
        if os.geteuid() != 0:
            raise ClusterError(
                "A cluster needs root, for network namespaces, cgroups and mounts. Run this as "
                "root, or name a cluster of yours with KUBECONFIG."
            )
        if packages := missing_packages():
            raise ClusterError(
                f"Install what the node needs: apt-get install {' '.join(packages)} "
                "(make cluster does)"
            )
        if len(str(self.folder / _LONGEST_SOCKET)) >= _SOCKET_PATH_LIMIT:
            raise ClusterError(
                f"{self.folder} is too long a path for the Unix sockets in it; set XDG_CACHE_HOME"
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self, programs: Path) -> None:
        begin = time.monotonic()
        (self.folder / "daemons").mkdir()
        cgroups.make(self.name)
        control = ControlPlane(self.folder, programs, address=addresses.NODE)
        for stage in control.stages():
            self._run(stage)
        say(f"control plane up after {time.monotonic() - begin:.1f} s")
        node = Node(self.folder, programs, control, self.name)
        self._run([node.container_runtime()])
        self.load(images.pause(programs))
        self._run(node.programs())
        done = subprocess.run(
            self._network.inside(control.kubectl("apply", "-f", "-")),
            input=json.dumps(node.metrics_objects()),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ClusterError(f"metrics API: {done.stderr}")
        say(f"{self.name} up after {time.monotonic() - begin:.1f} s")

    def _run(self, programs: Sequence[Program]) -> None:
        """Start programs all at once, and return when the last one answers."""
        for program in programs:
            command = self._network.inside(program.command)
            self.daemon(program.name).start(command, os.environ | dict(program.environment))
        for program in programs:
            if program.ready:
                ready = self._network.inside(program.ready)
                self.daemon(program.name).wait(ready, program.seconds)

    def _remove(self) -> None:
        if not self.folder.exists():  # what else has this name is not ours
            return
        for name in _DAEMONS:
            self.daemon(name).stop()
            if name == "containerd":
                self._end_pods()
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        cgroups.remove(self.name)
        self._network.remove()
        for link in Path("/var/log/containers").glob("*"):
            if link.is_symlink() and self.folder in link.readlink().parents:
                link.unlink()
        for result in Path("/var/lib/cni/results").glob(f"{self.name}-*"):
            result.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_pods(self) -> None:
        """Kill what containerd left: its shims are no children of it, and pods are theirs."""
        state = self.folder / "containerd" / "state"
        sockets = [
            Path(file.read_text().removeprefix("unix://"))
            for file in state.glob("io.containerd.runtime.v2.task/k8s.io/*/address")
        ]
        shims = [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if (process.info["name"] or "").startswith("containerd-shim")
            and str(self._socket) in (process.info["cmdline"] or ())
        ]
        doomed = [process for shim in shims for process in (*shim.children(recursive=True), shim)]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed, timeout=10)
        for socket in sockets:
            socket.unlink(missing_ok=True)

    def _mounts(self) -> list[str]:
        """Mount points below its folder, the innermost first (proc_pid_mountinfo(5))."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        points = [line.split()[4] for line in lines]
        return sorted((p for p in points if p.startswith(f"{self.folder}/")), reverse=True)

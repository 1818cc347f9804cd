"""The cluster's network namespace: loopback, the node's address, and no way out.

The API server and the kubelet look for a default route to choose their address; it leads to a
bridge without ports.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.daemon import ClusterError

_NAMED = Path("/run/netns")
_SETTINGS = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"}


class Network:
    """A network namespace by name (ip-netns(8)).

    Attributes:
        path: The file that stands for it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.path = _NAMED / name

    def inside(self, command: Sequence[str]) -> list[str]:
        """That command, run in this namespace.

        By nsenter: `ip netns exec` mounts a new /sys, without the cgroups that the kubelet needs.
        """
        return ["nsenter", f"--net={self.path}", "--", *command]

    def make(self) -> None:
        """Make it.

        Raises:
            ClusterError: There is one of this name, which is somebody else's.
        """
        if self.path.exists():
            raise ClusterError(
                f"the network namespace {self._name} exists: another user's cluster, or one made "
                "with another XDG_CACHE_HOME; stop that one"
            )
        _run(["ip", "netns", "add", self._name])
        try:
            self._furnish()
        except BaseException:
            self.remove()
            raise

    def _furnish(self) -> None:
        for words in (
            "link set lo up",
            "link add node type bridge",
            f"addr add {addresses.NODE}/32 dev node",
            "link set node up",
            "route add default dev node",
        ):
            _run(self.inside(["ip", *words.split()]))
        settings = [f"{name}={value}" for name, value in _SETTINGS.items()]
        _run(self.inside(["sysctl", "-qw", *settings]))
        # Not there before the module br_netfilter is loaded, and not needed then.
        bridged = ["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"]
        subprocess.run(self.inside(bridged), capture_output=True)

    def remove(self) -> None:
        """Remove it with its interfaces, if it is there."""
        if self.path.exists():
            _run(["ip", "netns", "del", self._name])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)

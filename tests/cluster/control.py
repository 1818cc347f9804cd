"""The control plane: etcd, API server, controller manager and scheduler.

Durability is off in etcd, as in all servers for tests. The controllers may ask the API server more
often than by default (20 times a second), which start-up would wait for.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.certificates import Authority, Pair, token_keys
from tests.cluster.daemon import Program


@dataclass(frozen=True)
class Ports:
    """TCP ports; the defaults are those that Kubernetes documents."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    manager: int = 10257
    scheduler: int = 10259


class ControlPlane:
    """Files and commands of a control plane.

    Attributes:
        url: The API server's.
        kubeconfig: Of the administrator.
        authority: Signs who may connect.
        serving: The API server's certificate.
        administrator: The certificate in `kubeconfig`.
    """

    def __init__(
        self,
        folder: Path,
        programs: Path,
        *,
        address: str = "127.0.0.1",
        ports: Ports | None = None,
    ) -> None:
        """Make keys, certificates and kubeconfigs.

        Args:
            folder: An empty folder.
            programs: The folder of Kubernetes's programs.
            address: Where the API server is found, from nodes and pods too if there are any.
            ports: Where they listen.
        """
        self._folder = folder
        self._programs = programs
        self._address = address
        self._ports = ports or Ports()
        self.url = f"https://{address}:{self._ports.api}"
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        self.authority = Authority(keys, "cluster")
        self._front = Authority(keys, "front-proxy")
        self._tokens = token_keys(keys)
        service = f"kubernetes.default.svc.{addresses.DOMAIN}"
        aliases = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", service)
        self.serving = self.authority.sign(
            "apiserver",
            "kube-apiserver",
            names=(
                "localhost",
                *aliases,
                *dict.fromkeys(("127.0.0.1", address, addresses.API_SERVICE)),
            ),
        )
        self._to_kubelet = self.authority.sign("to-kubelet", "apiserver", "system:masters")
        self._aggregator = self._front.sign("aggregator", "front-proxy-client")
        self.administrator = self.authority.sign("admin", "admin", "system:masters")
        self.kubeconfig = self.authority.kubeconfig(
            folder / "admin.kubeconfig", self.url, self.administrator
        )

    def kubeconfig_of(self, name: str, user: str, group: str = "") -> Path:
        """A kubeconfig for a component."""
        client = self.authority.sign(name, user, group)
        return self.authority.kubeconfig(self._folder / f"{name}.kubeconfig", self.url, client)

    def kubectl(self, *arguments: str) -> list[str]:
        """A kubectl command of the administrator's."""
        return [str(self._programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]

    def get(self, url: str) -> list[str]:
        """A command that fetches a component's own URL, as the administrator."""
        server, _, path = url.rpartition("/")
        pair = self.administrator
        return [
            *(str(self._programs / "kubectl"), "--kubeconfig=/dev/null", f"--server={server}"),
            "--insecure-skip-tls-verify",
            *(f"--client-certificate={pair.certificate}", f"--client-key={pair.key}"),
            *("get", "--raw", f"/{path}"),
        ]

    def stages(self) -> list[list[Program]]:
        """What to start: the programs of a stage together, once those before it answer."""
        return [[self._etcd(), self._apiserver()], [self._manager(), self._scheduler()]]

    def _etcd(self) -> Program:
        clients = f"http://127.0.0.1:{self._ports.etcd}"
        peers = f"http://127.0.0.1:{self._ports.etcd_peer}"
        flags = {
            "data-dir": self._folder / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        return self._program("etcd", flags)

    def _apiserver(self) -> Program:
        alone = self._address.startswith("127.")
        flags = {
            "etcd-servers": f"http://127.0.0.1:{self._ports.etcd}",
            "bind-address": "127.0.0.1" if alone else "0.0.0.0",
            "secure-port": self._ports.api,
            "advertise-address": self._address,
            # Nobody reaches a loopback address through the service `kubernetes`.
            "endpoint-reconciler-type": "none" if alone else "lease",
            "service-cluster-ip-range": addresses.SERVICES,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "profiling": "false",
            **_pair("tls-cert-file", "tls-private-key-file", self.serving),
            "client-ca-file": self.authority.certificate,
            "service-account-key-file": self._tokens.certificate,
            "service-account-signing-key-file": self._tokens.key,
            "service-account-issuer": f"https://kubernetes.default.svc.{addresses.DOMAIN}",
            **_pair("kubelet-client-certificate", "kubelet-client-key", self._to_kubelet),
            "kubelet-certificate-authority": self.authority.certificate,
            "kubelet-preferred-address-types": "InternalIP",
            # The aggregation layer, for the metrics API ("Configure the Aggregation Layer").
            **_pair("proxy-client-cert-file", "proxy-client-key-file", self._aggregator),
            "requestheader-client-ca-file": self._front.certificate,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            "enable-aggregator-routing": "true",
        }
        return self._program("kube-apiserver", flags, self.kubectl("get", "--raw", "/readyz"), 90)

    def _manager(self) -> Program:
        name = "kube-controller-manager"
        flags = self._as_user(name) | {
            "secure-port": self._ports.manager,
            "service-account-private-key-file": self._tokens.key,
            "root-ca-file": self.authority.certificate,
            "use-service-account-credentials": "true",
            "horizontal-pod-autoscaler-sync-period": "5s",
        }
        # The first thing pods wait for.
        ready = self.kubectl("get", "serviceaccount", "default", "--namespace=default")
        return self._program(name, flags, ready)

    def _scheduler(self) -> Program:
        name = "kube-scheduler"
        flags = self._as_user(name) | {"secure-port": self._ports.scheduler}
        ready = self.get(f"https://127.0.0.1:{self._ports.scheduler}/healthz")
        return self._program(name, flags, ready)

    def _as_user(self, name: str) -> dict[str, object]:
        kubeconfig = self.kubeconfig_of(name, f"system:{name}")
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "leader-elect": "false",
            "kube-api-qps": 200,
            "kube-api-burst": 400,
        }

    def _program(
        self,
        name: str,
        flags: dict[str, object],
        ready: list[str] | None = None,
        seconds: float = 60,
    ) -> Program:
        command = [
            str(self._programs / name),
            *(f"--{key}={value}" for key, value in flags.items()),
        ]
        return Program(name, command, ready or [], seconds)


def _pair(certificate: str, key: str, pair: Pair) -> dict[str, object]:
    return {certificate: pair.certificate, key: pair.key}

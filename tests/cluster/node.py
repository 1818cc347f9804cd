"""The node: containerd runs pods, the kubelet tells it to, kube-proxy and CoreDNS lead to services.

Some settings make up for what a container or small virtual machine lacks:

- without CAP_SYS_RESOURCE no process may lower its oom_score_adj, which the pause container and the
  kubelet do by default;
- Kubernetes 1.34 still takes cgroup v1, unless `failCgroupV1` says no. Everything is in a cgroup of
  the cluster's own (`cgroups`);
- containerd, runc and the CNI keep their state in the cluster's folder, so that several clusters do
  not meet and nothing stays behind.
"""

import json
import sys
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.control import ControlPlane
from tests.cluster.daemon import Program

PAUSE_IMAGE = "localhost/pause:test"
CNI_PROGRAMS = Path("/usr/lib/cni")
_DNS_READY = "127.0.0.1:8181"
_PROXY_HEALTH = f"{addresses.NODE}:10256"
_METRICS_PORT = 4443


class Node:
    """Files and commands of a node.

    Attributes:
        socket: containerd's.
        resolv_conf: What asks the cluster's DNS, for processes of the node that are not in a pod.
    """

    def __init__(self, folder: Path, programs: Path, control: ControlPlane, name: str) -> None:
        """Write the configuration files.

        Args:
            folder: A folder, empty but for the control plane.
            programs: The folder of Kubernetes's programs.
            control: What it belongs to.
            name: Of the cluster, and of its cgroup.
        """
        self._folder = folder
        self._programs = programs
        self._control = control
        self._name = name
        self.socket = folder / "containerd.sock"
        self.resolv_conf = folder / "resolv.conf"
        for part in ("containerd", "cni", "kubelet"):
            (folder / part).mkdir()
        search = f"default.svc.{addresses.DOMAIN} svc.{addresses.DOMAIN} {addresses.DOMAIN}"
        self.resolv_conf.write_text(
            f"nameserver {addresses.NODE}\nsearch {search}\noptions ndots:5 timeout:1 attempts:2\n"
        )

    def container_runtime(self) -> Program:
        """What to start first, and load `PAUSE_IMAGE` into."""
        return self._containerd()

    def programs(self) -> list[Program]:
        """What to start then."""
        return [self._kubelet(), self._proxy(), self._dns(), self._metrics()]

    def ctr(self, *arguments: str) -> list[str]:
        """A command of containerd's client, in the namespace that the kubelet uses."""
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]

    def _containerd(self) -> Program:
        state = self._folder / "containerd"
        network = {
            "cniVersion": "0.4.0",
            "name": self._name,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "hairpinMode": True,
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self._folder / "cni-addresses"),
                        "ranges": [[{"subnet": addresses.PODS, "gateway": addresses.POD_GATEWAY}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
            ],
        }
        (self._folder / "cni" / "10-bridge.conflist").write_text(json.dumps(network, indent=1))
        config = self._folder / "containerd.toml"
        config.write_text(f"""\
version = 2
root = "{state}/root"
state = "{state}/state"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{self._folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{state}/runc"
      SystemdCgroup = false
""")
        return Program("containerd", ["containerd", "--config", str(config)], self.ctr("version"))

    def _kubelet(self) -> Program:
        folder = self._folder / "kubelet"
        serving = self._control.authority.sign(
            "kubelet-serving",
            addresses.NODE_NAME,
            names=(addresses.NODE_NAME, addresses.NODE, "127.0.0.1"),
        )
        kubeconfig = self._control.kubeconfig_of(
            "kubelet", f"system:node:{addresses.NODE_NAME}", "system:nodes"
        )
        # Pods with dnsPolicy Default get the node's resolver, which would lead out.
        nothing = folder / "no-resolv.conf"
        nothing.touch()
        settings = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "address": addresses.NODE,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._control.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "clusterDomain": addresses.DOMAIN,
            "clusterDNS": [addresses.NODE],
            "resolvConf": str(nothing),
            "podLogsDir": str(folder / "logs"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "enforceNodeAllocatable": ["pods"],
            # The machine's disk is everybody's; its fill level says nothing about the tests.
            "evictionHard": {
                "memory.available": "200Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "nodeStatusUpdateFrequency": "4s",
            "registryPullQPS": 0,
        }
        command = [
            *(str(self._programs / "kubelet"), f"--config={_written(folder / 'config', settings)}"),
            *(f"--kubeconfig={kubeconfig}", f"--root-dir={folder / 'root'}"),
            *(f"--cert-dir={folder / 'certificates'}", f"--node-ip={addresses.NODE}"),
            f"--hostname-override={addresses.NODE_NAME}",
        ]
        node = f"node/{addresses.NODE_NAME}"
        ready = self._control.kubectl("wait", "--for=condition=Ready", node, "--timeout=2s")
        return Program("kubelet", command, ready, 90)

    def _proxy(self) -> Program:
        settings = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {
                "kubeconfig": str(self._control.kubeconfig_of("kube-proxy", "system:kube-proxy"))
            },
            "mode": "iptables",
            "clusterCIDR": addresses.PODS,
            "hostnameOverride": addresses.NODE_NAME,
            "bindAddress": addresses.NODE,
            "healthzBindAddress": _PROXY_HEALTH,
            "oomScoreAdj": 0,
            # Limits of the whole machine, not of this network namespace.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
        config = _written(self._folder / "kube-proxy", settings)
        command = [str(self._programs / "kube-proxy"), f"--config={config}"]
        return Program("kube-proxy", command, self._control.get(f"http://{_PROXY_HEALTH}/healthz"))

    def _dns(self) -> Program:
        config = self._folder / "Corefile"
        config.write_text(f"""\
.:53 {{
  bind {addresses.NODE}
  ready {_DNS_READY}
  errors
  cache 5
  kubernetes {addresses.DOMAIN} {{
    kubeconfig {self._control.kubeconfig}
    pods insecure
    endpoint_pod_names
    ttl 2
  }}
}}
""")
        command = [str(self._programs / "coredns"), "-conf", str(config)]
        return Program("coredns", command, self._control.get(f"http://{_DNS_READY}/ready"))

    def _metrics(self) -> Program:
        serving, client = self._control.serving, self._control.administrator
        command = [
            *(sys.executable, "-m", "tests.cluster.metrics", self._control.url),
            *map(str, (self._control.authority.certificate, client.certificate, client.key)),
            *(addresses.NODE, str(_METRICS_PORT), str(serving.certificate), str(serving.key)),
        ]
        root = str(Path(__file__).parents[2])
        return Program("metrics", command, environment={"PYTHONPATH": root})

    def metrics_objects(self) -> dict[str, object]:
        """What leads the API server's `metrics.k8s.io` to the metrics program."""
        name = {"name": "metrics", "namespace": "kube-system"}
        port = {"name": "https", "port": 443, "protocol": "TCP"}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name,
            "spec": {"ports": [port | {"targetPort": _METRICS_PORT}]},
        }
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": name | {"labels": {"kubernetes.io/service-name": "metrics"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [addresses.NODE], "conditions": {"ready": True}}],
            "ports": [port | {"port": _METRICS_PORT}],
        }
        registration = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": name,
            },
        }
        items = [service, endpoints, registration]
        return {"apiVersion": "v1", "kind": "List", "items": items}


def _written(file: Path, settings: dict[str, object]) -> Path:
    file = file.with_suffix(".json")
    file.write_text(json.dumps(settings, indent=1))
    return file

"""A real Kubernetes on this machine, for tests: `python -m tests.cluster --help`.

The components of Kubernetes 1.34 are compiled from their Go modules (`binaries`), as there is no
package of them in Debian, and kept in the user's cache folder. A `Cluster` is one node: etcd, API
server, controller manager and scheduler (`control`), then containerd, kubelet, kube-proxy, CoreDNS
and the metrics API (`node`), all in a network namespace of its own (`network`) that has no way
out, so that addresses of pods and services mean nothing to the machine around them. What must reach
pods, or be reached by them, runs in that namespace too: `enter` does that, and tests run that way.
Images come from the files of this machine (`images`), without a registry.

`ControlPlaneServer` (`throwaway`) is the API alone, without nodes: several may run side by side,
anywhere, and a test may stop and freeze its own.

Somebody else's cluster is used instead when KUBECONFIG names one.
"""

"""Fixtures of tests on a real cluster: the one that KUBECONFIG names.

`make test-cluster` starts one of this machine's own and runs the tests inside its network, where
pods, services and the cluster's DNS are in reach, and KUBECONFIG is set.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lightkube import Client, KubeConfig

from tests.cluster import flows
from tests.cluster.binaries import programs
from tests.cluster.commands import CommandError, Helm, Kubectl, server_address
from tests.cluster.images import CORACLE_IMAGE
from tests.cluster.throwaway import ControlPlaneServer
from tests.integration.conftest import started
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres
from tests.servers.process import wait_for

_KUBECTL = pytest.StashKey[Kubectl]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a test that failed leaves in its namespace, which goes away afterwards."""
    report = yield
    if report.failed and report.when == "call" and (kubectl := item.stash.get(_KUBECTL, None)):
        report.sections.append((f"namespace {kubectl.namespace}", _contents(kubectl)))
    return report


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """How to connect to the cluster; without one, tests fail with the command that starts it."""
    path = Path(os.environ.get("KUBECONFIG") or "/nowhere")
    if not path.exists():
        pytest.fail(
            "These tests run on a Kubernetes cluster: `make test-cluster` starts one and runs "
            "them, `python -m tests.cluster enter pytest …` runs some of them when it is up, and "
            "KUBECONFIG names a cluster of yours.",
            pytrace=False,
        )
    return path


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Kubectl:
    """kubectl on the cluster, which answers and has a node that is ready."""
    if shutil.which("kubectl") is None:
        os.environ["PATH"] = f"{programs()}:{os.environ['PATH']}"
    kubectl = Kubectl(kubeconfig)
    kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=60s")
    return kubectl


@pytest.fixture(scope="session")
def address(kubeconfig: Path) -> str:
    """This machine's address as the cluster sees it: pods reach servers of the tests there."""
    api = urlsplit(server_address(kubeconfig))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((api.hostname, api.port or 443))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="session")
def image() -> str:
    """Coracle's image, as `python -m tests.cluster image` loads it, or CORACLE_TEST_IMAGE's."""
    return os.environ.get("CORACLE_TEST_IMAGE", CORACLE_IMAGE)


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Kubectl) -> Iterator[str]:
    """A namespace of the test's own; a test that fails shows what is in it."""
    name = f"test-{secrets.token_hex(4)}"
    cluster("create", "namespace", name)
    kubectl = cluster.within(name)
    wait_for(lambda: _has_account(kubectl), seconds=20, what="the default ServiceAccount")
    request.node.stash[_KUBECTL] = kubectl
    yield name
    cluster("delete", "namespace", name, "--wait=false")


def _has_account(kubectl: Kubectl) -> bool:
    return bool(kubectl("get", "serviceaccount", "default", "--ignore-not-found"))


def _contents(kubectl: Kubectl) -> str:
    parts = [
        kubectl("get", "deployments,pods", "--output=wide", "--ignore-not-found"),
        kubectl("get", "events", "--sort-by=.lastTimestamp"),
    ]
    for pod in kubectl.get("pods")["items"]:
        name = pod["metadata"]["name"]
        arguments = ("--all-containers", "--ignore-errors", "--tail=40", "--prefix")
        try:
            parts.append(kubectl("logs", name, *arguments))
        except CommandError as error:  # it has gone since it was listed
            parts.append(str(error))
    return "\n\n".join(parts)


@pytest.fixture
def kubectl(cluster: Kubectl, namespace: str) -> Kubectl:
    """kubectl in the test's namespace."""
    return cluster.within(namespace)


@pytest.fixture
def helm(cluster: Kubectl, namespace: str) -> Iterator[Helm]:
    """helm in the test's namespace; releases are uninstalled after the test."""
    helm = Helm(cluster.kubeconfig, namespace)
    yield helm
    for release in helm("list", "--all", "--short").split():
        helm("uninstall", release, "--wait")


@pytest.fixture
def client(cluster: Kubectl, namespace: str) -> Iterator[Client]:
    """A lightkube client in the test's namespace."""
    config = KubeConfig.from_file(str(cluster.kubeconfig))
    with Client(config, namespace=namespace) as client:
        yield client


@pytest.fixture
def control_plane() -> Iterator[ControlPlaneServer]:
    """An API of the test's own, without nodes, that it may stop and freeze."""
    server = ControlPlaneServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def kafka_server(address: str) -> Iterator[Kafka]:
    """A broker that pods reach."""
    yield from started(lambda: Kafka(host=address))


@pytest.fixture
def kafka(kafka_server: Kafka) -> Iterator[Kafka]:
    """A broker that pods reach, shared by all tests; it answers again after each."""
    yield kafka_server
    kafka_server.restore()


@pytest.fixture(scope="session")
def postgres_server(address: str) -> Iterator[Postgres]:
    """A PostgreSQL server that pods reach."""
    yield from started(lambda: Postgres(host=address))


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Database[Postgres]]:
    """A fresh PostgreSQL database that pods reach, with a user that owns it."""
    database = postgres_server.database()
    yield database
    postgres_server.restore()
    postgres_server.drop(database)


@pytest.fixture(scope="session")
def release(cluster: Kubectl, kafka_server: Kafka, image: str) -> Iterator[flows.Coracle]:
    """Coracle, installed by its chart, with a KafkaConnect."""
    coracle = flows.install(cluster, kafka_server, image)
    yield coracle
    flows.uninstall(coracle)


@pytest.fixture
def coracle(release: flows.Coracle, request: pytest.FixtureRequest) -> flows.Coracle:
    """The installed Coracle; a test that fails shows what is in its namespace."""
    request.node.stash[_KUBECTL] = release.kubectl
    return release

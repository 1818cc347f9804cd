"""A thousand connectors against a real API server: how long, how much memory, how many requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.types import PatchType

from coracle.kube import crds, names
from tests.cluster import binaries
from tests.cluster.commands import Kubectl
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.throwaway import ControlPlaneServer

CONNECTORS = 1000
SPACE = "scale"

_Connector = create_namespaced_resource(
    names.GROUP, names.VERSION, names.KAFKA_CONNECTOR, "kafkaconnectors"
)

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture
def server() -> Iterator[ControlPlaneServer]:
    server = ControlPlaneServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def operator(server: ControlPlaneServer) -> Iterator[OperatorProcess]:
    kubectl = Kubectl(server.kubeconfig, program=str(binaries.programs() / "kubectl"))
    definitions = crds.definitions().values()
    kubectl.apply(*definitions)
    kubectl(
        "wait",
        "--for=condition=Established",
        *(f"crd/{d['metadata']['name']}" for d in definitions),
    )
    kubectl("create", "namespace", SPACE)
    kubectl.within(SPACE).apply(
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KAFKA_CONNECT,
            "metadata": {"name": "lab"},
            "spec": {"bootstrapServers": "kafka:9092", "replicas": 0},
        }
    )
    operator = OperatorProcess(server.kubeconfig, CORACLE_LOG_LEVEL="WARNING")
    operator.start()
    yield operator
    operator.kill()


async def test_a_thousand_connectors(
    server: ControlPlaneServer, operator: OperatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    config = KubeConfig.from_file(str(server.kubeconfig)).get()
    async with AsyncClient(config, namespace=SPACE, timeout=httpx2.Timeout(30)) as client:
        idle = operator.requests()
        begun = time.monotonic()
        await at_once(lambda number: client.create(_Connector(connector(number))), CONNECTORS)
        applied = time.monotonic() - begun
        while await count(client, Deployment) < CONNECTORS:
            await asyncio.sleep(0.5)
        # The Deployment is the last that is made of a connector's objects.
        made = time.monotonic() - begun
        await until_quiet(operator)
        requests = (operator.requests() - idle) / CONNECTORS
        now, most = operator.memory()
        quiet = operator.requests()
        await asyncio.sleep(30)
        steady = (operator.requests() - quiet) / 30 / CONNECTORS
        flooded, alone = await latency_beside_a_flood(client)
    text = (
        f"{CONNECTORS} connectors: applied in {applied:.1f} s, all objects after {made:.1f} s; "
        f"operator {now:.0f} MiB (at most {most:.0f}); {requests:.1f} requests per connector; "
        f"steady {steady:.5f} requests/s per connector; an edit takes {alone:.2f} s, "
        f"beside a flood of another's status {flooded:.2f} s"
    )
    with capsys.disabled():
        print(f"\n{text}")
    assert most < 200
    assert requests < 14
    assert steady <= 0.02
    assert flooded < alone + 2


def connector(number: int) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KAFKA_CONNECTOR,
        "metadata": {"name": f"c{number}", "namespace": SPACE},
        "spec": {
            "class": "JdbcSinkConnector",
            "connect": {"name": "lab"},
            "config": {"topics": f"t{number}", "connection.password": "${secrets:db:password}"},
        },
    }


async def at_once(work: Callable[[int], Awaitable[Any]], times: int) -> None:
    """Do something so many times, sixteen at once."""
    free = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with free:
            await work(number)

    await asyncio.gather(*(one(number) for number in range(times)))


async def count(client: AsyncClient, kind: Any) -> int:
    return sum([1 async for _ in client.list(kind, chunk_size=500)])


async def until_quiet(operator: OperatorProcess) -> None:
    """Wait until the operator has made no request for a while."""
    before, since = -1.0, time.monotonic()
    while time.monotonic() - since < 8:
        await asyncio.sleep(1)
        if (now := operator.requests()) != before:
            before, since = now, time.monotonic()


async def latency_beside_a_flood(client: AsyncClient) -> tuple[float, float]:
    """Seconds from an edit of one connector to its Deployment, with and without a flood."""
    alone = await latency(client, "c1", 1)

    async def flood() -> None:
        for number in range(100_000):
            status = {"status": {"connectorStatus": {"connector": {"epoch": number}}}}
            await client.patch(
                _Connector.Status, "c0", status, namespace=SPACE, patch_type=PatchType.MERGE
            )

    flooding = asyncio.create_task(flood())
    try:
        await asyncio.sleep(1)
        return await latency(client, "c2", 2), alone
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def latency(client: AsyncClient, name: str, size: int) -> float:
    deployment = names.object_name(name, names.CONNECTOR_SUFFIX)
    before = (await client.get(Deployment, deployment)).metadata
    change = {"spec": {"config": {"batch.size": size}}}
    begun = time.monotonic()
    await client.patch(_Connector, name, change, namespace=SPACE, patch_type=PatchType.MERGE)
    while True:
        found = (await client.get(Deployment, deployment)).metadata
        assert found
        assert before
        if found.generation != before.generation:
            return time.monotonic() - begun
        await asyncio.sleep(0.02)

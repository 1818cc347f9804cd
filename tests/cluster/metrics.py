"""The resource metrics API (`metrics.k8s.io/v1beta1`), which HPAs and `kubectl top` read.

What metrics-server does for one node: every two seconds it reads the kubelet's `/metrics/resource`
through the API server; usage of CPU is the difference between two readings.
"""

import asyncio
import contextlib
import re
import ssl
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException

from tests.cluster.addresses import NODE_NAME

GROUP_VERSION = "metrics.k8s.io/v1beta1"
SECONDS = 2.0
_SAMPLE = re.compile(r"^(\w+?)(?:\{(.*)\})? (\S+)(?: (\d+))?$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Owner = tuple[str, str, str]
"""Namespace, pod and container; empty strings for the node."""


@dataclass
class Usage:
    """The last reading, and what is known since the one before it.

    Attributes:
        cpu_seconds: Used in all.
        at: When that was read, in seconds.
        cpu: Cores in use; None before the second reading.
        memory: Working set in bytes.
    """

    cpu_seconds: float
    at: float
    cpu: float | None = None
    memory: int = 0

    def answer(self) -> dict[str, str]:
        """As quantities of Kubernetes."""
        return {"cpu": f"{int((self.cpu or 0) * 1e9)}n", "memory": f"{self.memory // 1024}Ki"}


class Readings:
    """The usage of every container that runs, and of the node."""

    def __init__(self, api: httpx.AsyncClient) -> None:
        self._api = api
        self._usage: dict[Owner, Usage] = {}

    async def read_forever(self) -> None:
        """Read again and again; a reading that fails leaves the last one in place."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self._read()
            await asyncio.sleep(SECONDS)

    async def _read(self) -> None:
        answer = await self._api.get(f"/api/v1/nodes/{NODE_NAME}/proxy/metrics/resource")
        answer.raise_for_status()
        cpu: dict[Owner, tuple[float, float]] = {}
        memory: dict[Owner, int] = {}
        for name, labels, value, milliseconds in _SAMPLE.findall(answer.text):
            at = int(milliseconds) / 1000 if milliseconds else time.time()
            names = dict(_LABEL.findall(labels))
            owner = (names.get("namespace", ""), names.get("pod", ""), names.get("container", ""))
            if name in {"container_cpu_usage_seconds_total", "node_cpu_usage_seconds_total"}:
                cpu[owner] = float(value), at
            elif name in {"container_memory_working_set_bytes", "node_memory_working_set_bytes"}:
                memory[owner] = int(float(value))
        usage = {owner: self._next(owner, *sample) for owner, sample in cpu.items()}
        for owner, entry in usage.items():
            entry.memory = memory.get(owner, 0)
        self._usage = usage

    def _next(self, owner: Owner, cpu_seconds: float, at: float) -> Usage:
        last = self._usage.get(owner)
        if last is None:
            return Usage(cpu_seconds, at)
        if at <= last.at:  # the kubelet has not looked again yet
            return last
        return Usage(cpu_seconds, at, max(0.0, (cpu_seconds - last.cpu_seconds) / (at - last.at)))

    def node(self) -> dict[str, str] | None:
        """The node's usage."""
        usage = self._usage.get(("", "", ""))
        return usage.answer() if usage and usage.cpu is not None else None

    async def pods(self, path: str, selector: str) -> list[dict[str, Any]]:
        """PodMetrics of the pods that a path and a label selector of the API give."""
        answer = await self._api.get(path, params={"labelSelector": selector})
        answer.raise_for_status()
        containers = defaultdict[tuple[str, str], list[dict[str, Any]]](list)
        for (namespace, pod, container), usage in self._usage.items():
            if usage.cpu is not None:
                containers[namespace, pod].append({"name": container, "usage": usage.answer()})
        found = [(pod["metadata"], containers) for pod in answer.json()["items"]]
        return [
            _item(
                "PodMetrics",
                {key: meta[key] for key in ("name", "namespace", "labels") if key in meta},
                containers=containers[meta["namespace"], meta["name"]],
            )
            for meta, containers in found
            if containers[meta["namespace"], meta["name"]]
        ]


def _item(kind: str, metadata: dict[str, Any], **usage: object) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": metadata}
    return {**head, "timestamp": now, "window": f"{SECONDS * 5:.0f}s", **usage}


def _list(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": GROUP_VERSION, "kind": f"{kind}List", "metadata": {}, "items": items}


def create_app(api: httpx.AsyncClient) -> FastAPI:
    """The API.

    Args:
        api: A client of the cluster's API that may read pods and nodes.
    """
    readings = Readings(api)

    @contextlib.asynccontextmanager
    async def reading(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(readings.read_forever())
        yield
        task.cancel()

    app = FastAPI(lifespan=reading, openapi_url=None)
    root = f"/apis/{GROUP_VERSION}"

    @app.get(root)
    def resources() -> dict[str, Any]:
        kinds = {"nodes": ("NodeMetrics", False), "pods": ("PodMetrics", True)}
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": GROUP_VERSION,
            "resources": [
                {
                    "name": name,
                    "singularName": "",
                    "namespaced": namespaced,
                    "kind": kind,
                    "verbs": ["get", "list"],
                }
                for name, (kind, namespaced) in kinds.items()
            ],
        }

    @app.get(f"{root}/nodes")
    def nodes() -> dict[str, Any]:
        usage = readings.node()
        found = [_item("NodeMetrics", {"name": NODE_NAME}, usage=usage)] if usage else []
        return _list("NodeMetrics", found)

    @app.get(f"{root}/nodes/{{name}}")
    def node(name: str) -> dict[str, Any]:
        usage = readings.node()
        if name != NODE_NAME or usage is None:
            raise HTTPException(404)
        return _item("NodeMetrics", {"name": name}, usage=usage)

    @app.get(f"{root}/pods")
    async def pods(labelSelector: str = "") -> dict[str, Any]:  # noqa: N803 - Kubernetes's name
        return _list("PodMetrics", await readings.pods("/api/v1/pods", labelSelector))

    @app.get(f"{root}/namespaces/{{namespace}}/pods")
    async def pods_of(namespace: str, labelSelector: str = "") -> dict[str, Any]:  # noqa: N803
        path = f"/api/v1/namespaces/{namespace}/pods"
        return _list("PodMetrics", await readings.pods(path, labelSelector))

    @app.get(f"{root}/namespaces/{{namespace}}/pods/{{name}}")
    async def pod(namespace: str, name: str) -> dict[str, Any]:
        found = await readings.pods(f"/api/v1/namespaces/{namespace}/pods", "")
        for item in found:
            if item["metadata"]["name"] == name:
                return item
        raise HTTPException(404)

    return app


def main() -> None:
    """Serve.

    Arguments: the API's URL, its authority, a client's certificate and key; then the address, port,
    certificate and key to serve with.
    """
    url, authority, certificate, key, host, port, serving, serving_key = sys.argv[1:]
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    api = httpx.AsyncClient(base_url=url, verify=context, timeout=5)
    uvicorn.run(
        create_app(api),
        host=host,
        port=int(port),
        ssl_certfile=serving,
        ssl_keyfile=serving_key,
        log_level="warning",
    )


if __name__ == "__main__":
    main()

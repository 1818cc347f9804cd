"""The admission webhook, asked by a real API server, answering kubectl.

Webhook and api run on this machine instead of in pods; the API server reaches the webhook by URL,
so it must run here too.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.resources.admissionregistration_v1 import ValidatingWebhookConfiguration
from lightkube.resources.core_v1 import Secret

from coracle_operator import webhook
from coracle_operator.certificates import (
    VALIDITY,
    Certificates,
    host_names,
    issue,
    keep_certificates,
)
from tests.cluster.connect_api import ConnectApi, apply_crds, kubectl, manifest
from tests.servers.ports import free_port

SINK = {"topics": "orders", "connection.url": "jdbc:postgresql://db/shop"}
CONNECT = {"bootstrapServers": "kafka:9092"}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[str]:
    apply_crds(kubeconfig)
    name = f"admission-{time.time_ns()}"
    assert kubectl(kubeconfig, "create", "namespace", name)[0] == 0
    yield name
    kubectl(kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def api(kubeconfig: Path, namespace: str) -> Iterator[ConnectApi]:
    process = ConnectApi(kubeconfig, namespace)
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(KubeConfig.from_file(kubeconfig).get())
    yield client
    await client.close()


async def health(port: int, serving: asyncio.Task[None]) -> None:
    """Return when the webhook answers, or has ended."""
    url = f"https://localhost:{port}/health"
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        while not serving.done():
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url, ssl=False) as answer:
                    assert answer.status == 200
                    return
            await asyncio.sleep(0.05)
    raise AssertionError("it does not answer")


class Admission:
    """A webhook that is asked about one namespace only.

    Attributes:
        fail_closed: Given to the webhook when it starts.
    """

    def __init__(self, client: AsyncClient, kubeconfig: Path, namespace: str, folder: Path) -> None:
        self._client = client
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._folder = folder
        self._port = free_port()
        self._name = f"try-{namespace}"
        self.api_url = ""
        self.fail_closed = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start and register it."""
        issued = issue(["localhost"], datetime.now(UTC))
        (self._folder / "tls.crt").write_bytes(issued.certificate)
        (self._folder / "tls.key").write_bytes(issued.key)
        serving = asyncio.create_task(
            webhook.serve(
                self._client,
                self._folder,
                port=self._port,
                fail_closed=self.fail_closed,
                url=lambda place: self.api_url,
            )
        )
        try:
            await health(self._port, serving)
            await self.kubectl("apply", "-f-", text=self._configuration(issued.bundle))
            yield
        finally:
            await self.kubectl("delete", "validatingwebhookconfiguration", self._name)
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    async def kubectl(self, *arguments: str, text: str = "") -> tuple[int, str]:
        """Exit code and output."""
        return await asyncio.to_thread(kubectl, self._kubeconfig, *arguments, text=text)

    async def apply(
        self,
        config: dict[str, Any],
        *arguments: str,
        name: str = "orders",
        kind: str = "KafkaConnector",
        **spec: Any,
    ) -> tuple[int, str]:
        """Apply a resource: exit code and what kubectl says."""
        content = {"config": config, **spec}
        if kind == "KafkaConnector":
            content = {"class": "JdbcSink", "connect": {"name": "connect"}, **content}
        text = manifest(kind, name, self._namespace, content)
        return await self.kubectl("apply", *arguments, "-f-", text=text)

    def _configuration(self, bundle: bytes) -> str:
        rule = {
            "apiGroups": ["coracle.dev"],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["kafkaconnectors", "kafkaconnects"],
        }
        hook = {
            "name": "validate.coracle.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {
                "url": f"https://localhost:{self._port}{webhook.PATH}",
                "caBundle": base64.b64encode(bundle).decode(),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
            "rules": [rule],
        }
        return json.dumps(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": self._name},
                "webhooks": [hook],
            }
        )


@pytest.fixture
def admission(
    client: AsyncClient, kubeconfig: Path, namespace: str, api: ConnectApi, tmp_path: Path
) -> Admission:
    admission = Admission(client, kubeconfig, namespace, tmp_path)
    admission.api_url = api.url
    return admission


@pytest.fixture
async def hook(admission: Admission) -> AsyncIterator[Admission]:
    """The webhook, and a KafkaConnect called `connect`."""
    async with admission.running():
        code, said = await admission.apply({}, name="connect", kind="KafkaConnect", **CONNECT)
        assert code == 0, said
        yield admission


async def test_a_wrong_connector_is_denied_with_all_that_is_wrong(hook: Admission) -> None:
    wrong = {
        "connection.url": "jdbc:postgresql://db/shop",
        "connection.password": "${secrets:billing/db:password}",
        "batch.size": "many",
    }
    code, said = await hook.apply(wrong)
    assert code == 1
    assert 'admission webhook "validate.coracle.dev" denied the request' in said
    assert "KafkaConnector orders is wrong:" in said
    assert (
        "spec.config[batch.size]: Invalid value many for configuration batch.size: "
        "must be a 32-bit integer." in said
    )
    assert (
        "spec.config[topics], spec.config[topics.regex]: "
        "Must configure one of topics or topics.regex" in said
    )
    assert "spec.config[connection.password]:" in said
    assert "billing" in said


async def test_a_class_that_does_not_exist(hook: Admission) -> None:
    code, said = await hook.apply({}, **{"class": "JdbcSnk"})
    assert code == 1
    assert "spec.class: " in said
    assert "did you mean io.confluent.connect.jdbc.JdbcSinkConnector?" in said


async def test_a_dry_run_says_the_same_and_changes_nothing(
    hook: Admission, kubeconfig: Path, namespace: str
) -> None:
    code, said = await hook.apply({"batch.size": "many"}, "--dry-run=server", name="dry")
    assert code == 1
    assert "Invalid value many" in said
    code, said = await hook.apply(SINK, "--dry-run=server", name="dry")
    assert (code, said) == (0, "kafkaconnector.coracle.dev/dry created (server dry run)\n")
    assert kubectl(kubeconfig, "get", "kafkaconnector/dry", "-n", namespace)[0] == 1


async def test_what_is_odd_is_a_warning(hook: Admission) -> None:
    odd = {**SINK, "batch.sise": 5, "connection.password": "hunter2", "tasks.max": 3}
    code, said = await hook.apply(odd, name="odd")
    assert code == 0
    assert "Warning: unknown key batch.sise, did you mean batch.size?\n" in said
    assert "Warning: connection.password is a password in plain text" in said
    assert "Warning: spec.config.tasks.max is ignored: spec.tasksMax says it\n" in said
    assert "hunter2" not in said


async def test_a_right_connector_and_a_wrong_change(hook: Admission) -> None:
    assert await hook.apply(SINK, name="right") == (
        0,
        "kafkaconnector.coracle.dev/right created\n",
    )
    code, said = await hook.apply({**SINK, "insert.mode": "sometimes"}, name="right")
    assert code == 1
    assert "spec.config[insert.mode]: Invalid value sometimes" in said


async def test_what_is_rejected_by_now_can_be_annotated_scaled_and_deleted(
    admission: Admission, namespace: str
) -> None:
    place = ("-n", namespace)
    assert (await admission.apply({"batch.size": "many"}, name="old"))[0] == 0
    finalizer = '{"metadata": {"finalizers": ["coracle.dev/stop"]}}'
    patch = ("patch", "kafkaconnector/old", *place, "--type=merge", "-p")
    assert (await admission.kubectl(*patch, finalizer))[0] == 0
    async with admission.running():
        await admission.apply({}, name="connect", kind="KafkaConnect", **CONNECT)
        for accepted in (
            ("annotate", "kafkaconnector/old", *place, "coracle.dev/restart=true"),
            ("label", "kafkaconnector/old", *place, "team=shop"),
            (*patch, '{"status": {"replicas": 1}}', "--subresource=status"),
            ("scale", "kafkaconnector/old", *place, "--replicas=2"),
            ("delete", "kafkaconnector/old", *place, "--wait=false"),
            (*patch, '{"metadata": {"finalizers": null}}'),
        ):
            code, said = await admission.kubectl(*accepted)
            assert code == 0, said
        assert (await admission.kubectl("get", "kafkaconnector/old", *place))[0] == 1
        code, said = await admission.apply({"batch.size": "many"}, name="old")
        assert code == 1
        assert "Invalid value many" in said


async def test_without_a_kafka_connect_it_is_admitted_with_a_warning(hook: Admission) -> None:
    code, said = await hook.apply({"batch.size": "many"}, name="early", connect={"name": "later"})
    assert code == 0
    assert "Warning: not checked before it starts: there is no KafkaConnect later" in said
    code, said = await hook.apply(SINK, name="lost", connect=None)
    assert code == 0
    assert "Warning: no KafkaConnect runs this connector: set spec.connect.name" in said


async def test_while_the_api_is_away_it_is_admitted_with_a_warning(hook: Admission) -> None:
    hook.api_url = f"http://127.0.0.1:{free_port()}"
    code, said = await hook.apply({"batch.size": "many"}, name="unchecked")
    assert code == 0
    assert "Warning: not checked before it starts: the api of KafkaConnect connect cannot" in said
    assert "connect-connect-api" in said


async def test_an_api_that_hangs_is_given_up(hook: Admission, api: ConnectApi) -> None:
    api.pause()
    try:
        started = time.monotonic()
        code, said = await hook.apply(SINK, name="patient")
        assert code == 0
        assert "did not answer within 3 s" in said
        assert time.monotonic() - started < 5
    finally:
        api.resume()


async def test_what_cannot_be_checked_is_denied_where_that_is_wanted(
    admission: Admission,
) -> None:
    admission.fail_closed = True
    admission.api_url = f"http://127.0.0.1:{free_port()}"
    async with admission.running():
        await admission.apply({}, name="connect", kind="KafkaConnect", **CONNECT)
        code, said = await admission.apply(SINK, name="closed")
        assert code == 1
        assert "KafkaConnector closed cannot be checked, and unchecked ones are not" in said
        assert "cannot be reached" in said


async def test_another_namespaces_kafka_connect_must_let_it_in(
    hook: Admission, kubeconfig: Path, namespace: str
) -> None:
    other = f"{namespace}-kafka"
    assert kubectl(kubeconfig, "create", "namespace", other)[0] == 0
    try:
        closed = manifest("KafkaConnect", "central", other, CONNECT)
        assert kubectl(kubeconfig, "apply", "-f-", text=closed)[0] == 0
        central = {"name": "central", "namespace": other}
        secret = {**SINK, "connection.password": f"${{secrets:{namespace}/db:password}}"}
        code, said = await hook.apply(secret, name="abroad", connect=central)
        assert code == 1
        assert "spec.connect.namespace: KafkaConnect central of the namespace" in said
        everyone = {**CONNECT, "allowedNamespaces": {"from": "All"}}
        opened = manifest("KafkaConnect", "central", other, everyone)
        assert kubectl(kubeconfig, "apply", "-f-", text=opened)[0] == 0
        code, said = await hook.apply(secret, name="abroad", connect=central)
        assert (code, said) == (0, "kafkaconnector.coracle.dev/abroad created\n")
    finally:
        kubectl(kubeconfig, "delete", "namespace", other, "--wait=false")


async def test_a_wrong_kafka_connect(hook: Admission) -> None:
    config = {"offset.flush.interval.ms": "soon", "key.convertor": "x"}
    code, said = await hook.apply(config, name="wrong", kind="KafkaConnect", **CONNECT)
    assert code == 1
    assert "Warning: unknown worker key key.convertor, did you mean key.converter?" in said
    assert "spec.config[offset.flush.interval.ms]: Invalid value soon" in said


async def test_it_goes_on_for_a_moment_after_it_was_asked_to_stop(
    client: AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server hears of it a little later."""
    port = free_port()
    monkeypatch.setattr(webhook, "LINGER_SECONDS", 0.5)
    issued = issue(["localhost"], datetime.now(UTC))
    running = asyncio.create_task(webhook.run(client, tmp_path, port=port))
    (tmp_path / "tls.crt").write_bytes(issued.certificate)
    (tmp_path / "tls.key").write_bytes(issued.key)
    await health(port, running)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.2)
    await health(port, running)
    async with asyncio.timeout(5):
        await running
    with pytest.raises(AssertionError, match="does not answer"):
        await health(port, running)


# The certificate


async def until(condition: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.05)
            assert what


async def test_the_operator_keeps_the_certificate(
    client: AsyncClient, kubeconfig: Path, namespace: str
) -> None:
    name, secret = f"kept-{namespace}", "webhook-certificate"
    hosts = host_names("hook", namespace)
    rule = {
        "apiGroups": ["coracle.dev"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["nothing"],
    }
    service = {"name": "hook", "namespace": namespace, "path": webhook.PATH}
    hooks = [
        {
            "name": f"{each}.coracle.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {"service": service},
            "rules": [rule],
        }
        for each in ("one", "two")
    ]
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": hooks,
    }

    async def held() -> Certificates | None:
        try:
            data = (await client.get(Secret, secret, namespace=namespace)).data or {}
        except Exception:
            return None
        keys = ("ca.crt", "tls.crt", "tls.key")
        return Certificates(*(base64.b64decode(data[key]) for key in keys))

    async def bundles() -> set[bytes]:
        found = await client.get(ValidatingWebhookConfiguration, name)
        assert found.webhooks
        return {base64.b64decode(each.clientConfig.caBundle or "") for each in found.webhooks}

    async def is_trusted() -> bool:
        kept = await held()
        return kept is not None and await bundles() == {kept.bundle}

    async def replace(certificates: Certificates) -> None:
        found = await client.get(Secret, secret, namespace=namespace)
        texts = (certificates.bundle, certificates.certificate, certificates.key)
        found.data = {
            key: base64.b64encode(text).decode()
            for key, text in zip(("ca.crt", "tls.crt", "tls.key"), texts, strict=True)
        }
        await client.replace(found)

    keeping = asyncio.create_task(
        keep_certificates(client, namespace, "hook", name, secret=secret, every=0.1)
    )
    try:
        await until(held, "a Secret, though nobody asks for it yet")
        first = await held()
        assert first
        code, said = await asyncio.to_thread(
            kubectl, kubeconfig, "apply", "-f-", text=json.dumps(configuration)
        )
        assert code == 0, said
        await until(is_trusted, "trust in both webhooks")
        assert await held() == first  # nothing is issued without need

        # Somebody's `kubectl replace` takes the trust away.
        await asyncio.to_thread(
            kubectl, kubeconfig, "replace", "-f-", text=json.dumps(configuration)
        )
        await until(is_trusted, "trust again")
        assert await held() == first

        # Renewal is due: the old authority stays trusted, for pods that do not see it at once.
        old = issue(hosts, datetime.now(UTC) - VALIDITY + timedelta(days=30))
        await replace(old)

        async def is_renewed() -> bool:
            kept = await held()
            return kept is not None and kept.certificate != old.certificate

        await until(is_renewed, "a new certificate")
        renewed = await held()
        assert renewed
        assert renewed.bundle.endswith(old.bundle)
        await until(is_trusted, "trust in both authorities")

        # Somebody deletes the Secret.
        await client.delete(Secret, secret, namespace=namespace)
        await until(held, "another Secret")
        await until(is_trusted, "trust in it")
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        await asyncio.to_thread(
            kubectl, kubeconfig, "delete", "validatingwebhookconfiguration", name
        )

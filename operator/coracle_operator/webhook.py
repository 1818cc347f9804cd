"""The validating admission webhook: ``kubectl apply`` itself says what is wrong with a connector.

Only the image of a KafkaConnect holds its plugins, so the webhook asks that KafkaConnect's api,
which runs the same checks as the REST API and ``coracle validate``. Errors deny the request and
warnings go into kubectl's answer. Where there is nobody to ask, a connector is admitted with a
warning and its pods check it again, or denied, as ``fail_closed`` says.

An update that leaves the spec alone is always admitted, and so is everything about a resource that
is being deleted: what a validator has learnt to reject since must still be annotated and go away.
Nothing is changed by a review, so dry runs work.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import httpx2
from aiohttp import web
from lightkube import ApiError, AsyncClient
from lightkube.generic_resource import create_namespaced_resource

from coracle.api import ConfigErrors
from coracle.config import providers
from coracle.config.worker import WORKER_SPEC, did_you_mean
from coracle.kube.model import strings
from coracle.kube.names import (
    CLUSTER_LABEL,
    CONNECT_API_SUFFIX,
    GROUP,
    KAFKA_CONNECT,
    VERSION,
    object_name,
)
from coracle.kube.references import PROVIDERS
from coracle.kube.view import OWN_FIELDS
from coracle_operator.certificates import CERTIFICATE_FILE, KEY_FILE

logger = logging.getLogger(__name__)

PATH = "/validate"
"""Where the API server sends reviews."""

ASK_SECONDS = 3.0
"""How long the KafkaConnect and its api may take together."""

RELOAD_SECONDS = 5.0
"""How often the certificate's files are looked at."""

LINGER_SECONDS = 3.0
"""How long it goes on after it was asked to stop."""

_LARGEST_REVIEW = 16 * 2**20  # an object of 1.5 MiB, old and new, and room

_CONNECT = create_namespaced_resource(GROUP, VERSION, KAFKA_CONNECT, "kafkaconnects")

Object = Mapping[str, Any]
"""A part of a resource or review as JSON."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        field: the place in the resource.
        message: what is wrong and what would be right.
    """

    field: str
    message: str


@dataclass(frozen=True)
class Findings:
    """What was found out about a resource.

    Attributes:
        errors: what denies it.
        warnings: what is said to whoever applies it, one sentence each.
    """

    errors: Sequence[Finding] = ()
    warnings: Sequence[str] = ()


class UncheckedError(Exception):
    """There is nobody to ask; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """A KafkaConnect that a connector names."""

    name: str
    namespace: str


# -- pure ----------------------------------------------------------------------------------------


def is_free(request: Object) -> bool:
    """Whether a request is admitted without a look: it changes nothing that could be wrong."""
    resource = request.get("object")
    if request.get("operation") not in ("CREATE", "UPDATE") or not resource:
        return True
    if request.get("subResource") or resource["metadata"].get("deletionTimestamp"):
        return True
    old = request.get("oldObject")
    return (
        old is not None
        and old.get("spec") == resource.get("spec")
        and _cluster_label(old) == _cluster_label(resource)
    )


def place_of(connector: Object) -> Place | None:
    """The KafkaConnect that a KafkaConnector names; ``None`` when it names none."""
    namespace = connector["metadata"]["namespace"]
    named = connector["spec"].get("connect")
    if named:
        return Place(named["name"], named.get("namespace") or namespace)
    label = _cluster_label(connector)
    return Place(label, namespace) if label else None


def question(connector: Object) -> dict[str, Any]:
    """What the api is asked about a KafkaConnector."""
    metadata, spec = connector["metadata"], connector["spec"]
    config = {
        key: value for key, value in (spec.get("config") or {}).items() if key not in OWN_FIELDS
    }
    if spec.get("version"):
        config["connector.plugin.version"] = spec["version"]
    return {
        "name": spec.get("name") or metadata["name"],
        "namespace": metadata["namespace"],
        "tasksMax": spec.get("tasksMax", 1),
        "config": {**config, "connector.class": spec["class"]},
    }


def findings_of(connector: Object, answer: Object) -> Findings:
    """The api's answer in terms of the resource."""
    ignored = [
        f"spec.config.{key} is ignored: {OWN_FIELDS[key]} says it"
        for key in connector["spec"].get("config") or {}
        if key in OWN_FIELDS
    ]
    errors = [
        Finding(
            _field(error.get("field", "")), f"{error['message']} {error.get('fix', '')}".strip()
        )
        for error in answer.get("errors", ())
    ]
    return Findings(errors, [*ignored, *answer.get("warnings", ())])


def kafka_connect_findings(connect: Object) -> Findings:
    """What is wrong or odd about a KafkaConnect, as far as that shows without its plugins."""
    config = (connect.get("spec") or {}).get("config") or {}
    try:
        values = strings(config)
    except ConfigErrors as error:
        return Findings([Finding(_field(one.field), str(one)) for one in error.errors])
    open_keys = providers.referenced(values, providers.BUILT_IN.keys() | PROVIDERS.keys())
    _, errors = WORKER_SPEC.collect(values, unknown=open_keys)
    known = [key.name for key in WORKER_SPEC.keys]
    return Findings(
        [Finding(_field(error.field), str(error)) for error in errors],
        [
            f"unknown worker key {key}{did_you_mean(key, known)}"
            for key in values
            if not WORKER_SPEC.knows(key) and did_you_mean(key, known)
        ],
    )


def admitted(warnings: Iterable[str] = ()) -> dict[str, Any]:
    """The response that lets a request through."""
    return {"allowed": True, "warnings": [" ".join(warning.split()) for warning in warnings]}


def denied(message: str, warnings: Iterable[str] = ()) -> dict[str, Any]:
    """The response that refuses a request; kubectl shows the message."""
    status = {"code": 422, "message": message}
    return {**admitted(warnings), "allowed": False, "status": status}


def response(kind: str, name: str, findings: Findings) -> dict[str, Any]:
    """The response for what was found out."""
    if not findings.errors:
        return admitted(findings.warnings)
    fields: dict[str, list[str]] = {}
    for error in findings.errors:
        fields.setdefault(error.message, []).append(error.field)
    lines = [f"{kind} {name} is wrong:"]
    lines += [
        f"  {', '.join(filter(None, places)) or 'spec'}: {message}"
        for message, places in fields.items()
    ]
    return denied("\n".join(lines), findings.warnings)


def _cluster_label(resource: Object) -> str:
    return (resource["metadata"].get("labels") or {}).get(CLUSTER_LABEL, "")


def _field(setting: str) -> str:
    return OWN_FIELDS.get(setting) or (f"spec.config[{setting}]" if setting else "")


# -- asking --------------------------------------------------------------------------------------


def api_url(place: Place) -> str:
    """Where the api of a KafkaConnect answers inside the cluster."""
    service = object_name(place.name, CONNECT_API_SUFFIX)
    return f"http://{service}.{place.namespace}.svc:8083"


@dataclass
class Reviewer:
    """Decides about requests.

    Attributes:
        client: for the API server.
        http: for the apis.
        fail_closed: whether what cannot be checked is denied.
        url: where the api of a KafkaConnect answers.
    """

    client: AsyncClient
    http: aiohttp.ClientSession
    fail_closed: bool = False
    url: Callable[[Place], str] = field(default=api_url)

    async def review(self, request: Object) -> dict[str, Any]:
        """The response, without the ``uid``. Never raises for trouble on the way to the answer."""
        if is_free(request):
            return admitted()
        resource, kind = request["object"], request["kind"]["kind"]
        name = resource["metadata"].get("name") or resource["metadata"].get("generateName", "")
        resource = {
            **resource,
            "metadata": {**resource["metadata"], "name": name, "namespace": request["namespace"]},
        }
        try:
            if kind == KAFKA_CONNECT:
                findings = kafka_connect_findings(resource)
            else:
                findings = await self._findings(resource)
        except UncheckedError as error:
            return self._unchecked(kind, name, str(error))
        except Exception:
            logger.exception("%s %s could not be checked", kind, name)
            return self._unchecked(kind, name, "the webhook failed; its log says why")
        if findings.errors:
            fields = ", ".join(error.field or "spec" for error in findings.errors)
            logger.info("%s %s/%s denied: %s", kind, request["namespace"], name, fields)
        return response(kind, name, findings)

    def _unchecked(self, kind: str, name: str, why: str) -> dict[str, Any]:
        if self.fail_closed:
            return denied(
                f"{kind} {name} cannot be checked, and unchecked ones are not admitted here: {why}"
            )
        return admitted([f"not checked before it starts: {why}"])

    async def _findings(self, connector: Object) -> Findings:
        place = place_of(connector)
        if place is None:
            return Findings(
                warnings=[
                    "no KafkaConnect runs this connector: set spec.connect.name, or the label "
                    f"{CLUSTER_LABEL}"
                ]
            )
        try:
            async with asyncio.timeout(ASK_SECONDS):
                connect = await self._connect(place)
                closed = _closed_to(connect, place, connector)
                if closed:
                    return Findings([closed])
                return findings_of(connector, await self._ask(place, question(connector)))
        except TimeoutError:
            raise UncheckedError(
                f"the api of KafkaConnect {place.name} did not answer within {ASK_SECONDS:.0f} s"
            ) from None

    async def _connect(self, place: Place) -> Object:
        try:
            found = await self.client.get(_CONNECT, place.name, namespace=place.namespace)
        except ApiError as error:
            if error.status.code == 404:
                raise UncheckedError(
                    f"there is no KafkaConnect {place.name} in the namespace {place.namespace} yet"
                ) from None
            raise UncheckedError(f"KafkaConnect {place.name} cannot be read: {error}") from error
        except httpx2.HTTPError as error:
            raise UncheckedError(
                f"KafkaConnect {place.name} cannot be read: {error or type(error).__name__}"
            ) from error
        return cast("Object", found)

    async def _ask(self, place: Place, body: Object) -> Object:
        url = f"{self.url(place)}/coracle/v1/validate"
        try:
            async with self.http.post(url, json=body) as answer:
                if answer.status != 200:
                    raise UncheckedError(
                        f"the api of KafkaConnect {place.name} answered {answer.status}: "
                        f"{(await answer.text())[:200]}"
                    )
                return await answer.json()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UncheckedError(
                f"the api of KafkaConnect {place.name} cannot be reached ({error}); its pods are "
                f"the Deployment {object_name(place.name, CONNECT_API_SUFFIX)} in the namespace "
                f"{place.namespace}"
            ) from error


def _closed_to(connect: Object, place: Place, connector: Object) -> Finding | None:
    """Why a KafkaConnect of another namespace does not take this connector, if it says so plainly.

    What a selector says depends on labels of the namespace, which can change: the operator judges.
    """
    namespace = connector["metadata"]["namespace"]
    allowed = ((connect.get("spec") or {}).get("allowedNamespaces") or {}).get("from", "Same")
    if place.namespace == namespace or allowed != "Same":
        return None
    return Finding(
        "spec.connect.namespace",
        f"KafkaConnect {place.name} of the namespace {place.namespace} runs connectors of its own "
        f"namespace only. Have its spec.allowedNamespaces let {namespace} in, or use another.",
    )


# -- serving -------------------------------------------------------------------------------------


def create_app(reviewer: Reviewer) -> web.Application:
    """``POST /validate`` for the API server, ``GET /health`` for the kubelet."""

    async def validate(request: web.Request) -> web.Response:
        try:
            review = await request.json()
            asked = review["request"]
            answer = await reviewer.review(asked)
            uid = asked["uid"]
        except (ValueError, KeyError, TypeError) as error:
            raise web.HTTPBadRequest(text=f"This is no AdmissionReview: {error!r}") from None
        return web.json_response(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {"uid": uid, **answer},
            }
        )

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application(client_max_size=_LARGEST_REVIEW)
    app.router.add_post(PATH, validate)
    app.router.add_get("/health", health)
    return app


async def run(
    client: AsyncClient, certificates: Path, *, port: int = 8443, fail_closed: bool = False
) -> None:
    """Answer reviews until SIGTERM or SIGINT, and a little longer.

    The API server hears of a pod that is about to go only after the pod does, and a review that
    finds nobody is one that is not made.

    Args:
        client, certificates, port, fail_closed: as for ``serve``.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(serve(client, certificates, port=port, fail_closed=fail_closed))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        logger.info("stopping in %.0f s", LINGER_SECONDS)
        await asyncio.sleep(LINGER_SECONDS)
        serving.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def serve(
    client: AsyncClient,
    certificates: Path,
    *,
    port: int = 8443,
    fail_closed: bool = False,
    url: Callable[[Place], str] = api_url,
) -> None:
    """Answer reviews until cancelled.

    Args:
        client: for the API server.
        certificates: the directory with ``tls.crt`` and ``tls.key``. They are waited for, and read
            again when they change.
        port: where to listen, on all addresses.
        fail_closed: whether what cannot be checked is denied.
        url: where the api of a KafkaConnect answers.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    loaded = await _first_certificate(context, certificates)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        app = create_app(Reviewer(client, http, fail_closed, url))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=port, ssl_context=context).start()
            logger.info("the webhook listens on port %d", port)
            while True:
                await asyncio.sleep(RELOAD_SECONDS)
                loaded = reload(context, certificates, loaded)
        finally:
            await runner.cleanup()


async def _first_certificate(context: ssl.SSLContext, directory: Path) -> bytes:
    while not (loaded := reload(context, directory, b"")):
        logger.info("waiting for a certificate in %s", directory)
        await asyncio.sleep(1)
    return loaded


def reload(context: ssl.SSLContext, directory: Path, loaded: bytes) -> bytes:
    """Use what the files hold now, if it is another certificate; returns the one in use.

    Connections from now on see it. Between two writes the files may not belong together, and may
    not be there at all: then the next look finds them.
    """
    certificate, key = directory / CERTIFICATE_FILE, directory / KEY_FILE
    try:
        found = certificate.read_bytes()
        if found != loaded:
            context.load_cert_chain(certificate, key)
            logger.info("the certificate in %s is in use", directory)
        return found
    except OSError as error:  # ssl.SSLError is one
        logger.debug("the certificate in %s cannot be used: %s", directory, error)
        return loaded

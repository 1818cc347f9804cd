"""Where tokens come from, how long they are kept, and what happens when there is none."""

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from coracle.api import ConfigError, ConnectError, RetriableError
from coracle.kafka.security import security_arguments
from coracle.kafka.security.token import Token, TokenProvider, expiry
from tests.servers.certificates import make_certificates

MODULE = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
URL = "sasl.oauthbearer.token.endpoint.url"
SECRET = "s3cret+of/the client"
Props = dict[str, str]


def jaas(**options: str) -> Props:
    listed = " ".join(f'{name.replace("__", ".")}="{value}"' for name, value in options.items())
    return {"sasl.jaas.config": f"{MODULE} required {listed};"}


def provider(props: Props) -> TokenProvider:
    base = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    return security_arguments(base | props)["sasl_oauth_token_provider"]


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


class Endpoint:
    """A token endpoint that answers as it is told and remembers what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answers: list[tuple[int, Any]] = []
        self.usual: tuple[int, Any] = (200, {"access_token": "opaque", "expires_in": 100})
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                authorization = self.headers["Authorization"].removeprefix("Basic ")
                endpoint.asked.append((base64.b64decode(authorization).decode(), parse_qs(form)))
                status, body = endpoint.answers.pop(0) if endpoint.answers else endpoint.usual
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}/token"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def client(endpoint: Endpoint, **more: str) -> Props:
    return {URL: endpoint.url, **jaas(clientId="coracle", clientSecret=SECRET), **more}


@pytest.mark.parametrize("way", ["jaas", "properties", "strimzi"])
async def test_the_client_credentials_grant(endpoint: Endpoint, way: str) -> None:
    props = {
        "jaas": {URL: endpoint.url}
        | jaas(clientId="coracle", clientSecret=SECRET, scope="kafka write"),
        "properties": {
            URL: endpoint.url,
            "sasl.oauthbearer.client.credentials.client.id": "coracle",
            "sasl.oauthbearer.client.credentials.client.secret": SECRET,
            "sasl.oauthbearer.scope": "kafka write",
            **jaas(clientId="former", clientSecret="former", scope="former"),
        },
        "strimzi": jaas(
            oauth__client__id="coracle",
            oauth__client__secret=SECRET,
            oauth__token__endpoint__uri=endpoint.url,
            oauth__scope="kafka write",
            oauth__audience="kafka",
        )
        | {
            "sasl.login.callback.handler.class": "io.strimzi.kafka.oauth.client."
            "JaasClientOauthLoginCallbackHandler"
        },
    }[way]
    assert await provider(props).token() == "opaque"
    form = {"grant_type": ["client_credentials"], "scope": ["kafka write"]}
    form |= {"audience": ["kafka"]} if way == "strimzi" else {}
    assert endpoint.asked == [(f"coracle:{SECRET}", form)]


async def test_the_header_is_encoded_when_asked_for(endpoint: Endpoint) -> None:
    props = client(endpoint) | {"sasl.oauthbearer.header.urlencode": "true"}
    await provider(props).token()
    assert endpoint.asked[0][0] == "coracle:s3cret%2Bof%2Fthe+client"


async def test_clients_with_the_same_settings_share_a_token(endpoint: Endpoint) -> None:
    first, second = provider(client(endpoint)), provider(client(endpoint) | {"client.id": "x"})
    await asyncio.gather(*(each.token() for each in [first, second] * 5))
    assert len(endpoint.asked) == 1
    other = provider(client(endpoint) | {"sasl.oauthbearer.scope": "other"})
    await other.token()
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": "invalid_client"}, "status 401: invalid_client"),
        (400, {"error": "invalid_scope", "error_description": "no such"}, "invalid_scope: no such"),
        (404, b"<html>", "status 404"),
        (302, {}, "status 302"),
    ],
)
async def test_a_refusal_is_final(endpoint: Endpoint, status: int, body: Any, words: str) -> None:
    endpoint.usual = (status, body)
    with pytest.raises(ConnectError, match=words) as caught:
        await provider(client(endpoint)).token()
    assert not isinstance(caught.value, RetriableError)
    assert len(endpoint.asked) == 1
    assert "client coracle" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("answer", [(503, b""), (200, b"<html>"), (200, {}), (200, [])])
async def test_an_endpoint_in_trouble_is_asked_again(endpoint: Endpoint, answer: Any) -> None:
    endpoint.answers = [answer, answer]
    fast = client(endpoint) | {"sasl.login.retry.backoff.ms": "10"}
    assert await provider(fast).token() == "opaque"
    assert len(endpoint.asked) == 3
    endpoint.usual = answer
    short = {"sasl.login.retry.backoff.ms": "10", "sasl.login.retry.backoff.max.ms": "50"}
    begun = time.monotonic()
    with pytest.raises(RetriableError):
        await provider(client(endpoint) | short).token()
    assert time.monotonic() - begun < 2


async def test_an_endpoint_that_is_away(endpoint: Endpoint) -> None:
    props = {URL: "http://127.0.0.1:1/token?x=y", **jaas(clientId="c", clientSecret=SECRET)}
    props |= {"sasl.login.retry.backoff.max.ms": "0"}
    with pytest.raises(RetriableError, match=r"127\.0\.0\.1:1/token cannot be reached"):
        await provider(props).token()


async def test_the_endpoint_is_trusted_through_the_trust_store(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    endpoint = Endpoint(context)
    props = client(endpoint) | {"sasl.login.retry.backoff.max.ms": "0"}

    def trusting(ca: Path, prefix: str = "") -> Props:
        return {
            f"{prefix}ssl.truststore.type": "PEM",
            f"{prefix}ssl.truststore.location": str(ca),
        }

    try:
        assert await provider(props | trusting(certificates.ca)).token() == "opaque"
        own = jaas(
            clientId="c",
            clientSecret="s",
            oauth__ssl__truststore__type="PEM",
            oauth__ssl__truststore__location=str(certificates.ca),
        )
        stranger = trusting(certificates.other_ca)
        assert await provider(props | stranger | own).token() == "opaque"
        for none in ({}, stranger):
            with pytest.raises(RetriableError, match="CERTIFICATE_VERIFY_FAILED"):
                await provider(props | none).token()
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()


async def test_a_token_in_a_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a token"
    path.write_text("first\n")
    for props in (
        {URL: path.as_uri(), **jaas()},
        jaas(oauth__access__token__location=str(path)),
    ):
        path.write_text("first\n")
        made = provider(props)
        assert await made.token() == "first"
        path.write_text("second\n")
        assert await made.token() == "second"
    path.unlink()
    with pytest.raises(RetriableError, match="a token"):
        await made.token()


async def test_an_unsecured_token_has_the_claims_asked_for() -> None:
    made = provider(
        jaas(
            unsecuredLoginStringClaim_sub="alice",
            unsecuredLoginNumberClaim_level="3",
            unsecuredLoginListClaim_scope="|read|write",
            unsecuredLoginLifetimeSeconds="60",
            extension_logicalCluster="lkc-1",
        )
    )
    header, payload, signature = (await made.token()).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "none"}
    assert signature == ""
    assert claims.pop("exp") - claims.pop("iat") == 60
    assert claims == {"sub": "alice", "level": 3, "scope": ["read", "write"]}
    assert made.extensions() == {"logicalCluster": "lkc-1"}
    assert made.who == "alice"


class Source:
    """Tokens that live for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.fetched = seconds, 0
        self.error: Exception | None = None

    async def __call__(self) -> Token:
        if self.error:
            raise self.error
        self.fetched += 1
        expires = time.time() + self.seconds if self.seconds else 0
        return Token(f"token-{self.fetched}", expires)


async def test_a_token_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    source = Source(100)
    kept = TokenProvider(source, "x")
    assert [await kept.token() for _ in range(3)] == ["token-1"] * 3
    now += 79
    assert await kept.token() == "token-1"
    now += 2
    assert await kept.token() == "token-2"
    now += 81
    source.error = RetriableError("away")
    assert await kept.token() == "token-2"  # it has not expired yet
    now += 20
    with pytest.raises(RetriableError):
        await kept.token()
    source.error = ConnectError("refused")
    with pytest.raises(ConnectError, match="refused"):
        await kept.token()


async def test_a_token_nobody_knows_the_life_of_is_not_kept() -> None:
    kept = TokenProvider(Source(0), "x")
    assert [await kept.token() for _ in range(2)] == ["token-1", "token-2"]


def test_expiry_is_the_claim_of_a_jwt() -> None:
    assert expiry(jwt(exp=12.5)) == 12.5
    for token in ("opaque", "a.b.c", jwt(), jwt(exp="soon"), "e30.bnVsbA.x", "."):
        assert expiry(token) == 0


@pytest.mark.parametrize(
    ("props", "field", "words"),
    [
        (jaas(), URL, "where a token comes from"),
        (jaas(clientId="x") | {URL: "https://idp/t"}, "client.secret", "clientSecret"),
        (jaas(clientSecret="x") | {URL: "https://idp/t"}, "client.id", "clientId"),
        (jaas() | {URL: "ftp://idp/t"}, URL, "http"),
        (jaas(oauth__refresh__token="x"), "sasl.jaas.config", r"oauth\.refresh\.token"),
        (jaas(unsecuredLoginNumberClaim_sub="x"), "sasl.jaas.config", "not a number"),
        (jaas(unsecuredLoginStringClaim_x="x"), "sasl.jaas.config", "claim sub"),
        (jaas() | {"sasl.login.callback.handler.class": "a.B"}, "handler.class", r"a\.B"),
        (jaas() | {"sasl.oauthbearer.jwt.retriever.class": "a.B"}, "retriever.class", r"a\.B"),
        (
            jaas(oauth__access__token="x") | {"sasl.login.refresh.window.factor": "2"},
            "window.factor",
            "between",
        ),
        (
            jaas(clientId="x", clientSecret="y")
            | {URL: "https://idp/t", "sasl.login.read.timeout.ms": "soon"},
            "timeout.ms",
            "soon",
        ),
    ],
)
def test_settings_that_lead_to_no_token(props: Props, field: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        provider(props)
    assert caught.value.field.endswith(field)

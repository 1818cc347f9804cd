"""Where OAUTHBEARER tokens come from.

Kafka's own ways are the client credentials grant (KIP-768, and KIP-1139 for the properties that
replace the JAAS options), a file, and unsigned tokens for development. The ``oauth.*`` options of
Strimzi's login module name the same things and are read too:
https://github.com/strimzi/strimzi-kafka-oauth.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote, urlencode, urlsplit
from weakref import WeakValueDictionary

from coracle.api import ConfigError, ConnectError, RetriableError
from coracle.api.config import invalid
from coracle.kafka.security.jaas import LoginModule
from coracle.kafka.security.setting import setting
from coracle.kafka.security.tls import tls_context
from coracle.kafka.security.token import Token, TokenProvider, expiry

if TYPE_CHECKING:
    import ssl

_ENDPOINT = "sasl.oauthbearer.token.endpoint.url"
_HANDLERS = (
    "OAuthBearerLoginCallbackHandler",
    "OAuthBearerUnsecuredLoginCallbackHandler",
    "JaasClientOauthLoginCallbackHandler",
)
_RETRIEVERS = ("DefaultJwtRetriever", "ClientCredentialsJwtRetriever", "FileJwtRetriever")
_OTHER_GRANTS = (
    "oauth.refresh.token",
    "oauth.refresh.token.location",
    "oauth.password.grant.username",
    "oauth.client.assertion",
    "oauth.client.assertion.location",
)
_UNSECURED = "unsecuredLogin"

# Clients of one task have the same settings and share a token, as Java's clients share a login.
_providers: WeakValueDictionary[object, TokenProvider] = WeakValueDictionary()


def token_provider(props: Mapping[str, str], module: LoginModule) -> TokenProvider:
    """The provider that these settings describe; the same one as long as they are the same.

    Raises:
        ConfigError: when they name no way to get a token, or one that is not supported.
    """
    _check_classes(props)
    settings = {k: setting(props, k) for k in props if k.startswith(("sasl.", "ssl."))}
    identity = tuple(sorted(settings.items()))
    provider = _providers.get(identity)
    if provider is None:
        provider = _providers[identity] = _new_provider(props, module.options)
    return provider


def _new_provider(props: Mapping[str, str], options: Mapping[str, str]) -> TokenProvider:
    extensions = {
        name.removeprefix("extension_"): value
        for name, value in options.items()
        if name.startswith("extension_")
    }
    renew_at = _number(props, "sasl.login.refresh.window.factor", 0.8)
    if not 0.5 <= renew_at <= 1:
        raise invalid("sasl.login.refresh.window.factor", renew_at, "between 0.5 and 1.0")
    source = _source(props, options)
    return TokenProvider(source.fetch, source.who, renew_at=renew_at, extensions=extensions)


def _source(
    props: Mapping[str, str], options: Mapping[str, str]
) -> ClientCredentials | TokenFile | FixedToken | UnsecuredToken:
    for option in _OTHER_GRANTS:
        if option in options:
            raise ConfigError(
                f"The option {option} of sasl.jaas.config is not supported.",
                field="sasl.jaas.config",
                fix="Use a client id and secret (oauth.client.id, oauth.client.secret) or a token "
                "(oauth.access.token, oauth.access.token.location).",
            )
    if "oauth.access.token" in options:
        return FixedToken(options["oauth.access.token"])
    if "oauth.access.token.location" in options:
        return TokenFile(options["oauth.access.token.location"], "oauth.access.token.location")
    url = setting(props, _ENDPOINT) or options.get("oauth.token.endpoint.uri")
    if url:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return TokenFile(unquote(parts.path), _ENDPOINT)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{_ENDPOINT} is no URL that a token can be had from.",
                field=_ENDPOINT,
                fix="It starts with https://, http:// or file:///.",
            )
        return _client_credentials(props, options, url)
    if any(name.startswith(_UNSECURED) for name in options):
        return UnsecuredToken(options)
    raise ConfigError(
        f"sasl.mechanism is OAUTHBEARER, but neither {_ENDPOINT} nor sasl.jaas.config says where "
        "a token comes from.",
        field=_ENDPOINT,
        code="missing",
        fix=f"Set {_ENDPOINT} with a client id and secret.",
    )


@dataclass(frozen=True)
class FixedToken:
    """A token given in the configuration (``oauth.access.token``)."""

    value: str = field(repr=False)
    who: str = "the configured token"

    async def fetch(self) -> Token:
        """The token."""
        return Token(self.value, expiry(self.value))


@dataclass(frozen=True)
class TokenFile:
    """A token in a file that somebody else keeps fresh, as Kubernetes does with projected ones."""

    path: str
    key: str

    @property
    def who(self) -> str:
        """For messages."""
        return f"the token in {self.path}"

    async def fetch(self) -> Token:
        """The token the file holds now.

        Raises:
            RetriableError: when it cannot be read.
        """
        try:
            text = await asyncio.to_thread(Path(self.path).read_text)
        except (OSError, UnicodeDecodeError) as error:
            raise RetriableError(f"{self.key}: no token in {self.path}: {error}.") from None
        # No expiry: the next connection reads the file again.
        return Token(text.strip())


class UnsecuredToken:
    """An unsigned JWT (RFC 7515, appendix A.5), for brokers that check nothing.

    Options are those of ``OAuthBearerUnsecuredLoginCallbackHandler`` (KIP-255).
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._claims: dict[str, Any] = {}
        principal = options.get("unsecuredLoginPrincipalClaimName", "sub")
        for name, value in options.items():
            kind, _, claim = name.removeprefix(_UNSECURED).partition("Claim_")
            if not name.startswith(_UNSECURED) or not claim:
                continue
            if kind == "String":
                self._claims[claim] = value
            elif kind == "Number":
                try:
                    self._claims[claim] = float(value)
                except ValueError:
                    raise ConfigError(
                        f"The option {name} of sasl.jaas.config is not a number.",
                        field="sasl.jaas.config",
                    ) from None
            elif kind == "List" and value:
                self._claims[claim] = value[1:].split(value[0])
        if principal not in self._claims:
            raise ConfigError(
                f"sasl.jaas.config has no claim {principal} for its unsecured token.",
                field="sasl.jaas.config",
                code="missing",
                fix=f'Add unsecuredLoginStringClaim_{principal}="…".',
            )
        self.who = str(self._claims[principal])
        try:
            self._seconds = float(options.get("unsecuredLoginLifetimeSeconds", "3600"))
        except ValueError:
            raise ConfigError(
                "The option unsecuredLoginLifetimeSeconds of sasl.jaas.config is not a number.",
                field="sasl.jaas.config",
            ) from None

    async def fetch(self) -> Token:
        """A new token."""
        now = time.time()
        claims = {"iat": now, "exp": now + self._seconds, **self._claims}
        parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
        encoded = [base64.urlsafe_b64encode(p.encode()).rstrip(b"=").decode() for p in parts]
        return Token(f"{encoded[0]}.{encoded[1]}.", float(claims["exp"]))


@dataclass(frozen=True)
class ClientCredentials:
    """The client credentials grant (RFC 6749, section 4.4).

    Attributes:
        url: the token endpoint.
        who: the client's id.
        authorization: the header that proves it.
        form: the request's body.
        context: for https, whom to trust.
        timeout: seconds for one attempt.
        backoff, backoff_limit: seconds between the first attempts, and how long to go on.
    """

    url: str
    who: str
    authorization: str = field(repr=False)
    form: bytes = field(repr=False)
    context: ssl.SSLContext | None
    timeout: float
    backoff: float
    backoff_limit: float

    async def fetch(self) -> Token:
        """A new token.

        Raises:
            ConnectError: when the endpoint refuses the client.
            RetriableError: when it does not answer, or not with a token.
        """
        pause = self.backoff
        end = time.monotonic() + self.backoff_limit
        while True:
            try:
                return await asyncio.to_thread(self._request)
            except RetriableError:
                if time.monotonic() + pause > end:
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    @property
    def _place(self) -> str:
        """The endpoint without what may be secret in a URL."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"

    def _request(self) -> Token:
        # Imported when needed: most clients ask for no token.
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

        class NoRedirect(HTTPRedirectHandler):
            """A redirect would carry the secret to another host."""

            def redirect_request(self, *_: object) -> None:  # type: ignore[override]
                return None

        handlers: list[Any] = [NoRedirect()]
        if self.context is not None:
            handlers.append(HTTPSHandler(context=self.context))
        headers = {
            "Authorization": self.authorization,
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        request = Request(self.url, self.form, headers)  # noqa: S310 - http and https only
        try:
            with build_opener(*handlers).open(request, timeout=self.timeout) as answer:
                body = answer.read()
        except HTTPError as error:
            raise self._refusal(error.code, error.read()) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RetriableError(
                f"The token endpoint {self._place} cannot be reached: {reason}."
            ) from None
        try:
            answered = json.loads(body)
            value = str(answered["access_token"])
            seconds = float(answered.get("expires_in") or 0)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RetriableError(
                f"The token endpoint {self._place} answered without an access token."
            ) from None
        return Token(value, expiry(value) or (time.time() + seconds if seconds else 0))

    def _refusal(self, status: int, body: bytes) -> ConnectError:
        try:
            answered = json.loads(body)
            words = [str(answered[k]) for k in ("error", "error_description") if k in answered]
        except (ValueError, TypeError):
            words = []
        said = ": ".join([f"status {status}", *words])
        message = f"The token endpoint {self._place} gave client {self.who} no token ({said})."
        if status >= 500 or status in (408, 429):
            return RetriableError(message)
        return ConnectError(message, fix="Check the endpoint, the client's id, secret and scope.")


def _client_credentials(
    props: Mapping[str, str], options: Mapping[str, str], url: str
) -> ClientCredentials:
    def one_of(key: str, *names: str) -> str | None:
        return setting(props, key) or next((options[n] for n in names if n in options), None)

    id_key = "sasl.oauthbearer.client.credentials.client.id"
    secret_key = "sasl.oauthbearer.client.credentials.client.secret"  # noqa: S105
    client = one_of(id_key, "clientId", "oauth.client.id")
    secret = one_of(secret_key, "clientSecret", "oauth.client.secret")
    for value, key, option in ((client, id_key, "clientId"), (secret, secret_key, "clientSecret")):
        if not value:
            raise ConfigError(
                f"Neither {key} nor the option {option} of sasl.jaas.config is set.",
                field=key,
                code="missing",
                fix=f'Set {key}, or add {option}="…" to sasl.jaas.config.',
            )
    assert client
    assert secret
    scope = one_of("sasl.oauthbearer.scope", "scope", "oauth.scope")
    form = {"grant_type": "client_credentials", "scope": scope}
    form["audience"] = options.get("oauth.audience")
    pair = [client, secret]
    if (setting(props, "sasl.oauthbearer.header.urlencode") or "").lower() == "true":
        pair = [quote_plus(part) for part in pair]
    return ClientCredentials(
        url=url,
        who=client,
        authorization="Basic " + base64.b64encode(":".join(pair).encode()).decode(),
        form=urlencode({name: value for name, value in form.items() if value}).encode(),
        context=_endpoint_context(props, options) if url.startswith("https:") else None,
        timeout=_number(props, "sasl.login.read.timeout.ms", 10_000) / 1000,
        backoff=_number(props, "sasl.login.retry.backoff.ms", 100) / 1000,
        backoff_limit=_number(props, "sasl.login.retry.backoff.max.ms", 10_000) / 1000,
    )


def _endpoint_context(props: Mapping[str, str], options: Mapping[str, str]) -> ssl.SSLContext:
    """Whom to trust at the endpoint.

    The ``ssl.*`` options of ``sasl.jaas.config`` decide, as in Java. Without any, the client's own
    trust store counts besides the system's authorities: the endpoint may be the company's or not.
    """
    own = {
        name.removeprefix("oauth."): value
        for name, value in options.items()
        if name.removeprefix("oauth.").startswith("ssl.")
    }
    if own:
        return tls_context(own)
    trust = {key: value for key, value in props.items() if key.startswith("ssl.truststore.")}
    return tls_context(trust, trust_system_too=True)


def _check_classes(props: Mapping[str, str]) -> None:
    for key, known in (
        ("sasl.login.callback.handler.class", _HANDLERS),
        ("sasl.oauthbearer.jwt.retriever.class", _RETRIEVERS),
        ("sasl.client.callback.handler.class", ("OAuthBearerSaslClientCallbackHandler",)),
    ):
        name = setting(props, key)
        if name and name.rpartition(".")[2] not in known:
            raise invalid(key, name, "one of " + ", ".join(known) + ": no other can be loaded here")


def _number(props: Mapping[str, str], key: str, default: float) -> float:
    text = setting(props, key)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise invalid(key, text, "a number that is not negative")
    return value

"""Connections that say why they were refused, and keep secrets out of logs.

aiokafka treats a refused login like a broker that is away: it logs a line, tries the next address
and in the end says that it cannot bootstrap; a running client tries again for ever. Java's clients
give up at once, because nothing changes until a person changes something. So do ours: a
``Connection`` raises a ``ConnectError`` with the reason, which aiokafka does not know and lets
through while it starts. Of a running client the ``Client`` keeps it as ``refusal``, for those who
wait for records or acknowledgements.

Three more things aiokafka 0.14 does not do. It takes a broker's answer to a bad OAUTHBEARER token
for success (RFC 7628, section 3.2.3, asks the client for one more message, after which the broker
fails the login). A certificate refused under TLS 1.3 shows only at the first read. And its debug
log holds the credentials sent, so a filter drops those lines.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from coracle.api import ConnectError, RetriableError

logger = logging.getLogger(__name__)

_CLOSING_SECONDS = 1.0
_GOODBYE_SECONDS = 0.5

# OpenSSL's verification results: X509_verify_cert_error_string(3).
_EXPIRED, _NOT_YET_VALID, _HOST_MISMATCH, _ADDRESS_MISMATCH = 10, 9, 62, 64


class Client(AIOKafkaClient):
    """aiokafka's client, knowing why it has no connection.

    Attributes:
        refusal: why a broker turned us away; ``None`` while none does.
        on_refusal: called with it, once for each refusal.
    """

    refusal: ConnectError | None = None
    on_refusal: Callable[[ConnectError], None] | None = None
    _trouble: Exception | None = None
    _latest: Connection | None = None
    _bootstrap: Any
    _connection_to: Any

    @classmethod
    def of(cls, owner: Any) -> Client:
        """The client inside an aiokafka consumer, producer or admin client, made one of ours."""
        client = owner.client if hasattr(owner, "client") else owner._client
        client.__class__ = cls
        client._bootstrap = _opening(AIOKafkaClient.bootstrap, client._open)
        client._connection_to = _opening(AIOKafkaClient._get_conn, client._open)
        return client

    async def bootstrap(self) -> None:
        """Connect to the first bootstrap server that answers.

        Raises:
            ConnectError: when one refuses us.
            KafkaConnectionError: when none answers, with the last one's reason.
        """
        self._trouble = None
        try:
            await self._bootstrap(self)
        except KafkaConnectionError:
            # Without a trouble of its own the connection was made, and the first request failed.
            trouble = self._trouble or KafkaConnectionError("it answers no request")
            raise trouble from None
        except asyncio.CancelledError:
            # Its first connection is nobody's yet.
            if self._latest is not None:
                self._latest.close()
            raise

    async def _get_conn(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await self._connection_to(self, *args, **kwargs)
        except RetriableError as error:
            logger.warning("%s", error)
        except ConnectError as error:
            self.refusal = error
            if self.on_refusal is not None:
                self.on_refusal(error)
        return None

    async def _open(self, host: str, port: int, **arguments: Any) -> Connection:
        connection = self._latest = Connection(host, port, **arguments)
        try:
            await connection.connect()
        except (OSError, KafkaError) as error:
            self._trouble = KafkaConnectionError(_words(error))
            raise
        self.refusal = None
        return connection


def _opening(method: Any, create_conn: Callable[..., Any]) -> Any:
    """A method of aiokafka's client that opens its connections with another function.

    It finds ``create_conn`` among the globals of its module; replacing it there would change every
    client in the process.
    """
    names = {**method.__globals__, "create_conn": create_conn}
    changed = FunctionType(
        method.__code__, names, method.__name__, method.__defaults__, method.__closure__
    )
    changed.__kwdefaults__ = method.__kwdefaults__
    return changed


class Connection(AIOKafkaConnection):
    """A connection to one broker."""

    async def connect(self) -> Any:
        """Connect and log in.

        Raises:
            ConnectError: when the broker refuses us, or we the broker.
        """
        try:
            return await super().connect()
        except Exception as error:
            if self._protocol is not None and self._closed_fut is not None:
                # Closed is what a transport is one turn of the loop later.
                await asyncio.wait([self._closed_fut], timeout=_CLOSING_SECONDS)
            refusal = self._refusal(error)
            if refusal is None:
                raise
            # The cause may hold the connection, and with it the password, in its frames.
            raise refusal from None

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """Close, soon.

        A broker that still holds our last fetch answers TLS's goodbye when it is done with that,
        and Python would wait half a minute for it.
        """
        transport = None if self._writer is None else self._writer.transport
        closed = super().close(reason, exc)
        if transport is not None and closed is not None:
            impatience = self._loop.call_later(_GOODBYE_SECONDS, transport.abort)
            closed.add_done_callback(lambda _: impatience.cancel())
        return closed

    def authenticator_oauth(self) -> OAuthAuthenticator:
        """What answers the broker's challenges."""
        return _TokenAuthenticator(sasl_oauth_token_provider=self._sasl_oauth_token_provider)

    def _refusal(self, error: Exception) -> ConnectError | None:
        """Why we were turned away, or ``None`` when the broker is merely not there."""
        if isinstance(error, ConnectError):
            return error
        cause = error.__cause__ if isinstance(error, KafkaConnectionError) else error
        if isinstance(cause, ssl.SSLError):
            return self._tls_refusal(cause)
        if isinstance(error, UnsupportedSaslMechanismError):
            return ConnectError(
                f"Kafka at {self._place} does not offer the SASL mechanism {self._sasl_mechanism}.",
                fix="Choose another sasl.mechanism, or the listener that offers this one.",
            )
        if isinstance(error, SaslAuthenticationFailed | IllegalSaslStateError):
            said = f" ({error.args[0]})" if error.args and error.args[0] else ""
            return self._login_refusal(f"refused the login{said}")
        if isinstance(error, OSError | KafkaError | TimeoutError):
            return None
        if self._sasl_mechanism and self._security_protocol.startswith("SASL"):
            # What the authenticators raise: an answer that does not fit, or a Kerberos error.
            words = str(error) if self._sasl_mechanism == "GSSAPI" else type(error).__name__
            return self._login_refusal(f"did not prove that it knows us too ({words})")
        return None

    def _login_refusal(self, what: str) -> ConnectError:
        provider: Any = self._sasl_oauth_token_provider
        if provider is not None:
            who, fix = f"for {provider.who}", "The broker does not accept this token."
        else:
            who, fix = f"of user {self._sasl_plain_username}", "Check user and password."
        if self._sasl_mechanism == "GSSAPI":
            who, fix = f"for service {self._sasl_kerberos_service_name}", "Check the ticket."
        return ConnectError(
            f"Kafka at {self._place} {what}: {self._sasl_mechanism} login {who}.",
            fix=f"{fix} They stand in sasl.jaas.config." if "user" in fix else fix,
        )

    def _tls_refusal(self, error: ssl.SSLError) -> ConnectError | None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._distrust(error)
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
            return None
        reason = (error.reason or "").replace("_", " ").lower()
        if "alert" in reason:
            shown = "asks for a client certificate" if "required" in reason else "broke TLS off"
            return ConnectError(
                f"Kafka at {self._place} {shown} ({reason}).",
                fix="The broker wants a certificate that it trusts, from ssl.keystore.*, and a "
                "version of TLS that ssl.enabled.protocols allows.",
            )
        return ConnectError(
            f"Kafka at {self._place} does not speak TLS as we do ({reason or 'no reason given'}).",
            fix="Check security.protocol and ssl.enabled.protocols against the listener's.",
        )

    def _distrust(self, error: ssl.SSLCertVerificationError) -> ConnectError:
        if error.verify_code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
            return ConnectError(
                f"The certificate of Kafka at {self._place} is not for {self.host}.",
                fix="Use a name that the certificate has, or set "
                "ssl.endpoint.identification.algorithm to nothing.",
            )
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            return ConnectError(
                f"The certificate of Kafka at {self._place} is out of date: "
                f"{error.verify_message}.",
                fix="Renew it on the broker.",
            )
        return ConnectError(
            f"The certificate of Kafka at {self._place} is not trusted: {error.verify_message}.",
            fix="The authority that signed it must stand in ssl.truststore.location or "
            "ssl.truststore.certificates.",
        )

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port} ({self._security_protocol})"


class _TokenAuthenticator(OAuthAuthenticator):
    """Answers an error with the one byte that makes the broker fail the login."""

    async def step(self, payload: bytes | None) -> Any:
        if payload:
            return b"\x01", True
        return await super().step(payload)


class _NoCredentials(logging.Filter):
    """Drops the lines that show a SASL message."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(type(a).__name__.startswith("SaslAuthenticate") for a in arguments)


logging.getLogger("aiokafka.conn").addFilter(_NoCredentials())


async def start(owner: Any, props: Mapping[str, str]) -> Client:
    """Start an aiokafka consumer, producer or admin client, and return the client inside.

    Whoever made ``owner`` stops it, also when this raises.

    Args:
        owner: what to start.
        props: the Java client properties it was made from.

    Raises:
        RetriableError: when no broker answers.
        ConnectError: when one refuses us.
    """
    client = Client.of(owner)
    try:
        await owner.start()
    except KafkaError as error:
        raise RetriableError(
            f"Cannot reach Kafka at {props.get('bootstrap.servers')}: {_words(error)}.",
            fix="Check the address, and that security.protocol is the listener's.",
        ) from error
    return client


def _words(error: BaseException) -> str:
    """An error's own words without its class, which says nothing to a reader."""
    words = str(error.args[0]) if isinstance(error, KafkaError) and error.args else str(error)
    return words or type(error).__name__

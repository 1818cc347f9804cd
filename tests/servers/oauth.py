"""A small OAuth 2 authorization server.

Client credentials in (RFC 6749, section 4.4), a signed JWT out (RFC 7519).
"""

import base64
import json
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.ports import free_port

ISSUER = "https://issuer.test"
AUDIENCE = "kafka"
CLIENT_ID = "coracle"
CLIENT_SECRET = "client-secret"
KEY_ID = "test-key"


class Authorization:
    """Signs tokens, and hands them out over HTTP between `start` and `stop`.

    Attributes:
        jwks: File with the public key as a JSON Web Key Set (RFC 7517), for the broker.
        issued: How many tokens were handed out over HTTP.
    """

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": _base64(numbers.n.to_bytes(256, "big")),
            "e": _base64(numbers.e.to_bytes(3, "big")),
        }
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [key]}))
        self.issued = 0
        self.token_seconds = 3600
        self._port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def token_url(self) -> str:
        """The token endpoint; asks for HTTP basic authentication with id and secret."""
        return f"http://127.0.0.1:{self._port}/token"

    def token(self, subject: str = CLIENT_ID, *, seconds: int | None = None) -> str:
        """A signed token, valid from now for so many seconds (negative: expired already)."""
        now = int(time.time())
        lifetime = self.token_seconds if seconds is None else seconds
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": "kafka",
            "iat": min(now, now + lifetime - 1),
            "exp": now + lifetime,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def start(self) -> None:
        """Answer at `token_url`, from a thread of its own; nothing new when it does already."""
        if self._server:
            return
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(authorization: Authorization) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
            if form.get("grant_type") != ["client_credentials"]:
                self._answer(HTTPStatus.BAD_REQUEST, {"error": "unsupported_grant_type"})
            elif self.headers.get("Authorization") != expected:
                self._answer(HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"})
            else:
                authorization.issued += 1
                self._answer(
                    HTTPStatus.OK,
                    {
                        "access_token": authorization.token(),
                        "token_type": "Bearer",
                        "expires_in": authorization.token_seconds,
                    },
                )

        def _answer(self, status: HTTPStatus, body: dict[str, object]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing on standard error."""

    return Handler


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

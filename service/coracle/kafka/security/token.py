"""A token that is fetched when it is first needed, kept, and renewed before it expires.

Brokers ask for a token only when a connection is made, so nothing runs in the background: a
connection that finds four fifths of the lifetime gone fetches a new one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiokafka.abc import AbstractTokenProvider

from coracle.api import RetriableError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Token:
    """An access token.

    Attributes:
        value: what is sent to the broker.
        expires: seconds since the epoch; 0 when nobody said.
    """

    value: str = field(repr=False)
    expires: float = 0


class TokenProvider(AbstractTokenProvider):
    """Hands aiokafka the token of the hour.

    Args:
        fetch: gets a new token; raises ``RetriableError`` when that may work later and
            ``ConnectError`` when we are refused.
        who: whose token it is, for messages.
        renew_at: the part of a token's lifetime after which a new one is fetched.
        extensions: SASL extensions to send along (KIP-342).
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Token]],
        who: str,
        *,
        renew_at: float = 0.8,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        self.who = who
        self._fetch = fetch
        self._renew_at = renew_at
        self._extensions = dict(extensions or {})
        self._token: Token | None = None
        self._renewal = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The token.

        Raises:
            ConnectError: when there is none.
        """
        async with self._lock:
            now = time.time()
            if self._token is None or now >= self._renewal:
                try:
                    self._token = await self._fetch()
                except RetriableError as error:
                    if self._token is None or now >= self._token.expires:
                        raise
                    logger.warning("the token of %s is used on: %s", self.who, error)
                else:
                    lifetime = max(0.0, self._token.expires - now)
                    self._renewal = now + lifetime * self._renew_at
            return self._token.value

    def extensions(self) -> dict[str, str]:
        """SASL extensions."""
        return self._extensions


def expiry(token: str) -> float:
    """The ``exp`` claim of a JWT (RFC 7519, section 4.1.4), or 0 when the token has none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0

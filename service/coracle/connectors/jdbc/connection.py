"""Connecting with patience: what may pass is tried again, everything else is said at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from coracle.api import ConnectError
from coracle.connectors.jdbc.dialects.base import Dialect, ErrorClass

logger = logging.getLogger(__name__)


async def connect(dialect: Dialect, *, reading: bool = False) -> Any:
    """A raw connection, tried ``connection.attempts`` times, ``connection.backoff.ms`` apart.

    Args:
        dialect: the database.
        reading: see ``Dialect.connect``.

    Raises:
        ConnectError: with host, port, user and database. At once for what trying again cannot cure
            (a wrong password, an unknown database), after the last attempt otherwise.
    """
    settings = dialect.settings
    attempt = 1
    while True:
        try:
            return await dialect.connect(reading=reading)
        except ConnectError:
            raise
        except Exception as error:
            passing = dialect.classify(error) in (ErrorClass.CONNECTION, ErrorClass.RETRIABLE)
            reason = f"Cannot connect to {settings.place}: {dialect.describe(error)}."
            if not passing:
                raise ConnectError(
                    reason, fix="Check connection.url, connection.user and connection.password."
                ) from error
            if attempt >= settings.attempts:
                raise ConnectError(
                    f"{reason} Gave up after {attempt} attempts.",
                    fix="Check that the database is up and reachable from here.",
                ) from error
            logger.warning(
                "%s Attempt %d of %d, the next in %.1f s.",
                reason,
                attempt,
                settings.attempts,
                settings.backoff,
            )
        attempt += 1
        await asyncio.sleep(settings.backoff)

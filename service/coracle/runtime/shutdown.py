"""Stopping in bounded time: no step's slowness or error keeps the next from running."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable

logger = logging.getLogger(__name__)

_LAST_CHANCE_SECONDS = 0.05


async def bounded(step: Awaitable[object], deadline: float, what: str) -> None:
    """Run one step of stopping.

    Args:
        step: the work.
        deadline: ``time.monotonic()`` at which it is given up. A step that starts late still gets a
            moment.
        what: the step as a log line names it, such as ``leaving the group``.
    """
    try:
        async with asyncio.timeout(max(_LAST_CHANCE_SECONDS, deadline - time.monotonic())):
            await step
    except TimeoutError:
        logger.warning("gave up %s: out of time", what)
    except Exception as error:
        logger.warning("%s failed: %s", what, error)

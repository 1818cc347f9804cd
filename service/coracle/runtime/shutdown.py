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
        step: the work, in a task of its own: one that swallows its cancellation is left behind.
        deadline: ``time.monotonic()`` at which it is given up. A step that starts late still gets a
            moment.
        what: the step as a log line names it, such as ``leaving the group``.
    """
    work = asyncio.ensure_future(step)
    try:
        left = max(_LAST_CHANCE_SECONDS, deadline - time.monotonic())
        done, _ = await asyncio.wait({work}, timeout=left)
        if not done:
            logger.warning("gave up %s: out of time", what)
            work.cancel()
            await asyncio.wait({work}, timeout=_LAST_CHANCE_SECONDS)
        elif not work.cancelled() and (error := work.exception()) is not None:
            logger.warning("%s failed: %s", what, error)
    finally:
        work.cancel()

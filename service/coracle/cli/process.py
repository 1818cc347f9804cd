"""What every long-running command asks of its process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType

from coracle.cli.exits import Exit

logger = logging.getLogger(__name__)


def collect_less_often() -> None:
    """Keep Python's cyclic garbage collector from looking at every batch.

    A batch is tens of thousands of objects that die by reference count, and the default of a
    collection every 700 costs a tenth of all CPU time. What exists now stays for good.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def on_stop_signal(stop: Callable[[], None]) -> None:
    """Stop in order at the first SIGINT or SIGTERM; let a second one kill."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def first(received: signal.Signals) -> None:
        logger.info("%s received, stopping; once more kills", received.name)
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in signals:
        loop.add_signal_handler(number, first, number)


class LastResort:
    """Ends a process that cannot end by itself, because a plugin hangs where nothing reaches it.

    That is in a thread, for which Python waits, or in a call that keeps the event loop. A context
    around all that has to end; leaving it calls the matter off.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """From now on, the process has so many seconds to end by itself."""
        self._timer = threading.Timer(seconds, _leave, (seconds,))
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> LastResort:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _leave(seconds: float) -> None:
    logger.error(
        "something still hangs %.0f s after everything was told to stop: it is left behind", seconds
    )
    os._exit(Exit.FAILED)

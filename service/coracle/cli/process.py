"""What every long-running command asks of its process."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable

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

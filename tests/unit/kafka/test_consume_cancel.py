"""A wait for records that is cancelled just when some arrive."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from coracle.kafka.consume import BatchConsumer


async def test_a_cancellation_is_not_lost_to_records_that_arrive_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was in Python 3.11, whose ``asyncio.wait_for`` may swallow it (bpo-37658)."""
    arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    fetcher = SimpleNamespace(_records={}, _create_fetch_waiter=lambda: arrived)
    consumer: Any = BatchConsumer({"group.id": "g"})
    monkeypatch.setattr(consumer, "_consumer", SimpleNamespace(_fetcher=fetcher))
    monkeypatch.setattr(consumer, "_raise_trouble", lambda: None)
    waiting = asyncio.create_task(consumer.wait(5))
    await asyncio.sleep(0)
    arrived.set_result(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

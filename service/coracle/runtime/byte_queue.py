"""The queue between two stages, bounded in bytes instead of items.

A batch of ten thousand small records and one of ten large ones cost the same memory here. An entry
is let in as long as the queue is below its limit, so a batch larger than the limit passes too,
alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from coracle.api import RecordBatch, TopicPartition

# What Python adds to a record's serialized bytes, roughly: small records must not look free.
RECORD_OVERHEAD = 100


def weight(batch: RecordBatch) -> int:
    """What a batch counts for in a queue, in bytes."""
    return batch.nbytes + RECORD_OVERHEAD * len(batch)


class ByteQueue:
    """First in, first out, for one producer and one consumer on the same event loop.

    Args:
        limit: bytes above which ``put`` waits.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[RecordBatch] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def room(self) -> int:
        """Bytes until the limit; not positive when the queue is full."""
        return self._limit - self._bytes

    async def wait_for_room(self) -> None:
        """Return when ``room`` is positive."""
        await self._wait_until(lambda: self.room > 0)

    def put(self, batch: RecordBatch) -> None:
        """Add a batch; the caller has waited for room."""
        self._batches.append(batch)
        self._bytes += weight(batch)
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """Let the consumer meet this error after everything that was put before it."""
        self._error = error
        self._changed.set()

    def drop(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Forget the batches of these partitions."""
        self._batches = deque(b for b in self._batches if b.origin not in partitions)
        self._bytes = sum(map(weight, self._batches))
        self._changed.set()

    async def take(self, max_bytes: int, timeout: float | None = None) -> list[RecordBatch]:
        """Everything that is ready, at most about ``max_bytes``; waits for at least one batch.

        Returns:
            an empty list when ``timeout`` seconds pass in vain.

        Raises:
            BaseException: the error given to ``fail``, once all batches before it were taken.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._wait_until(lambda: bool(self._batches) or self._error is not None)
        except TimeoutError:
            return []
        taken: list[RecordBatch] = []
        size = 0
        while self._batches and (not taken or size < max_bytes):
            batch = self._batches.popleft()
            size += weight(batch)
            taken.append(batch)
        self._bytes -= size
        self._changed.set()
        if not taken and self._error is not None:
            raise self._error
        return taken

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

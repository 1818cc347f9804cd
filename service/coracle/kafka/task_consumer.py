"""A sink task's view of Kafka where the process, and not the task, is the group's member.

The task reads the partitions that its process was given for it, and commits in the name of the
process. Its partitions change one by one: those that stay are neither closed nor read again, what
was taken of them goes on its way, and only what was fetched and not taken yet is fetched anew.

A task without partitions has no connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import aiokafka

from coracle.api import RecordBatch
from coracle.api import TopicPartition as Partition
from coracle.kafka.assignor import NO_PARTITIONS
from coracle.kafka.consume import BUFFER_BYTES, Rebalance, RecordReader
from coracle.kafka.membership import TaskPartitions

logger = logging.getLogger(__name__)

# What belongs to the membership, and not to who reads.
_OF_THE_GROUP = ("group.id", "group.instance.id", "session.timeout.ms", "heartbeat.interval.ms")


class TaskConsumer(RecordReader):
    """Hands out the records of one task's partitions.

    Args:
        props: Java consumer properties.
        partitions: which they are.
        budget: bytes that may wait here, fetched and not yet taken.
    """

    def __init__(
        self, props: Mapping[str, str], partitions: TaskPartitions, *, budget: int = BUFFER_BYTES
    ) -> None:
        own = {key: value for key, value in props.items() if key not in _OF_THE_GROUP}
        super().__init__(own, budget=budget)
        self._share = partitions
        self._follower: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def start(
        self,
        topics: Sequence[str],
        pattern: str,
        on_assigned: Rebalance,
        on_revoked: Rebalance,
    ) -> None:
        """Begin to follow what the task is given. Returns before anything is.

        Args:
            topics, pattern: the process's business.
            on_assigned: called with partitions that are new, before anything of them is read.
            on_revoked: called with those that are to go; what it commits is still ours.
        """
        self._follower = asyncio.create_task(self._follow(on_assigned, on_revoked))

    async def stop(self) -> None:
        """Give up the partitions and disconnect. Commits nothing."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        self._share.hold(NO_PARTITIONS)
        await super().stop()

    def look_for_topics(self) -> None:
        """Nothing to do: the membership looks.

        Raises:
            ConnectError: as ``wait``.
        """
        self._raise_trouble()

    async def wait(self, timeout: float) -> None:
        """Wait until something was fetched, for at most ``timeout`` seconds.

        Raises:
            ConnectError: when the credentials or a callback failed.
        """
        if self._consumer is not None:
            await super().wait(timeout)
            return
        self._raise_trouble()
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError:
            pass

    def take(self, max_bytes: int) -> list[RecordBatch]:
        """What was fetched, at most about ``max_bytes``, as ``RecordReader.take``."""
        return [] if self._consumer is None else super().take(max_bytes)

    def lag(self, done: Mapping[Partition, int] = MappingProxyType({})) -> dict[Partition, int]:
        """Records between a position and the end of each partition, as ``RecordReader.lag``."""
        return {} if self._consumer is None else super().lag(done)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions in the group, once no rebalance is going on.

        Raises:
            RetriableError: when they were not taken.
        """
        await self._share.membership.commit(positions)

    def can_commit(self) -> bool:
        """Whether a commit would be tried at once."""
        return self._share.membership.stable

    def ours(self) -> bool:
        """Whether the partitions are sure to be still ours."""
        return self._share.ours

    async def _follow(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        while True:
            wanted = await self._share.until_changed()
            held = self._share.held
            if gone := held - wanted:
                await on_revoked(gone)
                self._read(held - gone, {})
                self._share.hold(held - gone)
                continue
            new = wanted - held
            if self._consumer is None:
                await self._connect({"group_id": None})
                self._connected.set()
            starts = await self._share.membership.committed(new)
            self._share.hold(wanted)
            await on_assigned(new)
            self._read(wanted, starts)

    def _read(self, partitions: Iterable[Partition], starts: Mapping[Partition, int]) -> None:
        """Read these from now on, those that we read already from where we are."""
        subscription = self._consumer._subscription
        positions = {aiokafka.TopicPartition(*p): offset for p, offset in starts.items()}
        if subscription.subscription is not None:
            assignment: Any = subscription.subscription.assignment
            for place in assignment.tps:
                state = assignment.state_value(place)
                if state.has_valid_position:
                    positions[place] = state.position
        places = [aiokafka.TopicPartition(*partition) for partition in partitions]
        if not places:
            subscription.unsubscribe()
            return
        self._consumer.assign(places)
        for place in places:
            if place in positions:
                self._consumer.seek(place, positions[place])

    def _raise_trouble(self) -> None:
        if self._follower is not None and self._follower.done():
            self._follower.result()
        if self._consumer is not None:
            super()._raise_trouble()

"""One run of a sink task: fetch ► convert ► transform ► put ► commit.

    Kafka ──fetch──► consumer's buffer ──convert, transform──► queue ──put──► the sink
                        (bytes bounded)                     (bytes bounded)

Two loops overlap: while one batch is being put, the next is converted and the one after is fetched.
Concurrency contract:

- ``_convert_loop`` is the only one to take from the consumer and to fill the queue;
- ``_put_loop`` is the only one to call ``put`` and, between puts, ``flush`` and commit;
- a rebalance callback holds ``_delivery`` (as every put does), so a partition is never flushed or
  closed with a put under way; what was fetched of it before is recognised by its generation and
  dropped, to be fetched again by whoever owns the partition then. What belongs to partitions that
  stay goes on. Nothing is fetched while partitions are given up: aiokafka would still serve the old
  assignment;
- nothing is put while the group has been silent for so long that somebody else may own the
  partitions.

Positions move only after ``put`` returned, and are committed only after ``flush``: at least once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from coracle.api import (
    BatchError,
    RecordBatch,
    RetriableError,
    SinkTask,
    TopicPartition,
)
from coracle.kafka.consume import BatchConsumer
from coracle.kafka.task_consumer import TaskConsumer
from coracle.runtime.byte_queue import ByteQueue
from coracle.runtime.conversion import deserialize
from coracle.runtime.failure import Stage, StageError, span_of
from coracle.runtime.pipeline import Pipeline
from coracle.runtime.shutdown import bounded
from coracle.runtime.transformation import transform
from coracle.store import TaskProgress

logger = logging.getLogger(__name__)

QUEUE_BYTES = 2 * 1024 * 1024
PUT_BYTES = 2 * 1024 * 1024
# Short enough to keep the event loop responsive: converting this much takes some ten milliseconds.
CONVERT_BYTES = 512 * 1024
_IDLE_SECONDS = 1.0
_COMMIT_SHARE = 0.3
_REBALANCE_LOOK_SECONDS = 0.1
# What opening or closing partitions may take: less than the group's rebalance timeout.
_REBALANCE_SECONDS = 45.0


@dataclass(frozen=True)
class SinkSettings:
    """What the worker decides for a sink task."""

    topics: Sequence[str]
    pattern: str
    flush_interval: float
    flush_timeout: float


@dataclass
class SinkCounts:
    """Counters of one run; names as in Kafka Connect's ``sink-task-metrics``."""

    sink_record_read_total: int = 0
    sink_record_send_total: int = 0
    bytes_read_total: int = 0
    offset_commit_completion_total: int = 0
    last_commit: float | None = None
    """When offsets were last committed, in seconds since 1970."""


class SinkRun:
    """Runs a sink task from start to stop. Made anew for every (re)start.

    Args:
        pipeline: the task's identity and stages.
        sink: the plugin's task.
        consumer: not started yet.
        settings: see ``SinkSettings``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sink: SinkTask,
        consumer: BatchConsumer | TaskConsumer,
        settings: SinkSettings,
    ) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._consumer = consumer
        self._settings = settings
        self._queue = ByteQueue(QUEUE_BYTES)
        self._delivery = asyncio.Lock()
        self._putting: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._resumed = asyncio.Event()
        self._revoking = asyncio.Event()
        self._stopping = False
        self._generation = 0
        self._partitions: dict[TopicPartition, int] = {}
        """By the generation in which they were opened."""
        self._begun: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._commit_due = 0.0
        self.counts = SinkCounts()

    def pause(self) -> None:
        """Put no more once what is under way is done; the group membership stays."""
        self._resumed.clear()

    def resume(self) -> None:
        """Go on."""
        self._resumed.set()

    def progress(self) -> TaskProgress:
        """What this run has done."""
        return TaskProgress(
            self.counts.sink_record_send_total, self._lag(), self.counts.last_commit
        )

    def _lag(self) -> int | None:
        lags = self._consumer.lag(self._begun | self._done) if self._partitions else {}
        return sum(lags.values()) if lags and len(lags) == len(self._partitions) else None

    async def start(self) -> None:
        """Connect to the sink and join the group.

        Raises:
            ConnectError: the task cannot run; ``stop`` must still be called.
        """
        await self._sink.start(self._pipeline, self._pipeline.config)
        await self._consumer.start(
            self._settings.topics, self._settings.pattern, self._on_assigned, self._on_revoked
        )

    async def run(self) -> None:
        """Move records until cancelled.

        Raises:
            ConnectError: what ended the task. All that was written before is still committed by
                ``stop``.
        """
        self._commit_due = time.monotonic() + self._settings.flush_interval
        convert = asyncio.create_task(self._convert_loop(), name="convert")
        try:
            await self._put_loop()
        finally:
            convert.cancel()
            await asyncio.gather(convert, return_exceptions=True)

    async def stop(self, deadline: float) -> None:
        """Commit what is written and leave. Called once ``run`` has ended.

        Args:
            deadline: ``time.monotonic()`` by which everything ends, whatever the broker or the sink
                do.
        """
        self._stopping = True
        self._revoking.set()  # what has to be put again is left to the next run
        put_deadline = deadline - _COMMIT_SHARE * (deadline - time.monotonic())
        await bounded(self._settle(), put_deadline, "putting the last records")
        every = frozenset(self._partitions)
        await bounded(self._leave(every), deadline, "committing the last offsets")
        await bounded(self._sink.stop(), deadline, "stopping the sink")
        await bounded(self._consumer.stop(), deadline, "leaving the group")

    async def _settle(self) -> None:
        if self._putting is not None and not self._putting.done():
            await self._putting

    async def _leave(self, partitions: AbstractSet[TopicPartition]) -> None:
        async with self._delivery:
            if leaving := frozenset(partitions & self._partitions.keys()):
                await self._flush_and_commit()
                await self._sink.close(leaving)
                self._forget(leaving)

    def _forget(self, partitions: AbstractSet[TopicPartition]) -> None:
        for partition in partitions:
            for positions in (self._partitions, self._begun, self._done, self._committed):
                positions.pop(partition, None)

    # -- converting ------------------------------------------------------------------------------

    async def _convert_loop(self) -> None:
        try:
            while True:
                await self._resumed.wait()
                if not await _happens(self._opened, _IDLE_SECONDS):
                    self._consumer.look_for_topics()
                    continue
                await self._queue.wait_for_room()
                if not self._opened.is_set():
                    continue
                generation = self._generation
                batches = self._consumer.take(CONVERT_BYTES)
                if not batches:
                    await self._consumer.wait(_IDLE_SECONDS)
                    continue
                for batch in batches:
                    if batch.origin is not None and batch.origin not in self._begun:
                        self._begun[batch.origin] = (
                            batch.offsets[0] if len(batch) else batch.position
                        )
                    self.counts.sink_record_read_total += len(batch)
                    self.counts.bytes_read_total += batch.nbytes
                    ready = transform(
                        await deserialize(
                            batch, self._pipeline.converters, self._pipeline.tolerance
                        ),
                        self._pipeline.chain,
                        self._pipeline.tolerance,
                    )
                    if self._is_current(ready, generation):
                        self._queue.put(ready)
                await asyncio.sleep(0)
        except Exception as error:
            # Everything before the bad record is still delivered; then the put loop meets the
            # error.
            self._queue.fail(error)

    # -- putting ---------------------------------------------------------------------------------

    async def _put_loop(self) -> None:
        while True:
            timeout = max(0.0, self._commit_due - time.monotonic())
            if not self._consumer.can_commit():
                timeout = max(timeout, _REBALANCE_LOOK_SECONDS)
            batches = await self._queue.take(PUT_BYTES, timeout)
            # A stop waits for what is being put: cut off while the sink commits, it would come
            # twice.
            self._putting = asyncio.create_task(self._put(batches, self._generation))
            await asyncio.shield(self._putting)

    async def _put(self, batches: Sequence[RecordBatch], generation: int) -> None:
        while True:
            async with self._delivery:
                # A rebalance may have taken partitions while we waited for the lock.
                batches = [batch for batch in batches if self._is_current(batch, generation)]
                delivered = not batches or (self._consumer.ours() and await self._deliver(batches))
                if delivered:
                    for batch in batches:
                        assert batch.origin is not None
                        self._done[batch.origin] = batch.position
                if time.monotonic() >= self._commit_due and self._consumer.can_commit():
                    await self._flush_and_commit()
            if delivered or self._stopping:
                return
            # Somebody asks for partitions, or all are about to be taken away: let them have the
            # lock, then put what is left.
            await asyncio.sleep(0 if self._revoking.is_set() else _REBALANCE_LOOK_SECONDS)

    def _is_current(self, batch: RecordBatch, generation: int) -> bool:
        """Whether its partition has been ours ever since."""
        assert batch.origin is not None
        return self._partitions.get(batch.origin, generation + 1) <= generation

    async def _deliver(self, batches: Sequence[RecordBatch]) -> bool:
        """Put until it worked; ``False`` when a rebalance asks for the partitions back."""
        pending = [batch for batch in batches if len(batch)]
        attempt = 0
        while pending:
            try:
                await self._sink.put(pending)
            except RetriableError as error:
                attempt += 1
                delay = self._pipeline.delay(attempt, error.after)
                logger.warning("put failed and is repeated in %.1f s: %s", delay, error)
                if await _happens(self._revoking, delay):
                    return False
            except BatchError as error:
                remaining = self._without_bad(pending, error)
                if sum(map(len, remaining)) == sum(map(len, pending)):
                    raise self._failure(
                        "put blames records that it was not given", span_of(*pending)
                    ) from error
                pending = remaining
            except StageError:
                raise
            except Exception as error:
                raise self._failure(
                    "Exiting WorkerSinkTask due to unrecoverable exception.", span_of(*pending)
                ) from error
            else:
                self.counts.sink_record_send_total += sum(map(len, pending))
                break
        return True

    def _without_bad(self, pending: list[RecordBatch], error: BatchError) -> list[RecordBatch]:
        remaining: list[RecordBatch] = []
        start = 0
        for batch in pending:
            end = start + len(batch)
            local = {i - start: e for i, e in error.failures.items() if start <= i < end}
            if local:
                batch = self._pipeline.tolerance.skip(
                    batch,
                    BatchError(local, plugin=error.plugin),
                    Stage.TASK_PUT,
                    self._pipeline.plugin,
                )
            if len(batch):
                remaining.append(batch)
            start = end
        return remaining

    # -- committing and rebalancing --------------------------------------------------------------

    async def _flush_and_commit(self) -> None:
        """Commit what is durable and not committed yet. The caller holds ``_delivery``."""
        self._commit_due = time.monotonic() + self._settings.flush_interval
        if not self._partitions:
            return
        try:
            durable = await self._sink.flush()
        except RetriableError as error:
            logger.warning("flush failed, so nothing is committed; it is repeated: %s", error)
            return
        except Exception as error:
            raise self._failure("The sink failed to flush what was put.") from error
        positions = _durable_positions(self._done, durable)
        fresh = {p: o for p, o in positions.items() if self._committed.get(p) != o}
        if not fresh:
            return
        try:
            async with asyncio.timeout(self._settings.flush_timeout):
                await self._consumer.commit(fresh)
        except (RetriableError, TimeoutError) as error:
            logger.warning("offsets were not committed and will be, later: %s", error or "timeout")
            return
        self._committed |= fresh
        self.counts.offset_commit_completion_total += 1
        self.counts.last_commit = time.time()

    async def _on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        self._opened.clear()
        self._queue.drop(partitions)
        self._revoking.set()
        try:
            await self._within_rebalance(self._leave(partitions), "closing")
        finally:
            self._revoking.clear()
            self._forget(partitions)
        if self._partitions:
            self._opened.set()

    async def _on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        if partitions:
            await self._within_rebalance(self._sink.open(frozenset(partitions)), "opening")
            self._generation += 1
            self._partitions |= dict.fromkeys(partitions, self._generation)
            self._opened.set()
        logger.info("assigned %d more partitions", len(partitions))

    async def _within_rebalance(self, work: Awaitable[None], what: str) -> None:
        limit = asyncio.timeout(_REBALANCE_SECONDS)
        try:
            async with limit:
                await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._failure(
                f"{what} the partitions of a rebalance took longer than {_REBALANCE_SECONDS:g} s"
            ) from error

    def _failure(self, message: str, position: str = "") -> StageError:
        return StageError(message, Stage.TASK_PUT, self._pipeline.plugin, position)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event is set within this time."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _durable_positions(
    done: Mapping[TopicPartition, int], durable: Mapping[TopicPartition, int] | None
) -> dict[TopicPartition, int]:
    """What may be committed: never more than was put, never more than is durable."""
    if durable is None:
        return dict(done)
    return {p: min(position, done[p]) for p, position in durable.items() if p in done}

"""One run of a source task: poll ► transform ► convert ► produce ► store offsets.

    the source ──poll──► queue ──transform, convert, send──► in flight ──acknowledged──► offsets
    topic
                    (bytes bounded)                      (bytes bounded)

Three loops overlap. Concurrency contract:

- ``_poll_loop`` is the only one to call ``poll``;
- ``_send_loop`` alone transforms, converts and sends, so records keep the order of the polls;
- ``_acknowledge_loop`` alone takes what is in flight, in that same order: an offset is stored only
when
  its records and all before them are in Kafka. Records that were dropped or skipped count as done.

An offset is stored after its records: a crash in between repeats records and loses none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coracle.api import (
    BatchError,
    OffsetReader,
    RecordBatch,
    RetriableError,
    SourceOffset,
    SourceTask,
)
from coracle.kafka.offsets import OffsetTopic
from coracle.kafka.produce import BatchProducer, describe_produce_error
from coracle.runtime.byte_queue import ByteQueue
from coracle.runtime.conversion import serialize
from coracle.runtime.failure import Stage, StageError
from coracle.runtime.pipeline import Pipeline
from coracle.runtime.shutdown import bounded
from coracle.runtime.transformation import transform
from coracle.store import TaskProgress

logger = logging.getLogger(__name__)

QUEUE_BYTES = 2 * 1024 * 1024
IN_FLIGHT_BYTES = 4 * 1024 * 1024
# Polls are small by Connect's defaults; sending them together is what makes Kafka batches large.
SEND_BYTES = 512 * 1024
_SOURCE_SHARE = 0.3
# Acknowledged offsets that may wait to be stored before those of the same partition are merged.
_OFFSETS_KEPT = 1000

TopicCreator = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class SourceSettings:
    """What the worker decides for a source task."""

    flush_interval: float
    flush_timeout: float
    offset_partitions: int
    offset_replication_factor: int | None


@dataclass
class SourceCounts:
    """Counters of one run; names as in Kafka Connect's ``source-task-metrics``."""

    source_record_poll_total: int = 0
    source_record_write_total: int = 0
    offset_commit_completion_total: int = 0
    last_commit: float | None = None
    """When offsets were last stored, in seconds since 1970."""


@dataclass(frozen=True)
class _Context:
    connector: str
    task: int
    offsets: OffsetReader


@dataclass(frozen=True)
class _InFlight:
    acknowledgements: Sequence[tuple[str, asyncio.Future[Any]]]
    offsets: Sequence[SourceOffset]
    records: int
    nbytes: int


class SourceRun:
    """Runs a source task from start to stop. Made anew for every (re)start.

    Args:
        pipeline: the task's identity and stages.
        source: the plugin's task.
        producer, offsets: not started yet.
        ensure_topic: called before the first record goes to a topic.
        settings: see ``SourceSettings``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: SourceTask,
        producer: BatchProducer,
        offsets: OffsetTopic,
        ensure_topic: TopicCreator,
        settings: SourceSettings,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._producer = producer
        self._offsets = offsets
        self._ensure_topic = ensure_topic
        self._settings = settings
        self._queue = ByteQueue(QUEUE_BYTES)
        self._sending: asyncio.Task[None] | None = None
        self._in_flight: deque[_InFlight] = deque()
        self._in_flight_bytes = 0
        self._in_flight_changed = asyncio.Event()
        self._resumed = asyncio.Event()
        self._acknowledged: list[SourceOffset] = []
        self._merge_at = _OFFSETS_KEPT
        self._storing = asyncio.Lock()
        self.counts = SourceCounts()

    def pause(self) -> None:
        """Poll no more; what was polled is still sent."""
        self._resumed.clear()

    def resume(self) -> None:
        """Go on."""
        self._resumed.set()

    def progress(self) -> TaskProgress:
        """What this run has done."""
        return TaskProgress(
            self.counts.source_record_write_total, last_commit=self.counts.last_commit
        )

    async def start(self) -> None:
        """Read the stored offsets, connect to Kafka and to the source.

        Raises:
            ConnectError: the task cannot run; ``stop`` must still be called.
        """
        await self._offsets.start(
            partitions=self._settings.offset_partitions,
            replication_factor=self._settings.offset_replication_factor,
        )
        await self._producer.start()
        await self._source.start(
            _Context(self._pipeline.connector, self._pipeline.task, self._offsets),
            self._pipeline.config,
        )

    async def run(self) -> None:
        """Move records until cancelled.

        Raises:
            ConnectError: what ended the task. What Kafka acknowledged before is stored by ``stop``.
        """
        loops = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("poll", self._poll_loop()),
                ("send", self._send_loop()),
                ("acknowledge", self._acknowledge_loop()),
                ("store offsets", self._store_loop()),
            )
        ]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_EXCEPTION)
            for loop in done:
                loop.result()
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def stop(self, deadline: float) -> None:
        """Store the offsets of everything Kafka has acknowledged, and disconnect.

        Args:
            deadline: ``time.monotonic()`` by which everything ends, whatever the broker or the
                source do.
        """
        # A broker that is away uses up what it is given; the source's own stop keeps its share.
        kafka_deadline = deadline - _SOURCE_SHARE * (deadline - time.monotonic())
        await bounded(
            self._settle(), kafka_deadline, "waiting for Kafka to acknowledge the last records"
        )
        await bounded(self._store(), kafka_deadline, "storing the last offsets")
        await bounded(self._source.stop(), deadline, "stopping the source")
        left = deadline - time.monotonic()
        await bounded(self._producer.stop(left), deadline, "closing the producer")
        await bounded(self._offsets.stop(left), deadline, "closing the offset store")

    # -- polling ---------------------------------------------------------------------------------

    async def _poll_loop(self) -> None:
        attempt = 0
        while True:
            await self._resumed.wait()
            await self._queue.wait_for_room()
            try:
                batch = await self._source.poll()
            except RetriableError as error:
                attempt += 1
                delay = self._pipeline.delay(attempt, error.after)
                logger.warning("poll failed and is repeated in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
                continue
            except Exception as error:
                # What was polled before is still sent; then the send loop meets the error.
                self._queue.fail(self._poll_failure(error))
                return
            attempt = 0
            if batch is not None:
                self.counts.source_record_poll_total += len(batch)
                self._queue.put(batch)
            await asyncio.sleep(0)

    def _poll_failure(self, error: Exception) -> StageError:
        failure = StageError(
            "Unhandled exception in error handler",
            Stage.TASK_POLL,
            self._pipeline.plugin,
        )
        failure.__cause__ = error
        return failure

    # -- sending ---------------------------------------------------------------------------------

    async def _send_loop(self) -> None:
        while True:
            batch = _merge(await self._queue.take(SEND_BYTES))
            await self._wait_for_flight()
            # A stop waits for what is being sent: half a batch in Kafka would come twice.
            self._sending = asyncio.create_task(self._send(batch))
            await asyncio.shield(self._sending)

    async def _send(self, batch: RecordBatch) -> None:
        offsets = batch.source_offsets
        batch = transform(batch, self._pipeline.chain, self._pipeline.tolerance)
        acknowledgements: list[tuple[str, asyncio.Future[Any]]] = []
        records = size = 0
        for columns in await serialize(batch, self._pipeline.converters, self._pipeline.tolerance):
            await self._ensure_topic(columns.topic)
            while columns.values:
                try:
                    futures = await self._producer.send(
                        columns.topic,
                        columns.keys,
                        columns.values,
                        columns.timestamps,
                        columns.headers,
                        columns.partitions,
                    )
                except BatchError as error:
                    where = f"a record for {columns.topic}"
                    self._pipeline.tolerance.tolerate(
                        error, Stage.KAFKA_PRODUCE, "", lambda _, where=where: where
                    )
                    columns = columns.without(error.failures)
                    continue
                acknowledgements += [(columns.topic, future) for future in futures]
                records += len(columns.values)
                size += columns.nbytes
                break
        self._in_flight.append(_InFlight(acknowledgements, offsets, records, size))
        self._in_flight_bytes += size
        self._in_flight_changed.set()

    # -- acknowledgements and offsets ------------------------------------------------------------

    async def _wait_for_flight(self) -> None:
        while self._in_flight_bytes >= IN_FLIGHT_BYTES:
            self._in_flight_changed.clear()
            await self._in_flight_changed.wait()

    async def _acknowledge_loop(self) -> None:
        while True:
            while not self._in_flight:
                self._in_flight_changed.clear()
                await self._in_flight_changed.wait()
            await self._acknowledge_first()

    async def _acknowledge_first(self) -> None:
        first = self._in_flight[0]
        for topic, future in first.acknowledgements:
            try:
                # Shielded: a cancelled wait must not cancel aiokafka's own future.
                await asyncio.shield(future)
            except Exception as error:
                raise StageError(
                    "Unrecoverable exception from producer send callback", Stage.KAFKA_PRODUCE
                ) from describe_produce_error(topic, error)
        self._in_flight.popleft()
        self._in_flight_bytes -= first.nbytes
        self._in_flight_changed.set()
        self.counts.source_record_write_total += first.records
        self._acknowledged.extend(first.offsets)
        if len(self._acknowledged) >= self._merge_at:
            self._acknowledged = self._offsets.last_of_each(self._acknowledged)
            self._merge_at = max(_OFFSETS_KEPT, 2 * len(self._acknowledged))

    async def _settle(self) -> None:
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
        while self._in_flight:
            await self._acknowledge_first()

    async def _store_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.flush_interval)
            try:
                async with asyncio.timeout(self._settings.flush_timeout):
                    await self._store()
            except (RetriableError, TimeoutError) as error:
                logger.warning("offsets were not stored and will be, later: %s", error or "timeout")

    async def _store(self) -> None:
        async with self._storing:
            taken = self._acknowledged
            if not taken:
                return
            self._acknowledged = []
            try:
                await self._offsets.write(taken)
            except BaseException:
                self._acknowledged = taken + self._acknowledged
                raise
            self.counts.offset_commit_completion_total += 1
            self.counts.last_commit = time.time()
        await self._source.committed(taken)


def _merge(batches: Sequence[RecordBatch]) -> RecordBatch:
    """Several polls as one batch, so that they are converted and sent together."""
    if len(batches) == 1:
        return batches[0]
    codes_by_schema: dict[Any, int] = {}
    codes: list[int] = []
    for batch in batches:
        table = [codes_by_schema.setdefault(s, len(codes_by_schema)) for s in batch.schemas]
        if batch.codes is None:
            codes += [table[0]] * len(batch) if len(batch) else []
        else:
            codes += [table[code] for code in batch.codes]
    total = len(codes)
    return RecordBatch(
        schemas=list(codes_by_schema),
        keys=[key for batch in batches for key in batch.keys],
        values=[value for batch in batches for value in batch.values],
        offsets=range(total),
        timestamps=[timestamp for batch in batches for timestamp in batch.timestamps],
        codes=codes if len(codes_by_schema) > 1 else None,
        headers=_merge_optional([b.headers for b in batches], batches, ()),
        partitions=_merge_optional([b.partitions for b in batches], batches, None),
        source_offsets=[offset for batch in batches for offset in batch.source_offsets],
        nbytes=sum(batch.nbytes for batch in batches),
        timestamp_type=batches[0].timestamp_type,
    )


def _merge_optional(columns: Sequence[Any], batches: Sequence[RecordBatch], absent: Any) -> Any:
    if all(column is None for column in columns):
        return None
    merged: list[Any] = []
    for column, batch in zip(columns, batches, strict=True):
        merged += [absent] * len(batch) if column is None else column
    return merged

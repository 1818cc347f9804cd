"""A sink task's view of Kafka: record batches.

``BatchConsumer`` is a member of the group on its own, as a consumer in Kafka's sense: this is how a
standalone worker runs a sink. Where processes share a connector's tasks, it is the process that is
a member, and its tasks have a ``TaskConsumer`` each (task_consumer.py). Both read in the same way.

aiokafka speaks the protocol, keeps the membership alive and prefetches; two things are ours.

*Columns.* ``getmany`` builds an eleven-field object per record. Here a fetched partition is
unpacked straight into the columns of a ``RecordBatch``, which costs about two thirds.

*A byte budget.* aiokafka goes on fetching for every partition that has nothing buffered, so its
memory grows with the number of partitions. ``_BudgetFetcher`` sends no fetch while more than
``budget`` bytes wait to be taken. Nothing that was fetched is thrown away: no ``pause()``, which
would.

Both lean on members of aiokafka that are not public; ``tests/integration/kafka/test_consume.py``
holds them in place, and pyproject.toml pins the minor version.

Concurrency: everything runs on one event loop. ``on_revoked`` of the listener is awaited before the
group's rebalance goes on, so what it commits is committed while the partitions are still ours.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from coracle.api import ConnectError, Header, RecordBatch, RecordSchema, RetriableError
from coracle.api import TopicPartition as Partition
from coracle.kafka.security.connection import start
from coracle.kafka.settings import consumer_arguments
from coracle.kafka.trouble import connect_error

logger = logging.getLogger(__name__)

FETCH_BYTES = 2 * 1024 * 1024
BUFFER_BYTES = 4 * 1024 * 1024
_BUSY_WAIT_MS = 5
_IDLE_WAIT_MS = 100
"""How long a broker may wait for idle partitions while those of busy ones are, or are not, taken.
"""


class _BudgetFetcher(Fetcher):
    """A fetcher that sends no request while enough bytes wait to be taken, and does not let what
    is idle hold up what is busy.

    A partition is not asked for while some of it waits to be taken, and no broker is asked twice at
    once. So a request for only the idle partitions, which the broker may hold for
    ``fetch.max.wait.ms``, would delay the next one for the busy ones by as much. It waits briefly
    while records are being taken, and not quite so briefly while they lie.

    Attributes:
        budget: bytes that may wait here.
        taken: whether anything was taken since the last request.
    """

    budget = BUFFER_BYTES
    taken = False

    def buffered(self) -> int:
        return sum(
            result._partition_records._records.size_in_bytes()
            for result in self._records.values()
            if type(result) is FetchResult and result._partition_records is not None
        )

    def _get_actions_per_node(self, assignment: Any) -> Any:
        if self.buffered() >= self.budget:
            return [], *super()._get_actions_per_node(assignment)[1:]
        patience = self._fetch_max_wait_ms
        if self._records:
            self._fetch_max_wait_ms = min(patience, _BUSY_WAIT_MS if self.taken else _IDLE_WAIT_MS)
        try:
            requests, *rest = super()._get_actions_per_node(assignment)
        finally:
            self._fetch_max_wait_ms = patience
        if requests:
            self.taken = False
        return requests, *rest


Rebalance = Callable[[AbstractSet[Partition]], Awaitable[None]]


class _Listener(aiokafka.ConsumerRebalanceListener):
    """Keeps errors of the callbacks: aiokafka logs them and goes on as if nothing happened."""

    def __init__(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self.error: Exception | None = None

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[Any]
    ) -> None:
        await self._call(self._on_assigned, assigned)

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[Any]
    ) -> None:
        await self._call(self._on_revoked, revoked)

    async def _call(self, callback: Rebalance, partitions: Iterable[Any]) -> None:
        try:
            await callback({Partition(p.topic, p.partition) for p in partitions})
        except Exception as error:
            self.error = error


class RecordReader:
    """What reads the fetched records of a consumer of aiokafka's.

    Args:
        props: Java consumer properties.
        budget: bytes that may wait here, fetched and not yet taken.
    """

    def __init__(self, props: Mapping[str, str], *, budget: int = BUFFER_BYTES) -> None:
        self._props = dict(props)
        self._budget = budget
        self._consumer: Any = None
        self._topics: frozenset[str] = frozenset()

    async def _connect(self, arguments: Mapping[str, Any]) -> None:
        defaults: dict[str, Any] = {
            "auto_offset_reset": "earliest",
            "fetch_max_bytes": FETCH_BYTES,
            "max_partition_fetch_bytes": FETCH_BYTES,
        }
        self._consumer = aiokafka.AIOKafkaConsumer(
            **(defaults | consumer_arguments(self._props) | dict(arguments)),
            enable_auto_commit=False,
        )
        await start(self._consumer, self._props)
        fetcher = self._consumer._fetcher
        fetcher.__class__ = _BudgetFetcher
        fetcher.budget = self._budget
        fetcher._prefetch_backoff = 0.0

    async def stop(self) -> None:
        """Leave the group and disconnect. Commits nothing."""
        if self._consumer is None:
            return
        try:
            await stop_consumer(self._consumer)
        finally:
            await self._abandon()

    async def _abandon(self) -> None:
        # What a stop out of time leaves behind would go on fetching, and keep partitions in the
        # group with its heartbeats.
        names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
        left: list[asyncio.Task[Any] | None] = [
            getattr(self._consumer._coordinator, name, None) for name in names
        ]
        if (fetcher := self._consumer._fetcher) is not None:
            left += [fetcher._fetch_task, *fetcher._pending_tasks]
        tasks = [task for task in left if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._consumer._client.close(), return_exceptions=True)

    async def wait(self, timeout: float) -> None:
        """Wait until something was fetched, for at most ``timeout`` seconds.

        Raises:
            ConnectError: when the group, the credentials or a rebalance callback failed.
        """
        fetcher = self._consumer._fetcher
        self._raise_trouble()
        if not fetcher._records:
            waiter = fetcher._create_fetch_waiter()
            try:
                async with asyncio.timeout(timeout):
                    await waiter
            except TimeoutError:
                pass
            except KafkaError as error:
                raise connect_error(error) from error
        self._raise_trouble()

    def take(self, max_bytes: int) -> list[RecordBatch]:
        """What was fetched, at most about ``max_bytes`` of keys and values; empty when nothing was.

        Values are bytes; headers are ``Header(key, None, bytes)``. Every partition that has
        something gets its turn before the first gets a second one.

        Raises:
            ConnectError: when a partition cannot be read, or as ``wait``.
        """
        self._raise_trouble()
        fetcher: Any = self._consumer._fetcher
        batches: list[RecordBatch] = []
        taken = 0
        for partition in list(fetcher._records):
            if taken >= max_bytes:
                break
            result = fetcher._records[partition]
            if type(result) is FetchError:
                del fetcher._records[partition]
                fetcher._notify(fetcher._wait_consume_future)
                try:
                    result.check_raise()
                except KafkaError as error:
                    raise connect_error(error) from error
                continue
            batch = None
            if result.check_assignment(partition) and result.has_more():
                try:
                    batch = _unpack(result._partition_records, max_bytes - taken)
                except KafkaError as error:
                    place = f"{Partition(*partition)}@{result._partition_records.next_fetch_offset}"
                    raise ConnectError(f"Kafka's records from {place} on: {error!r}") from error
                result._update_position()
            if batch is not None:
                taken += batch.nbytes
                batches.append(batch)
            if not result.has_more() or not result._partition_records._records.has_next():
                del fetcher._records[partition]
                fetcher._notify(fetcher._wait_consume_future)
            else:
                fetcher._records.move_to_end(partition)
        if batches:
            fetcher.taken = True
        return batches

    def lag(self, done: Mapping[Partition, int] = MappingProxyType({})) -> dict[Partition, int]:
        """Records between a position and the end of each partition, where both are known.

        Args:
            done: positions that count; where there is none it is that of the last record taken.
        """
        lags: dict[Partition, int] = {}
        assignment = self._consumer._subscription.subscription.assignment
        for place in self._consumer.assignment():
            state, partition = assignment.state_value(place), Partition(*place)
            if state is not None and state.has_valid_position and state.highwater is not None:
                lags[partition] = max(0, state.highwater - done.get(partition, state.position))
        return lags

    def _raise_trouble(self) -> None:
        """Raise what ended aiokafka's own tasks: it waits for somebody to ask."""
        client = self._consumer._client
        if client.refusal is not None:
            raise client.refusal
        if hidden := self._topics & client.cluster.unauthorized_topics:
            raise connect_error(TopicAuthorizationFailedError(", ".join(sorted(hidden))))
        try:
            self._consumer._coordinator.check_errors()
            fetching = self._consumer._fetcher._fetch_task
            if fetching.done() and not fetching.cancelled():
                fetching.result()
        except KafkaError as error:
            raise connect_error(error) from error


class BatchConsumer(RecordReader):
    """A member of a consumer group that hands out record batches.

    Args:
        props: Java consumer properties; ``group.id`` is required.
        budget: bytes that may wait here, fetched and not yet taken.
    """

    _listener: _Listener | None = None

    async def start(
        self,
        topics: Sequence[str],
        pattern: str,
        on_assigned: Rebalance,
        on_revoked: Rebalance,
    ) -> None:
        """Connect and join the group. Returns before the first assignment arrives.

        Args:
            topics: topics to read; empty when ``pattern`` is given.
            pattern: a Python regular expression that whole topic names match.

        Raises:
            RetriableError: when no broker answers.
            ConnectError: when a broker refuses us.
        """
        await self._connect(
            {
                "rebalance_timeout_ms": 60_000,
                # Our own watchdog looks after liveness: a sink may legitimately be busy for long.
                "max_poll_interval_ms": math.inf,
                "partition_assignment_strategy": (RangePartitionAssignor,),
            }
        )
        coordinator = self._consumer._coordinator

        async def assigned(partitions: AbstractSet[Partition]) -> None:
            # aiokafka sends no heartbeat before this callback has returned: the group would throw
            # out whoever takes long to open its partitions.
            coordinator._start_heartbeat_task()
            await on_assigned(partitions)

        self._topics = frozenset(topics)
        self._listener = _Listener(assigned, on_revoked)
        if pattern:
            self._consumer.subscribe(pattern=f"(?a:^(?:{pattern})$)", listener=self._listener)
        else:
            self._consumer.subscribe(topics=list(topics), listener=self._listener)

    def assignment(self) -> frozenset[Partition]:
        """The partitions that are ours now."""
        return frozenset(Partition(p.topic, p.partition) for p in self._consumer.assignment())

    def look_for_topics(self) -> None:
        """Ask Kafka whether topics that were missing exist now; it is asked seldom otherwise.

        Raises:
            ConnectError: as ``wait``.
        """
        self._raise_trouble()
        self._consumer._client.force_metadata_update()

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions in the group.

        Raises:
            RetriableError: when the broker did not take them; they may be committed later.
        """
        offsets = {aiokafka.TopicPartition(*p): position for p, position in positions.items()}
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            raise RetriableError(f"The group moved on before the commit: {error}") from error
        except KafkaError as error:
            raise RetriableError(f"Kafka did not take the commit: {error!r}") from error

    def can_commit(self) -> bool:
        """Whether a commit would be tried at once."""
        return True

    def ours(self) -> bool:
        """Whether the partitions are sure to be still ours: nobody asks for longer than a rebalance
        takes.
        """
        return True

    def _raise_trouble(self) -> None:
        if self._listener is not None and self._listener.error is not None:
            error, self._listener.error = self._listener.error, None
            raise error
        super()._raise_trouble()


async def stop_consumer(consumer: Any) -> None:
    """Stop one of aiokafka's consumers, whatever comes of it.

    It lets the cancellation of a request under way escape from its own ``stop``: in a task of its
    own that cannot be mistaken for a cancellation of ours.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        await asyncio.gather(stopping, return_exceptions=True)
    finally:
        stopping.cancel()
        await consumer._client.close()


def _unpack(partition_records: PartitionRecords, max_bytes: int) -> RecordBatch | None:
    """Take whole Kafka batches until ``max_bytes`` is reached; ``None`` when nothing is visible.

    Follows ``PartitionRecords._unpack_records``: batches of aborted transactions and control
    batches are passed over, and the position moves past them.
    """
    source = partition_records
    # Its own iterator refers back to it: a cycle that would keep megabytes until the next full
    # garbage collection. We never use that iterator.
    source._records_iterator = None
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    timestamps: list[int] = []
    offsets: list[int] = []
    headers: list[Any] | None = None
    nbytes = 0
    timestamp_type = 0
    while nbytes < max_bytes and source._records.has_next():
        batch = source._records.next_batch()
        if source._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {source._tp}")
        if _is_hidden(source, batch):
            source.next_fetch_offset = batch.next_offset
            continue
        records = list(batch)
        if records and records[0].offset < source.next_fetch_offset:
            records = [r for r in records if r.offset >= source.next_fetch_offset]
        source.next_fetch_offset = batch.next_offset
        if not records:
            continue
        batch_headers = [r.headers for r in records]
        if any(batch_headers):
            headers = [()] * len(values) if headers is None else headers
        if headers is not None:
            headers.extend(
                [Header(k, None, v) for k, v in hs] if hs else () for hs in batch_headers
            )
        batch_keys = [r.key for r in records]
        batch_values = [r.value for r in records]
        keys += batch_keys
        values += batch_values
        timestamps += [r.timestamp for r in records]
        offsets += _offsets(records)
        timestamp_type = batch.timestamp_type or 0
        nbytes += _length(batch_values) + _length(batch_keys)
    partition = Partition(*source._tp)
    if not values:
        # Nothing to show, but the group must still move past what was hidden.
        return RecordBatch([], [], [], [], [], origin=partition, position=source.next_fetch_offset)
    return RecordBatch(
        schemas=[RecordSchema(partition.topic)],
        keys=keys,
        values=values,
        offsets=offsets,
        timestamps=timestamps,
        headers=headers,
        origin=partition,
        position=source.next_fetch_offset,
        nbytes=nbytes,
        timestamp_type=timestamp_type,
    )


def _is_hidden(source: PartitionRecords, batch: Any) -> bool:
    if source._isolation_level == 1 and batch.producer_id is not None:
        source._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and source._contains_abort_marker(batch):
            source._aborted_producers.discard(batch.producer_id)
        if batch.is_transactional and batch.producer_id in source._aborted_producers:
            return True
    return bool(batch.is_control_batch)


def _offsets(records: Sequence[Any]) -> Sequence[int]:
    """The offsets of a Kafka batch: seldom anything but consecutive."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return range(first, last + 1)
    return [record.offset for record in records]


def _length(column: list[bytes | None]) -> int:
    absent = column.count(None)
    if absent == len(column):
        return 0
    return sum(map(len, filter(None, column) if absent else column))  # type: ignore[arg-type]

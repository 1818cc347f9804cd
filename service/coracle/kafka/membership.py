"""A process's membership in the Kafka group that shares out one connector's tasks.

aiokafka's coordinator speaks the protocol; there is no consumer here and nothing is fetched. The
partitions of a sink are assigned for real, so that Kafka's own tools show who has them, and each
task reads its own (``consume.TaskConsumer``). What differs from a consumer's membership:

- nothing waits in a rebalance: a member joins again as soon as it hears of one, and its tasks go on
  (``assignor.py`` says how tasks move). So members learn of a rebalance by their next heartbeat,
  which is why it comes twice a second here, and more often while tasks are on the move;
- a membership that the group has ended, or that has had no sign of life from the group for longer
  than the session timeout, is *lost*: its tasks belong to others by then. Whoever owns it is told
  at once, before it joins anew;
- no commit is on its way while the generation changes. The broker would refuse it and aiokafka take
  that for the end of the membership;
- a member never leaves because nothing was polled: there is no ``max.poll.interval.ms``.

It leans on members of aiokafka that are not public; ``tests/integration/kafka/test_membership.py``
holds them in place.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata

from coracle.api import ConnectError, RetriableError
from coracle.api import TopicPartition as Partition
from coracle.kafka.assignor import NO_PARTITIONS, TaskAssignor
from coracle.kafka.security.connection import start
from coracle.kafka.settings import client_arguments
from coracle.kafka.trouble import connect_error

logger = logging.getLogger(__name__)

_HEARTBEAT_MS = 500
_EAGER_HEARTBEAT_MS = 100
_LEAVE_SECONDS = 1.0
_LOOK_SECONDS = 1.0
# While a request to join waits at the broker there are no heartbeats; the broker answers when the
# last member has joined or has been given up, which is after a session timeout at most.
_JOIN_MARGIN = 2.0


class Membership:
    """One member of a group of ``TaskAssignor``.

    Args:
        props: Java consumer properties; ``group.id`` is required.
        topics: topics to be a member for; empty when ``pattern`` is given.
        pattern: a Python regular expression that whole topic names match.
        assignor: what says and hears what there is to say.
        lost: called when the tasks of this member may belong to others.
        failed: called with what ends the membership; whoever is told stops it.
    """

    def __init__(
        self,
        props: Mapping[str, str],
        topics: Sequence[str],
        pattern: str,
        assignor: TaskAssignor,
        lost: Callable[[], None],
        failed: Callable[[ConnectError], None],
    ) -> None:
        self._props = dict(props)
        self._topics = frozenset(topics)
        self._pattern = pattern
        self._assignor = assignor
        self._on_lost = lost
        self._on_failed = failed
        self._session = int(props.get("session.timeout.ms", "10000")) / 1000
        self._client: Any = None
        self._coordinator: _Coordinator | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stable = asyncio.Event()
        self._contact = math.inf
        self._stopping = False

    async def start(self) -> None:
        """Connect, and begin to join.

        Raises:
            RetriableError: when no broker answers.
            ConnectError: when a broker refuses us.
        """
        self._client = AIOKafkaClient(**client_arguments(self._props))
        ours = await start(_Starting(self._client), self._props)
        ours.on_refusal = self._fail
        subscription = SubscriptionState()
        subscription.register_fetch_waiters(set())
        if self._pattern:
            subscription.subscribe_pattern(re.compile(f"(?a:^(?:{self._pattern})$)"))
            self._client.set_topics([])
        else:
            subscription.subscribe(set(self._topics))
            self._client.set_topics(self._topics)
        self._coordinator = _Coordinator(self, self._client, subscription, self._arguments())
        self._coordinator._coordination_task.add_done_callback(self._ended)
        self._watch = asyncio.create_task(self._keep_watch())

    def _arguments(self) -> dict[str, Any]:
        heartbeat = int(self._props.get("heartbeat.interval.ms", "3000"))
        return {
            "group_id": self._props["group.id"],
            "session_timeout_ms": int(self._session * 1000),
            "heartbeat_interval_ms": min(heartbeat, _HEARTBEAT_MS),
            "rebalance_timeout_ms": int(self._props.get("rebalance.timeout.ms", "60000")),
            "retry_backoff_ms": int(self._props.get("retry.backoff.ms", "100")),
            "max_poll_interval_ms": math.inf,
            "enable_auto_commit": False,
            "assignors": (self._assignor,),
        }

    async def stop(self) -> None:
        """Leave the group and disconnect, within about a second."""
        self._stopping = True
        self._stable.clear()
        tasks = [self._watch]
        coordinator = self._coordinator
        joining = coordinator is not None and coordinator.joining
        if coordinator is not None:
            tasks += [
                coordinator._coordination_task,
                coordinator._heartbeat_task,
                coordinator._commit_refresh_task,
            ]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        try:
            await asyncio.gather(*running, return_exceptions=True)
            if coordinator is not None and coordinator.member_id:
                await self._leave(coordinator, joining)
        finally:
            if self._client is not None:
                await self._client.close()

    async def _leave(self, coordinator: _Coordinator, joining: bool) -> None:
        if coordinator.coordinator_id is None:
            return
        # A request to join that waits at the broker holds up its connection.
        group = ConnectionGroup.DEFAULT if joining else ConnectionGroup.COORDINATION
        request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._client.send(coordinator.coordinator_id, request, group=group)
        except (KafkaError, TimeoutError) as error:
            logger.warning("the group was not left, and gives us up later: %r", error)

    @property
    def member_id(self) -> str:
        """The name that the group has given us; empty before it has."""
        return "" if self._coordinator is None else self._coordinator.member_id

    @property
    def stable(self) -> bool:
        """Whether a commit would be taken now: no rebalance is going on."""
        return self._stable.is_set()

    @property
    def valid(self) -> bool:
        """Whether the group has given a sign of life within the session timeout.

        The membership is lost when it has not, even if the group should answer later.
        """
        joining = self._coordinator is not None and self._coordinator.joining
        limit = self._session + (_JOIN_MARGIN if joining else 0)
        if time.monotonic() - self._contact <= limit:
            return True
        logger.error("the group has not answered for %.0f s: its tasks stop", limit)
        self._lose()
        self.rejoin()
        return False

    def rejoin(self) -> None:
        """Ask for a rebalance."""
        if self._coordinator is not None:
            self._coordinator.request_rejoin()

    def expect_rebalance(self, soon: bool) -> None:
        """Say, as an assignment arrives, whether another is likely to follow at once."""
        if self._coordinator is not None:
            heartbeat = self._arguments()["heartbeat_interval_ms"]
            eager = min(heartbeat, _EAGER_HEARTBEAT_MS)
            self._coordinator._heartbeat_interval_ms = eager if soon else heartbeat

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The positions stored in the group, of those partitions that have one.

        Raises:
            ConnectError: when we may not read them.
        """
        assert self._coordinator is not None
        wanted = [aiokafka.TopicPartition(*partition) for partition in partitions]
        try:
            stored = await self._coordinator.fetch_committed_offsets(wanted)
        except KafkaError as error:
            raise connect_error(error) from error
        return {Partition(*p): o.offset for p, o in stored.items() if o.offset >= 0}

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions in the group, as soon as no rebalance is going on.

        Raises:
            RetriableError: when they were not taken.
        """
        coordinator = self._coordinator
        if coordinator is None or coordinator.generation < 0 or not self.valid:
            raise RetriableError("the membership in the group was lost before the commit")
        offsets = {
            aiokafka.TopicPartition(*p): OffsetAndMetadata(position, "")
            for p, position in positions.items()
        }
        while True:
            await self._stable.wait()
            async with coordinator._commit_lock:
                if not self.stable:
                    continue
                generation = coordinator.generation
                try:
                    await coordinator._do_commit_offsets(None, offsets)
                except KafkaError as error:
                    raise RetriableError(f"Kafka did not take the commit: {error!r}") from error
                if generation != coordinator.generation:
                    raise RetriableError("the group moved on during the commit")
                return

    # -- what the coordinator tells ----------------------------------------------------------------

    def touched(self) -> None:
        """The group has given a sign of life."""
        self._contact = time.monotonic()

    def joined(self) -> None:
        """An assignment has arrived."""
        self._stable.set()

    def unsettled(self) -> None:
        """The generation is about to change."""
        self._stable.clear()

    def _lose(self) -> None:
        self._contact = math.inf
        if not self._stopping:
            self._on_lost()

    def _fail(self, error: ConnectError) -> None:
        if not self._stopping and not isinstance(error, RetriableError):
            self._on_failed(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(ConnectError(f"The membership in the group ended: {error!r}"))

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._session / 10))
            _ = self.valid
            cluster = self._client.cluster
            if hidden := self._topics & cluster.unauthorized_topics:
                refused = TopicAuthorizationFailedError(", ".join(sorted(hidden)))
                self._fail(connect_error(refused))
            # Kafka is asked for topics that exist every few minutes, and for missing ones here.
            if self._topics - cluster.topics():
                self._client.force_metadata_update()


class _Starting:
    """Gives a bare client the shape of what ``connection.start`` starts."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def start(self) -> None:
        await self.client.bootstrap()


class _Coordinator(GroupCoordinator):
    """aiokafka's coordinator, saying what happens to the membership.

    Attributes:
        joining: whether a request to join, or to hear the assignment, is on its way.
    """

    def __init__(
        self, membership: Membership, client: Any, subscription: Any, arguments: Any
    ) -> None:
        self._membership = membership
        self.joining = False
        super().__init__(client, subscription, **arguments)

    def reset_generation(self) -> None:
        lost = self.generation > 0
        super().reset_generation()
        self._membership.unsettled()
        if lost:
            logger.warning("the group has ended our membership: its tasks stop")
            self._membership._lose()

    async def _do_heartbeat(self) -> bool:
        alive = await super()._do_heartbeat()
        if alive:
            self._membership.touched()
        return alive

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if self.joining and getattr(response, "error_code", None) == 0:
            self._membership.touched()
        return response

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        async with self._commit_lock:
            self._membership.unsettled()
        self.joining = True
        try:
            return await super()._do_rejoin_group(subscription)
        finally:
            self.joining = False

    async def _on_join_complete(
        self, generation: int, member_id: str, protocol: str, member_assignment_bytes: bytes
    ) -> None:
        await super()._on_join_complete(generation, member_id, protocol, member_assignment_bytes)
        self._membership.joined()

    def _push_error_to_user(self, exc: BaseException) -> Any:
        if isinstance(exc, KafkaError):
            self._membership._fail(connect_error(exc))
        return super()._push_error_to_user(exc)


class TaskPartitions:
    """The partitions of one task of a sink: those it is to have, and those it has.

    Two sides meet here: the sharing of tasks says what is wanted, and the task's consumer follows
    and says what it holds.

    Args:
        released: called when the task has given up partitions.
    """

    def __init__(self, membership: Membership, released: Callable[[], None]) -> None:
        self.membership = membership
        self.wanted: frozenset[Partition] = NO_PARTITIONS
        self.held: frozenset[Partition] = NO_PARTITIONS
        self._released = released
        self._changed = asyncio.Event()
        self._forfeited = False

    @property
    def ours(self) -> bool:
        """Whether what the task writes now is sure not to be another member's business."""
        return not self._forfeited and self.membership.valid

    def forfeit(self) -> None:
        """Say that the membership was lost."""
        self._forfeited = True

    def want(self, partitions: frozenset[Partition]) -> None:
        """Say which partitions the task is to have."""
        if partitions != self.wanted:
            self.wanted = partitions
            self._changed.set()

    async def until_changed(self) -> frozenset[Partition]:
        """Return those wanted, as soon as they differ from those held."""
        while self.wanted == self.held:
            self._changed.clear()
            await self._changed.wait()
        return self.wanted

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Say which partitions the task has."""
        released = self.held - partitions
        self.held = partitions
        if released:
            self._released()

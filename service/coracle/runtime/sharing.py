"""Which of a connector's tasks are this process's.

A connector's life asks its ``TaskSharing`` what to run, tells it what runs, and, when it is the
leader, offers what there is to do. There are two: ``Alone``, where everything is ours at once, and
``GroupSharing``, where a Kafka group shares the tasks out among the processes that run the same
connector. ``kafka/assignor.py`` has the rules by which tasks move.

Everything runs on one event loop, and what changes is announced by a callback that only wakes
somebody: an assignment is a wish like any other, fulfilled by the connector's own loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import orjson

from coracle.api import ConnectError, TopicPartition
from coracle.config.connector import ConnectorConfig
from coracle.config.worker import WorkerConfig
from coracle.java.regex import compile_regex
from coracle.kafka.assignor import (
    Held,
    Keys,
    Member,
    Plan,
    Share,
    TaskAssignor,
    digest,
    share_out,
)
from coracle.kafka.membership import Membership, TaskPartitions
from coracle.runtime.assembly import group_settings, offset_topic

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Work:
    """A task to run here.

    Attributes:
        keys: its own keys.
        term: counts the memberships that were lost: a task that goes over from one to the next is
            begun anew, for others may have had it in between.
    """

    keys: Keys
    term: int = 0


@dataclass(frozen=True)
class Participant:
    """The connector on whose behalf tasks are shared.

    Attributes:
        config: its configuration.
        worker: the worker's.
        worker_id: the process's address, for people.
        wake: called when anything has changed.
    """

    config: ConnectorConfig
    worker: WorkerConfig
    worker_id: str
    wake: Callable[[], None]


class TaskSharing(Protocol):
    """What decides which tasks are ours.

    Attributes:
        epoch: names the leader's time in office: milliseconds since 1970, higher for every later
            leader.
        is_leader: whether this process finds out what there is to do.
        work: the tasks to run here, by number; ``None`` while nobody has said.
        task_count: how many there are in all; ``None`` while unknown.
        useful: how many of them can be busy; ``None`` while unknown.
        error: why there is nothing to do here.
    """

    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def is_leader(self) -> bool: ...  # noqa: D102
    @property
    def work(self) -> Mapping[int, Work] | None: ...  # noqa: D102
    @property
    def task_count(self) -> int | None: ...  # noqa: D102
    @property
    def useful(self) -> int | None: ...  # noqa: D102
    @property
    def error(self) -> ConnectError | None: ...  # noqa: D102

    def join(self, participant: Participant) -> None:
        """Begin to take part. Returns at once; ``participant.wake`` says when something came."""
        ...

    async def leave(self) -> None:
        """Take part no more. Tasks were stopped before."""
        ...

    def offer(self, tasks: Sequence[Keys]) -> None:
        """What there is to do, as the leader has found out.

        Raises:
            ConnectError: when it is too much to be handed out; what was offered before stays.
        """
        ...

    def hold(self, tasks: Mapping[int, Work]) -> None:
        """What runs here, or has not finished stopping."""
        ...

    def partitions(self, task: int) -> TaskPartitions | None:
        """Where a sink's task finds its partitions; ``None`` when it looks for them itself."""
        ...


class Alone:
    """All tasks are ours. A sink's tasks join the sink's group themselves, as consumers."""

    def __init__(self) -> None:
        self.epoch = 0
        self.is_leader = False
        self.work: Mapping[int, Work] | None = None
        self.error: ConnectError | None = None
        self._wake: Callable[[], None] = lambda: None

    @property
    def task_count(self) -> int | None:
        """How many tasks there are."""
        return None if self.work is None else len(self.work)

    @property
    def useful(self) -> int | None:
        """One process does it all."""
        return self.task_count

    def join(self, participant: Participant) -> None:
        """Take the lead."""
        self.epoch = max(self.epoch + 1, _now_ms())
        self.is_leader = True
        self._wake = participant.wake

    async def leave(self) -> None:
        """Give the lead up."""
        self.is_leader = False
        self.work = None

    def offer(self, tasks: Sequence[Keys]) -> None:
        """Take it all."""
        work = {number: Work(keys) for number, keys in enumerate(tasks)}
        if work != self.work:
            self.work = work
            self._wake()

    def hold(self, tasks: Mapping[int, Work]) -> None:
        """Nobody else wants to know."""

    def partitions(self, task: int) -> TaskPartitions | None:
        """The task looks for them itself."""
        return None


class GroupSharing:
    """Tasks are shared out by a Kafka group among all processes of the same configuration.

    The group is the sink's own, or ``coracle-<group.id>-<name>`` for a source. A source's members
    subscribe to its offsets topic, because a group's members subscribe to something, and are
    assigned none of it.

    A membership that fails (no broker, no permission, a configuration that is not wanted) is tried
    again every few seconds; meanwhile ``error`` says why.

    Args:
        config_hash: names the configuration; by default it is made from the connector's as written,
            without the number of tasks.
    """

    def __init__(self, config_hash: str | None = None) -> None:
        self._given_hash = config_hash
        self.epoch = 0
        self.is_leader = False
        self.work: Mapping[int, Work] | None = None
        self.task_count: int | None = None
        self.useful: int | None = None
        self.error: ConnectError | None = None
        self._participant: Participant | None = None
        self._membership: Membership | None = None
        self._running: asyncio.Task[None] | None = None
        self._failed = asyncio.Event()
        self._plan: Plan | None = None
        self._own_epoch = 0
        self._term = 0
        self._joins = 0
        self._held: dict[int, Work] = {}
        self._said: dict[int, Held] = {}
        self._partitions: dict[int, TaskPartitions] = {}

    # -- what a connector's life asks and tells ----------------------------------------------------

    def join(self, participant: Participant) -> None:
        """Begin to take part."""
        self._participant = participant
        self._running = asyncio.create_task(self._stay(participant))

    async def leave(self) -> None:
        """Leave the group."""
        self.work, self.error, self._plan = None, None, None
        self.is_leader, self._own_epoch, self.task_count, self.useful = False, 0, None, None
        self._held, self._said = {}, {}
        self._partitions.clear()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def offer(self, tasks: Sequence[Keys]) -> None:
        """Hand this out in a rebalance.

        Raises:
            ConnectError: when a group cannot carry it.
        """
        if self.is_leader and (plan := Plan(tasks)) != self._plan:
            self._plan = plan
            self._ask_for_rebalance()

    def hold(self, tasks: Mapping[int, Work]) -> None:
        """What was claimed in the last rebalance and is held no longer goes to others."""
        for number in self._held.keys() - tasks.keys() - (self.work or {}).keys():
            self._partitions.pop(number, None)
        self._held = dict(tasks)
        self._tell_what_is_free()

    def partitions(self, task: int) -> TaskPartitions | None:
        """Those that the group assigns to the task."""
        return self._partitions.get(task)

    # -- being a member ----------------------------------------------------------------------------

    async def _stay(self, participant: Participant) -> None:
        while True:
            self._failed.clear()
            try:
                await self._be_member(participant)
            except ConnectError as error:
                self._fail(error)
            except Exception as error:
                self._fail(ConnectError(f"The membership in the group failed: {error!r}"))
            self._lose()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _be_member(self, participant: Participant) -> None:
        """Returns when the membership has failed, and ``error`` says why."""
        config, worker = participant.config, participant.worker
        if config.kind == "source":
            offsets = offset_topic(config, worker)
            # The broker would make a topic that we ask for, and not a compacted one.
            await offsets.create(
                partitions=worker.config["offset.storage.partitions"],
                replication_factor=worker.config["offset.storage.replication.factor"],
            )
            topics, pattern = [offsets.topic], ""
        else:
            topics = config.topics
            pattern = compile_regex(config.topics_regex).pattern if config.topics_regex else ""
        assignor = TaskAssignor(self._describe, self._decide, self._take)
        membership = self._membership = Membership(
            group_settings(config, worker), topics, pattern, assignor, self._lose, self._fail
        )
        try:
            await membership.start()
            await self._failed.wait()
        finally:
            if self._membership is membership:
                self._membership = None
            await membership.stop()

    def _describe(self) -> Member:
        assert self._participant is not None
        self._said = self._claims()
        return Member(
            self._participant.worker_id,
            self._hash(self._participant.config),
            max(self.epoch, self._own_epoch),
            self._said,
            joins=self._joins,
        )

    def _hash(self, config: ConnectorConfig) -> str:
        if self._given_hash is not None:
            return self._given_hash
        own = {key: value for key, value in config.raw.items() if key != "tasks.max"}
        return sha256(orjson.dumps(own, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def _claims(self) -> dict[int, Held]:
        """What we run, are about to run or have not finished stopping; not what was lost."""
        held = {n: work for n, work in self._held.items() if work.term == self._term}
        claims: dict[int, Held] = {}
        for number, work in (held | dict(self.work or {})).items():
            # A task whose keys are to change has the old ones until it is stopped.
            keys = held.get(number, work).keys
            share = self._partitions.get(number)
            has = frozenset[TopicPartition]() if share is None else share.wanted | share.held
            claims[number] = Held(digest(keys), has)
        return claims

    def _decide(
        self, members: Mapping[str, Member], counts: Mapping[str, int]
    ) -> Mapping[str, Share]:
        assert self._participant is not None
        assert self._membership is not None
        if not self._own_epoch:
            # The lead is new to us: what there is to do has to be found out first.
            self._plan = None
            self._own_epoch = max(_now_ms(), *(member.epoch + 1 for member in members.values()))
        sink = self._participant.config.kind == "sink"
        return share_out(
            members,
            self._membership.member_id,
            self._own_epoch,
            self._plan,
            counts if sink else None,
            self._participant.config.topics,
        )

    def _take(self, share: Share) -> None:
        """Follow what the leader says."""
        assert self._participant is not None
        if self._membership is None:
            return
        if share.refused:
            self._fail(ConnectError(share.refused, fix="Give all of them the same configuration."))
            return
        self.error = None
        self.epoch = max(self.epoch, share.epoch)
        self.is_leader = share.leader == self._membership.member_id
        if not self.is_leader:
            self._own_epoch, self._plan = 0, None
        self._membership.expect_rebalance(not share.settled)
        if share.task_count is not None:
            self.task_count, self.useful = share.task_count, share.useful
        before = self.work or {}
        work: dict[int, Work] = {}
        for number, given in share.tasks.items():
            if given.keys is not None:
                work[number] = Work(given.keys, self._term)
            elif number in before:
                work[number] = before[number]
        self.work = work
        if self._participant.config.kind == "sink":
            for number, given in share.tasks.items():
                if given.keys is not None:
                    self._partitions_of(number).want(given.partitions)
        self._participant.wake()

    def _partitions_of(self, number: int) -> TaskPartitions:
        assert self._membership is not None
        if number not in self._partitions:
            self._partitions[number] = TaskPartitions(self._membership, self._tell_what_is_free)
        return self._partitions[number]

    def _lose(self) -> None:
        """Others may have our tasks: end them, and claim them no more."""
        assert self._participant is not None
        self._term += 1
        if self.work is not None:
            self.work = {}
        self.is_leader, self._own_epoch, self._plan = False, 0, None
        for share in self._partitions.values():
            share.forfeit()
        self._partitions.clear()
        self._participant.wake()

    def _fail(self, error: ConnectError) -> None:
        assert self._participant is not None
        logger.error("tasks cannot be shared: %s", error)
        self.error = error
        self._failed.set()
        self._participant.wake()

    # -- asking for rebalances ---------------------------------------------------------------------

    def _tell_what_is_free(self) -> None:
        claims = self._claims()
        for number, said in self._said.items():
            now = claims.get(number)
            if now is None or now.digest != said.digest or said.partitions - now.partitions:
                self._ask_for_rebalance()
                return

    def _ask_for_rebalance(self) -> None:
        self._joins += 1
        if self._membership is not None:
            self._membership.rejoin()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

"""Who runs which task: a pure decision about what the members of a group say of themselves.

The group's leader makes it in every rebalance. Kafka's protocol carries two byte strings of ours
(``user_data`` of KIP-341's consumer protocol): with it a member says what it holds, and is told
what it is to have. Concurrency contract, in the manner of KIP-429 but on top of the eager protocol:

- a member stops nothing because a rebalance begins; what it holds it goes on doing;
- what is to move is first taken away from who holds it, and given to nobody. The holder stops it,
  commits, and joins again without it; then it is given to its new member. A member that died holds
  nothing, so what it had is given away at once;
- a task whose own keys change is taken away in the same manner, and no new task starts before all
  such are stopped: no two tasks ever read the same table.

Tasks are balanced within one, those with partitions first, and stay where they are unless balance
asks for a move. A partition belongs to the same task for as long as the number of tasks is the
same: more partitions move none of the old ones.

A member of another configuration is given nothing and told so. The configuration that counts is the
one whose members hold tasks, or else the leader's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from coracle.api import ConnectError
from coracle.api import TopicPartition as Partition

MAX_PLAN_BYTES = 256 * 1024
"""What the keys of all tasks may come to, compressed. The group's state is one record of a topic
whose records hold a megabyte by default, and it carries what the members say as well."""

Keys = Mapping[str, str]
NO_PARTITIONS: frozenset[Partition] = frozenset()


def digest(keys: Keys) -> str:
    """A short name for a task's own keys."""
    return sha256(orjson.dumps(dict(keys), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True)
class Held:
    """A task that a member runs, is about to run or has not finished stopping.

    Attributes:
        digest: names the keys it runs with.
        partitions: those it has or is to have.
    """

    digest: str
    partitions: frozenset[Partition] = NO_PARTITIONS


@dataclass(frozen=True)
class Member:
    """What a member says of itself when it joins.

    Attributes:
        worker_id: its address, for people.
        config_hash: names its configuration.
        epoch: the highest it has seen.
        held: its tasks by number.
        topics: those it is subscribed to; only these may be given to it.
        joins: how often it has asked for a rebalance: Kafka starts none for a member other than the
            leader that says the same again.
    """

    worker_id: str
    config_hash: str
    epoch: int = 0
    held: Mapping[int, Held] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    joins: int = 0

    def encode(self) -> bytes:
        """As ``user_data``; the topics go beside it."""
        tasks = {str(n): [h.digest, _by_topic(h.partitions)] for n, h in self.held.items()}
        return _pack([self.worker_id, self.config_hash, self.epoch, self.joins, tasks])

    @classmethod
    def decode(cls, data: bytes, topics: Iterable[str]) -> Member:
        """The reverse of ``encode``; a stranger to this protocol holds nothing."""
        try:
            worker_id, config_hash, epoch, joins, tasks = _unpack(data)
            held = {int(n): Held(d, _partitions(p)) for n, (d, p) in tasks.items()}
        except (ValueError, TypeError, zlib.error):
            return cls("unknown", "", topics=frozenset(topics))
        return cls(worker_id, config_hash, epoch, held, frozenset(topics), joins)


@dataclass(frozen=True)
class Plan:
    """What a connector's leader has found to do: each task's own keys, by number.

    Raises:
        ConnectError: when that is more than a group can carry.
    """

    tasks: Sequence[Keys]

    def __post_init__(self) -> None:
        size = len(_pack([dict(keys) for keys in self.tasks]))
        if size > MAX_PLAN_BYTES:
            raise ConnectError(
                f"The configurations of {len(self.tasks)} tasks come to {size // 1024} KiB "
                f"compressed, more than the {MAX_PLAN_BYTES // 1024} KiB that a Kafka group can "
                "carry to the other members.",
                fix="Make the connector's task lists shorter: fewer tables or files for each "
                "connector.",
            )

    @cached_property
    def digests(self) -> list[str]:
        """Names of the keys, by task."""
        return [digest(keys) for keys in self.tasks]


@dataclass(frozen=True)
class Given:
    """A task as it is given to a member.

    Attributes:
        keys: its own keys; ``None`` to go on as it is.
        partitions: its partitions, for a sink.
    """

    keys: Keys | None
    partitions: frozenset[Partition] = NO_PARTITIONS


@dataclass(frozen=True)
class Share:
    """What a member is told.

    Attributes:
        epoch: the leader's.
        leader: its member id.
        tasks: the member's tasks by number.
        task_count: how many tasks there are in all; ``None`` while the leader does not know.
        useful: how many of them have something to do.
        settled: whether all tasks are where they belong, so that no rebalance is about to follow.
        refused: why the member is given nothing, when it is not wanted.
    """

    epoch: int
    leader: str
    tasks: Mapping[int, Given] = field(default_factory=dict)
    task_count: int | None = None
    useful: int | None = None
    settled: bool = False
    refused: str = ""

    @property
    def partitions(self) -> frozenset[Partition]:
        """Those of all its tasks."""
        return frozenset[Partition]().union(*(given.partitions for given in self.tasks.values()))

    def encode(self) -> bytes:
        """As ``user_data``."""
        tasks = {
            str(n): [None if g.keys is None else dict(g.keys), _by_topic(g.partitions)]
            for n, g in self.tasks.items()
        }
        whole = [self.epoch, self.leader, self.task_count, self.useful, self.settled, self.refused]
        return _pack([*whole, tasks])

    @classmethod
    def decode(cls, data: bytes) -> Share:
        """The reverse of ``encode``; nothing at all when the leader gave us none."""
        if not data:
            return cls(0, "")
        epoch, leader, task_count, useful, settled, refused, tasks = _unpack(data)
        given = {int(n): Given(keys, _partitions(p)) for n, (keys, p) in tasks.items()}
        return cls(epoch, leader, given, task_count, useful, settled, refused)


def place(counts: Mapping[str, int], tasks: int, listed: Sequence[str]) -> list[set[Partition]]:
    """The partitions of each task.

    A topic's partitions go to the tasks in turn. Where a topic begins depends on nothing but its
    place in the list of topics, or its name when a pattern has found it: so neither another topic
    nor more partitions move any.

    Args:
        counts: the number of partitions by topic.
        tasks: the number of tasks.
        listed: the topics that the configuration names, in its order.
    """
    places: list[set[Partition]] = [set() for _ in range(tasks)]
    for topic, count in counts.items():
        first = listed.index(topic) if topic in listed else zlib.crc32(topic.encode())
        for number in range(count):
            places[(first + number) % tasks].add(Partition(topic, number))
    return places


def balance(
    tasks: Sequence[int],
    members: Iterable[str],
    holders: Mapping[int, str],
    loads: Mapping[str, int] | None = None,
) -> dict[int, str]:
    """A member for every task: even within one, and with as few moves as that allows.

    Args:
        tasks: what to give away.
        members: who is there; nobody gets anything when they are none.
        holders: who has which of the tasks now.
        loads: how many others each member has already, even within one.
    """
    loads = {member: (loads or {}).get(member, 0) for member in members}
    if not loads:
        return {}
    kept: dict[str, list[int]] = {member: [] for member in loads}
    for task in sorted(tasks):
        if holders.get(task) in kept:
            kept[holders[task]].append(task)
    base, extra = divmod(sum(loads.values()) + len(tasks), len(loads))
    # Who may have one more: who has it already, then who keeps the most.
    order = sorted(loads, key=lambda m: (loads[m] <= base, -(loads[m] + len(kept[m])), m))
    room = {m: base + (place < extra) - loads[m] for place, m in enumerate(order)}
    given: dict[int, str] = {}
    for member in order:
        for task in kept[member][: room[member]]:
            given[task] = member
            room[member] -= 1
    for task in sorted(set(tasks) - set(given)):
        member = max(order, key=lambda m: room[m])
        given[task] = member
        room[member] -= 1
    return given


def share_out(
    members: Mapping[str, Member],
    leader: str,
    epoch: int,
    plan: Plan | None,
    counts: Mapping[str, int] | None = None,
    listed: Sequence[str] = (),
) -> dict[str, Share]:
    """What every member is told.

    Args:
        members: who has joined, by member id.
        leader: the id of the one who decides.
        epoch: its epoch.
        plan: what there is to do; ``None`` while the leader has not found out: then everybody goes
            on with what they hold.
        counts: the partitions of a sink's topics; ``None`` for a source.
        listed: as for ``place``.
    """
    wanted = _configuration(members, leader)
    welcome = {name: m for name, m in members.items() if m.config_hash == wanted}
    shares = {
        name: Share(epoch, leader, refused=_refusal(member, welcome))
        for name, member in members.items()
        if name not in welcome
    }
    if plan is None or leader not in welcome:
        for name, member in welcome.items():
            kept = {n: Given(None, held.partitions) for n, held in member.held.items()}
            shares[name] = Share(epoch, leader, kept)
        return shares
    numbers = range(len(plan.tasks))
    places = [set[Partition]() for _ in numbers]
    busy = list(numbers)
    if counts is not None and plan.tasks:
        places = place(counts, len(plan.tasks), listed)
        busy = [n for n in numbers if places[n]]
    owners = _owners(busy, [n for n in numbers if n not in set(busy)], welcome)
    tasks: dict[str, dict[int, Given]] = {name: {} for name in welcome}
    free = _free(members, plan, owners, places)
    settled = all(free.get(number) == places[number] for number in numbers)
    for number, partitions in free.items():
        tasks[owners[number]][number] = Given(plan.tasks[number], partitions)
    for name in welcome:
        shares[name] = Share(epoch, leader, tasks[name], len(plan.tasks), len(busy), settled)
    return shares


def _configuration(members: Mapping[str, Member], leader: str) -> str:
    """The one whose members hold tasks, or else the leader's."""

    def weight(name: str) -> tuple[bool, int, bool, str]:
        member = members[name]
        return bool(member.held), member.epoch, name == leader, name

    return members[max(members, key=weight)].config_hash


def _refusal(member: Member, welcome: Mapping[str, Member]) -> str:
    others = ", ".join(sorted({m.worker_id for m in welcome.values()}))
    return (
        f"The configuration of {member.worker_id} differs from that of {others}, which run the "
        "tasks of this connector."
    )


def _owners(
    busy: Sequence[int], idle: Sequence[int], members: Mapping[str, Member]
) -> dict[int, str]:
    holders: dict[int, str] = {}
    for name in sorted(members):
        for number in members[name].held:
            holders.setdefault(number, name)
    owners = balance(busy, members, holders)
    loads: dict[str, int] = {}
    for name in owners.values():
        loads[name] = loads.get(name, 0) + 1
    return owners | balance(idle, members, holders, loads)


def _free(
    members: Mapping[str, Member],
    plan: Plan,
    owners: Mapping[int, str],
    places: Sequence[AbstractSet[Partition]],
) -> dict[int, frozenset[Partition]]:
    """The tasks that may be given to their owners now, each with the partitions that may."""
    holders: dict[int, set[str]] = {}
    occupied: dict[Partition, tuple[str, int]] = {}
    outdated = False
    for name, member in members.items():
        for number, held in member.held.items():
            holders.setdefault(number, set()).add(name)
            occupied.update(dict.fromkeys(held.partitions, (name, number)))
            outdated |= number >= len(plan.tasks) or held.digest != plan.digests[number]
    free: dict[int, frozenset[Partition]] = {}
    for number, owner in owners.items():
        held = members[owner].held.get(number)
        if holders.get(number, {owner}) != {owner}:
            continue
        if outdated and (held is None or held.digest != plan.digests[number]):
            continue
        here = (owner, number)
        free[number] = frozenset(
            partition
            for partition in places[number]
            if occupied.get(partition, here) == here and partition.topic in members[owner].topics
        )
    return free


class TaskAssignor(AbstractPartitionAssignor):
    """Lets a group of aiokafka's share tasks instead of partitions. One for each member.

    Args:
        describe: what this member says of itself, its topics left out; asked at every join.
        decide: asked when this member is the leader: what everybody is told, from what they said
            and the number of partitions of every topic.
        take: called with what this member is told.
    """

    name = "coracle"  # pyright: ignore[reportAssignmentType,reportIncompatibleMethodOverride]

    def __init__(
        self,
        describe: Callable[[], Member],
        decide: Callable[[Mapping[str, Member], Mapping[str, int]], Mapping[str, Share]],
        take: Callable[[Share], None],
    ) -> None:
        self._describe = describe
        self._decide = decide
        self._take = take

    def metadata(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, topics: Iterable[str]
    ) -> ConsumerProtocolMemberMetadata:
        """What goes with a request to join."""
        return ConsumerProtocolMemberMetadata(0, sorted(topics), self._describe().encode())

    def assign(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """What goes to each member."""
        said = {
            name: Member.decode(metadata.user_data, metadata.subscription)
            for name, metadata in members.items()
        }
        topics = frozenset[str]().union(*(member.topics for member in said.values()))
        counts = {t: len(cluster.partitions_for_topic(t) or ()) for t in sorted(topics)}
        return {
            name: ConsumerProtocolMemberAssignment(
                0, list(_by_topic(share.partitions).items()), share.encode()
            )
            for name, share in self._decide(said, counts).items()
        }

    def on_assignment(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assignment: ConsumerProtocolMemberAssignment
    ) -> None:
        """Called with what the leader said to this member."""
        self._take(Share.decode(assignment.user_data))


def _by_topic(partitions: Iterable[Partition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        topics.setdefault(topic, []).append(number)
    return topics


def _partitions(topics: Mapping[str, Sequence[int]]) -> frozenset[Partition]:
    return frozenset(Partition(topic, n) for topic, numbers in topics.items() for n in numbers)


def _pack(value: Any) -> bytes:
    return zlib.compress(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def _unpack(data: bytes) -> Any:
    return orjson.loads(zlib.decompress(data))

"""Who runs which task: even, with as few moves as possible, and never two at once."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coracle.api import ConnectError, TopicPartition
from coracle.kafka.assignor import (
    MAX_PLAN_BYTES,
    Held,
    Member,
    Plan,
    Share,
    balance,
    digest,
    place,
    share_out,
)

MEMBERS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)
TASKS = st.integers(0, 20)


def loads_of(owners: dict[int, str], members: list[str]) -> list[int]:
    return [list(owners.values()).count(member) for member in members]


@given(MEMBERS, TASKS, st.dictionaries(st.integers(0, 25), st.sampled_from("abcdefgh")))
def test_every_task_has_an_owner_and_the_owners_are_even(members, tasks, holders) -> None:
    owners = balance(range(tasks), members, holders)
    assert sorted(owners) == list(range(tasks))
    assert set(owners.values()) <= set(members)
    loads = loads_of(owners, members)
    assert max(loads) - min(loads) <= 1


@given(MEMBERS, TASKS, st.dictionaries(st.integers(0, 25), st.sampled_from("abcdefgh")))
def test_no_more_tasks_move_than_balance_asks_for(members, tasks, holders) -> None:
    owners = balance(range(tasks), members, holders)
    held = {m: sum(holders.get(n) == m for n in range(tasks)) for m in members}
    kept = sum(owners[n] == holders.get(n) for n in range(tasks))
    base, extra = divmod(tasks, len(members))
    most = sum(min(count, base) for count in held.values())
    most += min(extra, sum(count > base for count in held.values()))
    assert kept == most


@given(MEMBERS, TASKS, st.dictionaries(st.integers(0, 25), st.sampled_from("abcdefgh")))
def test_a_balance_is_kept_and_does_not_depend_on_the_order_of_members(
    members, tasks, holders
) -> None:
    owners = balance(range(tasks), members, holders)
    assert balance(range(tasks), members[::-1], holders) == owners
    assert balance(range(tasks), members, owners) == owners


@given(MEMBERS, TASKS, TASKS)
def test_idle_tasks_fill_up_what_the_busy_ones_leave_uneven(members, busy, idle) -> None:
    owners = balance(range(busy), members, {})
    loads = {m: list(owners.values()).count(m) for m in members}
    owners |= balance(range(busy, busy + idle), members, {}, loads)
    totals = loads_of(owners, members)
    assert max(totals) - min(totals) <= 1


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 12)),
    st.integers(1, 7),
    st.permutations(["a", "b"]),
    st.integers(1, 5),
)
def test_more_partitions_move_none_of_the_old_ones(counts, tasks, listed, more) -> None:
    before = place(counts, tasks, listed)
    after = place({topic: n + more for topic, n in counts.items()} | {"e": 3}, tasks, listed)
    assert all(old <= new for old, new in zip(before, after, strict=True))
    assert sum(map(len, before)) == sum(counts.values())


def test_topics_of_one_partition_go_to_different_tasks() -> None:
    places = place({"a": 1, "b": 1, "c": 1}, 3, ["a", "b", "c"])
    assert [len(partitions) for partitions in places] == [1, 1, 1]


def test_what_members_say_and_hear_survives_the_wire() -> None:
    held = {3: Held("d", frozenset({TopicPartition("t", 1)})), 12: Held("e")}
    member = Member("pod-1:8083", "hash", 7, held, frozenset({"t"}), 2)
    assert Member.decode(member.encode(), ["t"]) == member
    shares = share_out({"m": member}, "m", 8, Plan([{"k": "v"}] * 4), {"t": 3}, ["t"])
    assert Share.decode(shares["m"].encode()) == shares["m"]
    assert Share.decode(b"") == Share(0, "")


@pytest.mark.parametrize("data", [b"", b"nonsense", bytes(40)])
def test_a_stranger_holds_nothing_and_is_refused(data: bytes) -> None:
    ours = Member("pod-1", "hash", held={0: Held(digest({}))})
    stranger = Member.decode(data, ["t"])
    shares = share_out({"a": ours, "b": stranger}, "a", 1, Plan([{}, {}]))
    assert shares["b"].refused
    assert sorted(shares["a"].tasks) == [0, 1]


def test_a_member_of_another_configuration_is_refused_even_if_it_leads() -> None:
    at_work = Member("pod-1", "old", 5, {0: Held(digest({}))})
    late = Member("pod-2", "new")
    shares = share_out({"a": at_work, "b": late}, "b", 6, Plan([{"other": "keys"}]))
    assert "pod-1" in shares["b"].refused
    assert not shares["b"].tasks
    assert list(shares["a"].tasks) == [0]
    assert shares["a"].tasks[0].keys is None


def test_a_plan_that_a_group_cannot_carry_is_refused() -> None:
    with pytest.raises(ConnectError, match=r"tasks come to \d+ KiB compressed, more than the 256"):
        Plan([{"tables": secrets.token_hex(550_000)}, {}])
    Plan([{"tables": ",".join(f"inventory.orders_{n}" for n in range(20_000))}] * 2)
    assert MAX_PLAN_BYTES == 256 * 1024


class Group(RuleBasedStateMachine):
    """A group in which members come, die and lag, and the work to do changes.

    A member does what the protocol asks of it and no more: it starts what it is given, stops what
    it is not given any more (some time later), and then joins again.
    """

    @initialize(sink=st.booleans())
    def begin(self, sink: bool) -> None:
        self.sink = sink
        self.counts = {"t": 3} if sink else None
        self.plan: Plan | None = Plan([{} if sink else {"n": str(n)} for n in range(3)])
        self.given: dict[str, dict[int, Held]] = {}  # what each is told to have
        self.stopping: dict[str, dict[int, Held]] = {}  # what it has still to stop
        self.made = 0

    def holds(self, name: str) -> dict[int, Held]:
        """What a member says it has: for a task in both, the partitions of both."""
        held = dict(self.stopping[name])
        for number, task in self.given[name].items():
            old = held.get(number)
            held[number] = (
                task if old is None else Held(old.digest, old.partitions | task.partitions)
            )
        return held

    @rule()
    def join(self) -> None:
        if len(self.given) < 5:
            self.made += 1
            self.given[f"m{self.made}"], self.stopping[f"m{self.made}"] = {}, {}
            self.rebalance()

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if self.given:
            name = data.draw(st.sampled_from(sorted(self.given)))
            del self.given[name], self.stopping[name]
            self.rebalance()

    @rule(tasks=st.integers(0, 7), shift=st.booleans())
    def change(self, tasks: int, shift: bool) -> None:
        keys = [{} if self.sink else {"n": str(n + shift)} for n in range(tasks)]
        self.plan = Plan(keys)
        self.rebalance()

    @rule()
    def forget(self) -> None:
        """A new leader does not know yet what there is to do."""
        plan, self.plan = self.plan, None
        before = {name: dict(tasks) for name, tasks in self.given.items()}
        self.rebalance()
        assert self.given == before
        self.plan = plan

    @rule(more=st.integers(1, 3))
    def grow(self, more: int) -> None:
        if self.counts is not None:
            self.counts = {"t": self.counts["t"] + more}
            self.rebalance()

    @rule(data=st.data())
    def stop_something(self, data: st.DataObject) -> None:
        names = sorted(name for name, tasks in self.stopping.items() if tasks)
        if names:
            self.stopping[data.draw(st.sampled_from(names))].clear()
            self.rebalance()

    @rule()
    def settle(self) -> None:
        """Everybody stops what they should: within a few rebalances all is where it belongs."""
        for _ in range(5):
            for stopping in self.stopping.values():
                stopping.clear()
            self.rebalance()
        if not self.given or self.plan is None:
            return
        numbers = sorted(n for tasks in self.given.values() for n in tasks)
        assert numbers == list(range(len(self.plan.tasks)))
        assert all(share.settled for share in self.shares.values())
        loads = [len(tasks) for tasks in self.given.values()]
        assert max(loads) - min(loads) <= 1
        if self.counts is not None and self.plan.tasks:
            given = [
                p for tasks in self.given.values() for t in tasks.values() for p in t.partitions
            ]
            assert sorted(given) == [TopicPartition("t", n) for n in range(self.counts["t"])]

    def rebalance(self) -> None:
        if not self.given:
            return
        members = {
            name: Member(name, "hash", 0, self.holds(name), frozenset({"t"})) for name in self.given
        }
        self.shares = share_out(members, min(members), 1, self.plan, self.counts, ["t"])
        for name, share in self.shares.items():
            held = self.holds(name)
            given = {
                number: self.given[name][number]
                if task.keys is None
                else Held(digest(task.keys), task.partitions)
                for number, task in share.tasks.items()
                if task.keys is not None or number in self.given[name]
            }
            for number, old in held.items():
                new = given.get(number)
                if new is None or new.digest != old.digest or old.partitions - new.partitions:
                    self.stopping[name][number] = old
            self.given[name] = given

    @invariant()
    def nothing_is_held_twice(self) -> None:
        if not hasattr(self, "given"):
            return
        holders: dict[int, set[str]] = {}
        places: dict[TopicPartition, set[tuple[str, int]]] = {}
        for name in self.given:
            for number, task in self.holds(name).items():
                holders.setdefault(number, set()).add(name)
                for partition in task.partitions:
                    places.setdefault(partition, set()).add((name, number))
        assert all(len(names) == 1 for names in holders.values())
        assert all(len(tasks) == 1 for tasks in places.values())

    @invariant()
    def no_two_tasks_read_the_same_table(self) -> None:
        """Not even while one takes it over from another."""
        if not hasattr(self, "given") or self.sink:
            return
        tables = [task.digest for name in self.given for task in self.holds(name).values()]
        assert len(set(tables)) == len(tables)


TestGroup = Group.TestCase

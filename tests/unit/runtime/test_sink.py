"""A sink task when a rebalance, a hanging plugin or an odd error comes at a bad moment."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import pytest

from coracle.api import BatchError, Column, DataError, RetriableError, TopicPartition
from coracle.runtime import sink as sink_module
from coracle.runtime.failure import StageError
from tests.integration.runtime.sinks import Recorder, Text
from tests.unit.runtime.fakes import PARTITION, SinkAtWork, fetched, until

LARGE = sink_module.QUEUE_BYTES


class SlowText(Text):
    """Waits for ``gate`` at one value."""

    def __init__(self, at: bytes) -> None:
        self.at = at
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        if self.at in data:
            self.reached.set()
            await self.gate.wait()
        return await super().to_connect(topic, data)


async def test_what_was_fetched_before_a_rebalance_is_not_put_after_it() -> None:
    """Put, it would move the position past records that the rebalance has dropped."""
    sink = Recorder()
    putting, go_on = asyncio.Event(), asyncio.Event()

    async def hold(values: list[str]) -> None:
        putting.set()
        await go_on.wait()

    sink.on_put = hold
    converter = SlowText(b"2")
    async with SinkAtWork(sink, converter) as work:
        work.consumer.ready.extend(
            fetched(str(i).encode(), first=i, nbytes=LARGE) for i in range(3)
        )
        await work.consumer.on_assigned({PARTITION})
        await putting.wait()
        await until(lambda: len(work.consumer.ready) == 1)  # 0 is being put, 1 fills the queue
        revoking = asyncio.create_task(work.consumer.on_revoked({PARTITION}))
        await asyncio.sleep(0.1)
        go_on.set()
        await revoking
        work.consumer.ready.clear()
        await work.consumer.on_assigned({PARTITION})
        # Kafka serves again what comes after the commit, but that takes a while.
        converter.gate.set()
        await asyncio.sleep(0.3)
    assert sink.written == ["0"]
    assert work.consumer.commits == [{PARTITION: 1}]


async def test_a_sink_that_hangs_while_opening_fails_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sink_module, "_REBALANCE_SECONDS", 0.1)

    class Hanging(Recorder):
        async def open(self, partitions: AbstractSet[TopicPartition]) -> None:
            await asyncio.Event().wait()

    async with SinkAtWork(Hanging()) as work:
        with pytest.raises(StageError, match=r"opening.*0\.1 s"):
            await work.consumer.on_assigned({PARTITION})


async def test_nothing_is_flushed_while_there_are_no_partitions() -> None:
    flushes: list[int] = []
    sink = Recorder()
    sink.durable = lambda: flushes.append(1)
    async with SinkAtWork(sink) as work:
        await asyncio.sleep(0.2)
        assert flushes == []
        await work.consumer.on_assigned({PARTITION})
        await until(lambda: bool(flushes))


async def test_a_flush_that_may_work_later_is_repeated_and_commits_nothing_before() -> None:
    sink = Recorder()
    failures = [RetriableError("busy"), RetriableError("busy")]

    def flush() -> None:
        if failures:
            raise failures.pop()

    sink.durable = flush
    async with SinkAtWork(sink) as work:
        work.consumer.ready.append(fetched(b"a"))
        await work.consumer.on_assigned({PARTITION})
        await until(lambda: bool(work.consumer.commits))
        assert not failures
    assert work.consumer.commits == [{PARTITION: 1}]


async def test_a_flush_that_fails_names_where() -> None:
    sink = Recorder()

    def flush() -> None:
        raise ValueError("no space left")

    sink.durable = flush
    async with SinkAtWork(sink) as work:
        await work.consumer.on_assigned({PARTITION})
        await asyncio.wait([work.task], timeout=5)
        with pytest.raises(StageError, match="flush") as caught:
            work.task.result()
    assert "no space left" in str(caught.value.__cause__)
    assert work.consumer.commits == []


async def test_bad_records_that_are_not_in_the_batch_fail_the_task() -> None:
    """They would otherwise be put again for ever."""
    sink = Recorder()

    async def blame_another(values: list[str]) -> None:
        raise BatchError({7: DataError("bad")})

    sink.on_put = blame_another
    async with SinkAtWork(sink, errors_tolerance="all") as work:
        work.consumer.ready.append(fetched(b"a"))
        await work.consumer.on_assigned({PARTITION})
        done, _ = await asyncio.wait([work.task], timeout=1)
        assert done
        assert isinstance(work.task.exception(), StageError)


async def test_a_put_that_is_to_be_repeated_at_once_makes_way_for_a_rebalance() -> None:
    sink = Recorder()

    async def refuse(values: list[str]) -> None:
        raise RetriableError("busy", after=0)

    sink.on_put = refuse
    async with SinkAtWork(sink) as work:
        work.consumer.ready.append(fetched(b"a"))
        await work.consumer.on_assigned({PARTITION})
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            await work.consumer.on_revoked({PARTITION})
    assert work.consumer.commits == []


async def test_a_stop_waits_for_what_is_being_put() -> None:
    """A database may have committed already: cut off, the records would come twice."""
    sink = Recorder()
    putting = asyncio.Event()

    async def commit(values: list[str]) -> None:
        putting.set()
        await asyncio.sleep(0.2)

    sink.on_put = commit
    async with SinkAtWork(sink) as work:
        work.consumer.ready.append(fetched(b"0"))
        await work.consumer.on_assigned({PARTITION})
        await putting.wait()
    assert sink.written == ["0"]
    assert work.consumer.commits == [{PARTITION: 1}]

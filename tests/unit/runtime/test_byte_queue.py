"""A queue bounded in bytes: order, limits, and who wakes whom."""

import asyncio

import pytest

from coracle.runtime.byte_queue import RECORD_OVERHEAD, ByteQueue, weight
from tests.unit.runtime.fakes import PARTITION, fetched


def test_small_records_are_not_free() -> None:
    assert weight(fetched(b"a", b"b", nbytes=2)) == 2 + 2 * RECORD_OVERHEAD
    assert weight(fetched(nbytes=0)) == 0


async def test_batches_come_out_in_order_and_give_their_room_back() -> None:
    queue = ByteQueue(1000)
    first, second = fetched(b"a"), fetched(b"b", first=1)
    queue.put(first)
    queue.put(second)
    assert queue.room == 1000 - 2 * (100 + RECORD_OVERHEAD)
    assert await queue.take(1 << 20) == [first, second]
    assert queue.room == 1000


async def test_what_is_taken_is_bounded_but_never_nothing() -> None:
    queue = ByteQueue(1000)
    batches = [fetched(b"x", first=i) for i in range(3)]
    for batch in batches:
        queue.put(batch)
    assert await queue.take(1) == batches[:1]
    assert await queue.take(250) == batches[1:]


async def test_one_batch_above_the_limit_passes_alone() -> None:
    queue = ByteQueue(10)
    await asyncio.wait_for(queue.wait_for_room(), 1)
    queue.put(fetched(b"x", nbytes=5000))
    waiting = asyncio.create_task(queue.wait_for_room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await queue.take(1)
    await asyncio.wait_for(waiting, 1)


async def test_a_batch_without_records_is_handed_on() -> None:
    """It has a position to commit."""
    queue = ByteQueue(10)
    empty = fetched(nbytes=0, first=7)
    queue.put(empty)
    assert await queue.take(1, timeout=0) == [empty]


async def test_taking_times_out_empty_handed_and_at_once_when_asked() -> None:
    queue = ByteQueue(10)
    assert await asyncio.wait_for(queue.take(1, timeout=0), 1) == []
    assert await asyncio.wait_for(queue.take(1, timeout=0.01), 1) == []


async def test_an_error_comes_after_what_was_put_before_it_and_stays() -> None:
    queue = ByteQueue(1000)
    batch = fetched(b"a")
    queue.put(batch)
    queue.fail(ValueError("no more"))
    assert await queue.take(1 << 20) == [batch]
    for _ in range(2):
        with pytest.raises(ValueError, match="no more"):
            await queue.take(1 << 20)


async def test_an_error_wakes_who_waits_for_a_batch() -> None:
    queue = ByteQueue(1000)
    taking = asyncio.create_task(queue.take(1))
    await asyncio.sleep(0.01)
    queue.fail(ValueError("no more"))
    with pytest.raises(ValueError, match="no more"):
        await asyncio.wait_for(taking, 1)


async def test_dropping_gives_all_room_back_and_wakes_who_waits_for_it() -> None:
    queue = ByteQueue(150)
    queue.put(fetched(b"a"))
    waiting = asyncio.create_task(queue.wait_for_room())
    await asyncio.sleep(0.01)
    queue.drop({PARTITION})
    await asyncio.wait_for(waiting, 1)
    assert queue.room == 150
    assert await queue.take(1, timeout=0) == []


@pytest.mark.parametrize("limit", [1, 250, 100_000])
async def test_both_ends_at_full_speed_lose_nothing(limit: int) -> None:
    queue = ByteQueue(limit)

    async def fill() -> None:
        for number in range(500):
            await queue.wait_for_room()
            queue.put(fetched(b"x", first=number))

    filling = asyncio.create_task(fill())
    taken: list[int] = []
    async with asyncio.timeout(10):
        while len(taken) < 500:
            taken += [batch.offsets[0] for batch in await queue.take(500)]
    await filling
    assert taken == list(range(500))
    assert queue.room == limit

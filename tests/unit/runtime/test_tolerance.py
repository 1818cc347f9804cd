"""errors.tolerance and its relatives."""

import asyncio
import logging
import time

import pytest

from coracle.api import BatchError, DataError, RetriableError
from coracle.runtime.failure import Stage, StageError
from coracle.runtime.tolerance import Tolerance
from tests.unit.runtime.fakes import fetched, policy


def made(**settings: object) -> Tolerance:
    return Tolerance("orders", 3, policy(**settings))


def test_the_first_bad_record_ends_a_task_without_tolerance() -> None:
    tolerance = made()
    error = BatchError({2: DataError("worse"), 1: DataError("bad")})
    with pytest.raises(StageError, match="Tolerance exceeded in error handler") as caught:
        tolerance.skip(fetched(b"a", b"b", b"c", first=40), error, Stage.VALUE_CONVERTER, "Json")
    assert caught.value.position == "orders-0@41"
    assert (caught.value.stage, caught.value.plugin) == (Stage.VALUE_CONVERTER, "Json")
    assert str(caught.value.__cause__) == "bad"
    assert tolerance.counts.total_records_skipped == 0


def test_bad_records_are_left_out_and_counted_with_tolerance() -> None:
    tolerance = made(errors_tolerance="all")
    batch = fetched(b"a", b"b", b"c", first=40)
    kept = tolerance.skip(
        batch, BatchError({0: DataError("x"), 2: DataError("y")}), Stage.TRANSFORMATION, "T"
    )
    assert (kept.values, list(kept.offsets), kept.position) == ([b"b"], [41], 43)
    assert tolerance.counts.total_record_failures == 2
    assert tolerance.counts.total_records_skipped == 2
    assert tolerance.counts.total_record_errors == 0


def test_bad_records_that_are_not_there_are_an_error_whatever_is_tolerated() -> None:
    """Whoever skips and tries again would do so for ever."""
    tolerance = made(errors_tolerance="all")
    with pytest.raises(StageError, match="not in the batch"):
        tolerance.skip(
            fetched(b"a"), BatchError({5: DataError("x")}), Stage.VALUE_CONVERTER, "Json"
        )


@pytest.mark.parametrize("record", [False, True])
def test_what_is_skipped_is_logged_where_asked(
    caplog: pytest.LogCaptureFixture, record: bool
) -> None:
    tolerance = made(
        errors_tolerance="all", errors_log_enable=True, errors_log_include_messages=record
    )
    with caplog.at_level(logging.ERROR):
        tolerance.skip(
            fetched(b"a", first=9), BatchError({0: DataError("x")}), Stage.KEY_CONVERTER, "Json"
        )
    (line,) = caplog.messages
    assert line.startswith(
        "Error encountered in task orders-3. Executing stage 'KEY_CONVERTER' with class 'Json'"
    )
    assert ("orders-0@9" in line) is record


class Busy:
    """Fails a number of times, then works; notes when it was called."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(time.monotonic())
        if len(self.times) <= self.failures:
            raise RetriableError("busy")
        return "done"


async def test_without_a_timeout_nothing_is_retried() -> None:
    busy = Busy(1)
    with pytest.raises(StageError) as caught:
        await made().retry(busy, Stage.VALUE_CONVERTER, "Avro")
    assert len(busy.times) == 1
    assert isinstance(caught.value.__cause__, RetriableError)


async def test_delays_double_and_the_last_attempt_is_at_the_deadline() -> None:
    busy = Busy(100)
    tolerance = made(errors_retry_timeout=700)
    with pytest.raises(StageError):
        await tolerance.retry(busy, Stage.VALUE_CONVERTER, "Avro")
    assert [t - busy.times[0] for t in busy.times] == pytest.approx([0, 0.3, 0.7], abs=0.15)
    assert tolerance.counts.total_retries == 3


async def test_a_retry_that_works_returns_the_answer() -> None:
    busy = Busy(2)
    tolerance = made(errors_retry_timeout=-1, errors_retry_delay_max_ms=10)
    async with asyncio.timeout(5):
        assert await tolerance.retry(busy, Stage.VALUE_CONVERTER, "Avro") == "done"


async def test_other_errors_are_not_retried() -> None:
    async def broken() -> None:
        raise DataError("bad")

    with pytest.raises(DataError):
        await made(errors_retry_timeout=-1).retry(broken, Stage.VALUE_CONVERTER, "Avro")


def test_delays_stay_within_the_maximum_however_many_attempts_there_were() -> None:
    tolerance = made(errors_retry_delay_max_ms=1000)
    assert [tolerance.delay(n) for n in (1, 2)] == [0.3, 0.6]
    assert all(0 <= tolerance.delay(n) <= 1 for n in (3, 50, 5000))

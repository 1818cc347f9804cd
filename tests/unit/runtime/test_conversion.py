"""Converters applied to batches: schemas per record, records per topic, errors at their place."""

from collections.abc import Sequence
from typing import Any

import pytest

from coracle.api import (
    BatchError,
    Column,
    ConnectError,
    DataError,
    RecordBatch,
    RecordSchema,
    RetriableError,
    Schema,
)
from coracle.runtime.conversion import Converters, _combine, deserialize, serialize
from coracle.runtime.failure import Stage, StageError
from coracle.runtime.source import _merge
from coracle.runtime.tolerance import Tolerance
from tests.integration.runtime.sinks import Plain, Text
from tests.unit.runtime.fakes import fetched, policy

# _combine only carries schemas about: any distinct objects do.
A: Any = "schema a"
B: Any = "schema b"


def converters(key: Text | None = None, value: Text | None = None) -> Converters:
    return Converters(key or Text(), value or Text(), Plain(), "Key", "Value", "Header")


def tolerance(**settings: Any) -> Tolerance:
    return Tolerance("orders", 0, policy(**settings))


def polled(
    *records: tuple[str, str | None, Any], headers: list[Any] | None = None, **more: Any
) -> RecordBatch:
    """A source's batch of (topic, key, value)."""
    topics = list(dict.fromkeys(topic for topic, _, _ in records))
    codes = [topics.index(topic) for topic, _, _ in records]
    return RecordBatch(
        [RecordSchema(topic) for topic in topics],
        [key for _, key, _ in records],
        [value for _, _, value in records],
        range(len(records)),
        list(range(len(records))),
        codes=codes if len(topics) > 1 else None,
        headers=headers,
        **more,
    )


@pytest.mark.parametrize(
    ("key_codes", "value_codes"),
    [(None, None), ([0, 1, 1, 0], None), (None, [1, 0, 1, 1]), ([0, 1, 1, 0], [1, 0, 0, 0])],
)
def test_every_record_gets_the_schemas_of_its_key_and_its_value(
    key_codes: list[int] | None, value_codes: list[int] | None
) -> None:
    keys = Column([0] * 4, [A, B] if key_codes else [A], key_codes)
    values = Column([0] * 4, [A, B] if value_codes else [B], value_codes)
    schemas, codes = _combine("t", keys, values)
    assert [schemas[codes[i] if codes else 0] for i in range(4)] == [
        RecordSchema(
            "t",
            keys.schemas[key_codes[i] if key_codes else 0],
            values.schemas[value_codes[i] if value_codes else 0],
        )
        for i in range(4)
    ]
    assert len(set(schemas)) == len(schemas)


async def test_a_bad_key_and_a_bad_value_are_left_out_where_tolerated() -> None:
    batch = fetched(b"a", b"\xff", b"c", b"d", first=40)
    batch.keys[2] = b"\xff"
    policy = tolerance(errors_tolerance="all")
    read = await deserialize(batch, converters(), policy)
    assert (read.values, list(read.offsets), read.position) == (["a", "d"], [40, 43], 44)
    assert policy.counts.total_records_skipped == 2


async def test_a_batch_of_only_bad_records_keeps_its_position() -> None:
    read = await deserialize(
        fetched(b"\xff", first=4), converters(), tolerance(errors_tolerance="all")
    )
    assert (len(read), read.position) == (0, 5)


class Broken(Text):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        raise self._error

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        raise self._error


@pytest.mark.parametrize("error", [KeyError("x"), ConnectError("the registry says no")])
@pytest.mark.parametrize("side", ["key", "value"])
async def test_a_converter_that_breaks_down_is_named_with_stage_and_records(
    error: Exception, side: str
) -> None:
    broken = converters(**{side: Broken(error)})
    stage = Stage.KEY_CONVERTER if side == "key" else Stage.VALUE_CONVERTER
    with pytest.raises(StageError) as reading:
        await deserialize(fetched(b"a", b"b", first=7), broken, tolerance(errors_tolerance="all"))
    with pytest.raises(StageError) as writing:
        await serialize(polled(("t", "k", "v")), broken, tolerance(errors_tolerance="all"))
    for caught in (reading, writing):
        assert (caught.value.stage, caught.value.plugin) == (stage, side.capitalize())
        assert caught.value.__cause__ is error
    assert reading.value.position == "orders-0@7-8"


async def test_a_registry_that_is_away_fails_the_task_and_skips_nothing() -> None:
    """Nothing is known to be wrong with the records."""
    policy = tolerance(errors_tolerance="all")
    with pytest.raises(StageError):
        await deserialize(fetched(b"a"), converters(value=Broken(RetriableError("away"))), policy)
    assert policy.counts.total_records_skipped == 0


async def test_records_go_out_by_topic_in_their_order() -> None:
    batch = polled(
        ("x", "1", "a"), ("y", None, "b"), ("x", "2", None), ("y", "3", "d"),
        headers=[(), (), (), ()], partitions=[0, 1, None, 3],
    )  # fmt: skip
    x, y = await serialize(batch, converters(), tolerance())
    assert (x.topic, x.keys, x.values) == ("x", [b"1", b"2"], [b"a", None])
    assert (x.timestamps, x.partitions) == ([0, 2], [0, None])
    assert (y.topic, y.keys, y.values) == ("y", [None, b"3"], [b"b", b"d"])
    assert (y.timestamps, y.partitions) == ([1, 3], [1, 3])


class OnlyDigits(Text):
    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        bad = {i: DataError(f"{v} is no number") for i, v in enumerate(values) if not v.isdigit()}
        if bad:
            raise BatchError(bad)
        return await super().from_connect(topic, schema, values)


async def test_a_bad_record_among_several_topics_is_the_one_left_out() -> None:
    batch = polled(("x", None, "1"), ("y", None, "2"), ("x", None, "bad"), ("y", None, "4"))
    policy = tolerance(errors_tolerance="all")
    x, y = await serialize(batch, converters(value=OnlyDigits()), policy)
    assert (x.values, y.values) == ([b"1"], [b"2", b"4"])
    with pytest.raises(StageError) as caught:
        await serialize(batch, converters(value=OnlyDigits()), tolerance())
    assert str(caught.value.__cause__) == "bad is no number"
    assert caught.value.position.startswith("record 2 of a poll")


async def test_nothing_is_written_of_an_empty_batch() -> None:
    assert await serialize(fetched(), converters(), tolerance()) == []


def test_merged_polls_keep_every_record_with_its_schema_headers_and_partition() -> None:
    header = [("h", b"1")]
    first = polled(("x", "1", "a"), ("y", "2", "b"), nbytes=4)
    empty = RecordBatch([], [], [], [], [], source_offsets=["o1"])  # type: ignore[list-item]
    second = polled(("y", "3", "c"), headers=[header], partitions=[7], nbytes=2)
    merged = _merge([first, empty, second])
    assert [merged.schema_of(i).topic for i in range(3)] == ["x", "y", "y"]
    assert (merged.keys, merged.values) == (["1", "2", "3"], ["a", "b", "c"])
    assert merged.headers == [(), (), header]
    assert merged.partitions == [None, None, 7]
    assert (list(merged.offsets), merged.nbytes) == ([0, 1, 2], 6)
    assert merged.source_offsets == ["o1"]


def test_polls_of_one_schema_stay_of_one_schema() -> None:
    merged = _merge([polled(("x", None, "a")), polled(("x", None, "b"))])
    assert (merged.codes, merged.headers, merged.partitions) == (None, None, None)
    assert len(merged.schemas) == 1


def test_one_poll_is_left_as_it_is() -> None:
    batch = polled(("x", None, "a"))
    assert _merge([batch]) is batch

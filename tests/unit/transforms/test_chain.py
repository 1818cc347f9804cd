"""The chain: order, predicates, merging, and where errors lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coracle.api import BatchError, DataError, Predicate, RecordBatch, RecordSchema, Transform
from coracle.api.schema import INT64, STRING, struct
from coracle.transforms.chain import Chain, Step
from coracle.transforms.filter import Filter
from coracle.transforms.insert_field import InsertFieldValue
from coracle.transforms.predicates import RecordIsTombstone, TopicNameMatches
from coracle.transforms.regex_router import RegexRouter
from coracle.transforms.replace_field import ReplaceFieldValue
from coracle.transforms.timestamp_router import TimestampRouter
from tests.unit.transforms.support import batch, made

TOMBSTONE = made(RecordIsTombstone)


class Odd(Predicate):
    """True for records with an odd value."""

    def configure(self, config: Any) -> None: ...

    def matches(self, batch: RecordBatch) -> Sequence[bool]:
        return [value % 2 == 1 for value in batch.values]


class Refuse(Transform):
    """Refuses some values."""

    def __init__(self, *values: int) -> None:
        self.values = values

    def configure(self, config: Any) -> None: ...

    def apply(self, batch: RecordBatch) -> RecordBatch:
        bad = [index for index, value in enumerate(batch.values) if value in self.values]
        if bad:
            raise BatchError({index: DataError(f"no {batch.values[index]}") for index in bad})
        return batch.with_(values=[value + 100 for value in batch.values])


def test_the_talks_chain() -> None:
    order = struct({"id": INT64, "delivery_address": STRING}, name="order")
    chain = Chain(
        [
            Step(
                "addDateToTopic",
                made(
                    TimestampRouter,
                    topic_format="${topic}-${timestamp}",
                    timestamp_format="YYYYMM",
                ),
            ),
            Step(
                "labelFooBar", made(ReplaceFieldValue, renames="delivery_address:shipping_address")
            ),
        ]
    )
    rows = [{"id": 1, "delivery_address": "Fensalir"}, {"id": 2, "delivery_address": "Sessrumnir"}]
    result = chain.apply(batch(*rows, schema=order, topic="asgard.demo.orders"))
    renamed = struct({"id": INT64, "shipping_address": STRING}, name="order")
    assert list(result.schemas) == [RecordSchema("asgard.demo.orders-202712", None, renamed)]
    assert result.values == [
        {"id": 1, "shipping_address": "Fensalir"},
        {"id": 2, "shipping_address": "Sessrumnir"},
    ]


def test_a_chain_of_none_is_false_and_free() -> None:
    given = batch(1, 2)
    assert not Chain([])
    assert Chain([]).apply(given) is given


def test_a_predicate_that_is_true_or_false_for_all_copies_nothing() -> None:
    given = batch(1, 2)
    routed = made(RegexRouter, regex="orders", replacement="routed")
    chosen = Chain([Step("a", routed, TOMBSTONE, negate=True)]).apply(given)
    assert chosen.values is given.values
    assert [schema.topic for schema in chosen.schemas] == ["routed"]
    assert Chain([Step("a", routed, TOMBSTONE)]).apply(given) is given


def test_records_meet_again_in_their_order() -> None:
    given = batch(1, 2, 3, 4, 5, headers=[(), ("h",), (), (), ()], nbytes=50)
    routed = made(RegexRouter, regex="orders", replacement="odd")
    result = Chain([Step("a", routed, Odd())]).apply(given)
    assert list(result.offsets) == [10, 11, 12, 13, 14]
    assert result.values == [1, 2, 3, 4, 5]
    assert result.headers == [(), ("h",), (), (), ()]
    topics = [result.schema_of(index).topic for index in range(5)]
    assert topics == ["odd", "orders", "odd", "orders", "odd"]
    assert (result.position, result.origin) == (99, given.origin)
    assert 40 <= result.nbytes <= 50


def test_what_a_filter_drops_counts_as_done() -> None:
    dropped = Chain([Step("a", Filter(), TOMBSTONE)]).apply(batch({"a": 1}, None, {"a": 2}))
    assert dropped.values == [{"a": 1}, {"a": 2}]
    assert list(dropped.offsets) == [10, 12]
    everything = Chain([Step("a", Filter()), Step("b", Refuse())]).apply(batch(1, 2))
    assert (len(everything), everything.position) == (0, 99)


def test_an_empty_batch_is_not_touched() -> None:
    empty = batch()
    assert Chain([Step("a", Refuse())]).apply(empty) is empty


def test_errors_lead_back_to_the_batch_that_was_given() -> None:
    chain = Chain(
        [
            Step("drop", Filter(), Odd()),
            Step("check", Refuse(4, 6), Odd(), negate=True, plugin="org.example.Refuse"),
        ]
    )
    with pytest.raises(BatchError) as caught:
        chain.apply(batch(1, 2, 3, 4, 5, 6))
    assert {index: str(error) for index, error in caught.value.failures.items()} == {
        3: "no 4",
        5: "no 6",
    }
    assert caught.value.plugin == "org.example.Refuse"
    rest = chain.apply(batch(1, 2, 3, 4, 5, 6).without(caught.value.failures))
    assert rest.values == [102]


def test_errors_of_chosen_records_lead_back_too() -> None:
    chain = Chain([Step("check", Refuse(5), Odd(), plugin="Refuse")])
    with pytest.raises(BatchError) as caught:
        chain.apply(batch(1, 2, 4, 5))
    assert (list(caught.value.failures), caught.value.plugin) == ([3], "Refuse")


def test_steps_see_what_the_steps_before_them_did() -> None:
    chain = Chain(
        [
            Step("route", made(RegexRouter, regex="(.*)", replacement="new-$1")),
            Step(
                "insert",
                made(InsertFieldValue, topic_field="topic"),
                made(TopicNameMatches, pattern="new-.*"),
            ),
            Step(
                "never",
                made(InsertFieldValue, static_field="old", static_value="x"),
                made(TopicNameMatches, pattern="new"),
            ),
        ]
    )
    assert chain.apply(batch({"a": 1})).values == [{"a": 1, "topic": "new-orders"}]

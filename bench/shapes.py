"""The records: orders of seven columns and a primary key, in three arrangements.

Values are drawn from a fixed seed, so every run moves the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import orjson

TABLE = "orders"
_CONNECT_TIMESTAMP = {"name": "org.apache.kafka.connect.data.Timestamp", "version": 1}
_FIELDS = (
    {"type": "int64", "optional": False, "field": "id"},
    {"type": "string", "optional": False, "field": "customer"},
    {"type": "string", "optional": False, "field": "product"},
    {"type": "double", "optional": False, "field": "amount"},
    {"type": "int32", "optional": False, "field": "quantity"},
    {"type": "boolean", "optional": False, "field": "paid"},
    {"type": "int64", "optional": False, "field": "ordered_at", **_CONNECT_TIMESTAMP},
    {"type": "string", "optional": True, "field": "note"},
)
_COUPON = {"type": "string", "optional": True, "field": "coupon"}
_COLUMNS = """
    id BIGINT PRIMARY KEY,
    customer TEXT NOT NULL,
    product TEXT NOT NULL,
    amount DOUBLE PRECISION NOT NULL,
    quantity INTEGER NOT NULL,
    paid BOOLEAN NOT NULL,
    ordered_at TIMESTAMP NOT NULL,
    note TEXT"""
_FIRST_MS = 1_750_000_000_000


@dataclass(frozen=True)
class Shape:
    """An arrangement of the records.

    Attributes:
        name: short, for tables and options.
        title: in words.
        partitions: of the topic.
        interleaved: every other record of a partition has a second schema, with one more column.
    """

    name: str
    title: str
    partitions: int = 4
    interleaved: bool = False

    @property
    def create_table(self) -> str:
        """SQL that makes the table anew."""
        coupon = ",\n    coupon TEXT" if self.interleaved else ""
        return f"DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} ({_COLUMNS}{coupon})"


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("one", "one schema, 4 partitions"),
        Shape("two", "two schemas, record by record", interleaved=True),
        Shape("fifty", "one schema, 50 partitions", partitions=50),
    )
}
BASE = SHAPES["one"]


def messages(shape: Shape, count: int) -> Iterator[tuple[int, bytes, bytes]]:
    """``count`` records as (partition, key, value), with ids from 0 in order.

    Keys are for ``StringConverter``, values for ``JsonConverter`` with ``schemas.enable``.
    """
    random = Random(20260101)
    customers = [f"customer-{number:05d}" for number in range(10_000)]
    products = [f"product {number} of the spring catalogue" for number in range(500)]
    notes = [None, "", "leave at the door", "please ring twice; the bell is a little shy"]
    head = _envelope(_FIELDS)
    heads = (head, _envelope((*_FIELDS, _COUPON))) if shape.interleaved else (head, head)
    for id_ in range(count):
        turn, partition = divmod(id_, shape.partitions)
        payload = {
            "id": id_,
            "customer": customers[int(random.random() * 10_000)],
            "product": products[int(random.random() * 500)],
            "amount": round(random.random() * 500, 2),
            "quantity": 1 + int(random.random() * 9),
            "paid": random.random() < 0.5,
            "ordered_at": _FIRST_MS + id_,
            "note": notes[int(random.random() * 4)],
        }
        if shape.interleaved and turn % 2:
            payload["coupon"] = "SPRING" if random.random() < 0.5 else None
        yield partition, b"%d" % id_, heads[turn % 2] + orjson.dumps(payload) + b"}"


def last_ids(shape: Shape, count: int) -> list[int]:
    """The id of the last record of each partition that has any."""
    return list(range(max(0, count - shape.partitions), count))


def _envelope(fields: tuple[dict[str, object], ...]) -> bytes:
    schema = {"type": "struct", "fields": fields, "optional": False, "name": "shop.Order"}
    return b'{"schema":' + orjson.dumps(schema) + b',"payload":'

"""Kafka to PostgreSQL without a framework: the script an engineer would write in an hour.

    python -m bench.bare_script BOOTSTRAP TOPIC GROUP DSN [--coupon]

It knows its one topic and its one table. It takes up to 3,000 records at a time, parses them,
copies them into the table and commits their offsets. It has no REST API, no dead letters, no
retries, no transforms and no schema: what it costs is what the libraries cost.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

EPOCH = datetime(1970, 1, 1)  # the column has no time zone
COLUMNS = ["id", "customer", "product", "amount", "quantity", "paid", "ordered_at", "note"]


def row(order: dict[str, Any]) -> tuple[Any, ...]:
    """The columns of an order."""
    return (
        order["id"],
        order["customer"],
        order["product"],
        order["amount"],
        order["quantity"],
        order["paid"],
        EPOCH + timedelta(milliseconds=order["ordered_at"]),
        order["note"],
    )


def row_with_coupon(order: dict[str, Any]) -> tuple[Any, ...]:
    """The columns of an order that may have one more."""
    return (*row(order), order.get("coupon"))


async def main(bootstrap_servers: str, topic: str, group: str, dsn: str, *options: str) -> None:
    """Copy until killed."""
    coupon = "--coupon" in options
    to_row = row_with_coupon if coupon else row
    columns = [*COLUMNS, "coupon"] if coupon else COLUMNS
    database = await asyncpg.connect(dsn)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=3000)
            rows = [
                to_row(orjson.loads(message.value)["payload"])
                for messages in fetched.values()
                for message in messages
                if message.value is not None
            ]
            if rows:
                await database.copy_records_to_table("orders", records=rows, columns=columns)
                await consumer.commit()
    finally:
        await consumer.stop()
        await database.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))

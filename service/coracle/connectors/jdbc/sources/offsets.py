"""Positions as Kafka Connect stores them, so that either worker can go on where the other stopped.

A table's source partition is ``{"protocol":"1","table":"<full name>"}``; the form before that
(protocol 0), ``{"table":"<bare name>"}``, is read when there is no newer one. A query's is
``{"query":"query"}``. An offset holds what the mode needs of ``incrementing`` (the last id),
``timestamp`` (milliseconds since the epoch) and ``timestamp_nanos`` (the whole fraction of that
second, milliseconds included).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coracle.api import ConnectError, OffsetReader
from coracle.connectors.jdbc.dialects.base import TableId

QUERY_PARTITION = {"query": "query"}


@dataclass(frozen=True)
class Position:
    """How far a table or query has been read. ``None`` where nothing is known or needed.

    Attributes:
        incrementing: the last id.
        timestamp: the last timestamp, microseconds since the epoch, UTC.
    """

    incrementing: int | None = None
    timestamp: int | None = None

    def offset(self) -> dict[str, Any]:
        """The stored form."""
        offset: dict[str, Any] = {}
        if self.incrementing is not None:
            offset["incrementing"] = self.incrementing
        if self.timestamp is not None:
            offset["timestamp"] = self.timestamp // 1000
            offset["timestamp_nanos"] = self.timestamp % 1_000_000 * 1000
        return offset

    @classmethod
    def of(cls, offset: Mapping[str, Any] | None) -> Position:
        """The position of a stored offset.

        Raises:
            ConnectError: when it holds anything but numbers.
        """
        if not offset:
            return cls()
        try:
            incrementing = offset.get("incrementing")
            timestamp = offset.get("timestamp")
            if incrementing is not None:
                incrementing = int(incrementing)
            if timestamp is not None:
                millis = int(timestamp)
                nanos = int(offset.get("timestamp_nanos") or millis % 1000 * 1_000_000)
                timestamp = millis // 1000 * 1_000_000 + nanos // 1000
        except (TypeError, ValueError):
            raise ConnectError(
                f"The stored offset {dict(offset)!r} is not one of this connector.",
                fix="Reset the connector's offsets, or set them to numbers.",
            ) from None
        return cls(incrementing, timestamp)


def table_partition(table: TableId) -> dict[str, str]:
    """The source partition of a table, in protocol 1."""
    return {"protocol": "1", "table": table.fqn}


async def stored_position(reader: OffsetReader, table: TableId | None, database: str) -> Position:
    """The stored position of a table, or of the query when there is no table.

    Args:
        reader: the connector's offsets.
        table: the table; ``None`` for a query.
        database: the connection's database: some versions of pgjdbc put it before the schema.
    """
    if table is None:
        partitions: list[Mapping[str, Any]] = [QUERY_PARTITION]
    else:
        partitions = [table_partition(table)]
        if table.schema and database:
            partitions.append({"protocol": "1", "table": f"{database}.{table.fqn}"})
        partitions.append({"table": table.name})
    offsets = await reader.read(partitions)
    return Position.of(next((offset for offset in offsets if offset), None))

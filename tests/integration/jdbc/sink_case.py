"""Runs the JDBC sink as the runtime would, without Kafka, and looks at the tables."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from coracle.api import Config, RecordBatch, RecordSchema, Schema, TopicPartition
from coracle.api.record import SchemaTable
from coracle.connectors.jdbc.dialects import dialect_for
from coracle.connectors.jdbc.sink import JdbcSinkConnector, JdbcSinkTask
from tests.servers.database import Database

Message = tuple[Schema | None, Any, Schema | None, Any]
"""Key schema, key, value schema, value."""


@dataclass
class Context:
    connector: str = "rows-sink"
    task: int = 0


@dataclass(frozen=True)
class Destination:
    """A database to write to.

    Attributes:
        kind: ``postgresql``, ``mysql`` or ``sqlite``.
        connection: the keys that lead to it.
        database: the server's; ``None`` for SQLite.
    """

    kind: str
    connection: Mapping[str, str]
    database: Database[Any] | None = None

    def config(self, **more: str) -> Config:
        """A configuration; dots of keys are written as underscores."""
        props = {"retry.backoff.ms": "50", "connection.backoff.ms": "50", **self.connection}
        props |= {key.replace("_", "."): value for key, value in more.items()}
        return JdbcSinkConnector.spec.parse(props)

    @asynccontextmanager
    async def task(self, **more: str) -> AsyncIterator[JdbcSinkTask]:
        """A started task, stopped in the end."""
        task = JdbcSinkTask()
        try:
            await task.start(Context(), self.config(**more))
            yield task
        finally:
            await task.stop()

    async def run(self, *statements: str) -> None:
        """Run SQL as the sink's user."""
        await self._query(*statements)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as the driver gives them."""
        return await self._query(sql)

    async def _query(self, *statements: str) -> list[tuple[Any, ...]]:
        dialect = dialect_for(self.config())
        conn = await dialect.connect()
        try:
            rows: Sequence[Any] = []
            for sql in statements:
                rows = await dialect.query(conn, sql)
            return [tuple(row) for row in rows]
        finally:
            await dialect.close(conn)


def batch(
    messages: Sequence[Message], topic: str = "orders", partition: int = 0, first: int = 0
) -> RecordBatch:
    """Records of one partition."""
    table = SchemaTable()
    for key_schema, _, value_schema, _ in messages:
        table.add(RecordSchema(topic, key_schema, value_schema))
    schemas, codes = table.columns()
    return RecordBatch(
        schemas,
        [key for _, key, _, _ in messages],
        [value for _, _, _, value in messages],
        range(first, first + len(messages)),
        [1700000000000] * len(messages),
        codes=codes,
        origin=TopicPartition(topic, partition),
        position=first + len(messages),
    )


def values(
    schema: Schema, *structs: Any, topic: str = "orders", partition: int = 0, first: int = 0
) -> RecordBatch:
    """Records without keys that share a schema."""
    return batch([(None, None, schema, value) for value in structs], topic, partition, first)

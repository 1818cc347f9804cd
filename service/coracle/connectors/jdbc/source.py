"""The JDBC source: rows of tables, or of a query, to topics.

The connector finds tables, shares them out over tasks and watches for new ones. A task reads its
tables in turn over one connection. What is read, and in what form, is in ``sources``.

    connector   tables ──filter──► groups ──► one task each
    task        table due ──► SELECT after the position ──► batches ──► … exhausted ──► due later
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from coracle.api import (
    Config,
    ConnectError,
    ConnectorContext,
    RecordBatch,
    RetriableError,
    SourceConnector,
    SourceTask,
    SourceTaskContext,
)
from coracle.connectors.jdbc.connection import connect
from coracle.connectors.jdbc.dialects import ErrorClass, TableId, dialect_for
from coracle.connectors.jdbc.sources.config import SOURCE_SPEC, query_of
from coracle.connectors.jdbc.sources.offsets import stored_position
from coracle.connectors.jdbc.sources.reader import Reader
from coracle.connectors.jdbc.sources.settings import SourceSettings
from coracle.connectors.jdbc.sources.tables import (
    TableFilter,
    decode,
    encode,
    reject_duplicates,
    share_out,
)

logger = logging.getLogger(__name__)


class JdbcSourceTask(SourceTask):
    """Reads its tables, or the query, whenever they are due."""

    async def start(self, context: SourceTaskContext, config: Config) -> None:
        """Connect, look at every table and seek to its stored position.

        Raises:
            ConnectError: naming the table and the setting at fault.
        """
        self._conn: Any = None
        self._current: Reader | None = None
        self._readers: list[Reader] = []
        self._busy = False
        self._failures = 0
        self._dialect = dialect_for(config)
        self._settings = SourceSettings.of(config, self._dialect)
        self._interval = config["poll.interval.ms"] / 1000
        self._retries = config["query.retry.attempts"]
        self._isolation = config["transaction.isolation.mode"].upper().replace("_", " ")
        database = self._dialect.settings.url.database
        for table in self._share(config):
            position = await stored_position(context.offsets, table, database)
            self._readers.append(Reader(self._dialect, self._settings, table, position))
        await self._connect()
        for reader in self._readers:
            try:
                await reader.begin(self._conn)
            except ConnectError:
                raise
            except Exception as error:
                raise self._failed(reader, error) from error

    def _share(self, config: Config) -> Sequence[TableId | None]:
        if query_of(config):
            return [None]
        tables = decode(self._dialect, config["tables"] or "")
        if not tables:
            raise ConnectError(
                "Task is being killed because it was not assigned a table nor a query to execute. "
                f"No table in {self._dialect.settings.place} is chosen by the table filters.",
                fix="Check table.whitelist (names are case-sensitive), table.include.list, "
                "schema.pattern, catalog.pattern and table.types, and that the user may see the "
                "tables. Once one is found the task starts again by itself.",
            )
        return tables

    async def poll(self) -> RecordBatch | None:
        """The next rows of the table whose turn it is; waits until one is due."""
        if self._busy:  # the last call was cancelled in the middle of something
            await self._disconnect()
        while True:
            reader = self._current
            if reader is None:
                reader = min(self._readers, key=lambda reader: reader.due)
                await asyncio.sleep(reader.due - asyncio.get_running_loop().time())
                self._current = reader
            batch = await self._read(reader)
            if batch is not None:
                return batch
            reader.due = asyncio.get_running_loop().time() + self._interval
            self._current = None

    async def _read(self, reader: Reader) -> RecordBatch | None:
        self._busy = True
        try:
            if self._conn is None:
                await self._connect()
            if not reader.is_open:
                await reader.open(self._conn)
            batch = await reader.next()
        except ConnectError as error:
            self._busy = False
            await self._disconnect()
            error.message = f"Cannot read {reader}: {error.message}"
            raise
        except Exception as error:
            self._busy = False
            await self._disconnect()
            raise self._failed(reader, error) from error
        self._busy = False
        self._failures = 0
        return batch

    def _failed(self, reader: Reader, error: Exception) -> ConnectError:
        """What to say, and whether to try again."""
        message = f"Cannot read {reader}: {self._dialect.describe(error)}."
        passing = self._dialect.classify(error) in (ErrorClass.CONNECTION, ErrorClass.RETRIABLE)
        if not passing:
            return ConnectError(message)
        self._failures += 1
        if 0 <= self._retries < self._failures:
            return ConnectError(
                f"{message} Gave up after {self._failures} attempts (query.retry.attempts)."
            )
        return RetriableError(message, after=self._dialect.settings.backoff)

    async def _connect(self) -> None:
        self._conn = await connect(self._dialect, reading=True)
        if self._isolation != "DEFAULT":
            await self._dialect.isolate(self._conn, self._isolation)

    async def _disconnect(self) -> None:
        self._busy = False
        conn, self._conn = self._conn, None
        self._current = None
        for reader in self._readers:
            reader.abandon()
        if conn is not None:
            await self._dialect.close(conn)

    async def stop(self) -> None:
        """Close the connection."""
        if getattr(self, "_conn", None) is not None:
            await self._disconnect()


class JdbcSourceConnector(SourceConnector):
    """Finds the tables and shares them out."""

    spec = SOURCE_SPEC
    task_class = JdbcSourceTask

    async def start(self, context: ConnectorContext, config: Config) -> None:
        """Keep the configuration; the database is asked when tasks are."""
        await super().start(context, config)
        self._dialect = dialect_for(config)
        self._filter = TableFilter(config, self._dialect)
        self._known: list[TableId] | None = None

    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """One task for a query, or groups of tables.

        Without any table there is one task with none, which fails and says so, until there is one.

        Raises:
            ConnectError: when the database cannot be asked, or two tables share a bare name.
        """
        if query_of(self.config):
            return [{}]
        self._known = await self._tables()
        reject_duplicates(self._known)
        groups = share_out(self._known, max_tasks) or [[]]
        return [
            {"tables": encode(self._dialect, group), "tables.fetched": "true"} for group in groups
        ]

    async def changed(self) -> None:
        """Look for tables every ``table.poll.interval.ms``; return when there are others."""
        if query_of(self.config):
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self.config["table.poll.interval.ms"] / 1000)
            try:
                tables = await self._tables()
            except ConnectError as error:
                logger.warning("Cannot look for new tables: %s", error)
                continue
            if self._known is not None and tables != self._known:
                added = sorted(table.fqn for table in set(tables) - set(self._known))
                removed = sorted(table.fqn for table in set(self._known) - set(tables))
                logger.info(
                    "Tables changed: new %s, gone %s.",
                    ", ".join(added) or "none",
                    ", ".join(removed) or "none",
                )
                return

    async def _tables(self) -> list[TableId]:
        config = self.config
        conn = await connect(self._dialect)
        try:
            found = await self._dialect.tables(
                conn,
                config["table.types"],
                config["catalog.pattern"],
                config["schema.pattern"],
            )
        except Exception as error:
            raise ConnectError(
                f"Cannot list the tables of {self._dialect.settings.place}: "
                f"{self._dialect.describe(error)}."
            ) from error
        finally:
            await self._dialect.close(conn)
        return self._filter.wanted(found)

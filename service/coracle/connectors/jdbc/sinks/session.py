"""One connection of the sink, and one transaction per put on it.

A put is planned, written and committed as a whole. When it fails, nothing of it remains, and then:

- trouble of the connection, a deadlock: the caller tries again with a new session;
- otherwise, if anything was answered from memory (a table may have been changed or dropped
  meanwhile): memory is cleared and the put repeated once;
- a refused value: the put is repeated in halves under savepoints until the refused records are
  found;
- anything else is said at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from coracle.api import BatchError, ConnectError, DataError
from coracle.connectors.jdbc.dialects import Dialect, ErrorClass
from coracle.connectors.jdbc.sinks.config import InsertMode, SinkSettings
from coracle.connectors.jdbc.sinks.encoding import RowBuilder
from coracle.connectors.jdbc.sinks.gathering import Group
from coracle.connectors.jdbc.sinks.ordering import Rows, Write, order
from coracle.connectors.jdbc.sinks.structure import Structure, Target
from coracle.connectors.jdbc.sinks.writer import Writer

_WRITERS = {
    "postgresql": "postgresql:PostgresWriter",
    "mysql": "mysql:MysqlWriter",
    "sqlite": "sqlite:SqliteWriter",
}
_REFUSED_FIX = (
    "Make the table take it, change such records with a transform, or skip them with "
    "errors.tolerance=all."
)
_TRANSIENT = (ErrorClass.CONNECTION, ErrorClass.RETRIABLE)


class Session:
    """Writes puts over one connection.

    Args:
        dialect: the database.
        conn: an open connection; the session closes it.
        settings: the sink's.
    """

    def __init__(self, dialect: Dialect, conn: Any, settings: SinkSettings) -> None:
        module, _, name = _WRITERS[dialect.settings.kind].partition(":")
        writer_class: type[Writer] = getattr(import_module(f"{__package__}.{module}"), name)
        self._dialect = dialect
        self._conn = conn
        self._settings = settings
        self._writer = writer_class(dialect, conn, settings)
        self._structure = Structure(
            dialect,
            conn,
            writer_class.ddl_class(dialect, settings.timezone),
            self._writer.kind_of,
            settings,
        )
        self._builders: dict[int, RowBuilder] = {}
        self._writing: Write | None = None

    async def open(self) -> None:
        """Set the connection up. Errors are the driver's."""
        await self._writer.open()

    async def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        await self._dialect.close(self._conn)

    def is_transient(self, error: BaseException) -> bool:
        """Whether a new session may succeed where this error was met."""
        return not isinstance(error, ConnectError) and self._writer.classify(error) in _TRANSIENT

    async def put(self, groups: Sequence[Group]) -> None:
        """Write all groups and commit.

        Raises:
            BatchError: some records cannot be written; nothing was.
            ConnectError: it fails for another reason that lasts; nothing was written.
            Exception: the driver's, when ``is_transient``. Close the session then.
        """
        remembered = self._structure.knows([group.layout for group in groups])
        try:
            await self._attempt(groups)
        except Exception as error:
            if self.is_transient(error):
                raise
            if remembered:
                await self._forget()
                await self.put(groups)
            elif self._writer.classify(error) is ErrorClass.DATA:
                await self._narrow(groups)
            elif isinstance(error, ConnectError):
                raise
            else:
                raise self._explained(error) from error

    async def _attempt(self, groups: Sequence[Group]) -> None:
        self._writing = None
        writes = await self._plan(groups)
        await self._writer.begin()
        try:
            for write in writes:
                self._writing = write
                await self._writer.write(await self._target(write), write.rows)
            await self._writer.commit()
        except Exception as error:
            await self._roll_back(error)
            raise

    async def _plan(self, groups: Sequence[Group]) -> list[Write]:
        """Match tables, make rows, put writes in order. Values first: they may create the table."""
        parts: list[Rows] = []
        failures: dict[int, Exception] = {}
        for group in sorted(groups, key=lambda group: group.layout.delete):
            try:
                target = await self._structure.match(group.layout)
                if target is None:
                    continue
                parts.append(Rows(group, (await self._builder(target)).rows(group)))
            except BatchError as error:
                failures.update(error.failures)
            except DataError as error:
                failures.update(dict.fromkeys(group.positions(), error))
        if failures:
            raise BatchError(failures)
        return order(parts, insert=self._settings.insert_mode is InsertMode.INSERT)

    async def _builder(self, target: Target) -> RowBuilder:
        builder = self._builders.get(id(target))
        if builder is None:
            try:
                encoders = [
                    self._writer.encoder(field, column)
                    for field, column in zip(target.layout.fields, target.columns, strict=True)
                ]
            except DataError as error:
                error.message = f"Table {target.layout.table}: {error.message}"
                raise
            await self._writer.prepare(target)
            builder = self._builders[id(target)] = RowBuilder(
                target.layout, encoders, fill_defaults=self._settings.replace_null_with_default
            )
        return builder

    async def _target(self, write: Write) -> Target:
        target = await self._structure.match(write.source.layout)
        assert target is not None
        return target

    async def _forget(self) -> None:
        self._structure.forget()
        self._builders.clear()
        await self._writer.forget()

    async def _roll_back(self, error: Exception) -> None:
        if self._writer.classify(error) is ErrorClass.CONNECTION:
            return  # nobody is there to tell
        with suppress(Exception):
            await self._writer.rollback()

    # Finding the records that are refused

    async def _narrow(self, groups: Sequence[Group]) -> None:
        """Write everything that can be written, under savepoints, and name the rest.

        Raises:
            BatchError: with every refused record; nothing was written.
        """
        failures: dict[int, Exception] = {}
        writes = await self._plan(groups)
        await self._writer.begin_narrowing()
        try:
            for write in writes:
                self._writing = write
                target = await self._target(write)
                await self._halve(target, write.rows, write.positions(), failures)
            if failures:
                raise BatchError(failures)
            await self._writer.commit()
        except Exception as error:
            await self._roll_back(error)
            if isinstance(error, ConnectError) or self.is_transient(error):
                raise
            raise self._explained(error) from error

    async def _halve(
        self,
        target: Target,
        rows: Sequence[Any],
        positions: Sequence[int],
        failures: dict[int, Exception],
    ) -> None:
        writer = self._writer
        await writer.execute("SAVEPOINT coracle")
        try:
            await writer.write(target, rows)
        except Exception as error:
            if writer.classify(error) is not ErrorClass.DATA:
                raise
            await writer.execute("ROLLBACK TO SAVEPOINT coracle")
            # Rolling back leaves it open, and PostgreSQL keeps 10 KB of memory for each.
            await writer.execute("RELEASE SAVEPOINT coracle")
            if len(rows) == 1:
                failures[positions[0]] = self._refused(error, target)
                return
        else:
            await writer.execute("RELEASE SAVEPOINT coracle")
            return
        middle = len(rows) // 2
        await self._halve(target, rows[:middle], positions[:middle], failures)
        await self._halve(target, rows[middle:], positions[middle:], failures)

    def _refused(self, error: Exception, target: Target) -> DataError:
        if isinstance(error, DataError):
            return error
        refused = DataError(
            f"Table {target.layout.table} refuses the record: {self._dialect.describe(error)}.",
            fix=self._advice(error, target) or _REFUSED_FIX,
        )
        refused.__cause__ = error
        return refused

    def _explained(self, error: Exception) -> ConnectError:
        """An error of the database that neither waiting nor leaving out records would cure."""
        reason = self._dialect.describe(error)
        write = self._writing
        if write is None:
            return ConnectError(
                f"The destination cannot be prepared in {self._dialect.settings.place}: {reason}",
                fix=self._advice(error, None),
            )
        target = self._structure.known(write.source.layout)
        return ConnectError(
            f"Table {write.source.layout.table} cannot be written to, from record "
            f"{write.source.group.first()} on: {reason}",
            fix=self._advice(error, target),
        )

    def _advice(self, error: Exception, target: Target | None) -> str:
        computed = [column.name for column in target.columns if column.generated] if target else []
        if computed and target and not target.layout.delete:
            return (
                f"The database computes {', '.join(computed)}: leave it out with fields.whitelist."
            )
        return self._writer.advice(error, target)

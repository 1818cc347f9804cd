"""What every database's writer can do; each writes rows in the fastest way its database has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from coracle.api import ConnectError, DataError
from coracle.connectors.jdbc.dialects import Column, Dialect, ErrorClass, TableId
from coracle.connectors.jdbc.sinks.config import InsertMode, SinkSettings
from coracle.connectors.jdbc.sinks.ddl import Ddl
from coracle.connectors.jdbc.sinks.encoding import Encode, Row
from coracle.connectors.jdbc.sinks.layout import SinkField
from coracle.connectors.jdbc.sinks.structure import Target

ALREADY_THERE = (
    "The table has a row of this key. Records come again after a lost connection or a restart; "
    "insert.mode=upsert writes those without a trace, errors.tolerance=all skips them."
)


class Writer(ABC):
    """Writes rows over one connection, inside the transaction its caller runs.

    Args:
        dialect: the database.
        conn: an open connection of the driver.
        settings: the sink's.
    """

    ddl_class: ClassVar[type[Ddl]]
    begin_statement: ClassVar[str] = "BEGIN"

    def __init__(self, dialect: Dialect, conn: Any, settings: SinkSettings) -> None:
        self._dialect = dialect
        self._conn = conn
        self._settings = settings

    async def open(self) -> None:
        """Set the session up. Called once, before anything else."""

    @abstractmethod
    async def kind_of(self, table: TableId) -> str | None:
        """What a name stands for: ``TABLE``, ``VIEW``, ``PARTITIONED TABLE``, …; ``None``:
        nothing.
        """

    @abstractmethod
    def encoder(self, field: SinkField, column: Column) -> Encode | None:
        """How a field's values become what the driver takes for a column; ``None``: they are it.

        Raises:
            DataError: when values of this type cannot be written to this column.
        """

    async def prepare(self, target: Target) -> None:
        """Make what ``write`` needs for a target. Called outside of transactions, once per target
        and again after ``forget``.
        """

    async def forget(self) -> None:
        """Forget what was learnt of tables."""

    @abstractmethod
    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        """Write rows as the layout and ``insert.mode`` say. Keys differ, unless rows are
        inserted.
        """

    def mode(self, target: Target) -> InsertMode | None:
        """What to do with the target's rows; ``None``: delete them."""
        return None if target.layout.delete else self._settings.insert_mode

    # Transactions

    async def begin(self) -> None:
        """Start a transaction."""
        await self.execute(self.begin_statement)

    async def commit(self) -> None:
        """Commit it."""
        await self.execute("COMMIT")

    async def rollback(self) -> None:
        """Roll it back."""
        await self.execute("ROLLBACK")

    async def begin_narrowing(self) -> None:
        """Start a transaction in which every constraint speaks up at its own statement."""
        await self.begin()

    async def execute(self, sql: str) -> None:
        """Run a statement."""
        await self._dialect.execute(self._conn, sql)

    # Errors

    def classify(self, error: BaseException) -> ErrorClass:
        """What an error asks for; what a driver says of a value it cannot send is about the
        data.
        """
        if isinstance(error, ConnectError):
            return ErrorClass.DATA if isinstance(error, DataError) else ErrorClass.PERMANENT
        found = self._dialect.classify(error)
        if found is ErrorClass.PERMANENT and isinstance(
            error, (TypeError, ValueError, ArithmeticError)
        ):
            return ErrorClass.DATA
        return found

    def advice(self, error: BaseException, target: Target | None) -> str:
        """What to do about an error; empty when its message says enough."""
        return ""

    def _names(self, names: Sequence[str]) -> str:
        return ", ".join(map(self._exactly, names))

    def _exactly(self, name: str) -> str:
        """A name read from the database, quoted whatever ``quote.sql.identifiers`` says."""
        quote = self._dialect.quote_character
        return quote + name.replace(quote, quote + quote) + quote

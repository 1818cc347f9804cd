"""The real tables: what columns they have, and making them fit the records when that is allowed.

Looked up once per layout and remembered until ``forget``. DDL runs by itself, before the
transaction that writes: it is done once and MySQL would commit the transaction anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from coracle.api import ConnectError, DataError
from coracle.connectors.jdbc.dialects import Column, Dialect, TableId
from coracle.connectors.jdbc.sinks.config import SinkSettings
from coracle.connectors.jdbc.sinks.ddl import Ddl
from coracle.connectors.jdbc.sinks.layout import Layout, SinkField

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """A layout and the table's columns that its fields are written to, in the same order."""

    layout: Layout
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' real names."""
        return tuple(column.name for column in self.columns)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key columns' real names."""
        return tuple(self.columns[index].name for index in self.layout.key_indexes)

    @property
    def other_names(self) -> tuple[str, ...]:
        """The other columns' real names."""
        keys = self.key_names
        return tuple(name for name in self.names if name not in keys)


class KindOf(Protocol):
    """Asks a database what a name stands for."""

    async def __call__(self, table: TableId) -> str | None:
        """``TABLE``, ``VIEW``, ``PARTITIONED TABLE``, … or ``None`` when there is no such thing."""
        ...


class Structure:
    """Matches layouts with tables.

    Args:
        dialect: the database.
        conn: an open connection, in autocommit while ``match`` runs.
        ddl: writes the statements.
        kind_of: asks for a table's kind.
        settings: what may be created and altered.
    """

    def __init__(
        self, dialect: Dialect, conn: Any, ddl: Ddl, kind_of: KindOf, settings: SinkSettings
    ) -> None:
        self._dialect = dialect
        self._conn = conn
        self._ddl = ddl
        self._kind_of = kind_of
        self._settings = settings
        self._targets: dict[int, Target] = {}

    def knows(self, layouts: Sequence[Layout]) -> bool:
        """Whether any of the layouts would be answered from memory."""
        return any(id(layout) in self._targets for layout in layouts)

    def known(self, layout: Layout) -> Target | None:
        """What is remembered of a layout."""
        return self._targets.get(id(layout))

    def forget(self) -> None:
        """Look everything up again."""
        self._targets.clear()

    async def match(self, layout: Layout) -> Target | None:
        """The columns for a layout, made if they are missing and may be made.

        Returns:
            ``None`` for deletes from a table that records with values would create: there is
            nothing to delete.

        Raises:
            ConnectError: when the table is missing, or no table that may be written to.
            DataError: when columns are missing and may not be added.
        """
        target = self._targets.get(id(layout))
        if target is None:
            target = await self._look_up(layout)
            if target is not None:
                self._targets[id(layout)] = target
        return target

    async def _look_up(self, layout: Layout) -> Target | None:
        table = layout.table
        kind = await self._kind_of(table)
        if kind is None:
            if layout.delete and self._settings.auto_create:
                return None
            kind = await self._create(layout)
        if kind not in self._settings.table_types:
            allowed = ",".join(sorted(self._settings.table_types))
            raise ConnectError(
                f"Table {table} is a {kind}, and table.types allows {allowed} only",
                fix=f"Add {kind} to table.types.",
            )
        columns = await self._dialect.columns(self._conn, table)
        while missing := self._missing(layout, columns):
            await self._evolve(layout, missing, kind)
            columns = await self._dialect.columns(self._conn, table)
        found = [self._find(field, columns) for field in layout.fields]
        return Target(layout, tuple(column for column in found if column is not None))

    def _missing(self, layout: Layout, columns: Sequence[Column]) -> list[SinkField]:
        return [field for field in layout.fields if self._find(field, columns) is None]

    def _find(self, field: SinkField, columns: Sequence[Column]) -> Column | None:
        """The column of a field: of the same name, else of the same name but for case."""
        name = field.name
        if (limit := self._dialect.max_identifier) is not None:
            name = name.encode()[:limit].decode(errors="ignore")
        exact = (column for column in columns if column.name == name)
        loose = (column for column in columns if column.name.lower() == name.lower())
        return next(exact, None) or next(loose, None)

    async def _create(self, layout: Layout) -> str | None:
        """Create the table, unless another task was quicker; its kind."""
        table = layout.table
        if not self._settings.auto_create:
            raise ConnectError(
                f"Table {table} is missing and auto-creation is disabled",
                fix="Create it, or set auto.create=true.",
            )
        try:
            await self._run(self._ddl.create(layout))
        except Exception:
            if (kind := await self._kind_of(table)) is None:
                raise
            return kind
        return await self._kind_of(table)

    async def _evolve(self, layout: Layout, missing: Sequence[SinkField], kind: str | None) -> None:
        table = layout.table
        for field in missing:
            if not field.schema.optional and field.schema.default is None:
                raise DataError(
                    f"Cannot ALTER TABLE {table} to add missing field {field.name}, as the field "
                    "is not "
                    "optional and does not have a default value",
                    fix="Add the column yourself, or make the field optional in the schema.",
                )
        names = ", ".join(field.name for field in missing)
        if not self._settings.auto_evolve:
            raise DataError(
                f"Table {table} is missing fields ({names}) and auto-evolution is disabled",
                fix="Add the columns, set auto.evolve=true, or leave them out with "
                "fields.whitelist.",
            )
        if kind == "VIEW":
            raise DataError(
                f"View {table} is missing fields ({names}) and ALTER VIEW is unsupported",
                fix="Change the view, or leave the fields out with fields.whitelist.",
            )
        try:
            for statement in self._ddl.add(layout, missing):
                await self._run(statement)
        except Exception:
            # Another task may have added some of them; then the others are still to be added.
            if self._missing(layout, await self._dialect.columns(self._conn, table)) == missing:
                raise

    async def _run(self, statement: str) -> None:
        await self._dialect.execute(self._conn, statement)
        logger.info("Changed the destination: %s", statement)

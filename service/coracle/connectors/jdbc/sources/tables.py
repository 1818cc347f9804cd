"""Which tables are read, and by which task.

``table.whitelist`` and ``table.blacklist`` name tables exactly: by bare name, unquoted full name or
quoted full name, case and all. ``table.include.list`` and ``table.exclude.list`` are regular
expressions that match a whole unquoted full name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from coracle.api import Config, ConnectError
from coracle.connectors.jdbc.dialects.base import Dialect, TableId
from coracle.java.regex import compile_regex


class TableFilter:
    """The configured choice of tables."""

    def __init__(self, config: Config, dialect: Dialect) -> None:
        self._dialect = dialect
        self._allowed = set(config["table.whitelist"])
        self._denied = set(config["table.blacklist"])
        self._included = [compile_regex(text) for text in config["table.include.list"]]
        self._excluded = [compile_regex(text) for text in config["table.exclude.list"]]

    def wanted(self, tables: Sequence[TableId]) -> list[TableId]:
        """Those of the tables that are to be read, in the same order."""
        return [table for table in tables if self._is_wanted(table)]

    def _is_wanted(self, table: TableId) -> bool:
        if self._included:
            return _matches(self._included, table) and not _matches(self._excluded, table)
        names = self._names(table)
        if self._allowed:
            return not names.isdisjoint(self._allowed)
        return names.isdisjoint(self._denied)

    def _names(self, table: TableId) -> set[str]:
        names = {table.name, table.fqn, self._dialect.quote_table(table)}
        if table.schema and (database := self._dialect.settings.url.database):
            names.add(f"{database}.{table.fqn}")  # what newer versions of pgjdbc call it
        return names


def _matches(patterns: Sequence[re.Pattern[str]], table: TableId) -> bool:
    return any(pattern.fullmatch(table.fqn) for pattern in patterns)


def reject_duplicates(tables: Sequence[TableId]) -> None:
    """Topics are named by bare table names, so these must differ.

    Raises:
        ConnectError: naming the tables that share one.
    """
    by_name: dict[str, list[str]] = {}
    for table in tables:
        by_name.setdefault(table.name, []).append(table.fqn)
    duplicates = [", ".join(names) for names in by_name.values() if len(names) > 1]
    if duplicates:
        raise ConnectError(
            "The connector uses the unqualified table name as the topic name and has detected "
            f"duplicate unqualified table names: {'; '.join(duplicates)}.",
            fix="Name the schema with schema.pattern or catalog.pattern, or one of the tables with "
            "table.whitelist, and read the others with connectors of their own.",
        )


def share_out(tables: Sequence[TableId], tasks: int) -> list[list[TableId]]:
    """Contiguous groups of nearly equal size, at most ``tasks`` and none of them empty.

    As ``org.apache.kafka.connect.util.ConnectorUtils.groupPartitions``: the first groups take the
    remainder.
    """
    count = min(len(tables), tasks)
    groups: list[list[TableId]] = []
    start = 0
    for index in range(count):
        size = len(tables) // count + (index < len(tables) % count)
        groups.append(list(tables[start : start + size]))
        start += size
    return groups


def encode(dialect: Dialect, tables: Sequence[TableId]) -> str:
    """A group of tables as the value of a task's ``tables`` key: quoted full names."""
    q = dialect.quote_character
    return ",".join(
        ".".join(q + part.replace(q, q + q) + q for part in table.parts) for table in tables
    )


def decode(dialect: Dialect, text: str) -> list[TableId]:
    """The tables of a task's ``tables`` key."""
    q = re.escape(dialect.quote_character)
    names = re.findall(rf"(?:{q}(?:[^{q}]|{q}{q})*{q}|[^,{q}])+", text)
    return [dialect.parse_table(name) for name in names]


class ColumnMapping:
    """``incrementing.column.mapping`` and ``timestamp.columns.mapping``: ``regex:columns,…``.

    Args:
        key: the setting, for messages.
        text: its value; columns are one name, or ``[first|second]``.
    """

    def __init__(self, key: str, text: str) -> None:
        self.key = key
        self._entries: list[tuple[re.Pattern[str], list[str]]] = []
        for entry in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", text):
            pattern, colon, columns = entry.strip().rpartition(":")
            if not colon:
                raise ValueError(entry)
            names = [name.strip() for name in columns.strip("[] ").split("|")]
            self._entries.append((compile_regex(pattern), [name for name in names if name]))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def columns(self, table: TableId) -> list[str]:
        """The columns of a table.

        Raises:
            ConnectError: unless exactly one entry matches.
        """
        found = [names for pattern, names in self._entries if pattern.fullmatch(table.fqn)]
        if len(found) != 1:
            raise ConnectError(
                f"{len(found)} entries of {self.key} match the table {table}; it must be one.",
                fix=f"Correct {self.key}, or leave the table out with table.exclude.list.",
            )
        return found[0]

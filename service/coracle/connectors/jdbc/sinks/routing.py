"""Which table a topic's records go to."""

from __future__ import annotations

import re

from coracle.api import ConnectError
from coracle.connectors.jdbc.dialects import Dialect, TableId
from coracle.connectors.jdbc.sinks.config import SinkSettings

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")


class Router:
    """Tables by topic, remembered."""

    def __init__(self, settings: SinkSettings, dialect: Dialect) -> None:
        self._settings = settings
        self._dialect = dialect
        # PostgreSQL folds names that are not quoted; its catalogue has them as folded.
        self._folds = not dialect.settings.quote and dialect.settings.kind == "postgresql"
        self._tables: dict[str, TableId] = {}

    def table(self, topic: str) -> TableId:
        """The destination of a topic.

        A ``topics.to.tables.mapping`` entry is taken as it is; otherwise ``${topic}`` is filled
        into ``table.name.format`` and the result normalized if asked.

        Raises:
            ConnectError: when no table name is left.
        """
        table = self._tables.get(topic)
        if table is None:
            table = self._dialect.parse_table(self._name(topic))
            if self._folds:
                table = self._dialect.table_id([part.lower() for part in table.parts])
            self._tables[topic] = table
        return table

    def _name(self, topic: str) -> str:
        settings = self._settings
        name = settings.topics_to_tables.get(topic)
        if name is None:
            name = settings.table_name_format.replace("${topic}", topic)
            if settings.table_name_normalize:
                name = _NOT_IN_A_NAME.sub("_", name)
        if not name.strip("."):
            raise ConnectError(
                f"Destination table name for topic '{topic}' is empty using the format string "
                f"'{settings.table_name_format}'",
                fix="Change table.name.format.",
            )
        return name

"""The databases the JDBC connectors speak; each driver is imported when it is first needed."""

from __future__ import annotations

from importlib import import_module

from coracle.api import Config, ConfigError
from coracle.connectors.jdbc.config import ConnectionSettings
from coracle.connectors.jdbc.dialects.base import Column, Cursor, Dialect, ErrorClass, TableId

__all__ = ["Column", "Cursor", "Dialect", "ErrorClass", "TableId", "dialect_for"]

_DIALECTS = {
    "postgresql": "postgresql:PostgresDialect",
    "mysql": "mysql:MysqlDialect",
    "sqlite": "sqlite:SqliteDialect",
}


def dialect_for(config: Config) -> Dialect:
    """The dialect of a configuration parsed with ``CONNECTION_SPEC``.

    Raises:
        ConfigError: when the driver is not installed, naming the extra that brings it.
    """
    settings = ConnectionSettings.of(config)
    module, _, name = _DIALECTS[settings.kind].partition(":")
    try:
        found = import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The driver for {settings.kind} is not installed (no module {error.name!r}).",
            field="connection.url",
            code="missing",
            fix=f"Install it with: pip install 'coracle-connect[{settings.kind}]'",
        ) from None
    return getattr(found, name)(settings)

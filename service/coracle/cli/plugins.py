"""``coracle plugins``: what is installed, and what can be configured."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from coracle.api import REQUIRED, ConfigError, ConfigKey, Password
from coracle.cli.exits import Exit
from coracle.cli.screen import output, show_error
from coracle.config import plugins
from coracle.config.plugins import PluginInfo, PluginKind


def list_plugins(only: str | None) -> Exit:
    """Print one line per plugin: type, class, version; ``only`` is a type or ``connector``."""
    table = _table("Type", "Class", "Version")
    for info in plugins.available():
        try:
            type_, version = info.type, plugins.plugin_version(info.load())
        except ConfigError as error:
            type_, version = info.kind.value, error.fix or error.message
        if only in (None, type_, info.kind.value):
            table.add_row(type_, Text(info.name, "bold"), version)
    output().print(table)
    return Exit.OK


def describe_plugin(name: str, only: str | None) -> Exit:
    """Print the configuration reference of the plugin that goes by a name."""
    try:
        info = _lookup(name, only)
        spec = info.load().spec
    except ConfigError as error:
        show_error("Cannot show this plugin", error)
        return Exit.USAGE
    console = output()
    console.print(Text.assemble((info.name, "bold"), f" ({info.type})"))
    if info.aliases:
        console.print(Text(f"also: {', '.join(info.aliases)}"))
    keys = [key for key in spec.keys if not key.internal]
    if not keys:
        console.print(Text("It has no settings of its own."))
        return Exit.OK
    table = _table("Key", "Type", "Default", "Importance", "Meaning")
    for key in keys:
        table.add_row(
            Text(key.name, "bold"), key.type.value, _default(key), key.importance, Text(_doc(key))
        )
    console.print(table)
    return Exit.OK


def _lookup(name: str, only: str | None) -> PluginInfo:
    """Any kind may be meant; the error is that of connectors, which people look for most."""
    kinds = list(PluginKind) if only is None else [_kind(only)]
    first: ConfigError | None = None
    for kind in kinds:
        try:
            return plugins.lookup(kind, name)
        except ConfigError as error:
            first = first or error
    assert first is not None
    raise first


def _kind(type_: str) -> PluginKind:
    return PluginKind.CONNECTOR if type_ in ("sink", "source") else PluginKind(type_)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _default(key: ConfigKey) -> Text:
    if key.default is REQUIRED:
        return Text("required", "bold red")
    return Text(_shown(key.default))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case Password():
            return "[hidden]"
        case list() | tuple():
            return ",".join(map(str, value))
        case _:
            return str(value) if value != "" else '""'


def _doc(key: ConfigKey) -> str:
    allowed = f" ({key.validator})" if key.validator is not None else ""
    deprecated = f" Deprecated: {key.deprecated}" if key.deprecated else ""
    return f"{key.doc}{allowed}{deprecated}"

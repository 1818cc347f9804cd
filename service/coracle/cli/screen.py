"""How things look: results on standard output, errors on standard error.

On a terminal there is colour; in a pipe each fact is one whole line, so that ``grep`` works. Texts
from configurations are never read as markup: ``[hidden]`` stays ``[hidden]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coracle.api import ConfigError, ConfigErrors, ConnectError

if TYPE_CHECKING:
    from coracle.cli.checks import Checked

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: wide enough that no line is ever broken."""


@cache
def output() -> Console:
    """Where results go."""
    return _console(stderr=False)


@cache
def errors() -> Console:
    """Where errors go."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def show_error(title: str, error: ConnectError) -> None:
    """Say what happened, where, and what to do."""
    console = errors()
    lines = [_problem(each) for each in _each(error)]
    if console.is_terminal:
        body = Text("\n\n").join(lines)
        console.print(Panel(body, title=title, title_align="left", border_style="red"))
    else:
        for line in lines:
            console.print(Text(f"error: {title}: " + " ".join(line.plain.splitlines())))


def _each(error: ConnectError) -> tuple[ConnectError, ...]:
    return error.errors if isinstance(error, ConfigErrors) else (error,)


def _problem(error: ConnectError) -> Text:
    text = Text(error.message)
    if error.fix:
        text.append("\n" + error.fix, style="green")
    return text


def show_findings(checked: Checked, console: Console) -> None:
    """Print the verdict on one connector of a file: its errors by key, then its warnings."""
    bad = ("✗ ", "bold red")
    if checked.definition is None:  # the messages say which file, and where in it
        for error in checked.errors:
            console.print(Text.assemble(bad, _one_line(error)))
        return
    subject = (f"{checked.path}: {checked.name}", "bold")
    if checked.errors:
        console.print(Text.assemble(bad, subject, f" has {_count(checked.errors)}"))
    else:
        console.print(Text.assemble(("✓ ", "bold green"), subject, " is valid"))
    findings = Table.grid(padding=(0, 2))
    for error in checked.errors:
        findings.add_row("", Text("error", "red"), Text(error.field, "bold"), _one_line(error))
    for warning in checked.warnings:
        findings.add_row("", Text("warning", "yellow"), "", warning)
    if findings.row_count:
        console.print(findings)


def _one_line(error: ConfigError) -> str:
    return " ".join(str(error).split("\n"))


def _count(found: Sequence[ConfigError]) -> str:
    return "1 error" if len(found) == 1 else f"{len(found)} errors"

"""How the demo looks: live bars on a terminal, plain lines anywhere else."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.json import JSON
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

_WIDTH = 100

PICTURE = r"""
   shop.db                        Kafka                            warehouse.db
 ┌──────────┐   JDBC source   ┌─────────────┐      JDBC sink      ┌───────────────┐
 │  orders  │ ──► converter ─►│ shop.orders │─► converter ──────► │ orders-YYYYMM │
 └──────────┘                 └─────────────┘   ► transforms      └───────────────┘
"""


class Screen:
    """What the person sees, on standard output."""

    def __init__(self) -> None:
        # A terminal without Unicode shows question marks instead of ending the demo.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        width = Console().width if Console().is_terminal else _WIDTH
        self.console = Console(width=min(width, _WIDTH), highlight=False)
        self._step = 0

    def title(self, text: str, explanation: str) -> None:
        """How the demo begins."""
        self.console.print()
        self.console.rule(Text(text, "bold cyan"), style="cyan")
        self.console.print(Text(PICTURE, "cyan"))
        self.say(explanation)

    def step(self, text: str) -> None:
        """A heading."""
        self._step += 1
        self.console.print()
        self.console.print(Text(f"{self._step}. {text}", "bold cyan"))

    def say(self, text: str) -> None:
        """A paragraph; rich's markup."""
        self.console.print(_indented(text))

    def command(self, text: str) -> None:
        """A command as one would type it; never wrapped, so that it can be copied."""
        line = Text.assemble(("   $ ", "dim"), (text, "bold"))
        self.console.print(line, soft_wrap=True)

    def done(self, text: str) -> None:
        """Something that has come out right."""
        self.console.print(_indented(Text.assemble(("✓ ", "bold green"), text)))

    def failed(self, text: str) -> None:
        """Why the demo ends badly."""
        self.console.print()
        self.console.print(Text.assemble(("✗ The demo failed. ", "bold red"), text), soft_wrap=True)

    def file(self, path: Path, shown_as: str) -> None:
        """A connector's configuration, as it stands in its file."""
        body = JSON(path.read_text(), indent=2)
        self.console.print(_indented(Panel(body, title=shown_as, title_align="left", expand=False)))

    def json(self, value: Any) -> None:
        """An answer of the REST API."""
        self.console.print(_indented(JSON(json.dumps(value, ensure_ascii=False))))

    def record(
        self,
        columns: Sequence[str],
        stages: Sequence[Mapping[str, Any]],
        renamed: Mapping[str, str],
    ) -> None:
        """One record at several stages, side by side.

        Args:
            columns: a heading per stage.
            stages: field names and values.
            renamed: fields of the first stage that have another name in the last.
        """
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for name in stages[0]:
            cells: list[Text] = []
            for index, stage in enumerate(stages):
                new = renamed.get(name, name) if index == len(stages) - 1 else name
                style = "bold yellow" if new != name else "dim"
                value = json.dumps(stage.get(new), ensure_ascii=False)
                cells.append(Text.assemble((f"{new}: ", style), value))
            table.add_row(*cells)
        self.console.print(_indented(table))

    def bars(self, names: Sequence[str]) -> Bars:
        """Bars that show how far each of several numbers is; a context manager."""
        return Bars(self.console, names)


def _rounded(rate: float) -> int:
    return int(round(rate, -2 if rate > 1000 else 0))


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 3), expand=False)


class Bars:
    """One bar per name. Where there is no terminal, a line each time something has changed."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._names = names
        self._width = max(map(len, names))
        self._started = time.monotonic()
        self._last: tuple[int, ...] = ()
        self._first: tuple[int, ...] | None = None
        self._live: Progress | None = None
        self._ids: list[TaskID] = []
        if console.is_terminal:
            live = self._live = Progress(
                TextColumn("   {task.description}"),
                BarColumn(bar_width=36),
                TextColumn("{task.completed:>7,.0f} of {task.total:>7,.0f} {task.fields[rate]}"),
                console=console,
            )
            self._ids = [live.add_task(name, total=0, rate="") for name in self._padded()]

    def _padded(self) -> list[str]:
        return [name.ljust(self._width) for name in self._names]

    def __enter__(self) -> Bars:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, counts: Sequence[int], total: int) -> None:
        """Show the present counts, and the rows per second since the first that moved."""
        now, counts = time.monotonic(), tuple(counts)
        if counts == self._last:
            return
        if self._first is None:
            self._first = counts
        if counts == self._first:
            self._started = now
        seconds = now - self._started
        rates = [
            f"({_rounded((count - first) / seconds):,}/s)"
            if seconds > 0.2 and count > first
            else ""
            for count, first in zip(counts, self._first, strict=True)
        ]
        if self._live is not None:
            for task, count, rate, old in zip(
                self._ids, counts, rates, self._last or (-1,) * len(counts), strict=True
            ):
                if count != old:  # a bar that is full keeps the rate it had
                    self._live.update(task, completed=count, total=total, rate=rate)
                else:
                    self._live.update(task, total=total)
        else:
            parts = [
                f"{name} {count:,} of {total:,} {rate}".rstrip()
                for name, count, rate in zip(self._names, counts, rates, strict=True)
            ]
            self._console.print(Text("   " + "   ".join(parts)), soft_wrap=True)
        self._last = counts

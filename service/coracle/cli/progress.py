"""One line per change of state of a connector.

On a terminal the lines are coloured and stand between those of the log; elsewhere they are
the log's.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from coracle.runtime.context import connector_context
from coracle.store import ConnectorStatus, State

logger = logging.getLogger(__name__)

_STYLES = {
    State.RUNNING: "green",
    State.PAUSED: "yellow",
    State.STOPPED: "yellow",
    State.FAILED: "bold red",
    State.RESTARTING: "cyan",
    State.UNASSIGNED: "dim",
}


class Progress:
    """Shows changes and leaves out repetitions.

    Args:
        console: the terminal to write to; without one the log is written.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def announce(self, what: str, hint: str) -> None:
        """Say something about the worker itself; the hint is for people only."""
        if self._console is None:
            logger.info("%s", what)
        else:
            self._console.print(Text(what, "bold"))
            self._console.print(Text(hint, "dim"))

    def changed(self, status: ConnectorStatus) -> None:
        """Show a connector's state if it looks different from the last time."""
        line = summary(status)
        if self._shown.get(status.name) == line:
            return
        self._shown[status.name] = line
        if self._console is None:
            log: Callable[..., None] = logger.error if has_failed(status) else logger.info
            context = connector_context.set(f"[{status.name}|worker] ")
            log("%s", line)
            connector_context.reset(context)
            return
        style = _STYLES[State.FAILED if has_failed(status) else status.state]
        when = (time.strftime("%H:%M:%S  "), "dim")
        self._console.print(Text.assemble(when, (status.name, "bold"), (f"  {line}", style)))


def has_failed(status: ConnectorStatus) -> bool:
    """Whether the connector or one of its tasks is FAILED."""
    return State.FAILED in (status.state, *(task.state for task in status.tasks))


def summary(status: ConnectorStatus) -> str:
    """``RUNNING, 2 tasks RUNNING, 1 FAILED: <what the first failure says>``."""
    counts = Counter(task.state.value for task in status.tasks)
    parts = [f"{number} {state}" for state, number in sorted(counts.items(), reverse=True)]
    if parts:
        number, _, state = parts[0].partition(" ")
        parts[0] = f"{number} task{'' if number == '1' else 's'} {state}"
    line = ", ".join([status.state.value, *parts])
    traces = [status.trace, *(task.trace for task in status.tasks if task.state is State.FAILED)]
    reason = next((trace.strip().partition("\n")[0] for trace in traces if trace), "")
    return f"{line}: {reason}" if has_failed(status) and reason else line

"""What the measurements say: tables for the terminal, JSON to keep, Markdown for the
documentation.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contestants import CONTESTANTS
from bench.shapes import BASE, SHAPES
from bench.trial import Outcome

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "bench" / "results"

_SCRIPT_TARGET = 0.75
_JVM_TARGET = 0.3
_SHAPES_TARGET = 1.5
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Grid:
    """A table, whether it is printed or written.

    Attributes:
        title: what it shows.
        columns: the headings; the first column holds names, the others numbers.
        rows: as many cells as headings.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Target:
    """A promise and whether it was kept."""

    promise: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether the measured ratio is at most the limit."""
        return self.measured <= self.limit


class Results:
    """All outcomes of one run of the benchmark.

    Args:
        flow: trials of throughput, any number per contestant and shape.
        startup: trials of start-up, by the broker's group.initial.rebalance.delay.ms.
    """

    def __init__(self) -> None:
        self.flow: list[Outcome] = []
        self.startup: dict[int, list[Outcome]] = {}
        self.environment = _environment()

    def typical(self, contestant: str, shape: str) -> Outcome | None:
        """The medians of a contestant's trials on a shape."""
        return _median([o for o in self.flow if (o.contestant, o.shape) == (contestant, shape)])

    def grids(self) -> list[Grid]:
        """Everything that was measured, as tables."""
        grids = [self._contestants(), *self._startups(), self._shapes()]
        return [grid for grid in grids if grid.rows]

    def targets(self) -> list[Target]:
        """The promises that this run can judge."""
        found: list[Target] = []
        ours = self.typical("coracle", BASE.name)
        if ours is None:
            return found
        for other, limit in (("script", _SCRIPT_TARGET), ("jvm", _JVM_TARGET)):
            if theirs := self.typical(other, BASE.name):
                promise = f"CPU per record at most {limit} x the {other}'s"
                found.append(Target(promise, ours.cpu_micros / theirs.cpu_micros, limit))
        shapes = [o for name in SHAPES if (o := self.typical("coracle", name))]
        if len(shapes) > 1:
            promise = f"{{}} of all shapes within {_SHAPES_TARGET} x of each other"
            for what, of in (
                ("CPU per record", lambda outcome: outcome.cpu_micros),
                ("Records per second", lambda outcome: outcome.records_per_second),
            ):
                spread = max(map(of, shapes)) / min(map(of, shapes))
                found.append(Target(promise.format(what), spread, _SHAPES_TARGET))
        return found

    def save(self) -> Path:
        """Write every single outcome as JSON; returns the file."""
        RESULTS.mkdir(exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = RESULTS / f"{stamp}.json"
        content = {
            "environment": self.environment,
            "flow": [outcome.as_json() for outcome in self.flow],
            "startup": {
                str(delay): [outcome.as_json() for outcome in outcomes]
                for delay, outcomes in self.startup.items()
            },
            "targets": [
                {"promise": t.promise, "measured": t.measured, "limit": t.limit, "met": t.met}
                for t in self.targets()
            ],
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        return path

    def _contestants(self) -> Grid:
        outcomes = [o for key in CONTESTANTS if (o := self.typical(key, BASE.name))]
        return Grid(
            f"{BASE.title}, {_records(outcomes)} records to PostgreSQL",
            [
                "",
                "records/s",
                "CPU µs/record",
                "with start-up",
                "peak RSS MiB",
            ],
            [
                [
                    CONTESTANTS[outcome.contestant].title,
                    f"{outcome.records_per_second:,.0f}",
                    f"{outcome.cpu_micros:.2f}",
                    f"{outcome.total_cpu_micros:.2f}",
                    f"{outcome.peak_rss / _MIB:.0f}",
                ]
                for outcome in outcomes
            ],
        )

    def _startups(self) -> Iterable[Grid]:
        for delay, all_outcomes in sorted(self.startup.items()):
            rows = []
            for key, contestant in CONTESTANTS.items():
                outcome = _median([o for o in all_outcomes if o.contestant == key])
                if outcome is not None:
                    rest = outcome.rest_seconds
                    rows.append(
                        [
                            contestant.title,
                            "-" if rest is None else f"{rest:.2f}",
                            f"{outcome.first_row_seconds:.2f}",
                            f"{outcome.peak_rss / _MIB:.0f}",
                        ]
                    )
            title = f"Seconds from process start, group.initial.rebalance.delay.ms={delay}"
            yield Grid(title, ["", "REST answers", "first row", "peak RSS MiB"], rows)

    def _shapes(self) -> Grid:
        rows = []
        for key in ("script", "coracle"):
            base = self.typical(key, BASE.name)
            for name, shape in SHAPES.items():
                outcome = self.typical(key, name)
                if base is None or outcome is None:
                    continue
                rows.append(
                    [
                        f"{CONTESTANTS[key].title}: {shape.title}",
                        f"{outcome.records_per_second:,.0f}",
                        f"{outcome.cpu_micros:.2f}",
                        f"{outcome.cpu_micros / base.cpu_micros:.2f} x",
                        f"{outcome.peak_rss / _MIB:.0f}",
                    ]
                )
        headings = ["", "records/s", "CPU µs/record", "CPU to the first shape", "peak RSS MiB"]
        return Grid("Shapes", headings, rows)


def show(console: Console, results: Results) -> None:
    """Print tables and targets."""
    for grid in results.grids():
        table = Table(title=grid.title, title_justify="left", title_style="bold")
        for index, heading in enumerate(grid.columns):
            table.add_column(heading, justify="right" if index else "left")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for target in results.targets():
        verdict = "[green]met   [/]" if target.met else "[red]missed[/]"
        console.print(f"{verdict} {target.promise}: {target.measured:.2f} x")


def write_document(results: Results) -> Path:
    """Replace docs/benchmarks.md by what was measured just now."""
    environment = results.environment
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m bench --write-docs`; nothing here is typed by hand. All",
        "contestants move the same records, one after another, from the same Kafka 4.3.1 broker",
        "to the same PostgreSQL 15 (durability off) on the same machine: JSON with schema",
        "(`schemas.enable=true`), seven columns and a primary key, inserts in batches of 3,000,",
        "one task. Figures run from the first row in the table to the last and are medians; CPU",
        "time is that of the contestant's processes. The JVM worker has the flags of Kafka's start",
        "scripts and `reWriteBatchedInserts=true`.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in environment.items()),
        "",
    ]
    for grid in results.grids():
        lines += [
            f"## {grid.title}",
            "",
            "| " + " | ".join(grid.columns) + " |",
            "|---|" + "---:|" * (len(grid.columns) - 1),
            *("| " + " | ".join(row) + " |" for row in grid.rows),
            "",
        ]
    if targets := results.targets():
        lines += ["## Targets", "", "| target | measured | |", "|---|---:|---|"]
        lines += [
            f"| {t.promise} | {t.measured:.2f} x | {'met' if t.met else 'missed'} |"
            for t in targets
        ]
        lines.append("")
    DOCUMENT.write_text("\n".join(lines))
    return DOCUMENT


def _median(outcomes: Sequence[Outcome]) -> Outcome | None:
    """An outcome whose every figure is the median of the given ones."""
    if not outcomes:
        return None

    def middle(name: str) -> Any:
        values = [getattr(outcome, name) for outcome in outcomes]
        known = [value for value in values if not isinstance(value, str) and value is not None]
        return median(known) if known else values[0]

    return Outcome(**{field.name: middle(field.name) for field in fields(Outcome)})


def _records(outcomes: Sequence[Outcome]) -> str:
    return f"{outcomes[0].records:,.0f}" if outcomes else "no"


def _environment() -> Mapping[str, str]:
    model = _first_line("/proc/cpuinfo", lambda line: line.startswith("model name"))
    memory = _first_line("/proc/meminfo", lambda line: line.startswith("MemTotal"))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "processor": f"{os.cpu_count()} x {model.partition(':')[2].strip()}",
        "memory": f"{int(memory.split()[1]) / _MIB:.0f} GiB",
        "Python": platform.python_version(),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
    }


def _first_line(path: str, wanted: Callable[[str], bool]) -> str:
    with Path(path).open() as lines:
        return next(filter(wanted, lines), "")

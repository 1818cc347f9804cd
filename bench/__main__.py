"""The command line of the benchmark."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.missing import MissingServerError
from tests.servers.postgres import Postgres
from tests.servers.process import Server, ServerError

from bench import report, trial
from bench.contestants import CONTESTANTS, Contestant
from bench.load import load
from bench.shapes import BASE, SHAPES, Shape

_STARTUP_RECORDS = 1000
_REBALANCE_DELAYS = (0, 3000)
_POSTGRES = {"max_wal_size": "32GB", "checkpoint_timeout": "1h", "autovacuum": "off"}
"""No work of the database's own falls into a trial: whom it hits would be chance."""

Name = StrEnum("Name", list(CONTESTANTS))
ShapeName = StrEnum("ShapeName", list(SHAPES))

console = Console()


class Bench:
    """One run: the servers, what is loaded into them, and the results so far."""

    def __init__(
        self, progress: Progress, contestants: list[type[Contestant]], repeat: int
    ) -> None:
        self._progress = progress
        self._contestants = contestants
        self._repeat = repeat
        self.results = report.Results()

    async def flow(
        self, kafka: Kafka, database: Database[Postgres], shapes: list[Shape], records: int
    ) -> None:
        """Throughput: every contestant on the first shape, all but the JVM on the others."""
        for shape in shapes:
            topic = await self._loaded(kafka, shape, records)
            for turn in range(self._repeat):
                for kind in self._contestants:
                    if kind.key == "jvm" and shape is not BASE:
                        continue
                    title = f"{kind.title}: {shape.title} ({turn + 1}/{self._repeat})"
                    with self._step(title):
                        outcome = await trial.run(kind, kafka, topic, shape, records, database)
                    self.results.flow.append(outcome)
                    self._progress.console.print(
                        f"  {title}: {outcome.records_per_second:,.0f} records/s,"
                        f" {outcome.cpu_micros:.2f} µs CPU a record"
                    )

    async def startup(self, kafka: Kafka, database: Database[Postgres], delay: int) -> None:
        """Seconds to the REST API and to the first row."""
        topic = await self._loaded(kafka, BASE, _STARTUP_RECORDS)
        outcomes = self.results.startup.setdefault(delay, [])
        for turn in range(self._repeat):
            for kind in self._contestants:
                title = f"{kind.title}: start-up, rebalance delay {delay} ms"
                with self._step(f"{title} ({turn + 1}/{self._repeat})"):
                    outcome = await trial.run(kind, kafka, topic, BASE, _STARTUP_RECORDS, database)
                outcomes.append(outcome)
                self._progress.console.print(
                    f"  {title}: first row after {outcome.first_row_seconds:.2f} s"
                )

    async def _loaded(self, kafka: Kafka, shape: Shape, records: int) -> str:
        topic = kafka.new_topic(shape.partitions)
        task = self._progress.add_task(f"Loading {records:,} records: {shape.title}", total=records)
        await load(
            kafka.bootstrap_servers,
            topic,
            shape,
            records,
            lambda done: self._progress.update(task, completed=done),
        )
        self._progress.remove_task(task)
        return topic

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        task = self._progress.add_task(title, total=None)
        try:
            yield
        finally:
            self._progress.remove_task(task)


@contextmanager
def running(progress: Progress, server: Server) -> Iterator[None]:
    """A server, started and stopped."""
    task = progress.add_task(f"Starting {server.name}", total=None)
    server.start()
    progress.remove_task(task)
    try:
        yield
    finally:
        server.stop()


def main(
    records: Annotated[int, typer.Option(min=1000, help="Records per topic.")] = 1_000_000,
    repeat: Annotated[
        int, typer.Option(min=1, help="Trials of each kind; the tables show medians.")
    ] = 1,
    contestant: Annotated[
        list[Name] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    shape: Annotated[
        list[ShapeName] | None, typer.Option(help="Only this shape; may be given several times.")
    ] = None,
    startup: Annotated[bool, typer.Option(help="Whether to measure start-up, too.")] = True,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/benchmarks.md from the results.")
    ] = False,
) -> None:
    """Measure Kafka to PostgreSQL side by side: a bare script, Coracle, and Kafka Connect on the
    JVM.

    Starts a Kafka broker and a PostgreSQL of its own, loads a topic per shape, and lets every
    contestant copy it into an empty table, one after another. Checks that every record became a
    row; says which targets are met; keeps all figures in bench/results/. Quiet machines give
    honest figures: stop what else runs.

    Exits with 1 when a contestant fails or leaves wrong rows.
    """
    # A topic so new that its leader is not known everywhere is retried with a warning each time.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    contestants = [CONTESTANTS[name] for name in contestant or CONTESTANTS]
    shapes = [SHAPES[name] for name in shape or SHAPES]
    try:
        results = asyncio.run(_run(contestants, shapes, records, repeat, startup))
    except (trial.TrialError, ServerError, MissingServerError) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        raise typer.Exit(1) from None
    report.show(console, results)
    console.print(f"All figures: {results.save()}")
    if write_docs:
        console.print(f"Written: {report.write_document(results)}")


async def _run(
    contestants: list[type[Contestant]],
    shapes: list[Shape],
    records: int,
    repeat: int,
    startup: bool,
) -> report.Results:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bench = Bench(progress, contestants, repeat)
        postgres = Postgres(_POSTGRES)
        with running(progress, postgres):
            database = postgres.database()
            for delay in _REBALANCE_DELAYS if startup else _REBALANCE_DELAYS[:1]:
                kafka = Kafka(initial_rebalance_delay_ms=delay)
                with running(progress, kafka):
                    if delay == 0:
                        await bench.flow(kafka, database, shapes, records)
                    if startup:
                        await bench.startup(kafka, database, delay)
    return bench.results


if __name__ == "__main__":
    sys.exit(typer.run(main))

"""One contestant does one job, and is watched from outside.

The table says when: the first row is there when a row can be selected, the last when the last
record of every partition is (records of a partition arrive in order), which costs a few index
look-ups per question and not a count. The kernel says how much: CPU time of the process and its
descendants (``/proc/PID/stat``), and the peak of its memory (``VmHWM``).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
from tests.servers import guard
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres

from bench.contestants import Contestant, Job
from bench.shapes import TABLE, Shape, last_ids

_ASK_EVERY = 0.01
_LOOK_EVERY = 5.0
_TIMEOUT = 1800.0


class TrialError(Exception):
    """A contestant ended, took too long, or left other rows than it should."""


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        contestant: its key.
        shape: the shape's name.
        records: how many were moved.
        rest_seconds: from the start of the process to the first answer of its REST API.
        first_row_seconds: from the start of the process to the first row in the table.
        records_per_second: from the first to the last row.
        cpu_micros: CPU microseconds per record from the first to the last row.
        total_cpu_micros: CPU microseconds per record, starting the process included.
        peak_rss: bytes.
    """

    contestant: str
    shape: str
    records: int
    rest_seconds: float | None
    first_row_seconds: float
    records_per_second: float
    cpu_micros: float
    total_cpu_micros: float
    peak_rss: int

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


async def run(
    kind: type[Contestant],
    kafka: Kafka,
    topic: str,
    shape: Shape,
    records: int,
    database: Database[Postgres],
) -> Outcome:
    """Empty the table, start the contestant, wait until every record is a row, check, stop.

    Raises:
        TrialError: with the end of the contestant's log.
    """
    connection = await asyncpg.connect(database.dsn)
    contestant = kind(
        Job(f"bench-{secrets.token_hex(4)}", kafka.bootstrap_servers, topic, shape, database)
    )
    rest: asyncio.Future[float | None] | None = None
    try:
        await connection.execute(shape.create_table)
        await _settle(database)
        begin = monotonic()
        contestant.start()
        rest = asyncio.ensure_future(_rest_answers(contestant.rest_port, begin))
        async with asyncio.timeout(_TIMEOUT):
            await _until(contestant, connection, f"SELECT EXISTS (SELECT 1 FROM {TABLE})")
            seen = monotonic()
            rows_first = await connection.fetchval(f"SELECT count(*) FROM {TABLE}")
            first, cpu_first = monotonic(), cpu_seconds(contestant.pid)
            expected = last_ids(shape, records)
            await _until(
                contestant,
                connection,
                f"SELECT count(*) = {len(expected)} FROM {TABLE} WHERE id = ANY($1)",
                expected,
            )
            last, cpu_last = monotonic(), cpu_seconds(contestant.pid)
            rest_seconds = await rest
        await _check(connection, records)
        peak = peak_rss(contestant.pid)
    except TimeoutError:
        raise TrialError(f"{kind.title} took too long\n{contestant.last_lines()}") from None
    finally:
        if rest is not None:
            rest.cancel()
        contestant.stop()
        await connection.close()
    flowed = records - rows_first
    return Outcome(
        contestant=kind.key,
        shape=shape.name,
        records=records,
        rest_seconds=rest_seconds,
        first_row_seconds=seen - begin,
        records_per_second=flowed / (last - first) if flowed else 0.0,
        cpu_micros=(cpu_last - cpu_first) / flowed * 1e6 if flowed else 0.0,
        total_cpu_micros=cpu_last / records * 1e6,
        peak_rss=peak,
    )


async def _settle(database: Database[Postgres]) -> None:
    """Write out what the trial before left dirty, so that this one does not pay for it."""
    await asyncio.to_thread(database.server.sql, "CHECKPOINT")


async def _until(
    contestant: Contestant, connection: asyncpg.Connection, question: str, *arguments: Any
) -> None:
    prepared = await connection.prepare(question)
    look_again = monotonic() + _LOOK_EVERY
    while not await prepared.fetchval(*arguments):
        if not contestant.running:
            raise TrialError(f"{contestant.title} ended\n{contestant.last_lines()}")
        if monotonic() > look_again:
            await _look_at_status(contestant)
            look_again = monotonic() + _LOOK_EVERY
        await asyncio.sleep(_ASK_EVERY)


async def _rest_answers(port: int | None, begin: float) -> float | None:
    """Seconds from ``begin`` until ``GET /connectors`` is answered with 200."""
    if port is None:
        return None
    while True:
        status, _ = await _get(port, "/connectors")
        if status == 200:
            return monotonic() - begin
        await asyncio.sleep(_ASK_EVERY)


async def _look_at_status(contestant: Contestant) -> None:
    """A worker goes on when its task has failed: there is no use in waiting for the rows."""
    if contestant.rest_port is None:
        return
    path = f"/connectors/{contestant.job.name}/status"
    status, body = await _get(contestant.rest_port, path)
    if status == 200 and b'"FAILED"' in body:
        raise TrialError(f"{contestant.title} failed: {body.decode()}")


async def _get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a request to this machine; status 0 when nobody answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0, b""
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    except OSError:
        return 0, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 else 0), body


async def _check(connection: asyncpg.Connection, records: int) -> None:
    """Every record is a row, once, with its values.

    Ids and times are sums of known series; that quantity and amount arrived shows in their
    averages.
    """
    (found,) = await connection.fetch(
        f"""SELECT count(*), sum(id),
                   sum(round(extract(epoch FROM ordered_at) * 1000) - id),
                   count(*) FILTER (WHERE quantity NOT BETWEEN 1 AND 9
                       OR amount NOT BETWEEN 0 AND 500
                       OR customer NOT LIKE 'customer-%' OR product NOT LIKE 'product %')
            FROM {TABLE}"""
    )
    count, ids, times, odd = found
    if count != records:
        raise TrialError(f"{count} rows in the table instead of {records}")
    if ids != records * (records - 1) // 2 or times != 1_750_000_000_000 * records or odd:
        raise TrialError(f"the rows hold other values than the records ({odd} are plainly wrong)")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, those that have ended included."""
    total = 0.0
    for process in guard.tree(pid):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_rss(pid: int) -> int:
    """The most memory a process and its descendants have had resident, in bytes (an upper bound
    when there are several, for their peaks may not coincide).
    """
    total = 0
    for process in guard.tree(pid):
        status = Path(f"/proc/{process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        total += int(line.split()[1]) * 1024
    return total

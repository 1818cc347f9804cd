"""The story, step by step: ``python -m demo``; with KEEP=1 in the environment it does not end.

Exit code 0 says that every row arrived with the right values, and that the worker went on where it
had stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from demo import DemoError
from demo.broker import Broker, free_port
from demo.screen import Screen
from demo.shop import COLUMNS, Shop
from demo.topic import Topic
from demo.worker import Worker

ORDERS = 20_000
MORE = 5_000
_DEADLINE = 60.0
"""Seconds after which rows that have not arrived are not waited for."""

_FOLDER = Path(__file__).parent
_FILES = [_FOLDER / "shop-orders.json", _FOLDER / "warehouse-orders.json"]
_SINK_GROUP = "connect-warehouse-orders"


class Demo:
    """Everything that is running, and the steps."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen = screen
        self._shop = Shop(folder)
        self._broker = Broker(folder)
        self._folder = folder
        self._topic: Topic
        self._worker: Worker

    async def run(self, *, keep: bool) -> None:
        """Tell the story.

        Args:
            keep: go on until cancelled, with a new order every second.

        Raises:
            DemoError: when something is not as it should be.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._broker.stop)
            await self._introduce()
            self._topic = await stack.enter_async_context(
                Topic(self._broker.address, "shop.orders")
            )
            self._worker = Worker(self._folder, self._broker.address, free_port(8083), _FILES)
            stack.push_async_callback(self._worker.stop)
            self._configure()
            await self._rows_move()
            await self._one_record()
            await self._rest()
            await self._stop_and_go_on()
            await self._check()
            if keep:
                await self._keep()
            else:
                await self._worker.stop()

    async def _introduce(self) -> None:
        self._screen.title(
            "Coracle: Kafka Connect without the JVM",
            "Kafka Connect copies data into and out of Kafka with [b]connectors[/b]: no code, just "
            "configuration. A [b]source[/b] connector reads a system and writes its rows to a "
            "Kafka topic, a [b]sink[/b] connector reads topics and writes into another system. "
            "[b]Converters[/b] turn rows into bytes and back, [b]transforms[/b] change records on "
            "their way. Here orders go from a shop's database into a warehouse's.",
        )
        self._screen.step("A database with orders, an empty one, and a broker")
        self._shop.order(ORDERS)
        await self._broker.up()
        self._screen.done(f"shop.db       {ORDERS:,} orders (SQLite)")
        self._screen.done("warehouse.db  empty (SQLite)")
        self._screen.done(
            f"broker        {self._broker.address} (embedded, speaks Kafka's protocol)"
        )

    def _configure(self) -> None:
        self._screen.step("Two connectors, configured as for Kafka Connect")
        self._screen.say(
            "Java class names and property names are Kafka Connect's; your own files work the same."
        )
        self._screen.file(_FILES[0], "demo/shop-orders.json: rows → topic")
        self._screen.say(
            "[b]mode incrementing[/b] asks for rows with a larger id than the last one seen. The "
            "topic is topic.prefix and the table's name: [b]shop.orders[/b]."
        )
        self._screen.file(_FILES[1], "demo/warehouse-orders.json: topic → rows")
        self._screen.say(
            "Two transforms: [b]addDateToTopic[/b] adds the year and month, so that each month "
            "gets a table of its own; [b]labelFooBar[/b] renames a field. [b]upsert[/b] makes "
            "repeated records harmless, [b]auto.create[/b] makes the table."
        )

    async def _rows_move(self) -> None:
        self._screen.step("One process runs both")
        names = " ".join(f"demo/{path.name}" for path in _FILES)
        self._screen.command(f"coracle run {names} -b {self._broker.address}")
        started = time.monotonic()
        await self._worker.up()
        self._screen.done(f"up after {time.monotonic() - started:.1f} s")
        await self._until_arrived()

    async def _until_arrived(self) -> None:
        """Show the bars until every order of the shop is in the warehouse."""
        total = self._shop.ordered()
        deadline = time.monotonic() + _DEADLINE
        with self._screen.bars(["in Kafka", "in warehouse.db"]) as bars:
            while True:
                counts = [await self._topic.count(), self._shop.arrived()]
                bars.show(counts, total)
                if counts[1] >= total:
                    return
                await self._worker.check()
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"After {_DEADLINE:.0f} s only {counts[1]:,} of {total:,} rows have "
                        f"arrived. The worker said:\n{self._worker.log_end()}"
                    )
                await asyncio.sleep(0.1)

    async def _one_record(self) -> None:
        self._screen.step("The first order, on its way")
        value = await self._topic.first()
        table = self._shop.tables()[0]
        self._screen.record(
            ["row in shop.db", "payload in the topic", f"row in warehouse.db, {table}"],
            [self._shop.row(1), value["payload"], self._shop.arrived_row(1)],
            {"delivery_address": "shipping_address"},
        )
        self._screen.say(
            "The JSON converter sends each value with its schema ("
            + ", ".join(f"{field['field']} {field['type']}" for field in value["schema"]["fields"])
            + "), so that the sink knows how to create the table. Times travel as milliseconds."
        )

    async def _rest(self) -> None:
        self._screen.step(f"Kafka Connect's REST API, at {self._worker.url}")
        self._commands()
        self._screen.say("The first one answers:")
        self._screen.json(await self._worker.get("/connectors/warehouse-orders/status"))

    def _commands(self) -> None:
        url = self._worker.url
        self._screen.command(f"curl -s {url}/connectors/warehouse-orders/status")
        self._screen.command(f"curl -s '{url}/connectors?expand=info'")
        self._screen.command(f"curl -s -X PUT {url}/connectors/shop-orders/pause")

    async def _stop_and_go_on(self) -> None:
        self._screen.step("Stop the worker, let orders come in, start it again")
        if await self._worker.stop() != 0:
            raise DemoError(f"The worker did not stop well. It said:\n{self._worker.log_end()}")
        key, value = await self._topic.source_offset()
        group = await self._topic.sink_offset(_SINK_GROUP)
        self._screen.say(
            "The worker is gone, and has kept nothing to itself. Where it stopped is in Kafka:"
        )
        self._screen.say(rf"source  topic connect-offsets: {_plain(key)} → {_plain(value)}")
        self._screen.say(f"sink    group {_SINK_GROUP}: next is offset {group} of shop.orders")
        self._shop.order(MORE)
        self._screen.say(f"Meanwhile the shop takes {MORE:,} orders. Now the same command again:")
        await self._worker.up()
        await self._until_arrived()

    async def _check(self) -> None:
        self._screen.step("Did everything arrive?")
        total, records = self._shop.ordered(), await self._topic.count()
        wrong = self._shop.differences()
        if wrong:
            raise DemoError(
                f"{len(wrong):,} orders are wrong, among them:\n" + "\n".join(wrong[:3])
            )
        if records != total:
            raise DemoError(f"The topic has {records:,} records, and the shop {total:,} orders.")
        await self._worker.check()
        values = total * len(COLUMNS)
        self._screen.done(f"{total:,} of {total:,} orders are in the warehouse, none twice")
        self._screen.done(f"all {values:,} values compared, all as they should be")
        self._screen.done(
            f"{records:,} records in the topic: after its restart the worker read the new rows only"
        )

    async def _keep(self) -> None:
        self._screen.step("It stays up: a new order every second, until Ctrl-C")
        self._commands()
        self._screen.say(f"Everything is in {self._folder}, the worker's log in worker.log there.")
        with self._screen.bars(["in Kafka", "in warehouse.db"]) as bars:
            while not self._worker.ended:
                self._shop.order(1)
                for _ in range(10):
                    counts = [await self._topic.count(), self._shop.arrived()]
                    bars.show(counts, self._shop.ordered())
                    await asyncio.sleep(0.1)
        raise DemoError(f"The worker ended. It said:\n{self._worker.log_end()}")


def _plain(text: str) -> str:
    """Text in which rich finds no markup."""
    return text.replace("[", r"\[")


async def _main(screen: Screen, *, keep: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with tempfile.TemporaryDirectory(prefix="coracle-demo-") as folder:
        await Demo(screen, Path(folder)).run(keep=keep)


def main() -> int:
    """Run the demo; 0 if all went well."""
    screen = Screen()
    keep = os.environ.get("KEEP", "") not in ("", "0")
    started = time.monotonic()
    try:
        asyncio.run(_main(screen, keep=keep))
    except DemoError as error:
        screen.failed(str(error))
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.console.print("\n   Stopped.")
        return 0 if keep else 130
    screen.console.print()
    screen.say(f"That took {time.monotonic() - started:.0f} s, and everything is stopped again.")
    screen.say(
        "[b]make demo KEEP=1[/b] stays up to play with. [b]README.md[/b] runs your own connectors."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

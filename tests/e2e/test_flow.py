"""Records that are dropped, re-routed, slow to leave or slow to come: lag, memory, traffic."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.conftest import MakeWorker
from tests.e2e.topics import committed, ends, envelope, produce, struct, values
from tests.servers.database import Database
from tests.servers.kafka import Kafka
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres

STRING = "org.apache.kafka.connect.storage.StringConverter"
logger = logging.getLogger(__name__)

PEAK_BYTES = 150_000_000


def test_filter_and_routing_bring_lag_to_zero(
    kafka: Kafka, make_worker: MakeWorker, unique: str
) -> None:
    """The group's offsets are those of the topic read, whatever becomes of its records."""
    transforms = "org.apache.kafka.connect.transforms"
    filter_all = {"transforms": "drop", "transforms.drop.type": f"{transforms}.Filter"}
    route = {
        "transforms": "route",
        "transforms.route.type": f"{transforms}.RegexRouter",
        "transforms.route.regex": ".*",
        "transforms.route.replacement": "elsewhere",
    }
    topic = kafka.topic(f"flow-{unique}", 3)
    produce(kafka, topic, [b"line %d" % n for n in range(30_000)], partitions=3, batch_bytes=4096)
    chains = {"filter": filter_all, "route": route, "both": filter_all | route}
    chains["both"]["transforms"] = "route,drop"
    worker = make_worker()
    worker.start()
    outputs = {}
    for chain, config in chains.items():
        outputs[chain] = worker.folder / f"{chain}.txt"
        worker.create(
            f"{chain}-{unique}",
            {
                "connector.class": "FileStreamSink",
                "topics": topic,
                "file": str(outputs[chain]),
                "value.converter": STRING,
                **config,
            },
        )
    expected = ends(kafka, topic)
    assert sum(expected.values()) == 30_000
    for chain in chains:
        worker.wait_for(
            lambda chain=chain: committed(kafka, f"{chain}-{unique}", topic) == expected,
            f"the lag of {chain} to be 0",
        )
    lines = {chain: len(output.read_text().splitlines()) for chain, output in outputs.items()}
    assert lines == {"filter": 0, "route": 30_000, "both": 0}


def test_silence_longer_than_the_poll_interval(
    kafka: Kafka, make_worker: MakeWorker, unique: str
) -> None:
    """Nothing to read for long is no reason to be thought dead, for a source or a sink."""
    topic = kafka.topic(f"quiet-{unique}")
    short = {
        "consumer.max.poll.interval.ms": "1000",
        "consumer.session.timeout.ms": "6000",
        "producer.max.block.ms": "1000",
    }
    worker = make_worker(settings=short)
    read, written = worker.folder / "in.txt", worker.folder / "out.txt"
    read.write_text("first\n")
    worker.start()
    source = {"connector.class": "FileStreamSource", "file": str(read), "topic": topic}
    sink = {"connector.class": "FileStreamSink", "file": str(written), "topics": topic}
    worker.create(f"source-{unique}", source)
    worker.create(f"sink-{unique}", sink)
    worker.wait_for(lambda: values(kafka, topic) == ["first"], "the first line")
    time.sleep(8)
    with read.open("a") as file:
        file.write("second\n")
    worker.wait_for(lambda: written.read_text() == "first\nsecond\n", "the second line")
    for name in (f"source-{unique}", f"sink-{unique}"):
        assert worker.states(name) == ["RUNNING", "RUNNING"]
    worker.wait_for(lambda: committed(kafka, f"sink-{unique}", topic) == {0: 2}, "the commit")


@pytest.mark.full
@pytest.mark.timeout(600)
def test_memory_while_a_sink_is_blocked(
    postgres: Database[Postgres],
    kafka: Kafka,
    make_worker: MakeWorker,
    unique: str,
) -> None:
    """A locked table, 100 partitions and 300 MB waiting: memory stays, and all of it arrives."""
    topic = kafka.topic(f"blocked-{unique}", 100)
    schema = struct(id="int32", note="string")
    note = os.urandom(2000).hex()
    count = 300_000_000 // 4000
    messages = (envelope(schema, {"id": n, "note": note}) for n in range(count))
    produce(kafka, topic, messages, partitions=100, batch_bytes=16_384)
    postgres.sql("CREATE TABLE notes (id INT PRIMARY KEY, note TEXT)")
    postgres.sql(f"ALTER TABLE notes OWNER TO {postgres.user}")
    name = f"sink-{unique}"
    worker = make_worker(
        {
            name: {
                "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
                "connection.url": postgres.jdbc_url,
                "connection.user": postgres.user,
                "connection.password": postgres.password,
                "topics": topic,
                "table.name.format": "notes",
                "insert.mode": "upsert",
                "pk.mode": "record_value",
                "pk.fields": "id",
            }
        }
    )
    seconds = 15
    lock = threading.Thread(
        target=postgres.sql,
        args=(f"BEGIN; LOCK TABLE notes; SELECT pg_sleep({seconds}); COMMIT",),
    )
    lock.start()
    worker.start()
    is_waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    worker.wait_for(lambda: postgres.sql(is_waiting) == "1", "the sink to be blocked")
    lock.join()
    total = "SELECT count(*), count(DISTINCT id) FROM notes"
    worker.wait_for(lambda: postgres.sql(total) == f"{count}\t{count}", "all rows", seconds=240)
    peak = worker.peak_rss()
    logger.info("peak RSS %d MB", peak // 1_000_000)
    worker.wait_for(
        lambda: committed(kafka, name, topic) == ends(kafka, topic), "the lag to be 0", seconds=60
    )
    assert peak < PEAK_BYTES, f"{peak / 1e6:.0f} MB"


class CountingProxy:
    """Passes TCP connections on to a port, counting what comes back from there.

    Attributes:
        port: where it listens.
        received: bytes that came back so far.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.received = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._up.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self._up.set()
        await self._stopped.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: bool):
            while data := await source.read(1 << 16):
                self.received += len(data) if count else 0
                sink.write(data)
                await sink.drain()

        pumps = [
            asyncio.ensure_future(pump(reader, back, False)),
            asyncio.ensure_future(pump(there, writer, True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (back, writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()


@pytest.fixture
def metered(make_worker: MakeWorker) -> Iterator[tuple[Kafka, CountingProxy]]:
    """A broker that clients reach through a proxy only."""
    port = free_port()
    broker = Kafka(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"})
    proxy = CountingProxy(port, broker.port)
    try:
        broker.start()
        yield broker, proxy
    finally:
        broker.stop()
        proxy.close()


@pytest.mark.parametrize("batch_bytes", [16 * 1024, 512 * 1024])
def test_nothing_is_fetched_twice(
    batch_bytes: int,
    metered: tuple[Kafka, CountingProxy],
    make_worker: MakeWorker,
    unique: str,
) -> None:
    """Bytes that cross the wire, all of them, against those of the values delivered."""
    broker, proxy = metered
    topic = broker.topic(f"metered-{unique}", 10)
    value = b"x" * 1000
    count = 60_000
    produce(broker, topic, [value] * count, partitions=10, batch_bytes=batch_bytes)
    worker = make_worker(bootstrap_servers=f"127.0.0.1:{proxy.port}")
    output = worker.folder / "out.txt"
    worker.start()
    before = proxy.received
    config = {
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": str(output),
        "value.converter": STRING,
    }
    worker.create(f"sink-{unique}", config)
    size = count * (len(value) + 1)
    worker.wait_for(lambda: output.exists() and output.stat().st_size >= size, "all lines")
    fetched = proxy.received - before
    logger.info("%.3f bytes fetched per byte delivered", fetched / (count * len(value)))
    assert output.stat().st_size == size
    delivered = count * len(value)
    assert delivered <= fetched <= 1.2 * delivered, f"{fetched / delivered:.3f}"
    worker.terminate()

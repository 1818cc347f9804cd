import asyncio
import os

import pytest

from coracle.api import ConfigErrors, ConnectError, RecordBatch
from coracle.connectors.file import source
from coracle.connectors.file.source import FileStreamSourceConnector, FileStreamSourceTask


class Offsets:
    def __init__(self, stored=None):
        self.stored = stored
        self.asked = []

    async def read(self, partitions):
        self.asked.extend(partitions)
        return [self.stored for _ in partitions]


class Context:
    connector = "lines"
    task = 0

    def __init__(self, stored=None):
        self.offsets = Offsets(stored)


def config(**keys):
    keys = {name.replace("_", "."): value for name, value in keys.items()}
    return FileStreamSourceConnector.spec.parse({"topic": "t", **keys})


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(source, "_IDLE_SECONDS", 0.01)


@pytest.fixture
async def started():
    tasks = []

    async def start(stored=None, **keys):
        task = FileStreamSourceTask()
        tasks.append(task)
        context = Context(stored)
        await task.start(context, config(**keys))
        return task, context

    yield start
    for task in tasks:
        await task.stop()


async def polled(task, tries=20) -> RecordBatch:
    for _ in range(tries):
        if (batch := await task.poll()) is not None:
            return batch
    raise AssertionError("nothing was read")


async def test_lines_become_required_strings_without_a_key(started, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"one\ntwo\n")
    task, _ = await started(file=str(path))

    batch = await polled(task)

    assert batch.values == ["one", "two"]
    assert batch.keys == [None, None]
    ((schema, indexes),) = batch.groups()
    assert (schema.topic, schema.key, schema.value.type, schema.value.optional) == (
        "t",
        None,
        "STRING",
        False,
    )
    assert indexes is None
    assert batch.source_offsets == [({"filename": str(path)}, {"position": 8})]
    assert all(isinstance(at, int) for at in batch.timestamps)


async def test_an_unfinished_line_waits_and_the_position_stays_before_it(started, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"done\nhalf")
    task, _ = await started(file=str(path))
    batch = await polled(task)
    assert batch.values == ["done"]
    assert batch.source_offsets[0].offset == {"position": 5}
    assert await task.poll() is None

    with path.open("ab") as file:
        file.write(b" and half\n")

    batch = await polled(task)
    assert batch.values == ["half and half"]
    assert batch.source_offsets[0].offset == {"position": 19}


async def test_a_missing_file_is_waited_for(started, tmp_path, caplog):
    path = tmp_path / "later"
    task, _ = await started(file=str(path))
    assert await task.poll() is None
    assert str(path) in caplog.text

    path.write_bytes(b"here\n")

    assert (await polled(task)).values == ["here"]


async def test_reading_goes_on_at_the_stored_byte(started, tmp_path):
    path = tmp_path / "in"
    path.write_bytes("größe\nnext\n".encode())
    first, _ = await started(file=str(path), batch_size=1)
    batch = await polled(first)
    assert batch.values == ["größe"]
    offset = batch.source_offsets[0].offset

    second, context = await started(stored=offset, file=str(path))

    assert (await polled(second)).values == ["next"]
    assert context.offsets.asked == [{"filename": str(path)}]


async def test_batch_size_bounds_a_poll_and_nothing_is_lost(started, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(25)))
    task, _ = await started(file=str(path), batch_size=10)

    batches = [await polled(task) for _ in range(3)]

    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [line for batch in batches for line in batch.values] == [str(n) for n in range(25)]


async def test_a_line_longer_than_many_chunks(started, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_CHUNK", 7)
    path = tmp_path / "in"
    path.write_bytes(b"x" * 1000 + b"\nlast\n")
    task, _ = await started(file=str(path))

    lines = []
    while len(lines) < 2:
        lines += (await polled(task, 200)).values

    assert lines == ["x" * 1000, "last"]


async def test_a_cancelled_poll_loses_nothing(started, tmp_path, monkeypatch):
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    task, _ = await started(file=str(path))
    assert (await polled(task)).values == ["one"]
    release = asyncio.Event()

    async def slow(function, *args):
        await release.wait()
        return function(*args)

    monkeypatch.setattr(source.asyncio, "to_thread", slow)
    with path.open("ab") as file:
        file.write(b"two\n")
    poll = asyncio.ensure_future(task.poll())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll

    release.set()

    assert (await polled(task)).values == ["two"]


async def test_a_pipe_is_read_without_blocking(started, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    task, _ = await started(file=str(path))
    assert await task.poll() is None
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, b"through the pipe\n")

    batch = await polled(task)

    os.close(writer)
    assert batch.values == ["through the pipe"]


async def test_stdin_keeps_no_offset(started, monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(writer, b"typed\n")
        task, _ = await started()

        batch = await polled(task)

        os.close(writer)
    assert batch.values == ["typed"]
    assert batch.source_offsets == []


@pytest.mark.parametrize("position", ["12", 1.5, True, -1])
async def test_a_foreign_offset_is_refused(started, tmp_path, position):
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    task, _ = await started(stored={"position": position}, file=str(path))
    with pytest.raises(ConnectError, match="position"):
        await task.poll()


async def test_a_directory_is_no_file(started, tmp_path):
    task, _ = await started(file=str(tmp_path))
    with pytest.raises(ConnectError, match="Is a directory"):
        await task.poll()


async def test_a_position_behind_the_end_is_reported(started, tmp_path, caplog):
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    task, _ = await started(stored={"position": 99}, file=str(path))
    assert await task.poll() is None
    assert "lies behind the end" in caplog.text


def test_configuration():
    with pytest.raises(ConfigErrors, match='"topic"'):
        FileStreamSourceConnector.spec.parse({"file": "x"})
    with pytest.raises(ConfigErrors, match=r"batch\.size"):
        config(batch_size=0)
    assert config()["batch.size"] == 2000


async def connector(**keys):
    it = FileStreamSourceConnector()
    await it.start(Context(), config(**keys))
    return it


async def test_there_is_one_task():
    assert await (await connector(file="f")).task_configs(8) == [{}]


PARTITION = (("filename", "f"),)


async def test_offsets_that_may_be_set():
    it = await connector(file="f")
    assert await it.alter_offsets({PARTITION: {"position": 0}}) is True
    assert await it.alter_offsets({(("garbage", 1),): None}) is True


@pytest.mark.parametrize(
    ("partition", "offset", "message"),
    [
        (PARTITION, {}, "contain the key 'position'"),
        (PARTITION, {"position": "1"}, "expected to be a Long"),
        (PARTITION, {"position": -1}, "non-negative"),
        (None, {"position": 1}, "cannot be null"),
        ((("file", "f"),), {"position": 1}, "contain the key 'filename'"),
    ],
)
async def test_offsets_that_may_not_be_set(partition, offset, message):
    with pytest.raises(ConnectError, match=message):
        await (await connector(file="f")).alter_offsets({partition: offset})


async def test_offsets_of_stdin_cannot_be_set():
    with pytest.raises(ConnectError, match="stdin"):
        await (await connector()).alter_offsets({PARTITION: {"position": 1}})

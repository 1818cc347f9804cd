from decimal import Decimal

import pytest

from coracle.api import ConnectError, RecordBatch, RecordSchema
from coracle.api.schema import (
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    FLOAT64,
    INT32,
    OPTIONAL_STRING,
    STRING,
    TIME_SCHEMA,
    TIMESTAMP_SCHEMA,
    array,
    decimal,
    map_of,
    struct,
)
from coracle.connectors.file.sink import FileStreamSinkConnector, FileStreamSinkTask, to_lines


class Context:
    connector = "lines"
    task = 0


def batch(values, schema=None, **columns):
    schemas = columns.pop("schemas", [RecordSchema("t", None, schema)])
    count = len(values)
    return RecordBatch(schemas, [None] * count, values, range(count), [None] * count, **columns)


async def written(path, *puts):
    task = FileStreamSinkTask()
    await task.start(Context(), FileStreamSinkConnector.spec.parse({"file": str(path)}))
    for batches in puts:
        await task.put(batches)
    assert await task.flush() is None
    content = path.read_bytes()
    await task.stop()
    return content


async def test_values_become_lines(tmp_path):
    content = await written(tmp_path / "out", [batch(["a", "ü"], STRING)], [], [batch([1], INT32)])
    assert content == "a\nü\n1\n".encode()


async def test_a_file_is_appended_to(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    assert await written(path, [batch(["after"])]) == b"before\nafter\n"


async def test_schemas_may_interleave(tmp_path):
    mixed = batch(
        ["a", 1.0, "b"],
        schemas=[RecordSchema("t", None, STRING), RecordSchema("t", None, FLOAT64)],
        codes=[0, 1, 0],
    )
    assert await written(tmp_path / "out", [mixed]) == b"a\n1.0\nb\n"


async def test_without_a_file_lines_go_to_stdout(capsysbinary):
    task = FileStreamSinkTask()
    await task.start(Context(), FileStreamSinkConnector.spec.parse({}))
    await task.put([batch(["hello"])])
    await task.stop()
    assert capsysbinary.readouterr().out == b"hello\n"


async def test_a_file_that_cannot_be_made(tmp_path):
    task = FileStreamSinkTask()
    config = FileStreamSinkConnector.spec.parse({"file": str(tmp_path / "no" / "dir")})
    with pytest.raises(ConnectError, match="Couldn't find or create file"):
        await task.start(Context(), config)
    await task.stop()


async def test_a_full_disk_fails_the_put():
    task = FileStreamSinkTask()
    await task.start(Context(), FileStreamSinkConnector.spec.parse({"file": "/dev/full"}))
    with pytest.raises(ConnectError, match="No space left"):
        await task.put([batch(["x"])])
    await task.stop()


PERSON = struct({"id": INT32, "name": OPTIONAL_STRING, "tags": array(STRING)})


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (None, None, "null"),
        (OPTIONAL_STRING, None, "null"),
        (None, True, "true"),
        (None, {"a": 1, "b": None}, "{a=1, b=null}"),
        (None, [1, "x"], "[1, x]"),
        (PERSON, {"id": 1, "name": "x", "tags": ["p", "q"]}, "Struct{id=1,name=x,tags=[p, q]}"),
        (PERSON, {"id": 1, "name": None, "tags": []}, "Struct{id=1,tags=[]}"),
        (map_of(STRING, FLOAT64), {"k": 1.0}, "{k=1.0}"),
        (BYTES, b"raw", "raw"),
        (decimal(2), Decimal("1.50"), "1.50"),
        (TIMESTAMP_SCHEMA, 1_500, "Thu Jan 01 00:00:01 UTC 1970"),
        (TIMESTAMP_SCHEMA, 2**62, str(2**62)),
        (DATE_SCHEMA, 20_500, "Mon Feb 16 00:00:00 UTC 2026"),
        (TIME_SCHEMA, 61_000, "Thu Jan 01 00:01:01 UTC 1970"),
        # As jshell prints them: String.valueOf(0.1f), …
        (FLOAT32, 0.10000000149011612, "0.1"),
        (FLOAT32, 16777216.0, "1.6777216E7"),
        (FLOAT64, 100.0, "100.0"),
        (FLOAT64, 1234567.5, "1234567.5"),
        (FLOAT64, 12345678.0, "1.2345678E7"),
        (FLOAT64, 1e10, "1.0E10"),
        (FLOAT64, 0.001, "0.001"),
        (FLOAT64, -0.00012, "-1.2E-4"),
        (FLOAT64, 0.0, "0.0"),
        (FLOAT64, float("nan"), "NaN"),
        (FLOAT64, float("-inf"), "-Infinity"),
    ],
)
def test_values_print_as_in_java(schema, value, text):
    assert to_lines(schema, [value]) == [text]

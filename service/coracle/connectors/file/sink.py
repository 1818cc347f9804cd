"""``FileStreamSinkConnector``: every record's value becomes a line of a file.

Follows ``org.apache.kafka.connect.file.FileStreamSinkConnector`` of Apache Kafka 4.3: the file is
created when absent and appended to otherwise; keys and headers are left out; without ``file`` the
lines go to the standard output. Values are printed as in Java; bytes, of which Java prints the
address, are printed as UTF-8 text.

Kafka's task ignores a full disk (``PrintStream`` swallows errors); this one fails, so that no
offset is committed for lines that are not in the file. Lines written before the error stay: at
least once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

from coracle.api import (
    Config,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    ConnectError,
    Importance,
    RecordBatch,
    Schema,
    SinkConnector,
    SinkTask,
    SinkTaskContext,
)
from coracle.api.schema import Type
from coracle.java.text import compile_text


class FileStreamSinkTask(SinkTask):
    """Appends lines to a file, or to the standard output."""

    def __init__(self) -> None:
        self._path = ""
        self._file: BinaryIO | None = None

    async def start(self, context: SinkTaskContext, config: Config) -> None:
        """Open the file.

        Raises:
            ConnectError: when it can neither be found nor created.
        """
        self._path = config["file"] or ""
        if not self._path:
            return
        try:
            self._file = await asyncio.to_thread(open, self._path, "ab")
        except OSError as error:
            raise ConnectError(
                f"Couldn't find or create file '{self._path}' for FileStreamSinkTask:"
                f" {error.strerror}."
            ) from error

    async def put(self, batches: Sequence[RecordBatch]) -> None:
        """Append a line per record and hand them to the operating system.

        Raises:
            ConnectError: when the file takes no more.
        """
        lines = [line for batch in batches for line in _lines_of(batch)]
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        try:
            await asyncio.to_thread(_write, self._file or sys.stdout.buffer, data)
        except OSError as error:
            raise ConnectError(
                f"Cannot write to {self._path or 'the standard output'}: {error.strerror}."
            ) from error

    async def stop(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written was reported by put
                self._file.close()


def _lines_of(batch: RecordBatch) -> list[str]:
    lines: list[str] = [""] * len(batch)
    for schema, indexes in batch.groups():
        if indexes is None:
            return to_lines(schema.value, batch.values)
        group = to_lines(schema.value, [batch.values[index] for index in indexes])
        for index, line in zip(indexes, group, strict=True):
            lines[index] = line
    return lines


def to_lines(schema: Schema | None, values: Sequence[Any]) -> list[str]:
    """The text of each value, see ``java.text``.

    Args:
        schema: what all the values mean; ``None`` when they have no schema.
        values: as in a ``RecordBatch``.
    """
    if schema is not None and schema.type is Type.STRING and None not in values:
        return list(values)
    return list(map(compile_text(schema, lenient=True), values))


def _write(out: BinaryIO, data: bytes) -> None:
    out.write(data)
    out.flush()


class FileStreamSinkConnector(SinkConnector):
    """Every task appends to the same file; see the module's opening."""

    task_class = FileStreamSinkTask
    spec = ConfigSpec(
        [
            ConfigKey(
                "file",
                ConfigType.STRING,
                None,
                "The file to append to. Without it the standard output is used.",
                Importance.HIGH,
            )
        ]
    )

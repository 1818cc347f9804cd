"""``FileStreamSourceConnector``: every line of a growing file becomes a record.

Follows ``org.apache.kafka.connect.file.FileStreamSourceConnector`` of Apache Kafka 4.3: one task;
source partition ``{"filename": …}``, offset ``{"position": …}``; no key, the line as a required
string; a file that does not exist yet is waited for. Without ``file`` the standard input is read
and no offset is kept.

One difference: a position counts bytes. Kafka's task counts characters but seeks in bytes, so after
a restart it lands in the middle of earlier lines once a file holds anything beyond ASCII. For ASCII
files the two are equal, and offsets move between the two workers unchanged.

Reading a file blocks, so it happens a chunk at a time in a thread. A read that a cancelled ``poll``
leaves behind is picked up by the next one, and ``stop`` waits for it before it closes the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from coracle.api import (
    Config,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    ConnectError,
    Importance,
    NonEmpty,
    Range,
    RecordBatch,
    RecordSchema,
    SourceConnector,
    SourceOffset,
    SourceTask,
    SourceTaskContext,
)
from coracle.api.schema import STRING
from coracle.connectors.file.lines import LineBuffer

logger = logging.getLogger(__name__)

FILENAME = "filename"
POSITION = "position"

_CHUNK = 256 * 1024
_BATCH_BYTES = 1024 * 1024
_IDLE_SECONDS = 1.0


class FileStreamSourceTask(SourceTask):
    """Reads one file, or the standard input, line by line."""

    def __init__(self) -> None:
        self._fd = -1
        self._owns_fd = False
        self._lines = LineBuffer()
        self._reading: asyncio.Future[bytes] | None = None

    async def start(self, context: SourceTaskContext, config: Config) -> None:
        """Remember the settings; the file is opened by the first ``poll`` that finds it."""
        self._context = context
        self._path: str = config["file"] or ""
        self._batch_size: int = config["batch.size"]
        self._schemas = [RecordSchema(config["topic"], None, STRING)]
        if not self._path:
            self._fd = sys.stdin.fileno()

    async def poll(self) -> RecordBatch | None:
        """Up to ``batch.size`` lines, fewer when they are long.

        Raises:
            ConnectError: when the file cannot be read.
        """
        if self._fd < 0 and not await self._open():
            await asyncio.sleep(_IDLE_SECONDS)
            return None
        if lines := self._take():
            return self._batch(lines)
        chunk = await self._read()
        if not chunk:
            await asyncio.sleep(_IDLE_SECONDS)
            return None
        self._lines.feed(chunk)
        lines = self._take()
        return self._batch(lines) if lines else None

    async def stop(self) -> None:
        """Close the file once a read that is under way has ended."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        if self._owns_fd:
            os.close(self._fd)
            self._owns_fd = False

    def _take(self) -> list[str]:
        return self._lines.take(self._batch_size, _BATCH_BYTES)

    def _batch(self, lines: list[str]) -> RecordBatch:
        count = len(lines)
        offsets: list[SourceOffset] = []
        if self._path:
            offsets = [SourceOffset({FILENAME: self._path}, {POSITION: self._lines.position})]
        return RecordBatch(
            self._schemas,
            keys=[None] * count,
            values=lines,
            offsets=range(count),
            timestamps=[time.time_ns() // 1_000_000] * count,
            source_offsets=offsets,
            nbytes=sum(map(len, lines)),
        )

    async def _open(self) -> bool:
        """Open the file at the stored position; ``False`` when there is no file yet."""
        path = self._path
        try:
            # A pipe without a writer must not block the thread, hence O_NONBLOCK.
            fd = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            logger.warning("The file %s does not exist yet; waiting for it.", path)
            return False
        except OSError as error:
            raise ConnectError(f"Cannot open the file {path}: {error.strerror}.") from error
        self._fd, self._owns_fd = fd, True
        (stored,) = await self._context.offsets.read([{FILENAME: path}])
        position = (stored or {}).get(POSITION)
        if position is None:
            return True
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise ConnectError(
                f"The stored offset of the file {path} has the position {position!r}, which is no"
                " byte position.",
                fix="Alter or reset the offsets of this connector.",
            )
        try:
            os.lseek(fd, position, os.SEEK_SET)
        except OSError as error:
            raise ConnectError(
                f"Cannot go on at byte {position} of {path}: {error.strerror}.",
                fix="Reset the offsets of this connector if the file is a pipe now.",
            ) from error
        size = os.fstat(fd).st_size
        if position > size:
            logger.warning(
                "The stored position %d lies behind the end of %s (%d bytes): nothing is read until"
                " the file has grown past it. Reset the offsets if the file was replaced.",
                position,
                path,
                size,
            )
        self._lines = LineBuffer(position)
        return True

    async def _read(self) -> bytes:
        """The next bytes; none at the end of what there is so far."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(_read_chunk, self._fd))
        try:
            # Shielded: a cancelled poll must neither lose these bytes nor let stop() close under
            # them.
            return await asyncio.shield(self._reading)
        except OSError as error:
            raise ConnectError(
                f"Cannot read {self._path or 'the standard input'}: {error.strerror}."
            ) from error
        finally:
            if self._reading.done():
                self._reading = None


def _read_chunk(fd: int) -> bytes:
    """Read what is there, waiting for a pipe or terminal at most as long as ``poll`` would idle."""
    if not select.select([fd], [], [], _IDLE_SECONDS)[0]:
        return b""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return b""


class FileStreamSourceConnector(SourceConnector):
    """One task reads the one file; see the module's opening."""

    task_class = FileStreamSourceTask
    spec = ConfigSpec(
        [
            ConfigKey(
                "file",
                ConfigType.STRING,
                None,
                "The file to read. Without it the standard input is read.",
                Importance.HIGH,
            ),
            ConfigKey(
                "topic",
                ConfigType.STRING,
                doc="The topic to write to.",
                importance=Importance.HIGH,
                validator=NonEmpty(),
            ),
            ConfigKey(
                "batch.size",
                ConfigType.INT,
                2000,
                "The most lines to read at a time.",
                Importance.LOW,
                validator=Range(1),
            ),
        ]
    )

    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """One task: there is one stream to read."""
        return [{}]

    async def alter_offsets(self, offsets: Mapping[Any, Mapping[str, Any] | None]) -> bool:
        """Check positions that a user wants to set, by Kafka's rules and in its words.

        Whether a position suits the file shows when the task starts there. ``None`` (forget this
        partition) is allowed for anything, so that garbage can be cleaned up.

        Raises:
            ConnectError: when a partition or an offset has another form.
        """
        if not self.config["file"]:
            raise ConnectError(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is"
                " because stdin is used for input and offsets are not tracked."
            )
        for partition, offset in offsets.items():
            if offset is None:
                continue
            if POSITION not in offset:
                raise ConnectError(
                    "Offset objects should either be null or contain the key 'position'"
                )
            position = offset[POSITION]
            if not isinstance(position, int) or isinstance(position, bool):
                raise ConnectError(
                    "The value for the 'position' key in the offset is expected to be a Long value"
                )
            if position < 0:
                raise ConnectError(
                    "The value for the 'position' key in the offset should be a non-negative value"
                )
            if partition is None:
                raise ConnectError("Partition objects cannot be null")
            # A map is no dictionary key: the runtime hands partitions over as tuples of items.
            if FILENAME not in dict(partition):
                raise ConnectError("Partition objects should contain the key 'filename'")
        return True

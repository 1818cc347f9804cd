r"""Cutting a stream of bytes into lines.

Lines end with ``\n``, ``\r\n`` or ``\r``, as in Kafka's ``FileStreamSourceTask``. A ``\r`` at the
very end stays open until the next byte shows whether a ``\n`` belongs to it. Positions count bytes
and only ever point behind a complete line, so a reader that starts there sees the next line from
its first byte.
"""

from __future__ import annotations

from collections import deque


class LineBuffer:
    """Complete lines of the bytes fed so far, first in, first out.

    Args:
        position: where in the file the first byte fed will have come from.
    """

    def __init__(self, position: int = 0) -> None:
        self.position = position
        """The byte position behind the last line taken."""
        self._lines: deque[bytes] = deque()
        self._open: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Append bytes as they were read; a line may be spread over any number of chunks."""
        after_return = bool(self._open) and self._open[-1].endswith(b"\r")
        self._open.append(chunk)
        if not (after_return or b"\n" in chunk or b"\r" in chunk):
            return  # a very long line is joined once, when it ends
        lines = b"".join(self._open).splitlines(keepends=True)
        self._open = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        self._lines.extend(lines)

    def take(self, count: int, size: int) -> list[str]:
        """Remove lines from the front, without their ends, and move ``position`` behind them.

        Bytes that are not UTF-8 become U+FFFD, as Java's ``InputStreamReader`` has it.

        Args:
            count: the most lines to take.
            size: stop after the line that reaches this many bytes.
        """
        taken: list[bytes] = []
        lines = self._lines
        start = self.position
        while lines and len(taken) < count and self.position - start < size:
            line = lines.popleft()
            self.position += len(line)
            taken.append(line)
        return [_without_end(line).decode("utf-8", "replace") for line in taken]


def _without_end(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]

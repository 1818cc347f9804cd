"""Java ``.properties`` files, as worker and connector configurations ship in Kafka's ``config/``.

The grammar (continuations, escapes, ``:`` or ``=`` or a blank between key and value) is that of
``java.util.Properties.load`` and left to the library ``javaproperties``. The encoding is UTF-8 with
ISO-8859-1 for files that are no UTF-8, as in Java's resource bundles since JEP 226: the specified
ISO-8859-1 alone would garble what editors write today.
"""

from __future__ import annotations

from pathlib import Path

import javaproperties

from coracle.api import ConfigError


def read(path: Path) -> dict[str, str]:
    """The settings of a file in order; of a key given twice, the last.

    Raises:
        ConfigError: when the file cannot be read or an escape in it is malformed.
    """
    return parse(read_bytes(path), str(path))


def parse(data: bytes, origin: str) -> dict[str, str]:
    """The settings in the bytes of a file.

    Args:
        data: the file's content.
        origin: what to call the file in an error.

    Raises:
        ConfigError: when an escape is malformed.
    """
    text = decode(data)
    try:
        return javaproperties.loads(text)
    except javaproperties.InvalidUEscapeError as error:
        line = text[: text.find(error.escape)].count("\n") + 1
        raise ConfigError(
            f"{origin}, line {line}: malformed escape {error.escape}.",
            fix="Write \\u and four hexadecimal digits, or double the backslash.",
        ) from None


def decode(data: bytes) -> str:
    """Text that is UTF-8 (with or without a byte order mark) or else ISO-8859-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")


def read_bytes(path: Path) -> bytes:
    """The content of a configuration file.

    Raises:
        ConfigError: naming the file and why it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}.", code="missing") from None
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error

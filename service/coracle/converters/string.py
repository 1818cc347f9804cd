"""Text: ``org.apache.kafka.connect.storage.StringConverter``.

Reading decodes, with U+FFFD for every malformed sequence, as Java does. Writing encodes Java's
``toString`` of the value. Where Java writes ``?`` for a character that the encoding lacks, the
record is refused: no value is altered.

Source: https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/storage/StringConverter.html
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any

from coracle.api import (
    Column,
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Converter,
    ConverterKind,
    DataError,
    Importance,
    Schema,
)
from coracle.api.schema import OPTIONAL_STRING
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.one_by_one import one_by_one
from coracle.java.text import compile_text

# Java takes an encoded surrogate for one malformed sequence, Python for two or three.
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]?")


class StringConverter(Converter):
    """Reads text as an optional string and writes any value as text."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "converter.encoding",
                ConfigType.STRING,
                "UTF-8",
                "The character encoding of the text.",
                Importance.HIGH,
            ),
            CONVERTER_TYPE,
        ]
    )

    def configure(self, config: Config, kind: ConverterKind) -> None:
        """Take the settings.

        Raises:
            ConfigError: when the encoding is unknown.
        """
        encoding = config["converter.encoding"]
        if re.fullmatch(r"utf[-_]?(16|32)", encoding, re.IGNORECASE):
            raise ConfigError(
                f"Invalid value {encoding} for configuration converter.encoding: Java and Python"
                " disagree about the byte order.",
                field="converter.encoding",
                fix=f"Use {encoding}BE or {encoding}LE.",
            )
        try:
            self._encoding = codecs.lookup(encoding).name
            "".encode(self._encoding)  # refuses codecs that are no character encodings
        except LookupError:
            raise ConfigError(
                f"Invalid value {encoding} for configuration converter.encoding: Unsupported"
                f" encoding {encoding}.",
                field="converter.encoding",
                fix="Use one such as UTF-8 or ISO-8859-1.",
            ) from None

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """Decode; never fails."""
        try:
            values: list[Any] = [
                record if record is None else record.decode(self._encoding) for record in data
            ]
        except UnicodeDecodeError:
            values = [record if record is None else self._decode(record) for record in data]
        return Column(values, [OPTIONAL_STRING])

    def _decode(self, record: bytes) -> str:
        if self._encoding == "utf-8":
            record = _SURROGATE.sub(b"\xff", record)
        return record.decode(self._encoding, "replace")

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """Encode the text of each value; ``None`` stays ``None``.

        Raises:
            BatchError: with a ``DataError`` for what has no text or cannot be encoded.
        """
        if set(map(type, values)) == {str}:
            try:
                return [value.encode(self._encoding) for value in values]
            except UnicodeEncodeError:
                pass
        text = compile_text(schema)

        def encode(value: Any) -> bytes:
            try:
                return text(value).encode(self._encoding)
            except UnicodeEncodeError as error:
                raise DataError(
                    f"The text cannot be written as {self._encoding}: {error.reason} at position"
                    f" {error.start}."
                ) from None

        return one_by_one(encode, values)

"""Bytes as they are: ``org.apache.kafka.connect.converters.ByteArrayConverter``.

Source:
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/converters/ByteArrayConverter.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coracle.api import (
    BatchError,
    Column,
    Config,
    ConfigSpec,
    Converter,
    ConverterKind,
    DataError,
    Schema,
    Type,
)
from coracle.api.schema import OPTIONAL_BYTES
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.one_by_one import one_by_one

_FIX = "Use a converter that writes the connector's type, such as JsonConverter."


class ByteArrayConverter(Converter):
    """Passes bytes through untouched."""

    spec = ConfigSpec([CONVERTER_TYPE])

    def configure(self, config: Config, kind: ConverterKind) -> None:
        """There is nothing to set."""

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """The bytes themselves, as optional bytes."""
        return Column(list(data), [OPTIONAL_BYTES])

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """The bytes themselves.

        Raises:
            BatchError: with a ``DataError`` for every value of another type; for all of them
                when the schema has another type.
        """
        if schema is not None and schema.type is not Type.BYTES:
            error = DataError(
                f"Invalid schema type for ByteArrayConverter: {schema.type}.", fix=_FIX
            )
            if values:
                raise BatchError(dict.fromkeys(range(len(values)), error))
        return one_by_one(_as_bytes, values)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise DataError(
        f"ByteArrayConverter is not compatible with objects of type {type(value).__name__}.",
        fix=_FIX,
    )

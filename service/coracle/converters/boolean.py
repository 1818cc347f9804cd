"""One byte, 0 or 1: ``org.apache.kafka.connect.converters.BooleanConverter``.

Source:
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/converters/BooleanConverter.html
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
from coracle.api.schema import BOOLEAN
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.one_by_one import one_by_one

_OPTIONAL_BOOLEAN = BOOLEAN.as_optional()
_VALUES = {b"\0": False, b"\1": True}


class BooleanConverter(Converter):
    """Reads and writes booleans as one byte."""

    spec = ConfigSpec([CONVERTER_TYPE])

    def configure(self, config: Config, kind: ConverterKind) -> None:
        """There is nothing to set."""

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """Optional booleans.

        Raises:
            BatchError: with a ``DataError`` for everything but one byte of 0 or 1.
        """
        return Column(one_by_one(_read, data), [_OPTIONAL_BOOLEAN])

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """One byte for each boolean.

        Raises:
            BatchError: with a ``DataError`` for every value of another type; for all of them
                when the schema has another type.
        """
        if schema is not None and schema.type is not Type.BOOLEAN and values:
            error = DataError(f"Invalid schema type for BooleanConverter: {schema.type}.")
            raise BatchError(dict.fromkeys(range(len(values)), error))
        return one_by_one(_write, values)


def _read(record: bytes) -> bool:
    if record in _VALUES:
        return _VALUES[record]
    reason = (
        f"Unexpected byte received by BooleanDeserializer: {record[0]}."
        if len(record) == 1
        else f"Size of data received by BooleanDeserializer is not 1 but {len(record)}."
    )
    raise DataError(
        f"Failed to deserialize boolean: {reason}",
        fix="Use the converter that belongs to the format the producer writes.",
    )


def _write(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    raise DataError(
        f"BooleanConverter is not compatible with objects of type {type(value).__name__}."
    )

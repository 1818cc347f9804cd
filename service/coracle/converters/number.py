"""Numbers in big-endian bytes: ``org.apache.kafka.connect.converters``' Short, Integer, Long, Float
and DoubleConverter.

They differ in the type only, so they are one class with three facts each. A batch without nulls is
packed and unpacked in one call.

Source: https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/converters/NumberConverter.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar

from coracle.api import (
    BatchError,
    Column,
    Config,
    ConfigSpec,
    Converter,
    ConverterKind,
    DataError,
    Schema,
)
from coracle.api.schema import (
    DATE,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    TIME,
    TIMESTAMP,
)
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.one_by_one import one_by_one


class NumberConverter(Converter):
    """What the converters of numbers share.

    Attributes:
        schema: the type that is read, optional, and the only one that is written.
        code: its letter in ``struct`` formats.
        word: what Kafka Connect's messages call it.
    """

    spec = ConfigSpec([CONVERTER_TYPE])
    schema: ClassVar[Schema]
    code: ClassVar[str]
    word: ClassVar[str]

    def configure(self, config: Config, kind: ConverterKind) -> None:
        """There is nothing to set."""
        self._format = struct.Struct(f">{self.code}")
        self._kinds = {float, int} if self.code in "fd" else {int}

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """Optional numbers.

        Raises:
            BatchError: with a ``DataError`` for every record of another size.
        """
        size = self._format.size
        if None not in data and set(map(len, data)) == {size}:  # type: ignore[arg-type]
            values: list[Any] = list(
                struct.unpack(f">{len(data)}{self.code}", b"".join(data))  # type: ignore[arg-type]
            )
        else:
            values = one_by_one(self._read, data)
        return Column(values, [self.schema])

    def _read(self, record: bytes) -> Any:
        if len(record) == self._format.size:
            return self._format.unpack(record)[0]
        raise DataError(
            f"Failed to deserialize {self.word}: Size of data received by"
            f" {self.word.capitalize()}Deserializer is not {self._format.size} but {len(record)}.",
            fix="Use the converter that belongs to the format the producer writes.",
        )

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """The bytes of each number.

        Raises:
            BatchError: with a ``DataError`` for every value of another type or out of range; for
                all but ``None`` when the schema has another type.
        """
        if schema is not None and (
            schema.type is not self.schema.type or schema.name in (DATE, TIME, TIMESTAMP)
        ):
            failures: dict[int, Exception] = {
                index: self._refusal(schema.name or str(schema.type))
                for index, value in enumerate(values)
                if value is not None
            }
            if failures:
                raise BatchError(failures)
        return one_by_one(self._write, values)

    def _write(self, value: Any) -> bytes:
        if type(value) not in self._kinds:
            raise self._refusal(type(value).__name__)
        try:
            return self._format.pack(value)
        except (struct.error, OverflowError):
            raise DataError(
                f"Failed to serialize to {self.word}: the number is out of range."
            ) from None

    def _refusal(self, what: str) -> DataError:
        return DataError(
            f"Failed to serialize to {self.word} (was {what}).",
            fix="Use the converter that belongs to the type of the value.",
        )


class ShortConverter(NumberConverter):
    """Two bytes, INT16."""

    schema = INT16.as_optional()
    code = "h"
    word = "short"


class IntegerConverter(NumberConverter):
    """Four bytes, INT32."""

    schema = INT32.as_optional()
    code = "i"
    word = "integer"


class LongConverter(NumberConverter):
    """Eight bytes, INT64."""

    schema = INT64.as_optional()
    code = "q"
    word = "long"


class FloatConverter(NumberConverter):
    """Four bytes, FLOAT32."""

    schema = FLOAT32.as_optional()
    code = "f"
    word = "float"


class DoubleConverter(NumberConverter):
    """Eight bytes, FLOAT64."""

    schema = FLOAT64.as_optional()
    code = "d"
    word = "double"

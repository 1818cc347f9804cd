"""Any converter as a header converter.

In Kafka Connect every converter may stand in ``header.converter`` too; a header is then converted
like a value.
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/storage/HeaderConverter.html
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from coracle.api import BatchError, Config, ConnectError, Converter, Header, HeaderConverter

T = TypeVar("T")


class ConverterAsHeaderConverter(HeaderConverter):
    """Converts headers with a converter of values.

    Args:
        converter: a fresh instance; ``configure`` configures it. Its ``spec`` holds the keys.
    """

    def __init__(self, converter: Converter) -> None:
        self.converter = converter

    def configure(self, config: Config) -> None:
        """Configure the converter, as one of headers."""
        self.converter.configure(config, "header")

    def to_connect_header(self, topic: str, name: str, data: bytes | None) -> Header:
        """Deserialize one header.

        Raises:
            DataError: when the converter cannot read it.
        """
        column = self._result(self.converter.to_connect(topic, [data]))
        return Header(name, column.schemas[0], column.values[0])

    def from_connect_header(self, topic: str, header: Header) -> bytes | None:
        """Serialize one header.

        Raises:
            DataError: when the converter cannot write it.
        """
        return self._result(self.converter.from_connect(topic, header.schema, [header.value]))[0]

    def _result(self, conversion: Coroutine[Any, Any, T]) -> T:
        # Headers are converted in passing, between two waits of the task, so a converter has to
        # answer at once. All that need no network do.
        try:
            conversion.send(None)
        except StopIteration as finished:
            return finished.value
        except BatchError as error:
            raise error.first from None
        conversion.close()
        raise ConnectError(
            f"{type(self.converter).__name__} has to wait for the network and cannot convert"
            " headers.",
            fix="Choose another header.converter.",
        )

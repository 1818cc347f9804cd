"""Headers as readable text: ``org.apache.kafka.connect.storage.SimpleHeaderConverter``, the
default.

It writes values as text and guesses their types when reading; see ``header_values`` for the rules.
Source:
https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/storage/SimpleHeaderConverter.html
"""

from __future__ import annotations

from coracle.api import Config, ConfigSpec, DataError, Header, HeaderConverter
from coracle.api.schema import STRING
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.header_values import parse, to_text


class SimpleHeaderConverter(HeaderConverter):
    """Reads and writes headers as text whose type is inferred."""

    spec = ConfigSpec([CONVERTER_TYPE])

    def configure(self, config: Config) -> None:
        """There is nothing to set."""

    def to_connect_header(self, topic: str, name: str, data: bytes | None) -> Header:
        """The value that the text means; what is no UTF-8 is read with U+FFFD, as Java does."""
        if data is None:
            return Header(name, None, None)
        if not data:
            return Header(name, STRING, "")
        return Header(name, *parse(data.decode(errors="replace")))

    def from_connect_header(self, topic: str, header: Header) -> bytes | None:
        """The text of the value in UTF-8; ``None`` for ``None``.

        Raises:
            DataError: for what has no text.
        """
        if header.value is None:
            return None
        try:
            return to_text(header.schema, header.value).encode()
        except UnicodeEncodeError as error:
            reason = error.reason
            raise DataError(f"The header {header.key} is no Unicode text: {reason}.") from None

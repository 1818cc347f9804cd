"""JSON with and without schemas: ``org.apache.kafka.connect.json.JsonConverter``.

With ``schemas.enable`` every record is an envelope ``{"schema": …, "payload": …}``, so the same
schema text is repeated in front of every payload. Parsing it again and again would cost four times
what the payload costs. The reader therefore learns *frames*: the bytes up to and including
``"payload":``, checked once by parsing them with a null payload. A record that begins with a known
frame and ends with ``}`` needs only what is in between parsed, and since frame + any JSON value +
``}`` is always an envelope with that schema, nothing is lost by it. Checks and translations of
payloads are compiled per schema and run over whole batches (``json_read``); interleaved schemas are
sorted out by frame and returned as codes.

Whatever does not fit (a tombstone, an envelope in another order, a bad record) is read by itself,
the careful way, which also finds the words for the error.

Differences from the JVM, all on the side of not altering data: see ``json_read``; moreover bytes
after the JSON value are an error instead of being ignored.

Source: https://kafka.apache.org/43/javadoc/org/apache/kafka/connect/json/JsonConverter.html,
KIP-481 (decimal.format), KIP-581 (replace.null.with.default), KIP-1054 (schema.content).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import compress, islice, repeat
from operator import itemgetter, not_
from typing import Any, NamedTuple

import orjson

from coracle.api import (
    BatchError,
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
    OneOf,
    Schema,
)
from coracle.converters.converter_type import CONVERTER_TYPE
from coracle.converters.json_columns import MismatchError, Step
from coracle.converters.json_read import InexactError, compile_reader, exact_loads
from coracle.converters.json_write import compile_writer, dump, dump_schemaless
from coracle.converters.schema_json import schema_from_json, schema_to_json

_ENVELOPE_EXPECTED = (
    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain'
    " additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false"
    " in your converter configuration."
)
_PAYLOAD = re.compile(rb'"payload"\s*:\s*')
_CLOSING_BRACE = ord("}")
_FRAME_ATTEMPTS = 3
_PASSES = 4


class JsonConverter(Converter):
    """Reads and writes JSON, with the schema in an envelope or without any schema."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "schemas.enable",
                ConfigType.BOOLEAN,
                True,
                "Whether each value comes with its schema in an envelope. false reads and writes"
                " plain JSON.",
                Importance.HIGH,
            ),
            ConfigKey(
                "schemas.cache.size",
                ConfigType.INT,
                1000,
                "How many schemas are kept ready for use.",
                Importance.HIGH,
            ),
            ConfigKey(
                "schema.content",
                ConfigType.STRING,
                None,
                "A schema, as JSON, for all values that are read: they are then payloads without"
                " an envelope. Needs schemas.enable.",
                Importance.HIGH,
            ),
            ConfigKey(
                "decimal.format",
                ConfigType.STRING,
                "BASE64",
                "How decimals are written: BASE64 of their unscaled bytes, or NUMERIC as JSON"
                " numbers. Both are understood when reading.",
                Importance.LOW,
                OneOf(("BASE64", "NUMERIC"), ignore_case=True),
            ),
            ConfigKey(
                "replace.null.with.default",
                ConfigType.BOOLEAN,
                True,
                "Whether a field that is null takes the default of its schema.",
                Importance.LOW,
            ),
            CONVERTER_TYPE,
        ]
    )

    def configure(self, config: Config, kind: ConverterKind) -> None:
        """Take the settings.

        Raises:
            ConfigError: when ``schema.content`` is no schema.
        """
        replace_null = config["replace.null.with.default"]
        cache_size = max(1, config["schemas.cache.size"])
        envelopes = config["schemas.enable"]
        self._writer = _Writer(
            envelopes, config["decimal.format"].upper() == "NUMERIC", replace_null, cache_size
        )
        if not envelopes:
            self._read: Callable[[Sequence[bytes | None]], Column] = _read_plain
        elif config["schema.content"]:
            self._read = _FixedReader(config["schema.content"], replace_null).read
        else:
            self._read = _EnvelopeReader(replace_null, cache_size).read

    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """Deserialize; ``None`` stays ``None`` without a schema.

        Struct values are dicts with exactly the fields of their schema, in its order. The same
        schema text always yields the same ``Schema`` object (while it is among the last
        ``schemas.cache.size``).

        Raises:
            BatchError: with a ``DataError`` for every record that is no JSON, no envelope, or whose
                payload contradicts its schema.
        """
        return self._read(data)

    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """Serialize; ``None`` without a schema stays ``None``, with an optional one it is ``null``.

        Raises:
            BatchError: with a ``DataError`` for every value that contradicts the schema or has no
                form in JSON.
            DataError: when the schema itself cannot be written.
        """
        return self._writer.write(schema, values)


class _PayloadReader:
    """Parses and checks payloads of one schema; ``schema`` is the one object that stands for it."""

    def __init__(self, schema: Schema | None, replace_null: bool) -> None:
        self.schema = schema
        self._check: Step = (
            _unchanged if schema is None else compile_reader(schema, replace_null=replace_null)
        )
        self._loads: Callable[[bytes], Any] = orjson.loads

    def read(self, texts: list[bytes]) -> list[Any]:
        """The values of JSON texts.

        Raises:
            ValueError: one of them is no JSON.
            MismatchError: one of them contradicts the schema.
        """
        try:
            return self._check(list(map(self._loads, texts)))
        except InexactError:
            # Once a topic has decimals as fractions it will go on having them.
            self._loads = exact_loads
            return self._check(list(map(exact_loads, texts)))

    def check(self, payload: Any) -> Any:
        """The value of one payload from ``exact_loads``."""
        return self._check([payload])[0]


def _unchanged(column: list[Any]) -> list[Any]:
    return column


class _Frame(NamedTuple):
    """The bytes in front of a payload and what they say about it."""

    prefix: bytes
    payloads: _PayloadReader

    def read(self, records: list[bytes]) -> list[Any]:
        """The values of records that all begin with the prefix.

        Raises:
            ValueError, MismatchError: as ``_PayloadReader.read``.
        """
        if set(map(itemgetter(-1), records)) != {_CLOSING_BRACE}:
            raise ValueError("an envelope does not end with its closing brace")
        start = len(self.prefix)
        return self.payloads.read([record[start:-1] for record in records])


class _EnvelopeReader:
    """Reads envelopes a batch at a time. See the module's opening."""

    def __init__(self, replace_null: bool, cache_size: int) -> None:
        self._replace_null = replace_null

        @lru_cache(cache_size)
        def payloads_of(schema: Schema | None) -> _PayloadReader:
            return _PayloadReader(schema, replace_null)

        @lru_cache(cache_size)
        def frame(prefix: bytes) -> _Frame | None:
            try:
                envelope = exact_loads(prefix + b"null}")
            except ValueError:
                return None
            if not _is_envelope(envelope) or envelope["payload"] is not None:
                return None
            return _Frame(prefix, payloads_of(self._schema(envelope)))

        self._payloads_of = payloads_of
        self._frame = frame

    def _schema(self, envelope: dict[str, Any]) -> Schema | None:
        return schema_from_json(envelope["schema"], replace_null=self._replace_null)

    def _frame_of(self, record: bytes) -> _Frame | None:
        # The word may occur within the schema as well, so look for it more than once.
        for match in islice(_PAYLOAD.finditer(record), _FRAME_ATTEMPTS):
            try:
                frame = self._frame(record[: match.end()])
            except (DataError, MismatchError, RecursionError):
                return None
            if frame is not None:
                return frame
        return None

    def read(self, data: Sequence[bytes | None]) -> Column:
        """The column of values of a batch of envelopes, ``None`` for ``None``."""
        table = _Table(len(data))
        for frame, indexes in self._by_frame(data):
            records: list[Any] = (
                list(data) if len(indexes) == len(data) else [data[index] for index in indexes]
            )
            self._read_group(frame, indexes, records, table)
        return table.column()

    def _read_group(
        self, frame: _Frame | None, indexes: Sequence[int], records: list[Any], table: _Table
    ) -> None:
        """Read records of one frame together; halve them as long as that fails."""
        if frame is not None:
            try:
                table.add(frame.payloads.schema, indexes, frame.read(records))
                return
            except (ValueError, MismatchError):
                pass
            if len(records) > 1:
                middle = len(records) // 2
                self._read_group(frame, indexes[:middle], records[:middle], table)
                self._read_group(frame, indexes[middle:], records[middle:], table)
                return
        for index, record in zip(indexes, records, strict=True):
            try:
                schema, value = self._read_one(record)
            except DataError as error:
                table.failures[index] = error
            else:
                table.add(schema, [index], [value])

    def _by_frame(
        self, data: Sequence[bytes | None]
    ) -> Iterator[tuple[_Frame | None, Sequence[int]]]:
        """Indexes of records grouped by frame; ``None`` for what is no envelope at first sight."""
        rest: Sequence[int] = range(len(data))
        if None in data:
            yield None, [index for index in rest if data[index] is None]
            rest = [index for index in rest if data[index] is not None]
        # Comparing beginnings takes 50 ns a record, finding and hashing them 400 ns, so the first
        # few frames are sorted out by comparison.
        for _ in range(_PASSES):
            if not rest:
                return
            first: Any = data[rest[0]]
            frame = self._frame_of(first)
            if frame is None:
                break
            records: Sequence[Any] = (
                data if len(rest) == len(data) else [data[index] for index in rest]
            )
            hits = list(map(bytes.startswith, records, repeat(frame.prefix)))
            if all(hits):
                yield frame, rest
                return
            yield frame, list(compress(rest, hits))
            rest = list(compress(rest, map(not_, hits)))
        groups: dict[_Frame | None, list[int]] = {}
        for index in rest:
            record: Any = data[index]
            groups.setdefault(self._frame_of(record), []).append(index)
        yield from groups.items()

    def _read_one(self, record: bytes | None) -> tuple[Schema | None, Any]:
        """The careful way for one record.

        Raises:
            DataError: saying what is wrong with it.
        """
        if record is None:
            return None, None
        envelope = _parse(exact_loads, record)
        if not _is_envelope(envelope):
            raise DataError(_ENVELOPE_EXPECTED)
        try:
            schema = self._schema(envelope)
            payloads = self._payloads_of(schema)
        except MismatchError as error:
            raise DataError(f"The schema makes no sense: {error}") from None
        except RecursionError:
            raise DataError("The schema is nested too deeply") from None
        if schema is None:
            # Without a schema fractions are floats, which exact_loads does not make.
            return None, _parse(orjson.loads, record)["payload"]
        try:
            return payloads.schema, payloads.check(envelope["payload"])
        except MismatchError as error:
            raise _contradiction(error) from None


class _FixedReader:
    """Reads payloads without envelopes, all of the schema in ``schema.content``."""

    def __init__(self, content: str, replace_null: bool) -> None:
        try:
            schema = schema_from_json(
                _parse(exact_loads, content.encode()), replace_null=replace_null
            )
            self._payloads = _PayloadReader(schema, replace_null)
        except (DataError, MismatchError) as error:
            raise ConfigError(
                f"Invalid value for configuration schema.content: {error}",
                field="schema.content",
                fix='It must be a schema in JSON, such as {"type": "string", "optional": true}.',
            ) from None

    def read(self, data: Sequence[bytes | None]) -> Column:
        table = _Table(len(data))
        indexes: Sequence[int] = range(len(data))
        if None in data:
            tombstones = [index for index in indexes if data[index] is None]
            table.add(None, tombstones, [None] * len(tombstones))
            indexes = [index for index in indexes if data[index] is not None]
        records: list[Any] = [data[index] for index in indexes]
        schema = self._payloads.schema
        try:
            table.add(schema, indexes, self._payloads.read(records))
        except (ValueError, MismatchError):
            for index, record in zip(indexes, records, strict=True):
                try:
                    payload = _parse(exact_loads if schema else orjson.loads, record)
                    table.add(schema, [index], [self._payloads.check(payload)])
                except DataError as error:
                    table.failures[index] = error
                except MismatchError as error:
                    table.failures[index] = _contradiction(error)
        return table.column()


def _read_plain(data: Sequence[bytes | None]) -> Column:
    """The column of schemaless values of JSON texts; ``None`` and no bytes at all are ``None``."""
    try:
        # loads refuses None and empty bytes, so the common case needs no look at each record.
        return Column(list(map(orjson.loads, data)), [None])  # type: ignore[arg-type]
    except ValueError:
        pass
    values: list[Any] = []
    failures: dict[int, Exception] = {}
    for index, record in enumerate(data):
        try:
            values.append(_parse(_plain_loads, record) if record else None)
        except DataError as error:
            failures[index] = error
    if failures:
        raise BatchError(failures)
    return Column(values, [None])


def _plain_loads(record: bytes) -> Any:
    return orjson.loads(record.removeprefix(b"\xef\xbb\xbf"))


class _Table:
    """Collects values that come group by group into one column with schemas and codes."""

    def __init__(self, size: int) -> None:
        self._values: list[Any] = [None] * size
        self._codes = [0] * size
        self._code_of: dict[Schema | None, int] = {}
        self.failures: dict[int, Exception] = {}

    def add(self, schema: Schema | None, indexes: Sequence[int], values: list[Any]) -> None:
        """Put the values of one schema at their places."""
        if not indexes:
            return
        code = self._code_of.setdefault(schema, len(self._code_of))
        if len(indexes) == len(self._values):
            self._values = values
            return
        own, codes = self._values, self._codes
        if code == 0:
            for index, value in zip(indexes, values, strict=True):
                own[index] = value
            return
        for index, value in zip(indexes, values, strict=True):
            own[index] = value
            codes[index] = code

    def column(self) -> Column:
        """The column.

        Raises:
            BatchError: when there were failures.
        """
        if self.failures:
            raise BatchError(self.failures)
        schemas = list(self._code_of) or [None]
        return Column(self._values, schemas, self._codes if len(schemas) > 1 else None)


class _PayloadWriter(NamedTuple):
    """How values of one schema become bytes: what comes before and after, and what in between."""

    before: bytes
    dump: Callable[[list[Any]], list[bytes]]
    after: bytes

    def write(self, values: list[Any]) -> list[bytes]:
        """The JSON texts.

        Raises:
            MismatchError: for the first value that contradicts the schema.
        """
        texts = self.dump(values)
        if not self.before:
            return texts
        before, after = self.before, self.after
        return [before + text + after for text in texts]


class _Writer:
    """Writes values of any schema; what depends on the schema only is prepared once."""

    def __init__(self, envelopes: bool, numeric: bool, replace_null: bool, cache_size: int) -> None:
        @lru_cache(cache_size)
        def writer_of(schema: Schema | None) -> _PayloadWriter:
            try:
                dump_column = dump_schemaless if schema is None else payloads(schema)
                if not envelopes:
                    return _PayloadWriter(b"", dump_column, b"")
                (text,) = dump([schema_to_json(schema, numeric=numeric)])
            except MismatchError as error:
                raise DataError(f"The schema cannot be written as JSON: {error}") from None
            return _PayloadWriter(b'{"schema":' + text + b',"payload":', dump_column, b"}")

        def payloads(schema: Schema) -> Callable[[list[Any]], list[bytes]]:
            translate = compile_writer(schema, numeric=numeric, replace_null=replace_null)
            return lambda values: dump(translate(values))

        self._writer_of = writer_of

    def write(self, schema: Schema | None, values: Sequence[Any]) -> list[bytes | None]:
        """The bytes of each value, ``None`` for ``None`` without a schema."""
        writer = self._writer_of(schema)
        written: list[bytes | None] = [None] * len(values)
        failures: dict[int, Exception] = {}
        if schema is None and None in values:
            indexes = [index for index, value in enumerate(values) if value is not None]
            _write(writer, indexes, [values[index] for index in indexes], written, failures)
        else:
            _write(writer, range(len(values)), list(values), written, failures)
        if failures:
            raise BatchError(failures)
        return written


def _write(
    writer: _PayloadWriter,
    indexes: Sequence[int],
    part: list[Any],
    written: list[bytes | None],
    failures: dict[int, Exception],
) -> None:
    """Write values to their places, all together; halves as long as that fails.

    No closure over the results: one that calls itself is a cycle, and would keep all that was
    written until the next full garbage collection.
    """
    try:
        texts = writer.write(part)
    except MismatchError as error:
        if len(part) == 1:
            failures[indexes[0]] = DataError(str(error))
            return
        middle = len(part) // 2
        _write(writer, indexes[:middle], part[:middle], written, failures)
        _write(writer, indexes[middle:], part[middle:], written, failures)
        return
    if len(texts) == len(written):
        written[:] = texts
        return
    for index, text in zip(indexes, texts, strict=True):
        written[index] = text


def _is_envelope(node: Any) -> bool:
    return isinstance(node, dict) and node.keys() == {"schema", "payload"}


def _parse(loads: Callable[[bytes], Any], record: bytes) -> Any:
    """Parse one record.

    Raises:
        DataError: saying where it stops being JSON, and what the bytes may be instead.
    """
    try:
        return loads(record)
    except ValueError as error:
        fix = "Use the converter that belongs to the format the producer writes."
        if record[:1] == b"\0":
            fix = (
                "They begin with a 0 byte, as the serializers of a schema registry write it: use"
                " the converter of that format."
            )
        raise DataError(
            "Converting byte[] to Kafka Connect data failed due to serialization error:"
            f" the {len(record)} bytes are not JSON ({error}).",
            fix=fix,
        ) from None


def _contradiction(error: MismatchError) -> DataError:
    return DataError(
        str(error), fix="The payload contradicts the schema it came with: correct the producer."
    )

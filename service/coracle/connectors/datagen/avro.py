"""Avro schemas annotated for random data, compiled to column generators.

The annotations are those of Confluent's Avro random generator, the ``arg.properties`` of a type:
https://github.com/confluentinc/avro-random-generator#schema-annotations

    ===============  =======================================================================
    int, long        options, range {min, max}, iteration {start, restart, step, initial}
    float, double    options, range, iteration
    boolean          options, odds, iteration {start}
    string           options, regex, length, iteration, prefix, suffix
    bytes            length
    enum, record     options
    array, map       options, length, keys (map)
    ===============  =======================================================================

``options`` may be a list or ``{"file": …, "encoding": "json"}``. A field of ``["null", T]`` is null
half of the time. Not there, and refused with a message: unions of several types, ``options`` of
bytes and fixed, ``iteration`` below arrays and maps, ``distribution``, ``position`` and ``kind``.

A schema compiles to a function from (random numbers, iteration numbers) to a column, one value per
iteration number; a record zips the columns of its fields. Types become Connect's as in Confluent's
``AvroData``; values that no annotation narrows are drawn from the whole type (floats from 0 to 1,
strings of 8 to 15 letters and digits).
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from coracle.api import Schema, Type
from coracle.api.schema import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    STRING,
    TIME,
    TIMESTAMP,
    array,
    decimal,
    map_of,
    struct,
)
from coracle.connectors.datagen.regex import compile_pattern

Column = Callable[[Random, range], list[Any]]
"""Makes one value per iteration number; equal arguments give equal values."""


class Generated(NamedTuple):
    """A compiled schema: what the values mean, and the function that makes them."""

    schema: Schema
    column: Column


class SchemaError(ValueError):
    """The Avro schema cannot be used; the message names the field and why."""


_PRIMITIVES = {
    "int": INT32,
    "long": INT64,
    "float": FLOAT32,
    "double": FLOAT64,
    "boolean": BOOLEAN,
    "string": STRING,
    "bytes": BYTES,
}
_INTEGER_LIMITS = {"int": 2**31 - 1, "long": 2**63 - 1}
_LOGICAL = {"date": DATE, "time-millis": TIME, "timestamp-millis": TIMESTAMP}
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "enum": (str,),
    "record": (dict,),
    "array": (list,),
    "map": (dict,),
}
_KNOWN = {
    "int": {"options", "range", "iteration"},
    "long": {"options", "range", "iteration"},
    "float": {"options", "range", "iteration"},
    "double": {"options", "range", "iteration"},
    "boolean": {"options", "odds", "iteration"},
    "string": {"options", "regex", "length", "iteration", "prefix", "suffix"},
    "bytes": {"length"},
    "enum": {"options"},
    "fixed": set[str](),
    "record": {"options"},
    "array": {"options", "length"},
    "map": {"options", "length", "keys"},
}
_LETTERS = string.ascii_letters + string.digits
_ENUM = "io.confluent.connect.avro.Enum"
_DEFAULT_LENGTH = (8, 16)


def load(text: str) -> Generated:
    """Compile the JSON text of an Avro schema.

    Raises:
        SchemaError: when it is no JSON, or ``compile_record`` refuses it.
    """
    try:
        avro = json.loads(text)
    except ValueError as error:
        raise SchemaError(f"the schema is not JSON: {error}") from None
    return compile_record(avro)


def compile_record(avro: Any) -> Generated:
    """Compile a parsed Avro schema.

    Raises:
        SchemaError: when it is no record, or uses what the module's opening says is not there.
    """
    generated = _Compiler().compile(avro, "the schema", "")
    if generated.schema.type is not Type.STRUCT:
        raise SchemaError("the schema must be an Avro record")
    return generated


class _Compiler:
    """Compiles one schema; knows its named types and whether it is inside an array or map."""

    def __init__(self) -> None:
        self._named: dict[str, Generated] = {}
        self._repeated = 0

    def compile(self, avro: Any, where: str, namespace: str) -> Generated:
        if isinstance(avro, list):
            return self._union(avro, where, namespace)
        if isinstance(avro, str):
            avro = {"type": avro}
        if not isinstance(avro, dict) or "type" not in avro:
            raise SchemaError(f"{where}: {avro!r} is no Avro type")
        kind = avro["type"]
        if isinstance(kind, (dict, list)):
            return self.compile(kind, where, namespace)
        if kind not in _KNOWN:
            full = kind if "." in kind or not namespace else f"{namespace}.{kind}"
            if named := self._named.get(full) or self._named.get(kind):
                return named
            raise SchemaError(f"{where}: there is no Avro type {kind!r}")
        properties = self._properties(avro, kind, where)
        made = getattr(self, f"_{kind}", self._primitive)(avro, properties, where, namespace)
        schema = _annotated(made.schema, avro)
        column = made.column
        if "options" in properties:
            column = _pick(_options(properties["options"], kind, where))
        generated = Generated(schema, column)
        if "name" in avro:
            self._named[_full_name(avro, namespace)] = generated
        return generated

    def _properties(self, avro: Mapping[str, Any], kind: str, where: str) -> Mapping[str, Any]:
        properties = avro.get("arg.properties", {})
        if not isinstance(properties, dict):
            raise SchemaError(f"{where}: arg.properties must be an object")
        if unknown := sorted(set(properties) - _KNOWN[kind]):
            raise SchemaError(f"{where}: {unknown[0]!r} is not supported for the type {kind}")
        if "iteration" in properties and self._repeated:
            raise SchemaError(f"{where}: 'iteration' is not supported inside arrays and maps")
        return properties

    def _union(self, branches: Sequence[Any], where: str, namespace: str) -> Generated:
        others = [branch for branch in branches if branch != "null"]
        if len(others) != 1:
            raise SchemaError(f"{where}: only unions of null and one type are supported")
        inner = self.compile(others[0], where, namespace)
        if len(branches) == 1:
            return inner

        def column(random: Random, iterations: range) -> list[Any]:
            values = inner.column(random, iterations)
            return [value if random.random() < 0.5 else None for value in values]

        return Generated(inner.schema.as_optional(), column)

    def _primitive(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        kind = avro["type"]
        if avro.get("logicalType") == "decimal" and kind == "bytes":
            return _decimal(avro)
        if "iteration" in properties and kind != "boolean":
            column = _iteration(properties["iteration"], kind, where)
        else:
            column = _SCALARS[kind](properties, kind, where)
        return Generated(_PRIMITIVES[kind], column)

    def _enum(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        symbols = avro.get("symbols")
        if not symbols:
            raise SchemaError(f"{where}: an enum needs symbols")
        name = _full_name(avro, namespace)
        parameters = {_ENUM: name} | {f"{_ENUM}.{symbol}": symbol for symbol in symbols}
        return Generated(Schema(Type.STRING, name=name, parameters=parameters), _pick(symbols))

    def _fixed(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        size = avro["size"]
        schema = Schema(
            Type.BYTES,
            name=_full_name(avro, namespace),
            parameters={"connect.fixed.size": str(size)},
        )
        return Generated(schema, lambda random, its: [random.randbytes(size) for _ in its])

    def _record(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        name = _full_name(avro, namespace)
        inner_namespace = name.rpartition(".")[0]
        fields: dict[str, Schema] = {}
        columns: list[Column] = []
        for field in avro.get("fields", ()):
            place = f"the field {field['name']}"
            schema, column = self.compile(field["type"], place, inner_namespace)
            if "doc" in field:
                schema = schema.with_(doc=field["doc"])
            if field.get("default") is not None and schema.type.is_primitive:
                schema = schema.with_(default=field["default"])
            fields[field["name"]] = schema
            columns.append(column)
        if not fields:
            raise SchemaError(f"{where}: a record needs fields")
        names = tuple(fields)

        def rows(random: Random, iterations: range) -> list[Any]:
            made = [column(random, iterations) for column in columns]
            return [dict(zip(names, row, strict=True)) for row in zip(*made, strict=True)]

        return Generated(struct(fields, name=name), rows)

    def _array(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        item = self._inside(avro["items"], where, namespace)
        low, high = _length(properties, where)

        def column(random: Random, iterations: range) -> list[Any]:
            lengths = random.choices(range(low, high), k=len(iterations))
            items = iter(item.column(random, range(sum(lengths))))
            return [[next(items) for _ in range(length)] for length in lengths]

        return Generated(array(item.schema), column)

    def _map(
        self, avro: Mapping[str, Any], properties: Mapping[str, Any], where: str, namespace: str
    ) -> Generated:
        keyed = {"type": "string", "arg.properties": properties.get("keys", {})}
        key = self._inside(keyed, where, namespace)
        member = self._inside(avro["values"], where, namespace)
        low, high = _length(properties, where)

        def column(random: Random, iterations: range) -> list[Any]:
            lengths = random.choices(range(low, high), k=len(iterations))
            total = range(sum(lengths))
            pairs = iter(zip(key.column(random, total), member.column(random, total), strict=True))
            return [dict(next(pairs) for _ in range(length)) for length in lengths]

        return Generated(map_of(STRING, member.schema), column)

    def _inside(self, avro: Any, where: str, namespace: str) -> Generated:
        self._repeated += 1
        try:
            return self.compile(avro, where, namespace)
        finally:
            self._repeated -= 1


def _annotated(schema: Schema, avro: Mapping[str, Any]) -> Schema:
    """Names that stand beside the type: logical types, ``connect.name`` and ``doc``."""
    changes: dict[str, Any] = {}
    if (name := _LOGICAL.get(avro.get("logicalType", ""))) and schema.name is None:
        changes = {"name": name, "version": 1}
    if "connect.name" in avro:
        changes["name"] = avro["connect.name"]
    if "connect.version" in avro:
        changes["version"] = avro["connect.version"]
    if "doc" in avro:
        changes["doc"] = avro["doc"]
    return schema.with_(**changes) if changes else schema


def _full_name(avro: Mapping[str, Any], namespace: str) -> str:
    name = avro.get("name", "")
    namespace = avro.get("namespace", namespace)
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _pick(values: Sequence[Any]) -> Column:
    return lambda random, iterations: random.choices(values, k=len(iterations))


def _options(options: Any, kind: str, where: str) -> Sequence[Any]:
    if isinstance(options, dict):
        if options.get("encoding") != "json" or "file" not in options:
            raise SchemaError(f'{where}: options must be a list or {{"file", "encoding": "json"}}')
        try:
            options = json.loads(Path(options["file"]).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SchemaError(f"{where}: cannot read the options: {error}") from None
    if not isinstance(options, list) or not options:
        raise SchemaError(f"{where}: options must be a list of at least one value")
    expected = _PYTHON_TYPES[kind]
    for option in options:
        wrong_bool = isinstance(option, bool) and bool not in expected
        if wrong_bool or not isinstance(option, expected):
            raise SchemaError(f"{where}: the option {option!r} is no {kind}")
    return [float(option) for option in options] if float in expected else options


def _bounds(properties: Mapping[str, Any], default: tuple[Any, Any], where: str) -> tuple[Any, Any]:
    given = properties.get("range", {})
    low, high = given.get("min", default[0]), given.get("max", default[1])
    if not low < high:
        raise SchemaError(f"{where}: the range from {low} to {high} is empty")
    return low, high


def _integer(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    limit = _INTEGER_LIMITS[kind]
    low, high = _bounds(properties, (-limit - 1, limit), where)
    low, span = int(low), int(high) - int(low)
    return lambda random, its: [low + int(random.random() * span) for _ in its]


def _real(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    low, high = _bounds(properties, (0.0, 1.0), where)
    span = high - low
    return lambda random, its: [low + random.random() * span for _ in its]


def _boolean(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    if "iteration" in properties:
        first = bool(properties["iteration"].get("start", False))
        return lambda random, its: [(number % 2 == 0) is first for number in its]
    odds = properties.get("odds", 0.5)
    return lambda random, its: [random.random() < odds for _ in its]


def _string(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    if "regex" in properties:
        column = _matching(properties["regex"], where)
    else:
        column = _letters(*_length(properties, where))
    prefix, suffix = properties.get("prefix", ""), properties.get("suffix", "")
    if prefix or suffix:
        return lambda random, its: [f"{prefix}{text}{suffix}" for text in column(random, its)]
    return column


def _matching(pattern: str, where: str) -> Column:
    try:
        strings = compile_pattern(pattern)
    except ValueError as error:
        raise SchemaError(f"{where}: {error}") from None
    return lambda random, its: strings(random, len(its))


def _letters(low: int, high: int) -> Column:
    def column(random: Random, iterations: range) -> list[Any]:
        lengths = random.choices(range(low, high), k=len(iterations))
        return ["".join(random.choices(_LETTERS, k=length)) for length in lengths]

    return column


def _bytes(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    low, high = _length(properties, where)
    return lambda random, its: [random.randbytes(random.randrange(low, high)) for _ in its]


_SCALARS: Mapping[str, Callable[[Mapping[str, Any], str, str], Column]] = {
    "int": _integer,
    "long": _integer,
    "float": _real,
    "double": _real,
    "boolean": _boolean,
    "string": _string,
    "bytes": _bytes,
}


def _length(properties: Mapping[str, Any], where: str) -> tuple[int, int]:
    """The least length and the first that is too long."""
    length = properties.get("length", {})
    if isinstance(length, int):
        return length, length + 1
    low = length.get("min", _DEFAULT_LENGTH[0] if "max" not in length else 0)
    high = length.get("max", max(_DEFAULT_LENGTH[1], low + 1))
    if not 0 <= low < high:
        raise SchemaError(f"{where}: the length from {low} to {high} is empty")
    return low, high


def _iteration(properties: Mapping[str, Any], kind: str, where: str) -> Column:
    """Start, start + step, …; back to start at restart, which is the type's end by default."""
    if "start" not in properties:
        raise SchemaError(f"{where}: iteration needs a start")
    start = properties["start"]
    initial = properties.get("initial", start)
    limit = _INTEGER_LIMITS["int" if kind == "int" else "long"]
    step = properties.get("step")
    restart = properties.get("restart", limit if step is None or step > 0 else -limit - 1)
    if restart == start or step == 0:
        raise SchemaError(f"{where}: iteration never moves away from its start")
    step = step if step is not None else 1 if restart > start else -1
    if (step > 0) is not (restart > start):
        raise SchemaError(f"{where}: iteration's step moves away from its restart")
    convert = {"int": int, "long": int, "string": str}.get(kind, float)
    span, first = restart - start, initial - start
    return lambda random, its: [convert(start + (first + n * step) % span) for n in its]


def _decimal(avro: Mapping[str, Any]) -> Generated:
    precision, scale = avro["precision"], avro.get("scale", 0)
    largest = 10**precision

    def column(random: Random, iterations: range) -> list[Any]:
        return [Decimal(random.randrange(largest)).scaleb(-scale) for _ in iterations]

    return Generated(decimal(scale, precision=precision), column)

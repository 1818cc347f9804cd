"""InsertField: adds where a record comes from, or a constant, as fields.

A partition or timestamp that a record does not have yet (sources leave the partition to the
producer) is null in a struct and left out of a map. Offsets are Kafka's, so only sinks have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from coracle.api import (
    BatchError,
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    DataError,
    Field,
    RecordBatch,
    Schema,
)
from coracle.api.schema import INT32, INT64, STRING, TIMESTAMP_SCHEMA
from coracle.transforms.fields import (
    REPLACE_NULL_WITH_DEFAULT,
    Compiled,
    FieldTransform,
    StructReader,
    column_function,
    has_defaults,
    literal,
    struct_like,
)

_SCHEMAS = {
    "topic": STRING,
    "partition": INT32,
    "offset": INT64,
    "timestamp": TIMESTAMP_SCHEMA,
    "static": STRING,
}


class _Insertion(NamedTuple):
    """A field to insert: what (a key of ``_SCHEMAS``), its name and its schema."""

    what: str
    name: str
    schema: Schema


def _insertion(what: str, setting: str) -> _Insertion:
    """Read ``name``, ``name?`` (optional, the default) or ``name!`` (required)."""
    schema = _SCHEMAS[what]
    if setting.endswith("!"):
        return _Insertion(what, setting[:-1], schema)
    return _Insertion(what, setting.removesuffix("?"), schema.as_optional())


def _complete(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    if all(values[f"{what}.field"] is None for what in _SCHEMAS):
        return [
            ConfigError(
                "No field insertion configured.",
                fix="Set one of " + ", ".join(f"{what}.field" for what in _SCHEMAS) + ".",
            )
        ]
    if values["static.field"] is not None and values["static.value"] is None:
        return [
            ConfigError(
                "Invalid value null for configuration static.value: "
                f"No value specified for static field: {values['static.field']}.",
                field="static.value",
                code="missing",
            )
        ]
    return []


def _field_key(what: str, doc: str) -> ConfigKey:
    return ConfigKey(
        f"{what}.field",
        ConfigType.STRING,
        None,
        f"{doc} Suffix with ! to make this a required field, or ? to keep it optional (the "
        "default).",
    )


class InsertField(FieldTransform):
    """Inserts fields from record metadata or a configured constant."""

    purpose = "field insertion"
    spec = ConfigSpec(
        [
            _field_key("topic", "Field name for Kafka topic."),
            _field_key("partition", "Field name for Kafka partition."),
            _field_key("offset", "Field name for Kafka offset, only applicable to sinks."),
            _field_key("timestamp", "Field name for record timestamp."),
            _field_key("static", "Field name for static data field."),
            ConfigKey(
                "static.value",
                ConfigType.STRING,
                None,
                "Static field value, if field name configured.",
            ),
            REPLACE_NULL_WITH_DEFAULT,
        ],
        checks=(_complete,),
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._insertions = [
            _insertion(what, config[f"{what}.field"])
            for what in _SCHEMAS
            if config[f"{what}.field"] is not None
        ]
        self._columns = [each.what for each in self._insertions if each.what != "static"]
        self._constants = {"static": config["static.value"]}
        self._defaults: bool = config["replace.null.with.default"]

    def context(self, batch: RecordBatch) -> Sequence[Sequence[Any]]:
        """The columns to insert."""
        if "offset" in self._columns and batch.origin is None:
            read = batch.keys if self.reads == "key" else batch.values
            error = DataError(
                f"Only SinkRecord supported for [{self.purpose}], found: "
                "org.apache.kafka.connect.source.SourceRecord",
                fix="Remove offset.field: records of a source have no Kafka offset yet.",
            )
            failures = {index: error for index, value in enumerate(read) if value is not None}
            if failures:
                raise BatchError(failures)
        return [_column(batch, what) for what in self._columns]

    def compile(self, schema: Schema) -> Compiled:
        """The fields of the struct, then the inserted ones."""
        fields = [*schema.fields, *(Field(each.name, each.schema) for each in self._insertions)]
        updated = struct_like(schema, fields)
        old, constants = "**v", dict(self._constants)
        if self._defaults and has_defaults(schema):
            reader = StructReader(schema, defaults=True)
            old = reader.fields((name, name) for name in schema.field_names)
            constants |= reader.constants
        new = ", ".join(f"{literal(each.name)}: {each.what}" for each in self._insertions)
        return Compiled(
            updated, column_function(f"{{{old}, {new}}}", ("v", *self._columns), constants)
        )

    def compile_schemaless(self) -> Compiled:
        """The entries of the map, overwritten or followed by the inserted ones."""
        new = ", ".join(
            f"**({{{literal(each.name)}: {each.what}}} if {each.what} is not None else nothing)"
            if each.what in ("partition", "timestamp")
            else f"{literal(each.name)}: {each.what}"
            for each in self._insertions
        )
        constants = {**self._constants, "nothing": {}}
        return Compiled(None, column_function(f"{{**v, {new}}}", ("v", *self._columns), constants))


def _column(batch: RecordBatch, what: str) -> Sequence[Any]:
    if what == "offset":
        return batch.offsets
    if what == "timestamp":
        return batch.timestamps
    if what == "partition":
        if batch.origin is not None:
            return [batch.origin.partition] * len(batch)
        return batch.partitions if batch.partitions is not None else [None] * len(batch)
    if batch.codes is None:
        return [schema.topic for schema in batch.schemas[:1]] * len(batch)
    topics = [schema.topic for schema in batch.schemas]
    return [topics[code] for code in batch.codes]


class InsertFieldKey(InsertField):
    """``InsertField$Key``: into the record key."""

    reads = writes = "key"


class InsertFieldValue(InsertField):
    """``InsertField$Value``: into the record value."""

    reads = writes = "value"

"""ValueToKey: makes a new key from fields of the value.

A value that is null is an error, as in Java: put the transform behind a predicate where tombstones
occur.
"""

from __future__ import annotations

from coracle.api import (
    Config,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    DataError,
    Field,
    Importance,
    Schema,
    Type,
)
from coracle.transforms.fields import (
    REPLACE_NULL_WITH_DEFAULT,
    Compiled,
    FieldNames,
    FieldTransform,
    Nulls,
    StructReader,
    column_function,
    literal,
)


class ValueToKey(FieldTransform):
    """Replaces the record key with a struct or map of some fields of the value."""

    reads = "value"
    writes = "key"
    nulls = Nulls.REFUSE
    purpose = "copying fields from value to key"
    spec = ConfigSpec(
        [
            ConfigKey(
                "fields",
                ConfigType.LIST,
                doc="Field names on the record value to extract as the record key.",
                importance=Importance.HIGH,
                validator=FieldNames(required=True),
            ),
            REPLACE_NULL_WITH_DEFAULT,
        ]
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._fields = tuple(dict.fromkeys(config["fields"]))
        self._defaults: bool = config["replace.null.with.default"]

    def compile(self, schema: Schema) -> Compiled:
        """A nameless struct of the fields."""
        for name in self._fields:
            if name not in schema.by_name:
                raise DataError(f"Field does not exist: {name}")
        key = Schema(
            Type.STRUCT, fields=tuple(Field(name, schema.by_name[name]) for name in self._fields)
        )
        reader = StructReader(schema, defaults=self._defaults)
        row = f"{{{reader.fields((name, name) for name in self._fields)}}}"
        return Compiled(key, column_function(row, constants=reader.constants))

    def compile_schemaless(self) -> Compiled:
        """A map of the fields; one that the value does not have is null."""
        items = ", ".join(f"{literal(name)}: v.get({literal(name)})" for name in self._fields)
        return Compiled(None, column_function(f"{{{items}}}"))

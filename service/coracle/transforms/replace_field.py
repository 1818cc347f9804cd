"""ReplaceField: drops, keeps and renames fields.

Exclusion and inclusion look at the old names, before anything is renamed. Where two fields would
get one name, a struct is an error and a map keeps the later of the two, as in Java.

One difference: a field that merely has the name that another would be renamed to stays as it is
when that other is absent or excluded. Java reads the other field in its place, and so fails or,
worse, writes an excluded value under a kept name.
"""

from __future__ import annotations

from collections.abc import Sequence

from coracle.api import Config, ConfigKey, ConfigSpec, ConfigType, Field, Schema
from coracle.api.config import invalid
from coracle.transforms.fields import (
    REPLACE_NULL_WITH_DEFAULT,
    Compiled,
    FieldNames,
    FieldTransform,
    StructReader,
    column_function,
    has_defaults,
    struct_like,
)


def _renames(mappings: Sequence[str]) -> dict[str, str]:
    """New names by old ones.

    Raises:
        ValueError: with the first mapping that is no pair.
    """
    renames: dict[str, str] = {}
    for mapping in mappings:
        parts = mapping.rstrip(":").split(":")
        if len(parts) != 2:
            raise ValueError(mapping)
        renames[parts[0]] = parts[1]
    return renames


class _RenamePairs:
    """The value must be a list of pairs ``old:new``."""

    def __call__(self, name: str, value: Sequence[str]) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        try:
            _renames(value)
        except ValueError as error:
            raise invalid(name, ",".join(value), f"{self}, not {str(error)!r}") from None

    def __str__(self) -> str:
        return "a list of colon-delimited pairs, e.g. foo:bar,abc:xyz"


class ReplaceField(FieldTransform):
    """Filters or renames fields of structs and maps."""

    purpose = "field replacement"
    spec = ConfigSpec(
        [
            ConfigKey(
                "exclude",
                ConfigType.LIST,
                (),
                "Fields to exclude. This takes precedence over the fields to include.",
                validator=FieldNames(),
                aliases=("blacklist",),
            ),
            ConfigKey(
                "include",
                ConfigType.LIST,
                (),
                "Fields to include. If specified, only these fields will be used.",
                validator=FieldNames(),
                aliases=("whitelist",),
            ),
            ConfigKey(
                "renames", ConfigType.LIST, (), "Field rename mappings.", validator=_RenamePairs()
            ),
            REPLACE_NULL_WITH_DEFAULT,
        ]
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._exclude = frozenset(config["exclude"])
        self._include = frozenset(config["include"])
        self._renames = _renames(config["renames"])
        self._defaults: bool = config["replace.null.with.default"]

    def _keeps(self, name: str) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)

    def compile(self, schema: Schema) -> Compiled:
        """The fields that stay, under their new names."""
        pairs = [
            (self._renames.get(name, name), name)
            for name in schema.field_names
            if self._keeps(name)
        ]
        fields = [Field(new, schema.by_name[old]) for new, old in pairs]
        updated = struct_like(schema, fields)
        if updated.fields == schema.fields and not (self._defaults and has_defaults(schema)):
            return Compiled(updated, column_function("{**v}"))
        reader = StructReader(schema, defaults=self._defaults)
        row = f"{{{reader.fields(pairs)}}}"
        # With no field left nothing would look at the values: what is no dict must still fail.
        row = row if pairs else "{key: x for key, x in v.items() if False}"
        return Compiled(updated, column_function(row, constants=reader.constants))

    def compile_schemaless(self) -> Compiled:
        """The same, over whatever names a map has."""
        conditions = []
        if self._exclude:
            conditions.append("key not in exclude")
        if self._include:
            conditions.append("key in include")
        key = "renames(key, key)" if self._renames else "key"
        condition = f" if {' and '.join(conditions)}" if conditions else ""
        row = f"{{{key}: x for key, x in v.items(){condition}}}"
        constants = {
            "exclude": self._exclude,
            "include": self._include,
            "renames": self._renames.get,
        }
        return Compiled(None, column_function(row, constants=constants))


class ReplaceFieldKey(ReplaceField):
    """``ReplaceField$Key``: of the record key."""

    reads = writes = "key"


class ReplaceFieldValue(ReplaceField):
    """``ReplaceField$Value``: of the record value."""

    reads = writes = "value"

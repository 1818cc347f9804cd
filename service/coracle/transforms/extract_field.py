"""ExtractField: replaces the whole key or value with one of its fields.

With ``field.syntax.version`` V2 (KIP-821) the field is a path: steps are divided by dots, and a
step that itself holds dots stands between backticks; a backtick just before a dot is escaped with a
backslash. A null anywhere on the path gives null. A field that a struct's schema does not have is
an error, one that a map does not have is null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coracle.api import (
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    DataError,
    Importance,
    OneOf,
    Schema,
    Type,
)
from coracle.transforms.fields import (
    REPLACE_NULL_WITH_DEFAULT,
    Compiled,
    FieldTransform,
    Nulls,
    StructReader,
    column_function,
    java_class,
    literal,
    not_readable,
)

# A quoted step runs to the first backtick that ends the path, or that a dot follows, and that no
# backslash precedes. A plain step runs to the next dot.
_STEP = re.compile(r"`(?P<quoted>.*?)(?<!\\)`(?:\.|\Z)|(?P<plain>[^`.][^.]*|)(?:\.|\Z)", re.DOTALL)


def parse_path(path: str) -> list[str]:
    """The steps of a V2 field path.

    Raises:
        ConfigError: when a backtick is never closed.

    Example:
        >>> parse_path("address.`geo.point`.lat")
        ['address', 'geo.point', 'lat']
    """
    steps: list[str] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            raise ConfigError(
                f"Incomplete backtick pair in path: [{path}], consider adding a backslash before "
                f"backtick at position {at} to escape it",
                field="field",
            )
        quoted = step["quoted"]
        steps.append(step["plain"] if quoted is None else quoted.replace("\\`.", "`."))
        at = step.end()
    if path.endswith(".") or not path:
        steps.append("")
    return steps


def _well_formed(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    try:
        _steps(values)
    except ConfigError as error:
        return [error]
    return []


def _steps(values: Mapping[str, Any]) -> list[str]:
    path: str = values["field"]
    return parse_path(path) if values["field.syntax.version"].upper() == "V2" else [path]


class ExtractField(FieldTransform):
    """Takes a field out of structs and maps."""

    purpose = "field extraction"
    nulls = Nulls.READ
    spec = ConfigSpec(
        [
            ConfigKey("field", ConfigType.STRING, doc="Field name to extract."),
            ConfigKey(
                "field.syntax.version",
                ConfigType.STRING,
                "V1",
                "How the field is written: V1 is the name of a field at the root, V2 a dotted path "
                "to a nested one, with backticks around names that hold dots.",
                importance=Importance.HIGH,
                validator=OneOf(("V1", "V2"), ignore_case=True),
            ),
            REPLACE_NULL_WITH_DEFAULT,
        ],
        checks=(_well_formed,),
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._path: str = config["field"]
        self._steps = _steps(config)
        self._defaults: bool = config["replace.null.with.default"]

    def compile(self, schema: Schema) -> Compiled:
        """The schema at the end of the path, and the way there."""
        leaf = schema
        parents: list[Schema] = []
        for step in self._steps:
            if leaf.type is not Type.STRUCT:
                raise DataError("Cannot look up fields on non-struct type")
            if step not in leaf.by_name:
                raise DataError(f"Unknown field: {self._path}")
            parents.append(leaf)
            leaf = leaf.by_name[step]
        if len(self._steps) > 1:
            defaults = [
                parent.by_name[step].default
                for parent, step in zip(parents, self._steps, strict=True)
            ]
            if not self._defaults:
                defaults[-1] = None
            return Compiled(leaf, _nested(self._steps, defaults, has_schema=True))
        reader = StructReader(schema, defaults=self._defaults)
        row = f"None if v is None else {reader.field(self._steps[0])}"
        return Compiled(leaf, column_function(row, constants=reader.constants))

    def compile_schemaless(self) -> Compiled:
        """The way through maps."""
        if len(self._steps) > 1:
            defaults = [None] * len(self._steps)
            return Compiled(None, _nested(self._steps, defaults, has_schema=False))
        row = f"None if v is None else v.get({literal(self._steps[0])})"
        return Compiled(None, column_function(row))


def _nested(
    steps: Sequence[str], defaults: Sequence[Any], *, has_schema: bool
) -> Callable[[Sequence[Any]], list[Any]]:
    way = list(zip(steps, defaults, strict=True))

    def extract(value: Any) -> Any:
        for step, default in way:
            if value is None:
                return None
            if not isinstance(value, dict):
                raise not_readable(java_class(value), has_schema, "nested field access")
            value = value.get(step)
            if value is None:
                value = default
        return value

    return lambda values: [extract(value) for value in values]


class ExtractFieldKey(ExtractField):
    """``ExtractField$Key``: of the record key."""

    reads = writes = "key"


class ExtractFieldValue(ExtractField):
    """``ExtractField$Value``: of the record value."""

    reads = writes = "value"

"""What the models of the custom resources are written in.

A model is the one declaration of a resource: pods, api and operator parse with it, and
``kube/crds.py`` makes the OpenAPI schema from it that the API server checks and ``kubectl explain``
prints. Fields are snake case here and camel case in YAML. What only a schema can say (CEL rules,
list keys) stands beside the field as the ``x-kubernetes-…`` key that it becomes.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from pydantic.alias_generators import to_camel

STORED = "x-coracle-stored"
"""Marks a field whose default the API server writes into the resource; all others stay unset."""


NO_EFFECT = "x-coracle-no-effect"
"""Marks a field that is accepted and not acted on; the value says why."""


class Model(BaseModel):
    """A part of a resource. Unknown fields are dropped, as the API server does."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )

    def to_json(self) -> dict[str, Any]:
        """The part as Kubernetes writes it: camel case, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


def rule(expression: str, message: str, **more: str) -> dict[str, JsonValue]:
    """A CEL rule that the API server holds the object to on which it stands.

    Args:
        expression: CEL over ``self``; over ``oldSelf`` too when it is about a change.
        message: what a person sees when it does not hold: what is wrong and what would be right.
        more: ``fieldPath``, ``reason``.
    """
    return {"rule": expression, "message": message, **more}


def rules(*several: dict[str, JsonValue]) -> ConfigDict:
    """The configuration of a model with CEL rules; pydantic adds it to the inherited one."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": list(several)})


def map_by(key: str, at_most: int) -> dict[str, JsonValue]:
    """Schema of a list whose entries are told apart by one field.

    Server-side apply then lets different managers own different entries.
    """
    return {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        "maxItems": at_most,
    }


def ignored(why: str, schema: dict[str, JsonValue] | None = None) -> Any:
    """A field of Strimzi's that is accepted so that its manifests apply, and not acted on."""
    return Field(
        default=None,
        json_schema_extra={**(schema or {}), NO_EFFECT: why},
        description=f"Accepted so that Strimzi's manifests apply; it has no effect: {why}.",
    )


def without_effect(part: Model, path: str = "spec") -> dict[str, str]:
    """The fields that are set and not acted on, each with the reason.

    Args:
        part: a resource's spec.
        path: where it stands.
    """
    found: dict[str, str] = {}
    for name, field in type(part).model_fields.items():
        value, place = getattr(part, name), f"{path}.{field.alias or name}"
        extra = field.json_schema_extra
        why = extra.get(NO_EFFECT) if isinstance(extra, dict) else None
        if value is not None and why:
            found[place] = str(why)
        elif isinstance(value, Model):
            found |= without_effect(value, place)
    return found


def unknown_fields(model: type[Model], given: Mapping[str, Any], path: str = "spec") -> list[str]:
    """The fields of a part of a resource that a model has no place for, deepest place named."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    found: list[str] = []
    for name, value in given.items():
        place = f"{path}.{name}"
        if name not in fields:
            found.append(place)
        elif inner := _model_in(fields[name].annotation):
            several = value if isinstance(value, list) else [value]
            for each in several:
                if isinstance(each, Mapping):
                    found += unknown_fields(inner, each, place)
    return list(dict.fromkeys(found))


def _model_in(annotation: Any) -> type[Model] | None:
    """The model that a field's type is made of: ``Tls`` of ``Tls | None`` or ``Sequence[Tls]``."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def stored(schema: dict[str, Any]) -> None:
    """For ``json_schema_extra``: the API server writes the default into the resource."""
    schema[STORED] = True


Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A point in time as RFC 3339 writes it, in UTC: ``2026-01-31T12:00:00Z``."""

IntOrString = Annotated[int | str, WithJsonSchema({"x-kubernetes-int-or-string": True})]

Verbatim = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""An object that goes into another one as it is; its kind, not this schema, checks it."""

Settings = dict[str, Any]
"""Settings by key; values are what YAML makes of them, see ``connector.strings``."""

Long = Annotated[int, Field(json_schema_extra={"format": "int64"})]
"""A whole number of 64 bits."""

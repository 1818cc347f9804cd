"""The parts that every Kubernetes resource has: metadata, and conditions in its status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from coracle.kube.model.base import Long, Model, Time


class ObjectMeta(Model):
    """Standard metadata, as far as Coracle reads it."""

    name: str = Field(default="", description="The resource's name.")
    namespace: str = Field(default="", description="The resource's namespace.")
    uid: str = Field(default="", description="Tells the resource from others of its name.")
    generation: int = Field(default=0, description="Counts changes of the spec.")
    resource_version: str = Field(default="", description="Changes with every write.")
    labels: Mapping[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: Mapping[str, str] = Field(default_factory=dict, description="Annotations.")
    finalizers: Sequence[str] = Field(default=(), description="Who is asked before deletion.")
    creation_timestamp: str | None = Field(default=None, description="When it was made.")
    deletion_timestamp: str | None = Field(
        default=None, description="When its deletion was asked for."
    )


class Condition(Model):
    """One thing that can be true or false of a resource."""

    type: str = Field(
        min_length=1,
        max_length=316,
        description="What the condition is about: Ready, Reconciling, Stalled or Warning.",
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether it holds: True, False or Unknown."
    )
    observed_generation: Long | None = Field(
        default=None,
        description="metadata.generation that the condition is about. A lower number than the "
        "resource's means that the operator has not seen the newest spec yet.",
    )
    last_transition_time: Time | None = Field(default=None, description="When status last changed.")
    reason: str = Field(
        default="", max_length=1024, description="One word for programs, such as TaskFailed."
    )
    message: str = Field(
        default="",
        max_length=32768,
        description="For people: what happened, where, and what to do about it.",
    )

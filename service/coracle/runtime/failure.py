"""What a person reads when a task has failed.

A trace names exceptions as Kafka Connect does where there is a counterpart, because alerts and
runbooks
match on them, and says where it happened: connector, task, stage, plugin, topic-partition-offset.
"""

from __future__ import annotations

import traceback
from enum import StrEnum
from pathlib import PurePath

from coracle.api import ConnectError, RecordBatch


class Stage(StrEnum):
    """Where in a task something happened: ``org.apache.kafka.connect.runtime.errors.Stage``."""

    TASK_POLL = "TASK_POLL"
    TASK_PUT = "TASK_PUT"
    TRANSFORMATION = "TRANSFORMATION"
    KEY_CONVERTER = "KEY_CONVERTER"
    VALUE_CONVERTER = "VALUE_CONVERTER"
    HEADER_CONVERTER = "HEADER_CONVERTER"
    KAFKA_PRODUCE = "KAFKA_PRODUCE"
    KAFKA_CONSUME = "KAFKA_CONSUME"


class StageError(ConnectError):
    """An error that ends a task, with where it happened.

    Args:
        message: what Kafka Connect says in this place.
        stage: the stage that failed.
        plugin: the class at work, as the configuration names it.
        position: the record, as ``topic-partition@offset``; empty when no single record is meant.
    """

    def __init__(self, message: str, stage: Stage, plugin: str = "", position: str = "") -> None:
        super().__init__(message)
        self.stage = stage
        self.plugin = plugin
        self.position = position


def position_of(batch: RecordBatch, index: int) -> str:
    """Where a record came from, as people write it in a search: ``orders-3@1042``."""
    if batch.origin is not None:
        return f"{batch.origin}@{batch.offsets[index]}"
    place = batch.source_offsets[-1].partition if batch.source_offsets else {}
    topic = batch.schema_of(index).topic
    return f"record {batch.offsets[index]} of a poll of {dict(place)} for {topic}"


def span_of(*batches: RecordBatch) -> str:
    """From which record to which an error may be about; empty when there are none."""
    batches = tuple(batch for batch in batches if len(batch))
    if not batches:
        return ""
    first, last = batches[0], batches[-1]
    if first is last and first.origin is not None:
        return f"{first.origin}@{first.offsets[0]}-{first.offsets[-1]}"
    return f"{position_of(first, 0)} … {position_of(last, -1)}"


def format_trace(error: BaseException, connector: str, task: int | None) -> str:
    """The ``trace`` of a failed connector or task."""
    where = f"connector {connector}" + (f", task {task}" if task is not None else "")
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lead = "Caused by: " if lines else ""
        lines.append(f"{lead}{java_class(current)}: {current}")
        if isinstance(current, StageError):
            plugin = f" ({current.plugin})" if current.plugin else ""
            position = f", at {current.position}" if current.position else ""
            lines.append(f"\tin {where}, stage {current.stage}{plugin}{position}")
        elif len(lines) == 1:
            lines.append(f"\tin {where}")
        lines += [
            f"\tat {PurePath(frame.filename).stem}.{frame.name}({frame.filename}:{frame.lineno})"
            for frame in reversed(traceback.extract_tb(current.__traceback__)[-8:])
        ]
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "\n".join(lines) + "\n"


def java_class(error: BaseException) -> str:
    """The name Kafka Connect's users know an error by, or the Python one."""
    if isinstance(error, ConnectError):
        return error.java_class
    return f"{type(error).__module__}.{type(error).__qualname__}"

"""The chain: the transforms of a connector in order, each with its predicate.

A predicate splits a batch in two; the chosen part is transformed and both are merged again in the
order of the records' original offsets, which are unique and which no transform changes. They also
lead an error back: a transform counts within the batch it was given, and by then records may have
been dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import not_
from typing import Any

from coracle.api import BatchError, Predicate, RecordBatch, Transform
from coracle.transforms.routes import merged


@dataclass(frozen=True)
class Step:
    """One transform as configured.

    Attributes:
        alias: its name in ``transforms=``.
        transform: configured.
        predicate: configured; ``None`` applies the transform to every record.
        negate: whether it applies to the records that the predicate is false for.
        plugin: the class name as configured; errors name it.
    """

    alias: str
    transform: Transform
    predicate: Predicate | None = None
    negate: bool = False
    plugin: str = ""

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch with the chosen records transformed.

        Raises:
            BatchError: by index within ``batch``.
        """
        if self.predicate is None:
            return self.transform.apply(batch)
        mask = self.predicate.matches(batch)
        if self.negate:
            mask = list(map(not_, mask))
        if all(mask):
            return self.transform.apply(batch)
        if not any(mask):
            return batch
        try:
            chosen = self.transform.apply(batch.select(mask))
        except BatchError as error:
            places = [index for index, chosen in enumerate(mask) if chosen]
            raise BatchError(
                {places[index]: cause for index, cause in error.failures.items()},
                plugin=error.plugin,
            ) from error
        return _merge(batch.select(list(map(not_, mask))), chosen)


class Chain:
    """Transforms applied one after the other. Without any it costs nothing, and is false.

    Args:
        steps: in the order of ``transforms=``.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch that comes out at the end; it may have fewer records, and keeps its position.

        Raises:
            BatchError: by index within ``batch``, naming the plugin that failed.
        """
        current = batch
        for step in self.steps:
            if not len(current):
                break
            try:
                current = step.apply(current)
            except BatchError as error:
                raise _traced_back(error, current, batch, step.plugin) from error
        return current


def _traced_back(
    error: BatchError, current: RecordBatch, original: RecordBatch, plugin: str
) -> BatchError:
    """The error with its indexes counted within the original batch."""
    if current is original:
        return BatchError(error.failures, plugin=plugin)
    index_of = {offset: index for index, offset in enumerate(original.offsets)}
    failures = {index_of[current.offsets[index]]: cause for index, cause in error.failures.items()}
    return BatchError(failures, plugin=plugin)


def _merge(rest: RecordBatch, changed: RecordBatch) -> RecordBatch:
    """Both batches as one, in the order of their offsets."""
    if not len(changed):
        return rest
    offsets = [*rest.offsets, *changed.offsets]
    order = sorted(range(len(offsets)), key=offsets.__getitem__)  # two runs: linear

    def column(of: Callable[[RecordBatch], Sequence[Any] | None], absent: Any = None) -> Any:
        parts = [of(rest), of(changed)]
        if parts[0] is None and parts[1] is None:
            return None
        both = [
            value
            for batch, part in zip((rest, changed), parts, strict=True)
            for value in (part if part is not None else [absent] * len(batch))
        ]
        return [both[index] for index in order]

    schemas, code_of = merged([*rest.schemas, *changed.schemas])
    codes = [code_of[code] for code in rest.codes or [0] * len(rest)]
    shift = len(rest.schemas)
    codes += [code_of[code + shift] for code in changed.codes or [0] * len(changed)]
    return rest.with_(
        schemas=schemas,
        codes=[codes[index] for index in order] if len(schemas) > 1 else None,
        keys=column(lambda batch: batch.keys),
        values=column(lambda batch: batch.values),
        offsets=[offsets[index] for index in order],
        timestamps=column(lambda batch: batch.timestamps),
        headers=column(lambda batch: batch.headers, ()),
        partitions=column(lambda batch: batch.partitions),
        nbytes=rest.nbytes + changed.nbytes,
    )

"""The chain of transforms applied to a batch, under the task's error policy."""

from __future__ import annotations

from coracle.api import BatchError, RecordBatch
from coracle.runtime.failure import Stage, StageError, span_of
from coracle.runtime.tolerance import Tolerance
from coracle.transforms.chain import Chain


def transform(batch: RecordBatch, chain: Chain, tolerance: Tolerance) -> RecordBatch:
    """The transformed batch, without records that failed and may be skipped.

    Raises:
        StageError: when a record failed and that is not tolerated, or a transform broke down.
    """
    while len(batch):
        try:
            return chain.apply(batch)
        except BatchError as error:
            batch = tolerance.skip(batch, error, Stage.TRANSFORMATION, "")
        except Exception as error:
            raise StageError(
                "Unhandled exception in error handler",
                Stage.TRANSFORMATION,
                position=span_of(batch),
            ) from error
    return batch

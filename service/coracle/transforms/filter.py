"""Filter: drops every record it is given; a predicate chooses which those are."""

from __future__ import annotations

from coracle.api import Config, RecordBatch, Transform


class Filter(Transform):
    """Drops all records. What it drops counts as done: the batch keeps its position."""

    def configure(self, config: Config) -> None:
        """There are no settings."""

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch without its records."""
        return batch.select([False] * len(batch))

"""TimestampRouter: puts the record's time into its topic.

The time of a record is looked at in units within which the pattern's text cannot change (a day for
``yyyyMMdd``). A batch that lies within one unit, nearly every batch, is routed as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import cast

from coracle.api import (
    BatchError,
    Config,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    DataError,
    Importance,
    RecordBatch,
    Transform,
)
from coracle.java.date_format import JavaDateFormat, ValidDateFormat
from coracle.transforms.routes import merged, reroute


class TimestampRouter(Transform):
    """Updates the record topic from the original topic and the record timestamp, in UTC."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "topic.format",
                ConfigType.STRING,
                "${topic}-${timestamp}",
                "Format string in which ${topic} and ${timestamp} stand for topic and time.",
                importance=Importance.HIGH,
            ),
            ConfigKey(
                "timestamp.format",
                ConfigType.STRING,
                "yyyyMMdd",
                "Format of the time, as java.text.SimpleDateFormat reads it.",
                importance=Importance.HIGH,
                validator=ValidDateFormat(),
            ),
        ]
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._topic_format: str = config["topic.format"]
        self._date_format = JavaDateFormat(config["timestamp.format"])

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch under its new topics.

        Raises:
            BatchError: for records without a timestamp.
        """
        if not len(batch):
            return batch
        unit = self._date_format.unit
        timestamps = cast("Sequence[int]", batch.timestamps)  # unless a TypeError says otherwise
        try:
            units = {min(timestamps) // unit, max(timestamps) // unit}
        except TypeError:
            raise BatchError(
                {
                    index: DataError("Timestamp missing on record.")
                    for index, timestamp in enumerate(batch.timestamps)
                    if timestamp is None
                }
            ) from None
        if len(units) == 1:
            text = self._date_format.of_unit(units.pop())
            return reroute(batch, lambda topic: self._topic(topic, text))
        return self._apply_each(batch, timestamps)

    def _apply_each(self, batch: RecordBatch, timestamps: Sequence[int]) -> RecordBatch:
        unit = self._date_format.unit
        old_codes = batch.codes if batch.codes is not None else repeat(0)
        pairs = [
            (code, timestamp // unit)
            for code, timestamp in zip(old_codes, timestamps, strict=False)
        ]
        distinct = list(dict.fromkeys(pairs))
        schemas, places = merged(
            schema._replace(topic=self._topic(schema.topic, self._date_format.of_unit(index)))
            for code, index in distinct
            for schema in (batch.schemas[code],)
        )
        code_of = dict(zip(distinct, places, strict=True))
        codes = [code_of[pair] for pair in pairs] if len(schemas) > 1 else None
        return batch.with_(schemas=schemas, codes=codes)

    def _topic(self, topic: str, time: str) -> str:
        return self._topic_format.replace("${topic}", topic).replace("${timestamp}", time)

"""Times without a zone, and the forms a timestamp may take in a record.

Everything here counts microseconds: *local* ones are a wall clock's reading taken as if it were
UTC, *UTC* ones are instants since 1970-01-01T00:00Z.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo

from coracle.api import Schema
from coracle.api.schema import INT64, STRING, TIMESTAMP_SCHEMA

DAY = 86_400_000_000
_QUARTER_HOUR = 900_000_000
_EPOCH = datetime(1970, 1, 1)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_FIRST = (datetime.min - _EPOCH) // timedelta(microseconds=1) + DAY
_LAST = (datetime.max - _EPOCH) // timedelta(microseconds=1) - DAY
_CYCLE_DAYS = 146_097  # the Gregorian calendar repeats every 400 years


class LocalClock:
    """Translates between a zone's wall clock and UTC.

    Where a wall clock shows an hour twice or skips one, the offset from before a jump forward and
    after a jump back counts, which is how ``java.util.GregorianCalendar`` reads such times.

    Attributes:
        zone: the wall clock's time zone.
        is_utc: whether there is nothing to translate.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._offsets: dict[int, int] = {}
        self.is_utc = zone is UTC

    def to_utc(self, local: int) -> int:
        """The instant at which the wall clock shows this time."""
        if self.is_utc:
            return local
        quarter = local // _QUARTER_HOUR
        offset = self._offsets.get(quarter)
        if offset is None:
            if len(self._offsets) > 100_000:
                self._offsets.clear()
            offset = self._offsets[quarter] = self._offset(quarter * _QUARTER_HOUR)
        return local - offset

    def to_local(self, utc: int) -> int:
        """What the wall clock shows at this instant."""
        if self.is_utc:
            return utc
        moment = (_EPOCH + timedelta(microseconds=_clamp(utc))).replace(tzinfo=UTC)
        return utc + _micros(moment.astimezone(self.zone).utcoffset())

    def _offset(self, local: int) -> int:
        moment = _EPOCH + timedelta(microseconds=_clamp(local))
        return min(
            _micros(moment.replace(tzinfo=self.zone, fold=fold).utcoffset()) for fold in (0, 1)
        )


def _clamp(micros: int) -> int:
    return max(_FIRST, min(_LAST, micros))


def _micros(span: timedelta | None) -> int:
    return (span or timedelta()) // timedelta(microseconds=1)


def iso(micros: int, digits: int) -> str:
    """``2024-02-29T12:34:56.123456`` with that many digits of the second, for any year."""
    days, rest = divmod(micros, DAY)
    cycles, day = divmod(days, _CYCLE_DAYS)
    civil = date.fromordinal(_EPOCH_ORDINAL + day)
    seconds, fraction = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return (
        f"{civil.year + 400 * cycles:04d}-{civil.month:02d}-{civil.day:02d}"
        f"T{hour:02d}:{minute:02d}:{second:02d}.{f'{fraction:06d}'.ljust(digits, '0')}"
    )


GRANULARITIES: dict[str, Schema] = {
    "connect_logical": TIMESTAMP_SCHEMA,
    "micros_long": INT64,
    "micros_string": STRING,
    "micros_iso_datetime_string": STRING,
    "nanos_long": INT64,
    "nanos_string": STRING,
    "nanos_iso_datetime_string": STRING,
}
"""``timestamp.granularity``, and the schema of each."""


def formatter(granularity: str, clock: LocalClock) -> Callable[[int], int | str]:
    """From UTC microseconds to what stands in the record. ISO strings show the wall clock."""
    forms: dict[str, Callable[[int], int | str]] = {
        "connect_logical": lambda utc: utc // 1000,
        "micros_long": lambda utc: utc,
        "micros_string": str,
        "micros_iso_datetime_string": lambda utc: iso(clock.to_local(utc), 6),
        "nanos_long": lambda utc: utc * 1000,
        "nanos_string": lambda utc: str(utc * 1000),
        "nanos_iso_datetime_string": lambda utc: iso(clock.to_local(utc), 9),
    }
    return forms[granularity]

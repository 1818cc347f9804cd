"""Java's ``SimpleDateFormat`` patterns, formatted in UTC.

A pattern is compiled once into a list of literals and small functions of a ``Moment``, the calendar
fields of one instant. Most patterns name a day or an hour, so the text stays the same for a long
``unit`` of time: texts are remembered per unit, and callers may compare units instead of texts.

The rules are Java's, with its default calendar and the locale en_US: names are English, weeks start
on Sunday and the first week of a year is the one with January 1, so ``YYYY`` is already 2027 on
2026-12-27. Before 1582-10-15 the calendar is Julian, as in ``GregorianCalendar``. Any Java ``long``
is an instant; ``datetime`` ends at year 9999 and begins at year 1, so it is not used. One
difference: in some years before year 1 the JVM leaves the last days of December in the old week
year although it numbers their week 1; here they are in the new one, as in all later years.

Sources:
https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/text/SimpleDateFormat.html and
…/java/util/GregorianCalendar.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from coracle.api import ConfigError
from coracle.api.config import invalid

_DAY = 86_400_000
_CUTOVER_DAY = -141_427  # 1582-10-15, the first day of the Gregorian calendar
_CUTOVER_YEAR = 1582

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Moment(NamedTuple):
    """The calendar fields of one instant.

    Attributes:
        year: astronomical: 0 is 1 BC, -1 is 2 BC.
        month: 1 to 12.
        day: day of the month from 1.
        epoch_day: days since 1970-01-01.
        millis: milliseconds since midnight.
    """

    year: int
    month: int
    day: int
    epoch_day: int
    millis: int

    @classmethod
    def of(cls, epoch_ms: int) -> Moment:
        """The fields of an instant in UTC."""
        epoch_day, millis = divmod(epoch_ms, _DAY)
        return cls(*_civil(epoch_day), epoch_day, millis)

    @property
    def weekday(self) -> int:
        """0 for Sunday to 6 for Saturday."""
        return (self.epoch_day + 4) % 7

    @property
    def day_of_year(self) -> int:
        """Days elapsed in the year, from 1; the ten days that 1582 left out do not count."""
        return self.epoch_day - _epoch_day(self.year, 1, 1) + 1

    @property
    def days_into_month(self) -> int:
        """Days elapsed since the first of the month, from 0."""
        return self.epoch_day - _epoch_day(self.year, self.month, 1)

    @property
    def week_of_month(self) -> int:
        """Week from Sunday to Saturday; week 1 is the one with the month's first day."""
        return _weeks_since(self.epoch_day, _epoch_day(self.year, self.month, 1))

    @property
    def week_date(self) -> tuple[int, int]:
        """Week year and week; the week with January 1 belongs to the new year."""
        new_year = _epoch_day(self.year + 1, 1, 1)
        if self.epoch_day + 6 - self.weekday >= new_year:
            return self.year + 1, 1
        return self.year, _weeks_since(self.epoch_day, _epoch_day(self.year, 1, 1))


def _weeks_since(epoch_day: int, start: int) -> int:
    return (epoch_day - start + (start + 4) % 7) // 7 + 1


def _civil(epoch_day: int) -> tuple[int, int, int]:
    """Year, month and day. Counts from March 1, so that a leap day ends its year."""
    if epoch_day >= _CUTOVER_DAY:
        era, rest = divmod(epoch_day + 719_468, 146_097)
        years = (rest - rest // 1_460 + rest // 36_524 - rest // 146_096) // 365
        day = rest - (365 * years + years // 4 - years // 100)
        year = 400 * era + years
    else:
        era, rest = divmod(epoch_day + 719_470, 1_461)
        years = min(rest // 365, 3)
        day = rest - 365 * years
        year = 4 * era + years
    month = (5 * day + 2) // 153
    return (
        year + (month >= 10),
        month + 3 if month < 10 else month - 9,
        day - (153 * month + 2) // 5 + 1,
    )


def _epoch_day(year: int, month: int, day: int) -> int:
    """Inverse of ``_civil``."""
    march_year = year - (month <= 2)
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    if (year, month, day) >= (_CUTOVER_YEAR, 10, 15):
        leaps = march_year // 4 - march_year // 100 + march_year // 400
        return 365 * march_year + leaps + day_of_year - 719_468
    return 365 * march_year + march_year // 4 + day_of_year - 719_470


Render = Callable[[Moment], str]


def _number(value: Callable[[Moment], int]) -> Callable[[int], Render]:
    return lambda count: lambda moment: f"{value(moment):0{count}d}"


def _year(value: Callable[[Moment], int]) -> Callable[[int], Render]:
    """Two letters mean the last two digits, any other count a least width."""

    def compile_year(count: int) -> Render:
        def render(moment: Moment) -> str:
            year = value(moment)
            digits = f"{abs(year) % 100:02d}" if count == 2 else f"{abs(year):0{count}d}"
            return f"-{digits}" if year < 0 else digits

        return render

    return compile_year


def _name(names: Sequence[str], value: Callable[[Moment], int]) -> Callable[[int], Render]:
    def compile_name(count: int) -> Render:
        shown = names if count >= 4 else [name[:3] for name in names]
        return lambda moment: shown[value(moment)]

    return compile_name


def _month(count: int) -> Render:
    if count >= 3:
        return _name(_MONTHS, lambda moment: moment.month - 1)(count)
    return _number(lambda moment: moment.month)(count)


def _constant(text: Callable[[int], str]) -> Callable[[int], Render]:
    def compile_constant(count: int) -> Render:
        shown = text(count)
        return lambda _: shown

    return compile_constant


def _iso_zone(count: int) -> str:
    if count > 3:
        raise ValueError(f"invalid ISO 8601 format: length={count}")
    return "Z"


def _hour(moment: Moment) -> int:
    return moment.millis // 3_600_000


# letter: (milliseconds within which its text cannot change, function of the number of letters)
_LETTERS: dict[str, tuple[int, Callable[[int], Render]]] = {
    "G": (_DAY, lambda _: lambda moment: "AD" if moment.year > 0 else "BC"),
    "y": (_DAY, _year(lambda moment: moment.year if moment.year > 0 else 1 - moment.year)),
    "Y": (_DAY, _year(lambda moment: moment.week_date[0])),
    "M": (_DAY, _month),
    "L": (_DAY, _month),
    "w": (_DAY, _number(lambda moment: moment.week_date[1])),
    "W": (_DAY, _number(lambda moment: moment.week_of_month)),
    "D": (_DAY, _number(lambda moment: moment.day_of_year)),
    "d": (_DAY, _number(lambda moment: moment.day)),
    "F": (_DAY, _number(lambda moment: moment.days_into_month // 7 + 1)),
    "E": (_DAY, _name(_WEEKDAYS, lambda moment: moment.weekday)),
    "u": (_DAY, _number(lambda moment: moment.weekday or 7)),
    "a": (_DAY // 2, lambda _: lambda moment: "AM" if _hour(moment) < 12 else "PM"),
    "H": (3_600_000, _number(_hour)),
    "k": (3_600_000, _number(lambda moment: _hour(moment) or 24)),
    "K": (3_600_000, _number(lambda moment: _hour(moment) % 12)),
    "h": (3_600_000, _number(lambda moment: _hour(moment) % 12 or 12)),
    "m": (60_000, _number(lambda moment: moment.millis // 60_000 % 60)),
    "s": (1_000, _number(lambda moment: moment.millis // 1_000 % 60)),
    "S": (1, _number(lambda moment: moment.millis % 1_000)),
    "z": (_DAY, _constant(lambda count: "UTC" if count < 4 else "Coordinated Universal Time")),
    "Z": (_DAY, _constant(lambda _: "+0000")),
    "X": (_DAY, _constant(_iso_zone)),
}


def _tokens(pattern: str) -> Iterator[tuple[str, int]]:
    """Pairs of (letter, count), or of (literal text, 0)."""
    quoted = False
    for char, run in groupby(pattern):
        count = len(list(run))
        if char == "'":
            # Two quotes are one literal quote, inside quoted text and outside of it.
            if count > 1:
                yield "'" * (count // 2), 0
            quoted ^= bool(count % 2)
        elif not quoted and char.isascii() and char.isalpha():
            yield char, count
        else:
            yield char * count, 0
    if quoted:
        raise ValueError("Unterminated quote")


class JavaDateFormat:
    """A compiled pattern; called with milliseconds since the epoch, it returns Java's text.

    Args:
        pattern: as ``SimpleDateFormat`` takes it.

    Attributes:
        unit: milliseconds; instants with the same ``epoch_ms // unit`` have the same text.

    Raises:
        ValueError: with Java's words, when Java would refuse the pattern.

    Example:
        >>> JavaDateFormat("YYYYMM")(1_798_329_600_000)  # 2026-12-27
        '202712'
    """

    def __init__(self, pattern: str) -> None:
        parts: list[str | Render] = []
        self.pattern = pattern
        self.unit = _DAY
        for text, count in _tokens(pattern):
            if not count:
                parts.append(text)
                continue
            if text not in _LETTERS:
                raise ValueError(f"Illegal pattern character '{text}'")
            unit, compile_letter = _LETTERS[text]
            parts.append(compile_letter(count))
            self.unit = min(self.unit, unit)
        self._parts = parts
        self.of_unit = lru_cache(maxsize=1024)(self._of_unit)

    def __call__(self, epoch_ms: int) -> str:
        """The text of an instant in UTC."""
        return self.of_unit(epoch_ms // self.unit)

    def _of_unit(self, index: int) -> str:
        """The text of all instants with ``epoch_ms // unit == index``."""
        moment = Moment.of(index * self.unit)
        return "".join([part if isinstance(part, str) else part(moment) for part in self._parts])


class ValidDateFormat:
    """The value must be a pattern that ``SimpleDateFormat`` takes."""

    def __call__(self, name: str, value: str) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        try:
            JavaDateFormat(value)
        except ValueError as error:
            raise _refused(name, value, error) from None

    def __str__(self) -> str:
        return "a date pattern of java.text.SimpleDateFormat"


def _refused(name: str, value: str, error: ValueError) -> ConfigError:
    return invalid(name, value, f"a date pattern of java.text.SimpleDateFormat ({error})")

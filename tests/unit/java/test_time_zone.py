"""``java.time_zone``: what ``ZoneId`` makes of a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coracle.java.time_zone import parse_time_zone


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("UTC", 0),
        ("Europe/Berlin", 1),
        ("ECT", 1),
        ("IST", 5.5),
        ("EST", -5),
        ("GMT+02:00", 2),
        ("-0330", -3.5),
    ],
)
def test_time_zones(name: str, hours: float) -> None:
    offset = datetime(2024, 1, 1, tzinfo=parse_time_zone(name)).utcoffset()
    assert offset == timedelta(hours=hours)


def test_utc_is_recognised() -> None:
    assert parse_time_zone("GMT") is UTC


@pytest.mark.parametrize("name", ["", "Mars/Base", "GMT+19", "../etc/passwd"])
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Invalid time zone"):
        parse_time_zone(name)

"""Clock, numbers, tables and offsets, each by itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import ConnectError
from coracle.connectors.jdbc.config import CONNECTION_SPEC
from coracle.connectors.jdbc.dialects import TableId, dialect_for
from coracle.connectors.jdbc.sources.clock import LocalClock, iso
from coracle.connectors.jdbc.sources.offsets import Position
from coracle.connectors.jdbc.sources.tables import ColumnMapping, decode, encode, share_out

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
BERLIN = LocalClock(ZoneInfo("Europe/Berlin"))


def local(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


@given(st.integers(-(10**16), 10**16))
def test_a_wall_clock_goes_both_ways(instant: int) -> None:
    shown = BERLIN.to_local(instant)
    back = BERLIN.to_utc(shown)
    assert back == instant or abs(back - instant) == 3_600_000_000  # an hour shown twice


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2024-03-31T02:30:00", "2024-03-31T01:30:00"),  # skipped: as 03:30 summer time
        ("2024-10-27T02:30:00", "2024-10-27T01:30:00"),  # twice: winter time
        ("2024-10-27T01:59:59", "2024-10-26T23:59:59"),
    ],
)
def test_hours_that_a_wall_clock_skips_or_repeats(wall: str, utc: str) -> None:
    assert BERLIN.to_utc(local(wall)) == local(utc)


@given(st.datetimes())
def test_iso_is_what_datetime_writes(moment: datetime) -> None:
    assert iso((moment - EPOCH) // MICROSECOND, 6) == moment.isoformat(timespec="microseconds")


def test_iso_beyond_datetime() -> None:
    assert iso(9224318015999999999, 9) == "294276-12-31T23:59:59.999999000"
    assert LocalClock(UTC).to_local(5) == 5


@given(st.integers(-(2**53), 2**53), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
def test_positions_survive_being_stored(timestamp: int, incrementing: int | None) -> None:
    position = Position(incrementing, timestamp)
    assert Position.of(position.offset()) == position


@pytest.mark.parametrize(
    ("stored", "position"),
    [
        (None, Position()),
        ({"timestamp": 1001}, Position(None, 1_001_000)),
        ({"timestamp": 1001, "timestamp_nanos": 1_002_003}, Position(None, 1_001_002)),
        ({"incrementing": "7"}, Position(7)),
        ({"timestamp": -1, "timestamp_nanos": 999_000_000}, Position(None, -1000)),
    ],
)
def test_offsets_of_other_versions(stored: dict[str, object] | None, position: Position) -> None:
    assert Position.of(stored) == position


def test_an_offset_that_is_none() -> None:
    with pytest.raises(ConnectError, match="not one of this connector"):
        Position.of({"incrementing": "x"})


@given(st.lists(st.text(min_size=1, alphabet='a,."`é '), min_size=1, max_size=5))
def test_task_tables_survive_their_text(names: list[str]) -> None:
    for url in ("jdbc:sqlite:x", "jdbc:mysql://h/d", "jdbc:postgresql://h/d"):
        dialect = dialect_for(CONNECTION_SPEC.parse({"connection.url": url}))
        tables = [dialect.table_id(["s", name]) for name in names]
        assert decode(dialect, encode(dialect, tables)) == tables


@given(st.integers(1, 50), st.integers(1, 20))
def test_shares_are_contiguous_and_nearly_equal(tables: int, tasks: int) -> None:
    ids = [TableId(None, None, str(number)) for number in range(tables)]
    groups = share_out(ids, tasks)
    assert [table for group in groups for table in group] == ids
    sizes = [len(group) for group in groups]
    assert len(groups) == min(tables, tasks)
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


def test_columns_by_table() -> None:
    mapping = ColumnMapping("timestamp.columns.mapping", r"db\.a.*:[c|m], db\.[bx]\d+:t")
    assert mapping.columns(TableId("db", None, "ab")) == ["c", "m"]
    assert mapping.columns(TableId("db", None, "b12")) == ["t"]
    with pytest.raises(ConnectError, match=r"0 entries of timestamp.columns.mapping match"):
        mapping.columns(TableId("db", None, "c"))

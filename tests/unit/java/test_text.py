"""``java.text``. Dates were printed by ``java.util.Date`` of Java 17, with the time zone UTC."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from coracle.api import DataError, Schema
from coracle.api.schema import (
    BYTES,
    DATE_SCHEMA,
    FLOAT32,
    INT32,
    STRING,
    TIMESTAMP_SCHEMA,
    array,
    map_of,
    struct,
)
from coracle.java.text import compile_text


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "Thu Jan 01 00:00:00 UTC 1970"),
        (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        (253_402_300_799_999, "Fri Dec 31 23:59:59 UTC 9999"),
        # Before 15 October 1582 Java's calendar is the Julian one.
        (-12_219_292_800_000, "Fri Oct 15 00:00:00 UTC 1582"),
        (-12_219_292_800_001, "Thu Oct 04 23:59:59 UTC 1582"),
        (-30_000_000_000_000, "Tue Apr 28 18:40:00 UTC 1019"),
        (-62_000_000_000_000, "Tue Apr 21 09:46:40 UTC 5"),
        (-62_135_596_800_000, "Mon Jan 03 00:00:00 UTC 1"),
        (-62_135_596_800_001, None),
        (253_402_300_800_000, None),
        (2**62, None),
    ],
)
def test_dates(millis: int, text: str | None) -> None:
    if text is None:
        with pytest.raises(DataError, match=f"{millis} ms since 1970 lies beyond the years"):
            compile_text(TIMESTAMP_SCHEMA)(millis)
    assert compile_text(TIMESTAMP_SCHEMA, lenient=True)(millis) == (text or str(millis))


NESTED = struct(
    {
        "days": array(DATE_SCHEMA.as_optional()),
        "sizes": map_of(STRING, FLOAT32),
        "inner": struct({"id": INT32}).as_optional(),
    }
)


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (
            NESTED,
            {"days": [0, None], "sizes": {"a": 0.10000000149011612}, "inner": {"id": 1}},
            "Struct{days=[Thu Jan 01 00:00:00 UTC 1970, null],sizes={a=0.1},inner=Struct{id=1}}",
        ),
        (map_of(STRING, INT32), {None: 1, "b": None}, "{null=1, b=null}"),
        (None, (1, [Decimal("1E+3")], {"k": False}), "[1, [1E+3], {k=false}]"),
        (NESTED, None, "null"),
        # What contradicts its schema is printed as the value it is.
        (NESTED, [1], "[1]"),
        (FLOAT32, 3, "3"),
        (DATE_SCHEMA, "x", "x"),
    ],
)
def test_values(schema: Schema | None, value: Any, text: str, lenient: bool) -> None:
    assert compile_text(schema, lenient=lenient)(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xc3\xa9\xff", "é\ufffd"),
        (bytearray(b"x"), "x"),
        (memoryview(b"x"), "x"),
        ({1}, "{1}"),
    ],
)
def test_what_has_no_text_in_java(value: Any, text: str) -> None:
    for schema in (BYTES, None):
        assert compile_text(schema, lenient=True)(value) == text
        with pytest.raises(DataError, match=f"type {type(value).__name__} has no text"):
            compile_text(schema)(value)

"""``java.date_format`` against what the JVM prints.

``date_format.tsv`` holds pattern, instant and text, as printed by Java 17:
``java DateFormatGolden.java 400 2026 > date_format.tsv``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from coracle.api import ConfigError
from coracle.java.date_format import JavaDateFormat, ValidDateFormat

GOLDEN = [
    line.split("\t")
    for line in (Path(__file__).parent / "date_format.tsv").read_text("utf-8").splitlines()
]


def test_texts_are_the_jvms() -> None:
    assert len(GOLDEN) == 400
    wrong = [
        (pattern, instant, text, ours)
        for pattern, instant, text in GOLDEN
        if (ours := JavaDateFormat(pattern)(int(instant))) != text
    ]
    assert wrong == []


def test_every_letter_is_in_the_golden_file() -> None:
    used = {char for pattern, _, _ in GOLDEN for char in pattern}
    assert set("GyYMLwWDdFEuaHkKhmsSzZX") <= used


@pytest.mark.parametrize(
    ("pattern", "epoch_ms", "text"),
    [
        ("YYYYMM", 1_798_329_600_000, "202712"),  # 2026-12-27, a Sunday: the first week of 2027
        ("YYYYMM", 1_798_329_599_999, "202612"),
        ("yyyyMM", 1_798_329_600_000, "202612"),
        ("'It''s' yyyy''", 0, "It's 1970'"),
        ("''''", 0, "''"),
        ("'YYYY'", 0, "YYYY"),
        ("'''", 0, None),
    ],
)
def test_examples(pattern: str, epoch_ms: int, text: str | None) -> None:
    if text is None:
        with pytest.raises(ValueError, match="Unterminated quote"):
            JavaDateFormat(pattern)
    else:
        assert JavaDateFormat(pattern)(epoch_ms) == text


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("YYYYMM", 86_400_000),
        ("dd a", 43_200_000),
        ("HH", 3_600_000),
        ("k:mm", 60_000),
        ("ss", 1_000),
        ("SSS", 1),
        ("'m'", 86_400_000),
    ],
)
def test_the_unit_is_the_finest_letters(pattern: str, unit: int) -> None:
    assert JavaDateFormat(pattern).unit == unit


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("yyyy-bb", "Illegal pattern character 'b'"),
        ("'open", "Unterminated quote"),
        ("XXXX", "invalid ISO 8601 format: length=4"),
    ],
)
def test_wrong_patterns_are_config_errors_in_javas_words(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ValidDateFormat()("timestamp.format", pattern)
    assert words in str(caught.value)
    assert caught.value.field == "timestamp.format"

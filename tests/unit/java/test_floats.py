"""``java.floats`` against what the JVM prints.

``floats.tsv`` holds type, bits and text, as printed by Java 17:
``java FloatsGolden.java 300 2026 > floats.tsv``.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.java.floats import java_float, java_float32, shortest_float32

GOLDEN = [
    line.split("\t")
    for line in (Path(__file__).parent / "floats.tsv").read_text("utf-8").splitlines()
]
KINDS = {"double": (">d", java_float), "float": (">f", java_float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_the_jvms(kind: str) -> None:
    form, text_of = KINDS[kind]
    rows = [(bits, text) for golden_kind, bits, text in GOLDEN if golden_kind == kind]
    assert len(rows) > 200
    wrong = [
        (bits, text, ours)
        for bits, text in rows
        if (ours := text_of(struct.unpack(form, bytes.fromhex(bits))[0])) != text
    ]
    assert wrong == []


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_java_floats_mean_the_same_number(value: float) -> None:
    text = java_float(value)
    assert float(text) == value
    assert "e" not in text
    assert "." in text


@given(st.floats(allow_nan=False, width=32))
def test_a_short_float_is_the_same_float(value: float) -> None:
    assert struct.pack("f", shortest_float32(value)) == struct.pack("f", value)


def test_what_no_32_bit_float_holds_keeps_its_value() -> None:
    assert java_float32(1e300) == "1.0E300"

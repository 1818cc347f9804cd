import re
from random import Random

import pytest

from coracle.connectors.datagen.regex import compile_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "User_[1-9]",
        "Item_[1-9][0-9]{0,2}",
        "City_[1-9]{0,2}",
        r"\d{3}-\d{4}",
        r"\w+@\w+\.(com|org)",
        "(a|bc|)d?",
        "(?:ab){2,3}",
        "[^a-z]x*",
        "[a-]",
        "[]a]",
        r"[\d.]{2,}",
        r"\D\S\W",
        "^anchored$",
        "a+?b",
        ".{5}",
        r"\[\]\(\)\\",
    ],
)
def test_strings_match_their_pattern(pattern):
    strings = compile_pattern(pattern)(Random(1), 200)
    assert len(strings) == 200
    assert [text for text in strings if not re.fullmatch(pattern, text)] == []


def test_every_alternative_and_length_comes_up():
    assert set(compile_pattern("(x|y)[0-1]{0,2}")(Random(1), 2000)) == {
        letter + digits for letter in "xy" for digits in ["", "0", "1", "00", "01", "10", "11"]
    }


def test_equal_random_numbers_give_equal_strings():
    make = compile_pattern("[a-z]{1,9}(x|y)*")
    assert make(Random(7), 50) == make(Random(7), 50)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", r"missing '\)'"),
        ("a)", r"unbalanced '\)'"),
        ("[a", "ends too early"),
        ("*a", "nothing to repeat"),
        ("a{2", "repetition must be"),
        ("a{3,1}", "upside down"),
        ("[z-a]", "upside down"),
        (r"\p{L}", r"'\\p' is not supported"),
        (r"(a)\1", r"'\\1' is not supported"),
        ("(?=a)", "only supported as"),
        ("a^b", "only supported at the start"),
        ("a$b", "only supported at the end"),
    ],
)
def test_what_is_not_supported_is_named(pattern, message):
    with pytest.raises(ValueError, match=message):
        compile_pattern(pattern)

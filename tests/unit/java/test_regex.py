"""``java.regex``: Java's meaning, or an error. The expected results were printed by Java 17."""

from __future__ import annotations

import re

import pytest

from coracle.java.regex import compile_regex, compile_replacement


@pytest.mark.parametrize(
    ("pattern", "matching", "failing"),
    [
        (r"mysql\.(.*)\.orders", ["mysql.shop.orders"], ["mysqlxshop.orders", "mysql.orders"]),
        (r"(?<n>a+)-\k<n>", ["aa-aa"], ["aa-a"]),
        (r"a(?i)b|C", ["ab", "aB", "c", "C"], ["Ab", "AB"]),
        (r"((?i)a)b", ["ab", "Ab"], ["aB"]),
        (r"(?i)(?-i)A", ["A"], ["a"]),
        (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb", "a.ba.b"]),
        (r"[a-z&&[^aeiou]]+", ["xyz"], ["xaz", "1"]),
        (r"[a[0-9]_]+", ["a_1"], ["b"]),
        (r"[]a]+", ["]a"], ["["]),
        (r"[\w-z]+", ["a-z"], ["a z"]),
        (r"\p{Lower}+\P{Digit}\p{Punct}", ["ab."], ["a1.", "aB1"]),
        (r"[\p{Alpha}\d.]+", ["a.1"], ["a_1"]),
        (r"a++b", ["aab"], ["aa"]),
        (r"(?>a|ab)c", ["ac"], ["abc"]),
        (r".+", ["a b"], ["a\nb", "a\rb", "a\u2028b"]),
        (r"(?s).+", ["a\nb", "a\u0085b"], [""]),
        (r"\h\v", ["\u00a0\u0085", "\t\n"], ["\n\t"]),
        (r"\x{61}\x62\u0063\0144\cA\e", ["abcd\x01\x1b"], ["abcd"]),
        (r"(a)\11", ["aa1"], ["a\t", "aa"]),
        (r"(?i)É", ["É"], ["é"]),  # ignoring case is about ASCII
        (r"[#~|&-]+", ["#~|&-"], ["a"]),
    ],
)
def test_whole_matches(pattern: str, matching: list[str], failing: list[str]) -> None:
    regex = compile_regex(pattern)
    assert [text for text in matching if not regex.fullmatch(text)] == []
    assert [text for text in failing if regex.fullmatch(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("a", True), ("a\n", True), ("a\r\n", True), ("a\u2028", True), ("a\n\n", False)],
)
def test_the_end_is_also_before_a_last_line_break(text: str, found: bool) -> None:
    assert bool(compile_regex("a$").search(text)) is found
    assert bool(compile_regex(r"a\Z").search(text)) is found
    assert bool(compile_regex(r"a\z").search(text)) is (text == "a")


@pytest.mark.parametrize(
    "pattern",
    [
        "a(",
        "a)",
        "[a",
        "a**",
        "*a",
        "{a",
        "a{,2}",
        r"\y",
        "[z-a]",
        "(?<1a>x)",
        "(?P<x>a)",
        "(?#c)a",
    ],
)
def test_what_java_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (r"\p{IsGreek}", r"\p{IsGreek}"),
        (r"\pL", r"\pL"),
        (r"(?x)a b", "flag x"),
        (r"(?iu)a", "flag u"),
        (r"[^a[b]]", "negated class"),
        (r"\b{g}", r"\b"),
        (r"\X", r"\X"),
    ],
)
def test_what_is_not_supported_is_named(pattern: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        compile_regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "result"),
    [
        ("(a)(b)?", "$1-$2", "a", "a-"),
        ("(?<db>.*)\\.(.*)", "${db}_$2", "shop.orders", "shop_orders"),
        ("(a)", "$12", "a", "a2"),
        ("a", "\\$0\\\\", "a", "$0\\"),
        ("a", "\\q$0", "a", "qa"),
        ("a", "\\\\g<0>", "a", "\\g<0>"),
    ],
)
def test_replacements(pattern: str, replacement: str, text: str, result: str) -> None:
    regex = compile_regex(pattern)
    assert regex.sub(compile_replacement(replacement, regex), text, count=1) == result


@pytest.mark.parametrize(
    ("replacement", "words"),
    [
        ("$2", "No group 2"),
        ("${x}", "No group with name {x}"),
        ("${x", "missing trailing '}'"),
        ("$", "Illegal group reference"),
        ("$x", "Illegal group reference"),
        ("\\", "character to be escaped is missing"),
    ],
)
def test_wrong_replacements_say_what_is_wrong(replacement: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        compile_replacement(replacement, compile_regex("(a)"))

r"""Random strings that match a regular expression.

The subset that people's generator schemas use: literals, ``.``, classes such as ``[^a-f0-9_]``,
``\d \w \s`` (and ``\D \W \S``), groups, ``|`` and the quantifiers ``? * + {m} {m,} {m,n}``. What
has no upper end is repeated at most eight times more than it must be. Anchors are accepted at the
ends, where they say nothing new. Look-around, back-references and ``\p{…}`` are refused.

A pattern compiles to a function that makes a whole column of strings: the pieces of a sequence are
columns too, joined row by row, so the cost of a call is shared by all rows.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import partial
from random import Random

Strings = Callable[[Random, int], list[str]]
"""Makes that many strings."""

_UNBOUNDED = 8
_PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
_CLASSES = {
    "d": string.digits,
    "w": string.ascii_letters + string.digits + "_",
    "s": " ",
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def compile_pattern(pattern: str) -> Strings:
    """The function that makes columns of strings matching ``pattern`` from start to end.

    Raises:
        ValueError: naming the place of what is wrong or not supported.
    """
    parser = _Parser(pattern)
    made = parser.alternatives()
    if parser.rest():
        raise parser.error("unbalanced ')'")
    return made


class _Parser:
    """Recursive descent over the pattern; ``_at`` is the next character."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def rest(self) -> str:
        return self._pattern[self._at :]

    def error(self, what: str) -> ValueError:
        return ValueError(f"{what} at position {self._at} of the regex {self._pattern!r}")

    def alternatives(self) -> Strings:
        branches = [self._sequence()]
        while self._accept("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else partial(_either, branches)

    def _sequence(self) -> Strings:
        pieces: list[Strings] = []
        while self.rest() and self.rest()[0] not in "|)":
            at_start = self._at == 0
            if self._accept("^"):
                if not at_start:
                    raise self.error("'^' is only supported at the start")
            elif self._accept("$"):
                if self.rest():
                    raise self.error("'$' is only supported at the end")
            else:
                pieces.append(self._quantified(self._piece()))
        return pieces[0] if len(pieces) == 1 else partial(_joined, pieces)

    def _piece(self) -> Strings:
        if self._accept("("):
            if self._accept("?") and not self._accept(":"):
                raise self.error("'(?' is only supported as '(?:'")
            inner = self.alternatives()
            if not self._accept(")"):
                raise self.error("missing ')'")
            return inner
        if self._accept("["):
            return partial(_one_of, self._character_class())
        if self._accept("."):
            return partial(_one_of, _PRINTABLE)
        if self.rest()[0] in "*+?{":
            raise self.error("nothing to repeat")
        characters = self._character()
        return partial(_one_of, characters) if len(characters) > 1 else partial(_same, *characters)

    def _character(self) -> list[str]:
        """One literal character, or the members of an escaped class."""
        character = self._next()
        if character != "\\":
            return [character]
        escaped = self._next()
        if escaped in _CLASSES:
            return list(_CLASSES[escaped])
        if escaped.lower() in _CLASSES:
            return [c for c in _PRINTABLE if c not in _CLASSES[escaped.lower()]]
        if escaped.isalnum() and escaped not in _ESCAPES:
            raise self.error(f"'\\{escaped}' is not supported")
        return [_ESCAPES.get(escaped, escaped)]

    def _character_class(self) -> list[str]:
        negated = self._accept("^")
        members: dict[str, None] = {}
        first = True
        while first or not self._accept("]"):
            first = False
            found = self._character()
            if len(found) == 1 and self.rest()[:1] == "-" and self.rest()[1:2] not in ("]", ""):
                self._next()
                (low,), (high, *_) = found, self._character()
                if low > high:
                    raise self.error(f"the range {low}-{high} is upside down")
                found = [chr(code) for code in range(ord(low), ord(high) + 1)]
            members.update(dict.fromkeys(found))
        if negated:
            return [character for character in _PRINTABLE if character not in members]
        return list(members)

    def _quantified(self, piece: Strings) -> Strings:
        if self._accept("?"):
            low, high = 0, 1
        elif self._accept("*"):
            low, high = 0, _UNBOUNDED
        elif self._accept("+"):
            low, high = 1, 1 + _UNBOUNDED
        elif self._accept("{"):
            bounds, closed, after = self.rest().partition("}")
            lowest, comma, highest = bounds.partition(",")
            if not closed or not lowest.isdigit() or not (highest or "0").isdigit():
                raise self.error("a repetition must be {m}, {m,} or {m,n}")
            low = int(lowest)
            high = int(highest) if highest else low + _UNBOUNDED if comma else low
            if high < low:
                raise self.error("a repetition's bounds are upside down")
            self._at = len(self._pattern) - len(after)
        else:
            return piece
        if self.rest()[:1] in ("?", "+"):  # reluctant and possessive match the same strings
            self._at += 1
        return partial(_repeated, piece, low, high)

    def _accept(self, character: str) -> bool:
        found = self._pattern.startswith(character, self._at)
        self._at += found
        return found

    def _next(self) -> str:
        if not self.rest():
            raise self.error("the pattern ends too early")
        self._at += 1
        return self._pattern[self._at - 1]


def _same(text: str, _random: Random, count: int) -> list[str]:
    return [text] * count


def _one_of(characters: list[str], random: Random, count: int) -> list[str]:
    return random.choices(characters, k=count)


def _joined(pieces: list[Strings], random: Random, count: int) -> list[str]:
    columns = [piece(random, count) for piece in pieces]
    return list(map("".join, zip(*columns, strict=True))) if columns else [""] * count


def _either(branches: list[Strings], random: Random, count: int) -> list[str]:
    columns = [branch(random, count) for branch in branches]
    picks = random.choices(range(len(branches)), k=count)
    return [columns[pick][row] for row, pick in enumerate(picks)]


def _repeated(piece: Strings, low: int, high: int, random: Random, count: int) -> list[str]:
    lengths = [low] * count if low == high else random.choices(range(low, high + 1), k=count)
    parts = iter(piece(random, sum(lengths)))
    return ["".join(next(parts) for _ in range(length)) for length in lengths]

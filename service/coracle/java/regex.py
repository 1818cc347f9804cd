r"""Java's regular expressions, run by Python's ``re``.

``java.util.regex`` and ``re`` mean the same by most of what people write, and differ quietly in the
rest: what ``.`` and ``$`` take for the end of a line, flags in mid-pattern, ``\Q…\E``, POSIX
classes, unions and intersections of classes, named groups. The translator reads a pattern once,
left to right, and writes the same meaning in Python's syntax. What has no counterpart, and what
Java would refuse, is a ``ValueError`` that names it: a pattern is never run with another meaning
than in Java.

Matching is over ASCII classes (``\w``, ``\d``, ``\b``, ignoring case), which is Java's default.

Source: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/regex/Pattern.html
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coracle.api.config import invalid

_LINE_ENDS = r"\n\r\x85\u2028\u2029"
_END = r"(?:(?<!\r)(?=\n\Z)|(?=\r\n\Z)|(?=[\r\x85\u2028\u2029]\Z)|\Z)"
_LINE_BREAK = r"(?:\r\n|[\n\x0b\f\r\x85\u2028\u2029])"

# Ranges as they stand inside a character class.
_POSIX = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\x00-\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": r" \t\n\x0b\f\r",
}
_HORIZONTAL = r" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_VERTICAL = r"\n\x0b\f\r\x85\u2028\u2029"
_SETS = {
    "d": r"\d",
    "w": r"\w",
    "s": r"\s",
    "h": _HORIZONTAL,
    "v": _VERTICAL,
}
_ASSERTIONS = {"b": r"\b", "B": r"\B", "A": r"\A", "z": r"\Z", "Z": _END, "R": _LINE_BREAK}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_HEX = {
    "x": re.compile(r"\\x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})"),
    "u": re.compile(r"\\u([0-9a-fA-F]{4})()"),
}
_OCTAL = re.compile(r"\\0([0-3]?[0-7]{1,2})")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]*))?([:)])")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9]*")
_REPEAT = re.compile(r"\{\d+(?:,\d*)?\}[?+]?|[*+?][?+]?")


def compile_regex(pattern: str) -> re.Pattern[str]:
    r"""A Python pattern that matches what Java's matches.

    Raises:
        ValueError: when Java refuses the pattern, or it uses what is not supported here.

    Example:
        >>> compile_regex(r"(?<db>\p{Lower}+)\.\Qa.b\E").fullmatch("shop.a.b")["db"]
        'shop'
    """
    try:
        return re.compile(_Translator(pattern).translate(), re.ASCII)
    except re.error as error:
        raise ValueError(str(error)) from None


class _Translator:
    """Reads ``source`` from ``at`` on; every method leaves ``at`` behind what it took."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.groups = 0

    def translate(self) -> str:
        out = self.alternatives(dotall=False)
        if self.at < len(self.source):
            raise ValueError(f"Unmatched closing ')' near index {self.at}")
        return out

    def peek(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def take(self, text: str) -> bool:
        found = self.peek(text)
        self.at += len(text) if found else 0
        return found

    def take_match(self, regex: re.Pattern[str]) -> re.Match[str] | None:
        found = regex.match(self.source, self.at)
        if found:
            self.at = found.end()
        return found

    def alternatives(self, dotall: bool) -> str:
        """Everything up to the end of the enclosing group.

        A flag such as ``(?i)`` holds from where it stands to the end of the group, across ``|``: it
        becomes a group that is closed before each ``|`` and opened again after it.
        """
        out: list[str] = []
        opened: list[str] = []
        while self.at < len(self.source) and not self.peek(")"):
            flags = self.take_match(_FLAGS) if self.peek("(?") else None
            if flags and flags[3] == ")":
                opened.append(_flag_group(flags))
                dotall = _dotall(flags, dotall)
                out.append(opened[-1])
            elif flags:
                out.append(_flag_group(flags) + self.group(_dotall(flags, dotall)))
                out.append(self.repeat())
            elif self.take("|"):
                out.append(")" * len(opened) + "|" + "".join(opened))
            elif self.take("\\Q"):
                quoted, _, _ = self.source[self.at :].partition("\\E")
                self.at += len(quoted) + 2
                out.append(re.escape(quoted))
                out.append(self.repeat() if quoted else "")
            else:
                out.append(self.atom(dotall))
                out.append(self.repeat())
        return "".join(out) + ")" * len(opened)

    def group(self, dotall: bool) -> str:
        """The rest of a group whose opening was taken."""
        inner = self.alternatives(dotall)
        if not self.take(")"):
            raise ValueError("Unclosed group")
        return inner + ")"

    def repeat(self) -> str:
        found = self.take_match(_REPEAT)
        if self.peek("{"):
            raise ValueError(f"Illegal repetition near index {self.at}")
        return found[0] if found else ""

    def atom(self, dotall: bool) -> str:
        if self.take("("):
            return self.open_group() + self.group(dotall)
        if self.take("["):
            return self.char_class()
        if self.take("."):
            return "." if dotall else f"[^{_LINE_ENDS}]"
        if self.take("^"):
            return "^"
        if self.take("$"):
            return _END
        if self.peek("\\"):
            return self.escape()
        char = self.source[self.at]
        if char in "*+?":
            raise ValueError(f"Dangling meta character '{char}' near index {self.at}")
        if char == "{":
            raise ValueError(f"Illegal repetition near index {self.at}")
        self.at += 1
        return re.escape(char)

    def open_group(self) -> str:
        if not self.take("?"):
            self.groups += 1
            return "("
        for opening in (":", "=", "!", ">", "<=", "<!"):
            if self.take(opening):
                return f"(?{opening}"
        if self.take("<"):
            name = self.name(">")
            self.groups += 1
            return f"(?P<{name}>"
        raise ValueError(f"Unknown inline modifier near index {self.at}")

    def name(self, end: str) -> str:
        found = self.take_match(_NAME)
        if not found or not self.take(end):
            raise ValueError(f"named group is missing its name or '{end}' near index {self.at}")
        return found[0]

    def escape(self) -> str:
        """A backslash and what belongs to it, outside of a character class."""
        char = self.source[self.at + 1 : self.at + 2]
        if char in _ASSERTIONS and char and not self.peek("\\b{"):
            self.at += 2
            return _ASSERTIONS[char]
        if char == "k" and self.take("\\k<"):
            return f"(?P={self.name('>')})"
        if char and char in "123456789":
            return self.back_reference()
        return self.set_or_char()[0]

    def back_reference(self) -> str:
        """As many digits as still name a group that is already there."""
        self.at += 1
        end = self.at + 1
        while self.source[end : end + 1].isdigit() and int(self.source[self.at : end + 1]) <= (
            self.groups
        ):
            end += 1
        digits = self.source[self.at : end]
        self.at = end
        return f"(?:\\{digits})"

    def set_or_char(self) -> tuple[str, str]:
        """An escape that stands for characters.

        Returns:
            its form outside of a class; its form inside, empty when it only goes outside.
        """
        char = self.source[self.at + 1 : self.at + 2]
        if char in ("p", "P"):
            ranges = self.posix()
            return (f"[{ranges}]", ranges) if char == "p" else (f"[^{ranges}]", "")
        if char and char.lower() in _SETS:
            self.at += 2
            if char in _SETS:
                return f"[{_SETS[char]}]", _SETS[char]
            if char in "DWS":
                return f"\\{char}", f"\\{char}"
            return f"[^{_SETS[char.lower()]}]", ""
        literal = self.character()
        return re.escape(literal), re.escape(literal)

    def posix(self) -> str:
        end = self.source.find("}", self.at)
        name = (
            self.source[self.at + 3 : end] if self.source[self.at + 2 : self.at + 3] == "{" else ""
        )
        if end < 0 or name not in _POSIX:
            shown = self.source[self.at : end + 1] if name else self.source[self.at : self.at + 3]
            raise ValueError(f"the class {shown} is not supported; the POSIX classes are")
        self.at = end + 1
        return _POSIX[name]

    def character(self) -> str:
        """One escaped or plain character, as itself."""
        if not self.take("\\"):
            self.at += 1
            return self.source[self.at - 1]
        char = self.source[self.at : self.at + 1]
        self.at -= 1
        if char in _HEX and char and (found := self.take_match(_HEX[char])):
            return chr(int(found[1] or found[2], 16))
        if char == "0" and (found := self.take_match(_OCTAL)):
            return chr(int(found[1], 8))
        if char == "c" and self.at + 2 < len(self.source):
            self.at += 3
            return chr(ord(self.source[self.at - 1]) ^ 64)
        if char in _CONTROLS and char:
            self.at += 2
            return _CONTROLS[char]
        if not char or (char.isascii() and char.isalnum()):
            raise ValueError(
                f"the escape \\{char} is illegal or not supported, near index {self.at}"
            )
        self.at += 2
        return char

    def char_class(self) -> str:
        """A class whose ``[`` was taken, as an expression for one character.

        Nested classes are alternatives, an intersection is a look-ahead.
        """
        start = self.at - 1
        negated = self.take("^")
        operands: list[str] = []
        plain = ""  # ranges and characters, in the form they have inside brackets
        nested: list[str] = []
        empty = True
        while empty or not self.peek("]"):
            if self.at >= len(self.source):
                raise ValueError(f"Unclosed character class near index {start}")
            if self.take("&&"):
                operands.append(_union(plain, nested))
                plain, nested = "", []
            elif self.take("["):
                nested.append(self.char_class())
            elif self.take("\\Q"):
                quoted, _, _ = self.source[self.at :].partition("\\E")
                self.at += len(quoted) + 2
                plain += re.escape(quoted)
            else:
                outside, inside = self.class_item()
                if inside:
                    plain += inside
                else:
                    nested.append(outside)
            empty = False
        self.at += 1
        if not negated and not operands:
            return _union(plain, nested)
        if negated and (operands or nested):
            # What the negation covers has changed between Java versions.
            raise ValueError("a negated class that holds classes or && is not supported")
        if negated:
            return f"[^{plain}]"
        *ahead, last = [*operands, _union(plain, nested)]
        return "(?:" + "".join(f"(?={operand})" for operand in ahead) + last + ")"

    def class_item(self) -> tuple[str, str]:
        """A set, a character or a range inside a class."""
        following = self.source[self.at + 1 : self.at + 2]
        is_set = self.peek("\\") and following and following.lower() in (*_SETS, "p")
        if is_set:
            return self.set_or_char()
        low = self.character()
        shown = re.escape(low)
        ends = self.source[self.at + 1 : self.at + 2] in ("]", "[", "")
        if self.peek("-") and not ends:
            self.at += 1
            high = self.character()
            if high < low:
                raise ValueError(f"Illegal character range near index {self.at}")
            shown = f"{shown}-{re.escape(high)}"
        return "", shown


def _union(plain: str, nested: list[str]) -> str:
    parts = [f"[{plain}]"] if plain else []
    parts += nested
    if not parts:
        raise ValueError("an empty operand of && is not supported")
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _flag_group(flags: re.Match[str]) -> str:
    on, off = flags[1], flags[2] or ""
    for flag in on + off:
        if flag not in "is":
            raise ValueError(f"the flag {flag} in {flags[0]} is not supported; i and s are")
    return f"(?{on}-{off}:" if off else f"(?{on}:"


def _dotall(flags: re.Match[str], inherited: bool) -> bool:
    return "s" not in (flags[2] or "") and ("s" in flags[1] or inherited)


def compile_replacement(replacement: str, regex: re.Pattern[str]) -> Callable[[re.Match[str]], str]:
    r"""Java's replacement text (``$1``, ``${name}``, ``\$``) as a function for ``re.sub``.

    A group that took no part in the match is replaced by nothing.

    Raises:
        ValueError: with Java's words, when it names a group the pattern does not have.
    """
    parts: list[str | int] = []
    at = 0
    while at < len(replacement):
        char = replacement[at]
        at += 1
        if char == "\\":
            if at == len(replacement):
                raise ValueError("character to be escaped is missing")
            parts.append(replacement[at])
            at += 1
        elif char == "$":
            group, at = _group_reference(replacement, at, regex)
            parts.append(group)
        else:
            parts.append(char)
    return lambda match: "".join(
        [part if isinstance(part, str) else match[part] or "" for part in parts]
    )


def _group_reference(text: str, at: int, regex: re.Pattern[str]) -> tuple[int, int]:
    """The group a ``$`` before ``at`` names, and where the text goes on."""
    if text[at : at + 1] == "{":
        name = _NAME.match(text, at + 1)
        if not name or text[name.end() : name.end() + 1] != "}":
            raise ValueError("named capturing group is missing trailing '}'")
        if name[0] not in regex.groupindex:
            raise ValueError(f"No group with name {{{name[0]}}}")
        return regex.groupindex[name[0]], name.end() + 1
    digits = re.compile("[0-9]+").match(text, at)
    if not digits:
        raise ValueError("Illegal group reference: a literal $ is written \\$")
    # The first digit always counts, further ones while they still name a group.
    end = at + 1
    while end < digits.end() and int(text[at : end + 1]) <= regex.groups:
        end += 1
    if int(text[at:end]) > regex.groups:
        raise ValueError(f"No group {text[at:end]}")
    return int(text[at:end]), end


class JavaRegex:
    """The value must be a regular expression of Java that Coracle can run."""

    def __call__(self, name: str, value: str) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        try:
            compile_regex(value)
        except ValueError as error:
            raise invalid(name, value, f"{self} ({error})") from None

    def __str__(self) -> str:
        return "a Java regular expression"

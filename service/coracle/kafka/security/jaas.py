"""``sasl.jaas.config``: ``module required name="value" … ;``.

Kafka's ``JaasConfig`` cuts the text up with a ``java.io.StreamTokenizer``, and so its rules hold:
quotes are single or double, a backslash escapes as in Java, ``//`` and ``/* */`` are comments, a
value with anything but letters, digits and ``_ - $ .`` must be quoted, and so must one that starts
with a digit. There is exactly one module, and a semicolon ends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from coracle.api import ConfigError

_KEY = "sasl.jaas.config"
_FIX = (
    "It looks like this: org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="…" password="…";'
)
_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\r\n]*|/\*.*?\*/|/[^\r\n]*)
  | "(?P<double>(?:[^"\\\r\n]|\\.)*)"
  | '(?P<single>(?:[^'\\\r\n]|\\.)*)'
  | (?P<word>[A-Za-z_$\u00a0-\U0010ffff][\w$.\-\u00a0-\U0010ffff]*)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FLAGS = ("required", "requisite", "sufficient", "optional")


@dataclass(frozen=True)
class LoginModule:
    """A parsed ``sasl.jaas.config``.

    Attributes:
        name: the module's class.
        options: what stands behind the flag. Secrets among them are plain text.
    """

    name: str
    options: Mapping[str, str] = field(repr=False)

    @property
    def simple_name(self) -> str:
        """The class without its package; distributions of Kafka move it to packages of theirs."""
        return self.name.rpartition(".")[2]


def login_module(text: str) -> LoginModule:
    """Parse ``sasl.jaas.config``.

    Raises:
        ConfigError: when it does not follow the rules. It names options, never their values.
    """
    tokens = _tokens(text)
    name = _word(next(tokens, None), "it names no login module")
    flag = _word(next(tokens, None), f"no flag follows {name}")
    if flag.lower() not in _FLAGS:
        raise _wrong(f"{name} is not followed by required")
    options: dict[str, str] = {}
    for kind, token in tokens:
        if (kind, token) == ("sign", ";"):
            break
        option = _word((kind, token), f"after {name} there is something that is not name=value")
        if next(tokens, None) != ("sign", "="):
            raise _wrong(f"option {option} has no value")
        options[option] = _word(
            next(tokens, None), f"the value of {option} is not quoted, and must be"
        )
    else:
        raise _wrong("it does not end with a semicolon")
    if next(tokens, None) is not None:
        raise _wrong("it names more than one login module, or goes on after the semicolon")
    return LoginModule(name, options)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind in ("double", "single"):
            yield "word", _ESCAPE.sub(_unescaped, match[kind])
        elif kind != "blank":
            yield kind, match[kind]


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code[0] in "01234567" else _ESCAPED.get(code, code)


def _word(token: tuple[str, str] | None, otherwise: str) -> str:
    if token is None or token[0] != "word":
        raise _wrong(otherwise)
    return token[1]


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"{_KEY} cannot be read: {what}.", field=_KEY, fix=_FIX)

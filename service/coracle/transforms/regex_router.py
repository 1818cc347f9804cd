"""RegexRouter: renames topics that match a regular expression.

The expression must match the whole topic; then, as in Java, the *first* match of it in the topic is
what the replacement takes the place of. The two differ for alternatives such as ``a|ab``.

A replacement that names a group the expression does not have is refused when configured; Java
fails at the first topic that matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from coracle.api import (
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    RecordBatch,
    Transform,
)
from coracle.api.config import invalid
from coracle.java.regex import JavaRegex, compile_regex, compile_replacement
from coracle.transforms.routes import reroute


def _groups_exist(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    try:
        compile_replacement(values["replacement"], compile_regex(values["regex"]))
    except ValueError as error:
        allowed = f"a replacement for {values['regex']} ({error})"
        return [invalid("replacement", values["replacement"], allowed)]
    return []


class RegexRouter(Transform):
    """Updates the record topic with a regular expression and a replacement string."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "regex",
                ConfigType.STRING,
                doc="Regular expression to use for matching.",
                importance=Importance.HIGH,
                validator=JavaRegex(),
            ),
            ConfigKey(
                "replacement",
                ConfigType.STRING,
                doc="Replacement string; $1 or ${name} stands for a group of the expression.",
                importance=Importance.HIGH,
            ),
        ],
        checks=(_groups_exist,),
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._regex = compile_regex(config["regex"])
        self._replacement = compile_replacement(config["replacement"], self._regex)
        self._topic = lru_cache(maxsize=1024)(self._route)

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The batch under its new topics."""
        return reroute(batch, self._topic)

    def _route(self, topic: str) -> str:
        if not self._regex.fullmatch(topic):
            return topic
        return self._regex.sub(self._replacement, topic, count=1)

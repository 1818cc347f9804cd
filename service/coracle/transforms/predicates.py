"""Predicates: which records a transform applies to."""

from __future__ import annotations

from collections.abc import Sequence

from coracle.api import Config, ConfigKey, ConfigSpec, ConfigType, Predicate, RecordBatch
from coracle.api.config import invalid
from coracle.java.regex import JavaRegex, compile_regex


class _NonEmptyRegex(JavaRegex):
    def __call__(self, name: str, value: str) -> None:
        if not value:
            raise invalid(name, value, str(self))
        super().__call__(name, value)

    def __str__(self) -> str:
        return "a Java regular expression, not empty"


class TopicNameMatches(Predicate):
    """True for records whose whole topic name matches a regular expression."""

    spec = ConfigSpec(
        [
            ConfigKey(
                "pattern",
                ConfigType.STRING,
                doc="A Java regular expression for matching against the name of a record's topic.",
                validator=_NonEmptyRegex(),
            )
        ]
    )

    def configure(self, config: Config) -> None:
        """Take the settings."""
        self._regex = compile_regex(config["pattern"])

    def matches(self, batch: RecordBatch) -> Sequence[bool]:
        """One answer per record, found once per topic."""
        if not len(batch):
            return []
        answers = [self._regex.fullmatch(schema.topic) is not None for schema in batch.schemas]
        if batch.codes is None:
            return answers[:1] * len(batch)
        return [answers[code] for code in batch.codes]


class RecordIsTombstone(Predicate):
    """True for records with a null value."""

    def configure(self, config: Config) -> None:
        """There are no settings."""

    def matches(self, batch: RecordBatch) -> Sequence[bool]:
        """One answer per record."""
        return [value is None for value in batch.values]

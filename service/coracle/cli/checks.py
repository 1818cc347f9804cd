"""Reads connector files and finds what is wrong with them, without connecting anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coracle.api import ConfigError, ConfigErrors
from coracle.config import files
from coracle.config.files import ConnectorDefinition
from coracle.config.validation import validate
from coracle.config.worker import WorkerConfig


@dataclass(frozen=True)
class Checked:
    """The verdict on one connector of a file.

    Attributes:
        path: the file.
        definition: what it defines; ``None`` when it could not be read.
        errors, warnings: what was found.
    """

    path: Path
    definition: ConnectorDefinition | None
    errors: list[ConfigError]
    warnings: list[str]

    @property
    def name(self) -> str:
        """The connector's name, empty when the file could not be read."""
        return self.definition.name if self.definition else ""


def check_files(paths: Sequence[Path], worker: WorkerConfig) -> list[Checked]:
    """Check every connector of every file, and that no two have the same name."""
    first: dict[str, Path] = {}
    results: list[Checked] = []
    for path in paths:
        for checked in _check(path, worker):
            if checked.name in first:
                checked.errors.append(
                    ConfigError(
                        f"{first[checked.name]} defines a connector of that name too.",
                        field="name",
                        code="conflict",
                        fix="Give each connector a name of its own.",
                    )
                )
            elif checked.definition:
                first[checked.name] = path
            results.append(checked)
    return results


def _check(path: Path, worker: WorkerConfig) -> Iterator[Checked]:
    try:
        definitions = files.load(path)
    except ConfigErrors as error:
        yield Checked(path, None, list(error.errors), [])
        return
    except ConfigError as error:
        yield Checked(path, None, [error], [])
        return
    for definition in definitions:
        found = validate(definition.config, worker)
        yield Checked(path, definition, list(found.errors), list(found.warnings))

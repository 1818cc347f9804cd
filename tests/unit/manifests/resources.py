"""The YAML files in k8s/ and helm/ as resources."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]


def resources(folder: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every resource below a folder of the repository, with the file it is in."""
    for path in sorted((ROOT / folder).rglob("*.yaml")):
        for resource in yaml.safe_load_all(path.read_text()):
            yield path.relative_to(ROOT), resource

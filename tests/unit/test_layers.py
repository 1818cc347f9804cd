"""Imports point one way: the contracts in pyproject.toml hold, and a breach is noticed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"


def lint_imports(*folders: Path) -> subprocess.CompletedProcess[str]:
    """Check the packages in these folders against the contracts in pyproject.toml."""
    return subprocess.run(
        [LINT_IMPORTS, "--config", ROOT / "pyproject.toml", "--no-cache"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_every_import_keeps_to_the_layers() -> None:
    done = lint_imports(ROOT / "service", ROOT / "operator")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_against_the_layers_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "service" / "coracle", tmp_path / "coracle")
    with (tmp_path / "coracle" / "api" / "record.py").open("a") as module:
        module.write("\nimport coracle.runtime\nimport aiokafka\n")
    done = lint_imports(tmp_path, ROOT / "operator")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "coracle.api is not allowed to import coracle.runtime" in done.stdout
    assert "Only coracle.kafka imports aiokafka BROKEN" in done.stdout

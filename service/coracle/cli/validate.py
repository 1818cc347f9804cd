"""``coracle validate``: what is wrong with connector files, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coracle.cli.checks import check_files
from coracle.cli.exits import Exit
from coracle.cli.screen import output, show_findings
from coracle.config.worker import WorkerConfig


def validate_files(paths: Sequence[Path], worker: WorkerConfig) -> Exit:
    """Print the verdict on every connector of the files."""
    checked = check_files(paths, worker)
    for each in checked:
        show_findings(each, output())
    return Exit.INVALID if any(each.errors for each in checked) else Exit.OK

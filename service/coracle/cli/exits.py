"""Exit codes, for scripts."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process says when it ends."""

    OK = 0
    """Done; for ``run``: stopped because it was asked to."""
    INVALID = 1
    """A configuration is invalid, nothing was started."""
    USAGE = 2
    """The command line itself is wrong."""
    FAILED = 3
    """The worker could not start, or a connector failed under ``--exit-on-failure``."""

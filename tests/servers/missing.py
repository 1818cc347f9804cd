"""What is not installed: the test fails with the command that installs it, it never skips."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


class MissingServerError(Exception):
    """A program that tests need is not here; the message holds the command that installs it."""

    def __init__(self, what: str, packages: str) -> None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        super().__init__(
            f"{what} is not installed. Install what the tests need with `{sudo}make servers`, "
            f"or this alone with `{sudo}apt-get install {packages}`."
        )


def find_program(name: str, folders: Iterable[Path] = ()) -> Path | None:
    """A program in one of these folders, else on PATH, else where Debian keeps daemons."""
    places = [*map(str, folders), *os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=":".join(places))
    return Path(found) if found else None

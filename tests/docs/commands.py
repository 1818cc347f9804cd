"""The shell commands of a Markdown page, and how a page says what is to be done with them.

Every ```bash block has a comment on the line before it:

    <!-- test -->                          run it; it must end with 0
    <!-- test: shows REGEX -->             … and its output must match
    <!-- test: until it shows REGEX -->    run it again and again until its output matches
    <!-- test: background -->              run it beside the following ones
    <!-- not run: REASON -->               nothing

The blocks of a page run in order, in one empty folder.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:^<!-- ?(.*?) ?-->\n)?^```bash\n(.*?)^```$", re.M | re.S)
_HOW = re.compile(r"test(?:: (?:(background)|(until it shows|shows) (.+)))?|not run: (\S.+)")


@dataclass(frozen=True)
class Block:
    """One block of commands.

    Attributes:
        line: where it begins.
        script: the commands.
        run: whether they are to be run.
        background: beside the following blocks.
        again: until the output matches.
        shows: what the output must match; empty if anything will do.
    """

    line: int
    script: str
    run: bool = True
    background: bool = False
    again: bool = False
    shows: str = ""


def blocks(page: Path) -> list[Block]:
    """All blocks of a page.

    Raises:
        ValueError: for one that does not say what is to be done with it.
    """
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        how = _HOW.fullmatch(match[1] or "")
        if how is None:
            raise ValueError(f"{page}:{line}: say <!-- test --> or <!-- not run: why -->")
        background, shows, pattern, reason = how.groups()
        again = shows == "until it shows"
        found.append(Block(line, match[2], not reason, bool(background), again, pattern or ""))
    return found

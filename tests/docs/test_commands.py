"""The commands in README.md and docs/ do what the pages say, against a real broker."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.commands import Block, blocks
from tests.servers.kafka import Kafka
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_PATIENCE = 45.0


class Page:
    """Runs the blocks of a page in a folder, with our servers in place of the page's."""

    def __init__(self, folder: Path, kafka: Kafka) -> None:
        self.folder = folder
        self._names = {"localhost:9092": kafka.bootstrap_servers, "8083": str(free_port())}
        self._path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._background: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> None:
        """Run one block; fails the test when it does not do what the page says."""
        if block.background:
            self._background.append(self._popen(block, self.folder / "background.log"))
            return
        deadline = time.monotonic() + _PATIENCE
        while True:
            code, output = self._run(block)
            right = code == 0 and re.search(block.shows, output) is not None
            if right or not block.again or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        assert right, f"line {block.line}: exit code {code}\n{output}\n{self._log()}"

    def _popen(self, block: Block, log: Path) -> subprocess.Popen[bytes]:
        script = block.script
        for name, ours in self._names.items():
            script = script.replace(name, ours)
        with log.open("wb") as out:
            return subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.folder,
                env={**os.environ, "PATH": self._path},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _run(self, block: Block) -> tuple[int, str]:
        log = self.folder / "output.log"
        with self._popen(block, log) as process:
            code = process.wait(_PATIENCE)
        return code, log.read_text()

    def _log(self) -> str:
        log = self.folder / "background.log"
        return log.read_text() if log.exists() else ""

    def stop(self) -> list[int]:
        """Ctrl-C for what runs in the background; the exit codes."""
        codes = []
        for process in self._background:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                codes.append(process.wait(20))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                codes.append(process.wait())
        self._background = []
        return codes


@pytest.fixture
def page(tmp_path: Path, kafka: Kafka) -> Iterator[Page]:
    page = Page(tmp_path, kafka)
    yield page
    page.stop()


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if any(block.run for block in blocks(path))],
    ids=lambda path: path.stem,
)
def test_commands(path: Path, page: Page) -> None:
    for block in blocks(path):
        if block.run:
            page.run(block)
    assert set(page.stop()) <= {0}


def test_links() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_a_block_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```bash\nls\n```\n")
    with pytest.raises(ValueError, match=r"page\.md:3: say"):
        blocks(page)


def test_how_blocks_are_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- test: until it shows a.c -->\n```bash\nls\n```\n\n"
        "<!-- not run: too long -->\n```bash\nmake\n```\n"
        "<!-- test: background -->\n```bash\nsleep 9\n```\n"
    )
    first, second, third = blocks(page)
    assert (first.script, first.run, first.again, first.shows) == ("ls\n", True, True, "a.c")
    assert not second.run
    assert third.background

"""The end of a process."""

import subprocess
import sys
import time

import pytest

HANGS = {
    "a thread": "await asyncio.wait_for(asyncio.to_thread(time.sleep, 60), 0.1)",
    "the event loop": "time.sleep(60)",
}
PROCESS = """
import asyncio, contextlib, time
from coracle.cli.process import LastResort

async def main():
    ending.within(1)
    with contextlib.suppress(TimeoutError):
        {hang}

with LastResort() as ending, asyncio.Runner() as runner:
    runner.run(main())
{after}
"""


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_what_hangs_does_not_keep_the_process(hang: str) -> None:
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROCESS.format(hang=hang, after="")],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 3
    assert "left behind" in done.stderr
    assert time.monotonic() - begin < 30


def test_who_ends_in_time_is_let_be() -> None:
    script = PROCESS.format(hang="pass", after="time.sleep(1.5)")
    assert subprocess.run([sys.executable, "-c", script], timeout=50).returncode == 0

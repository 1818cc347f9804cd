"""`make demo` tells the truth, ends well, and leaves nothing behind."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from demo.shop import COLUMNS, Shop

ROOT = Path(__file__).parents[2]


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_demo(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        output, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, output
    assert "25,000 of 25,000 orders are in the warehouse, none twice" in output
    assert "all 150,000 values compared" in output
    assert '{"incrementing":20000}' in output
    assert "next is offset 20000 of shop.orders" in output
    assert "GLIBC" not in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_that_is_stopped_leaves_no_process(tmp_path: Path, signum: signal.Signals) -> None:
    with start(tmp_path, KEEP="1", PYTHONUNBUFFERED="1") as demo:
        assert demo.stdout is not None
        while "It stays up" not in (line := demo.stdout.readline()):
            assert line, "ended before it stayed up"
        children = psutil.Process(demo.pid).children(recursive=True)
        commands = [" ".join(child.cmdline()) for child in children]
        assert any("noida-db" in command for command in commands)
        assert any("coracle run" in command for command in commands)
        demo.send_signal(signum)
        demo.communicate(timeout=40)
    assert demo.returncode == (-signum if signum is signal.SIGKILL else 0)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_wrong_connector_fails_the_demo(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, demo.__main__ as d\n"
        "d._FILES[1] = __import__('pathlib').Path(sys.argv[1])\n"
        "sys.exit(d.main())"
    )
    wrong = tmp_path / "wrong.json"
    text = (ROOT / "demo" / "warehouse-orders.json").read_text()
    wrong.write_text(text.replace('"auto.create": "true"', '"auto.create": "false"'))
    process = subprocess.run(
        [sys.executable, "-c", script, str(wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 1, process.stdout
    assert "warehouse-orders has failed" in process.stdout


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.order(50)
    assert len(shop.differences()) == 50
    rows = [
        (*list(shop.row(id_).values())[:-1], milliseconds)
        for id_, milliseconds in zip(range(1, 51), _times(shop), strict=True)
    ]
    with closing(sqlite3.connect(shop.destination)) as database, database:
        database.execute(f'CREATE TABLE "orders-202601" ({", ".join(COLUMNS)})')
        database.executemany('INSERT INTO "orders-202601" VALUES (?, ?, ?, ?, ?, ?)', rows)
    return shop


def _times(shop: Shop) -> list[int]:
    with closing(sqlite3.connect(shop.source)) as database:
        text = "strftime('%s', ordered_at) * 1000 + substr(ordered_at, -3)"
        return [ms for (ms,) in database.execute(f"SELECT {text} FROM orders ORDER BY id")]


def test_check_finds_nothing_where_all_is_right(shop: Shop) -> None:
    assert shop.arrived() == 50
    assert shop.differences() == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DELETE FROM {} WHERE id = 7", "order 7 did not arrive"),
        ("UPDATE {} SET customer = customer || ' ' WHERE id = 7", "order 7 should be"),
        ("UPDATE {} SET ordered_at = ordered_at + 1 WHERE id = 7", "order 7 should be"),
        ("INSERT INTO {} SELECT * FROM {} WHERE id = 7", "order 7 arrived twice"),
        ("INSERT INTO {} (id) VALUES (99)", "order 99 arrived and was never ordered"),
    ],
)
def test_check_finds_what_is_wrong(shop: Shop, change: str, found: str) -> None:
    with closing(sqlite3.connect(shop.destination)) as database, database:
        database.execute(change.replace("{}", '"orders-202601"'))
    (difference,) = shop.differences()
    assert difference.startswith(found)

"""The installed command as scripts see it."""

import subprocess
import sys
from pathlib import Path

import coracle
from tests.unit.cli.conftest import Write

COMMAND = Path(sys.executable).with_name("coracle")


def command(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, args)], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_teaches() -> None:
    result = command("--help")
    assert result.returncode == 0
    for expected in ("run", "validate", "plugins", "Examples", "Exit codes", "-b broker:9092"):
        assert expected in result.stdout
    assert result.stderr == ""


def test_version() -> None:
    assert command("--version").stdout == f"coracle {coracle.__version__}\n"


def test_nothing_to_do_shows_help() -> None:
    result = command()
    assert result.returncode == 2
    assert "Usage: coracle" in result.stdout + result.stderr


def test_exit_codes(write: Write) -> None:
    assert command("validate", write("good.json")).returncode == 0
    assert command("validate", write("bad.json", topic="")).returncode == 1
    assert command("validate", "missing.json").returncode == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from coracle.cli.app import app\n"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0\n"
        "heavy = {'fastapi', 'aiokafka', 'uvicorn', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

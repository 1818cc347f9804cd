from pathlib import Path

from tests.unit.cli.conftest import Invoke, Write


def test_valid(coracle: Invoke, write: Write) -> None:
    path = write()
    result = coracle("validate", path)
    assert (result.exit_code, result.stdout) == (0, f"✓ {path}: lines is valid\n")


def test_every_error_of_every_file(coracle: Invoke, write: Write) -> None:
    first = write("a.json", "a", **{"tasks.max": "many", "topic": ""})
    second = write("b.json", "b", **{"connector.class": "Nope"})
    good = write("c.json", "c")
    result = coracle("validate", first, second, good)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"✗ {first}: a has 2 errors"
    found = [line.split(maxsplit=2) for line in lines]
    assert ["error", "tasks.max"] in [words[:2] for words in found if "value many" in words[-1]]
    assert ["error", "topic"] in [words[:2] for words in found]
    assert f"✗ {second}: b has 1 error" in lines
    assert lines[-1] == f"✓ {good}: c is valid"


def test_unknown_keys_are_warnings_that_name_the_nearest(coracle: Invoke, write: Write) -> None:
    result = coracle("validate", write(**{"batch.sise": 5}))
    assert result.exit_code == 0
    words = result.stdout.splitlines()[1].split(maxsplit=1)
    assert words == ["warning", "unknown key batch.sise, did you mean batch.size?"]


def test_a_file_that_is_not_json_is_named_with_the_line(coracle: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{\n"name":')
    result = coracle("validate", path)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"✗ {path}, line 2")


def test_two_connectors_of_one_name(coracle: Invoke, write: Write) -> None:
    first, second = write("a.json"), write("b.json")
    result = coracle("validate", first, second)
    assert result.exit_code == 1
    assert f"{first} defines a connector of that name too." in result.stdout


def test_brackets_are_no_markup(coracle: Invoke, write: Write) -> None:
    result = coracle("validate", write(name="[red]lines[/]", **{"[bold]": "x"}))
    assert ": [red]lines[/] is valid" in result.stdout
    assert "unknown key [bold]" in result.stdout


def test_no_such_file_is_a_usage_error(coracle: Invoke) -> None:
    result = coracle("validate", "missing.json")
    assert result.exit_code == 2
    assert "missing.json" in result.stderr


def test_a_file_is_needed(coracle: Invoke) -> None:
    assert coracle("validate").exit_code == 2


def test_wrong_worker_file(coracle: Invoke, write: Write, tmp_path: Path) -> None:
    worker = tmp_path / "worker.properties"
    worker.write_text("offset.flush.interval.ms=soon\nsession.timeout.ms=0\n")
    result = coracle("validate", "-w", worker, write())
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: The worker's configuration is invalid: {worker}: ")
    assert "offset.flush.interval.ms" in lines[0]

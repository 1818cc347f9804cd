import pytest

from tests.unit.cli.conftest import Invoke


def test_list(coracle: Invoke) -> None:
    result = coracle("plugins")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["source", "org.apache.kafka.connect.file.FileStreamSourceConnector"] in [
        line[:2] for line in lines
    ]
    assert ["predicate", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"] in [
        line[:2] for line in lines
    ]


def test_list_of_one_type(coracle: Invoke) -> None:
    result = coracle("plugins", "--type", "sink")
    types = {line.split()[0] for line in result.stdout.splitlines()[2:]}
    assert types == {"sink"}


@pytest.mark.parametrize("name", ["FileStreamSource", "FileStreamSourceConnector"])
def test_reference_of_one(coracle: Invoke, name: str) -> None:
    result = coracle("plugins", name)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "org.apache.kafka.connect.file.FileStreamSourceConnector (source)"
    (topic,) = [line for line in lines if line.startswith("topic ")]
    assert topic.split()[:4] == ["topic", "STRING", "required", "HIGH"]


def test_reference_of_a_plugin_without_settings(coracle: Invoke) -> None:
    result = coracle("plugins", "RecordIsTombstone")
    assert "no settings of its own" in result.stdout


def test_unknown_plugin(coracle: Invoke) -> None:
    result = coracle("plugins", "FileStreamSorceConnector")
    assert result.exit_code == 2
    assert "did you mean" in result.stderr.lower()
    assert "FileStreamSourceConnector" in result.stderr


def test_unknown_type_is_a_usage_error(coracle: Invoke) -> None:
    result = coracle("plugins", "--type", "sinks")
    assert result.exit_code == 2
    assert "sink" in result.stderr

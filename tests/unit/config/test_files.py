import logging

import pytest

from coracle.api import ConfigError
from coracle.config.files import ConnectorDefinition, load


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


BARE = {"name": "orders", "connector.class": "X", "tasks.max": "2"}


def test_json_as_posted(write):
    path = write(
        "f.json",
        '{"name": "orders", "config": {"connector.class": "X", "tasks.max": 2},'
        ' "initial_state": "stopped"}',
    )
    assert load(path) == [ConnectorDefinition("orders", BARE, "STOPPED")]


def test_a_bare_configuration(write):
    path = write("f.json", '{"name": "orders", "connector.class": "X", "tasks.max": 2}')
    assert load(path) == [ConnectorDefinition("orders", BARE, "RUNNING")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("orders.json", '{"connector.class": "X", "tasks.max": 2}'),
        ("orders.json", '{"config": {"connector.class": "X", "tasks.max": 2}}'),
        ("orders.properties", "connector.class=X\ntasks.max=2\n"),
        ("orders.yaml", "connector.class: X\ntasks.max: 2\n"),
    ],
)
def test_a_configuration_without_a_name_has_the_files(write, name, text):
    assert load(write(name, text)) == [ConnectorDefinition("orders", BARE)]


def test_a_list_of_both(write):
    path = write(
        "f.json",
        '[{"name": "a", "config": {"connector.class": "X"}}, {"connector.class": "Y"}]',
    )
    assert [(each.name, each.config["connector.class"]) for each in load(path)] == [
        ("a", "X"),
        ("f-2", "Y"),
    ]


def test_properties_as_for_connect_standalone(write):
    path = write(
        "connect-file-sink.properties",
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\n"
        "file=test.sink.txt\ntopics=connect-test\n",
    )
    assert load(path) == [
        ConnectorDefinition(
            "local-file-sink",
            {
                "name": "local-file-sink",
                "connector.class": "FileStreamSink",
                "tasks.max": "1",
                "file": "test.sink.txt",
                "topics": "connect-test",
            },
        )
    ]


def test_scalars_keep_their_text(write):
    config = '"a": true, "b": 1.10, "c": 1e3, "d": 12345678901234567890, "e": "x", "f": -0'
    assert load(write("f.json", f'{{"connector.class": "X", {config}}}'))[0].config == {
        "name": "f",
        "connector.class": "X",
        "a": "true",
        "b": "1.10",
        "c": "1e3",
        "d": "12345678901234567890",
        "e": "x",
        "f": "-0",
    }


MANIFESTS = """\
# Two connectors and their cluster
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: cluster}
---
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaConnector
metadata:
  name: source
  labels: {strimzi.io/cluster: cluster}
spec:
  class: X
  tasksMax: 2
  version: 1.2.3
  state: stopped
  autoRestart: {enabled: true}
  config:
    tasks.max: 9
    enabled: yes
    ratio: 1.10
    hours: 12:30:45
    day: 2026-01-02
    text: ${env:X}
    size: 010
---
---
apiVersion: coracle.dev/v1
kind: KafkaConnector
metadata: {name: sink-postgres-00-json-1a2b3c4d}
spec:
  name: sink_postgres_00_json
  class: Y
---
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaConnector
metadata: {name: paused}
spec: {class: Z, pause: true}
"""


def test_manifests(write, caplog):
    path = write("f.yaml", MANIFESTS)
    with caplog.at_level(logging.WARNING):
        definitions = load(path)
    assert definitions == [
        ConnectorDefinition(
            "source",
            {
                "name": "source",
                "connector.class": "X",
                "tasks.max": "2",
                "connector.plugin.version": "1.2.3",
                "enabled": "true",
                "ratio": "1.10",
                "hours": "12:30:45",
                "day": "2026-01-02",
                "text": "${env:X}",
                "size": "010",
            },
            "STOPPED",
        ),
        ConnectorDefinition(
            "sink_postgres_00_json", {"name": "sink_postgres_00_json", "connector.class": "Y"}
        ),
        ConnectorDefinition("paused", {"name": "paused", "connector.class": "Z"}, "PAUSED"),
    ]
    assert caplog.messages == [
        f"{path}, line 2: a KafkaConnect is no connector and is skipped",
        f"{path}, line 6: spec.config.tasks.max is ignored, spec.tasksMax says it",
    ]


def test_a_kubernetes_list_in_json(write):
    path = write(
        "f.json",
        '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "kafka.strimzi.io/v1",'
        ' "kind": "KafkaConnector", "metadata": {"name": "a"}, "spec": {"class": "X"}}]}',
    )
    assert load(path) == [ConnectorDefinition("a", {"name": "a", "connector.class": "X"})]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "f.json",
            '{"a": 1,\n "b" 2}',
            "{path}, line 2, column 6: this is not JSON: Expecting ':' delimiter. A comma, quote "
            "or bracket before this place is missing or too many.",
        ),
        (
            "f.json",
            "",
            "{path}, line 1, column 1: this is not JSON: Expecting value. A comma, quote or "
            "bracket before this place is missing or too many.",
        ),
        (
            "f.json",
            "3",
            '{path}: this is no connector configuration. Write an object such as {{"name": "…", '
            '"config": {{"connector.class": "…"}}}}.',
        ),
        ("f.json", "[]", "{path}: the file defines no connector."),
        ("f.json", '{"config": "x"}', "{path}: config must be a mapping of keys to values."),
        (
            "f.json",
            '{"config": {}, "tasks.max": 1}',
            "{path}: unexpected field 'tasks.max' beside name, config and initial_state. Settings "
            "of the connector belong into config.",
        ),
        (
            "f.json",
            '{"name": "a", "config": {"name": "b"}}',
            "{path}: the connector is called 'a' outside its config and 'b' inside. Leave the "
            "name inside out.",
        ),
        (
            "f.json",
            '{"config": {}, "initial_state": "asleep"}',
            "{path}: Invalid value asleep for the initial state: must be one of RUNNING, PAUSED, "
            "STOPPED.",
        ),
        (
            "f.json",
            '{"connector.class": "X", "a": null, "b": {"c": 1}}',
            "{path}: Invalid value for configuration a: Null value can not be supplied as the "
            "configuration value. Leave the key out.\n{path}: Invalid value for configuration b: "
            "must be a string, a number, true or false. Write it as one string.",
        ),
        ("f.yaml", "a: [1\nb: 2\n", "{path}, line 2: this is not YAML: expected"),
        ("f.yaml", "a: !!python/object:os.system x", "{path}, line 1: this is not YAML: could"),
        ("f.yaml", "", "{path}: the file defines no connector."),
        (
            "f.yaml",
            "---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaConnector\n"
            "metadata: {name: a}\nspec: {}\n",
            "{path}, line 2: the KafkaConnector a has no spec.class. Set spec.class to the class "
            "of the connector.",
        ),
        (
            "f.yaml",
            "apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnector\nspec: {class: X}\n",
            "{path}, line 1: the KafkaConnector has no name. Set metadata.name.",
        ),
        (
            "f.txt",
            "name=x",
            "{path}: no connector configuration by its name. Call it something.json, "
            "something.properties or something.yaml.",
        ),
    ],
)
def test_errors_name_file_place_and_fix(write, name, text, message):
    path = write(name, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(message.format(path=path))
    if not message.endswith(("expected", "could")):
        assert str(caught.value) == message.format(path=path)


def test_a_definition_does_not_print_its_settings(write):
    path = write("f.json", '{"connector.class": "X", "connection.password": "s3cret"}')
    assert "s3cret" not in repr(load(path))

import json

import pytest

from coracle.api import ConfigError
from coracle.kube.control import Control, Definition, Restart, parse, parse_control
from coracle.kube.references import config_hash
from coracle.store import TargetState

CONNECTOR = json.dumps(
    {"name": "orders", "config": {"topics": "t"}, "worker": {"bootstrap.servers": "b:9092"}}
)
CONTROL = json.dumps(
    {
        "tasksMax": 3,
        "state": "paused",
        "loggers": {"root": "debug", "coracle.kafka": "OFF"},
        "restart": {"id": "a", "includeTasks": True},
        "restartTasks": {"2": "x"},
    }
)


def test_the_config_map_of_the_operator_is_read():
    text_hash = config_hash(CONNECTOR)
    desired = parse({"connector.json": CONNECTOR, "control.json": CONTROL}, text_hash)
    assert desired.definition == Definition(
        "orders", {"topics": "t"}, {"bootstrap.servers": "b:9092"}, text_hash
    )
    assert desired.control == Control(
        3,
        TargetState.PAUSED,
        {"root": "DEBUG", "coracle.kafka": "OFF"},
        Restart("a", connector=True, include_tasks=True, only_failed=False),
        {2: "x"},
    )


def test_another_version_of_the_connector_is_nothing_to_a_pod_but_its_control_is():
    data = {"connector.json": CONNECTOR.replace('"t"', '"u"'), "control.json": CONTROL}
    desired = parse(data, config_hash(CONNECTOR))
    assert desired.definition is None
    assert desired.control.tasks_max == 3


def test_what_control_leaves_out_has_its_default():
    assert parse_control("{}") == Control(1, TargetState.RUNNING, {}, Restart(), {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is missing"),
        ("{", "it is not JSON"),
        ("[]", "it must be a JSON object"),
        ('{"tasksMax": 0}', "tasksMax must be a number of at least 1"),
        ('{"tasksMax": true}', "tasksMax must be a number of at least 1"),
        ('{"tasksMax": "2"}', "tasksMax must be a number of at least 1"),
        ('{"state": "RUNNING"}', "state must be running, paused or stopped"),
        ('{"loggers": {"root": "loud"}}', "every level in loggers must be one of TRACE, DEBUG"),
        ('{"loggers": ["root"]}', "loggers must be an object whose values are strings"),
        ('{"restart": {"connector": true}}', "restart must be an object with an id"),
        ('{"restart": {"id": "a", "onlyFailed": "yes"}}', "of restart must be true or false"),
        ('{"restartTasks": {"one": "x"}}', "restartTasks must be ids by task number"),
        ('{"restartTasks": {"1": 5}}', "restartTasks must be an object whose values are strings"),
    ],
)
def test_what_is_wrong_with_control_is_said(text, words):
    with pytest.raises(ConfigError, match=r"control\.json in the connector's ConfigMap") as caught:
        parse_control(text)
    assert words in str(caught.value)
    assert caught.value.field == "control.json"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is missing"),
        ('{"config": {}}', "name must be the connector's name"),
        ('{"name": "x"}', "config must be an object whose values are strings"),
        ('{"name": "x", "config": {"a": 1}}', "config must be an object whose values are strings"),
        ('{"name": "x", "config": {}, "worker": 1}', "worker must be an object"),
    ],
)
def test_what_is_wrong_with_the_connector_is_said(text, words):
    with pytest.raises(ConfigError) as caught:
        parse({"connector.json": text, "control.json": "{}"}, "")
    assert words in str(caught.value)

"""Resources as Python objects, and settings as Kafka Connect has them."""

import pytest

from coracle.api import ConfigErrors
from coracle.kube.model import (
    KafkaConnect,
    KafkaConnector,
    KafkaConnectorSpec,
    strings,
    unknown_fields,
    without_effect,
)

CONNECTOR = {
    "apiVersion": "coracle.dev/v1",
    "kind": "KafkaConnector",
    "metadata": {"name": "orders", "namespace": "shop", "managedFields": [{}]},
    "spec": {"class": "A", "tasksMax": 3, "config": {"topics": "a", "flush.size": 10}},
    "status": {
        "connectorStatus": {"tasks": [{"id": 0, "worker_id": "10.0.0.1:8083", "lastCommit": "x"}]}
    },
}


def test_parsing_and_writing_again() -> None:
    connector = KafkaConnector.model_validate(CONNECTOR)
    assert connector.connector_name == "orders"
    assert connector.spec.class_ == "A"
    assert connector.spec.tasks_max == 3
    assert connector.to_json() == {
        **CONNECTOR,
        "metadata": {"name": "orders", "namespace": "shop"},
    }


def test_name_in_spec_is_the_connectors() -> None:
    spec = {"class": "A", "name": "sink_postgres_00_json"}
    connector = KafkaConnector.model_validate({"metadata": {"name": "x"}, "spec": spec})
    assert connector.connector_name == "sink_postgres_00_json"


def test_settings_are_text() -> None:
    assert strings({"a": "x", "b": 3, "c": True, "d": False, "e": 1.5, "f": ""}) == {
        "a": "x", "b": "3", "c": "true", "d": "false", "e": "1.5", "f": "",
    }  # fmt: skip


def test_settings_that_are_no_strings_are_all_named() -> None:
    spec = KafkaConnectorSpec.model_validate(
        {"class": "A", "config": {"a": None, "b": ["x"], "c": {"d": 1}, "e": 1}}
    )
    with pytest.raises(ConfigErrors) as raised:
        spec.settings()
    assert [error.field for error in raised.value.errors] == ["a", "b", "c"]


def test_fields_without_effect_are_named_with_the_reason() -> None:
    connect = KafkaConnect.model_validate(
        {
            "metadata": {"name": "x"},
            "spec": {
                "bootstrapServers": "b",
                "jvmOptions": {"-Xmx": "1g"},
                "logging": {"type": "external", "valueFrom": {}},
            },
        }
    )
    assert without_effect(connect.spec) == {
        "spec.jvmOptions": "there is no JVM",
        "spec.logging.valueFrom": "levels are read from loggers only",
    }


def test_unknown_fields_are_named_where_they_stand() -> None:
    given = {
        "class": "A",
        "configs": {},
        "template": {"pod": {"tolerations": [{"key": "a"}, {"keys": "a"}], "hostIPC": True}},
        "config": {"anything": "goes"},
    }
    assert unknown_fields(KafkaConnectorSpec, given) == [
        "spec.configs",
        "spec.template.pod.tolerations.keys",
        "spec.template.pod.hostIPC",
    ]

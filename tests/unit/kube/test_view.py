from typing import Any

import pytest

from coracle.api import ConfigError
from coracle.kube.model import KafkaConnector
from coracle.kube.view import config_of, info_of, spec_of, status_of, withheld
from coracle.rest.entities import connector_status
from coracle.store import State


def connector(spec: dict[str, Any] | None = None, **more: Any) -> KafkaConnector:
    return KafkaConnector.model_validate(
        {
            "metadata": {"name": "orders"},
            "spec": {"class": "FileStreamSink", "tasksMax": 3, **(spec or {})},
            **more,
        }
    )


REPORTED = {
    "connectorStatus": {
        "name": "sink_orders",
        "type": "sink",
        "connector": {
            "state": "RUNNING",
            "worker_id": "10.1.2.3:8083",
            "version": "1.0",
            "epoch": 7,
            "tasks": 2,
            "useful": 2,
        },
        "tasks": [
            {"id": 1, "state": "FAILED", "worker_id": "10.1.2.4:8083", "trace": "why", "epoch": 7},
            {"id": 0, "state": "RUNNING", "worker_id": "10.1.2.3:8083", "records": 5, "lag": 1},
            {"id": 2},
        ],
    }
}


def test_fields_of_the_resource_are_settings() -> None:
    spec = {
        "name": "sink_orders",
        "version": "1.0",
        "config": {
            "tasks.max": "9",
            "name": "no",
            "batch.size": 500,
            "auto.create": True,
            "x": "y",
        },
    }
    assert config_of(connector(spec)) == {
        "name": "sink_orders",
        "connector.class": "FileStreamSink",
        "tasks.max": "3",
        "connector.plugin.version": "1.0",
        "batch.size": "500",
        "auto.create": "true",
        "x": "y",
    }


def test_status_is_printed_as_kafka_connect_prints_it() -> None:
    reported = connector({"name": "sink_orders"}, status=REPORTED)
    assert connector_status(status_of(reported)) == {
        "name": "sink_orders",
        "connector": {"state": "RUNNING", "worker_id": "10.1.2.3:8083", "version": "1.0"},
        "tasks": [
            {"id": 0, "state": "RUNNING", "worker_id": "10.1.2.3:8083"},
            {"id": 1, "state": "FAILED", "worker_id": "10.1.2.4:8083", "trace": "why"},
            {"id": 2, "state": "UNASSIGNED", "worker_id": ""},
        ],
        "type": "sink",
    }
    assert set(info_of(reported).tasks) == {0, 1, 2}


def test_before_a_pod_reports_the_reason_is_the_trace() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "ImagePull", "message": "No such image."}
    assert status_of(connector()).state is State.UNASSIGNED
    status = status_of(connector(status={"conditions": [ready]}))
    assert (status.state, status.trace) == (State.UNASSIGNED, "ImagePull: No such image.")
    assert (status.type, status.tasks) == ("sink", ())
    stopped = status_of(connector({"state": "stopped"}, status={"conditions": [ready]}))
    assert (stopped.state, stopped.trace) == (State.STOPPED, "")


def test_a_configuration_becomes_fields() -> None:
    config = {
        "name": "orders",
        "connector.class": "C",
        "tasks.max": "4",
        "connector.plugin.version": "2.0",
        "a": "1",
    }
    assert spec_of(config) == {
        "class": "C",
        "tasksMax": 4,
        "config": {"a": "1"},
        "version": "2.0",
    }


def test_a_new_configuration_removes_what_it_does_not_say() -> None:
    current = connector({"version": "1.0", "config": {"a": "1", "b": "2"}})
    assert spec_of({"connector.class": "C", "b": "3"}, current) == {
        "class": "C",
        "tasksMax": 1,
        "config": {"a": None, "b": "3"},
        "version": None,
    }


def test_what_scales_the_connector_keeps_its_tasks() -> None:
    scaled = connector({"autoscaling": {"maxTasks": 8, "cpu": 70}})
    assert "tasksMax" not in spec_of({"connector.class": "C"}, scaled)
    assert spec_of({"connector.class": "C", "tasks.max": "2"}, scaled)["tasksMax"] == 2


def test_a_reference_is_no_number_of_tasks() -> None:
    with pytest.raises(ConfigError, match="must be a number on Kubernetes"):
        spec_of({"connector.class": "C", "tasks.max": "${env:TASKS}"})


def test_passwords_become_references() -> None:
    config = {"a": "1", "pass.word": "hunter2", "t$x.key": "s3cret"}
    passwords = frozenset({"pass.word", "t$x.key"})
    kept = withheld(config, passwords, resource="orders", salt="s", provider="secrets")
    assert kept.data == {"pass.word": "hunter2", "t_x.key": "s3cret"}
    assert kept.config == {
        "a": "1",
        "pass.word": f"${{secrets:{kept.secret}:pass.word}}",
        "t$x.key": f"${{secrets:{kept.secret}:t_x.key}}",
    }
    assert kept.secret.startswith("orders-")
    assert "hunter2" not in repr(kept)


def test_the_same_passwords_are_the_same_secret() -> None:
    def secret(value: str, salt: str = "s") -> str:
        passwords = frozenset({"p"})
        return withheld(
            {"p": value}, passwords, resource="orders", salt=salt, provider="secrets"
        ).secret

    assert secret("a") == secret("a")
    assert len({secret("a"), secret("b"), secret("a", salt="t")}) == 3

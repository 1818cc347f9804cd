import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coracle.kube.names import object_name
from coracle_operator.certificates import issue
from coracle_operator.webhook import (
    Findings,
    Place,
    api_url,
    findings_of,
    is_free,
    kafka_connect_findings,
    place_of,
    question,
    reload,
    response,
)


def connector(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "KafkaConnector",
        "metadata": {"name": "orders", "namespace": "shop", **metadata},
        "spec": {"class": "JdbcSink", **(spec or {})},
    }


def request(new: Any, old: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "operation": "UPDATE" if old else "CREATE",
        "object": new,
        "oldObject": old,
        **more,
    }


def test_what_could_be_wrong_is_looked_at() -> None:
    assert not is_free(request(connector()))
    assert not is_free(request(connector({"tasksMax": 2}), connector({"tasksMax": 1})))
    moved = connector(labels={"coracle.dev/cluster": "other"})
    assert not is_free(request(moved, connector()))


@pytest.mark.parametrize(
    "free",
    [
        request(connector(annotations={"a": "b"}), connector()),
        request({**connector(), "status": {"replicas": 1}}, connector()),
        request(connector(finalizers=[]), connector(finalizers=["coracle.dev/stop"])),
        request(connector({"x": 1}, deletionTimestamp="2026-01-31T12:00:00Z"), connector()),
        request(connector({"x": 1}), connector(), subResource="scale"),
        {"operation": "DELETE", "object": None, "oldObject": connector()},
        {"operation": "CONNECT", "object": connector()},
    ],
    ids=["annotation", "status", "finalizer", "deleted", "scale", "delete", "connect"],
)
def test_what_changes_nothing_is_admitted(free: Any) -> None:
    assert is_free(free)


def test_the_kafka_connect_is_named_by_field_or_label() -> None:
    label = {"coracle.dev/cluster": "by-label"}
    assert place_of(connector()) is None
    assert place_of(connector(labels=label)) == Place("by-label", "shop")
    assert place_of(connector({"connect": {"name": "kc"}}, labels=label)) == Place("kc", "shop")
    elsewhere = connector({"connect": {"name": "kc", "namespace": "kafka"}})
    assert place_of(elsewhere) == Place("kc", "kafka")


def test_the_api_is_a_service_whatever_the_name() -> None:
    assert api_url(Place("kc", "kafka")) == "http://kc-connect-api.kafka.svc:8083"
    dotted = api_url(Place("kc.eu", "kafka"))
    assert dotted == f"http://{object_name('kc.eu', 'connect-api')}.kafka.svc:8083"


def test_the_api_is_asked_for_what_would_run() -> None:
    spec = {
        "name": "sink_orders",
        "tasksMax": 3,
        "version": "1.0",
        "config": {"topics": "a", "tasks.max": "9", "name": "x", "batch.size": 5},
    }
    assert question(connector(spec)) == {
        "name": "sink_orders",
        "namespace": "shop",
        "tasksMax": 3,
        "config": {
            "topics": "a",
            "batch.size": 5,
            "connector.plugin.version": "1.0",
            "connector.class": "JdbcSink",
        },
    }


def test_a_denial_says_where_what_and_what_to_do() -> None:
    answer = {
        "type": "sink",
        "errors": [
            {"field": "batch.size", "message": "Invalid value many.", "fix": "Write a number."},
            {"field": "topics", "message": "Must configure topics.", "fix": ""},
            {"field": "topics.regex", "message": "Must configure topics.", "fix": ""},
            {"field": "connector.class", "message": "No such class.", "fix": ""},
            {"field": "", "message": "All is lost.", "fix": ""},
        ],
        "warnings": ["odd\nindeed"],
    }
    ignored = connector({"config": {"tasks.max": "9"}})
    denied = response("KafkaConnector", "orders", findings_of(ignored, answer))
    assert denied == {
        "allowed": False,
        "status": {
            "code": 422,
            "message": "KafkaConnector orders is wrong:\n"
            "  spec.config[batch.size]: Invalid value many. Write a number.\n"
            "  spec.config[topics], spec.config[topics.regex]: Must configure topics.\n"
            "  spec.class: No such class.\n"
            "  spec: All is lost.",
        },
        "warnings": ["spec.config.tasks.max is ignored: spec.tasksMax says it", "odd indeed"],
    }


def test_what_is_right_is_admitted_with_warnings() -> None:
    assert response("KafkaConnector", "orders", Findings(warnings=["odd"])) == {
        "allowed": True,
        "warnings": ["odd"],
    }


def test_the_workers_settings_are_checked() -> None:
    config = {
        "offset.flush.interval.ms": "soon",
        "key.convertor": "x",
        "group.id": "${secrets:a:b}",
        "session.timeout.ms": "${env:TIMEOUT}",
        "rest.extension.classes": "known to Kafka Connect and without effect",
        "key.converter.schemas.enable": False,
    }
    found = kafka_connect_findings({"spec": {"bootstrapServers": "k:9092", "config": config}})
    (error,) = found.errors
    assert error.field == "spec.config[offset.flush.interval.ms]"
    assert "Invalid value soon" in error.message
    assert found.warnings == ["unknown worker key key.convertor, did you mean key.converter?"]
    assert kafka_connect_findings({"spec": {"config": {"x": None}}}).errors


def test_a_new_certificate_is_taken_up(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert reload(context, tmp_path, b"") == b""
    first, second = (issue(["localhost"], datetime.now(UTC)) for _ in range(2))
    for each in (first, second):
        (tmp_path / "tls.crt").write_bytes(each.certificate)
        before = reload(context, tmp_path, first.certificate if each is second else b"")
        assert before != each.certificate  # the key is not there, or another's
        (tmp_path / "tls.key").write_bytes(each.key)
        assert reload(context, tmp_path, before) == each.certificate

import pytest

from coracle.config.worker import WorkerConfig, load_worker
from coracle.kube.validation import check, offline_worker

SINK = {
    "connector.class": "JdbcSink",
    "connection.url": "jdbc:postgresql://db/shop",
    "topics": "orders",
}


@pytest.fixture
def worker() -> WorkerConfig:
    return load_worker(None, {})


def test_a_right_configuration_is_neither_wrong_nor_odd(worker: WorkerConfig) -> None:
    config = {**SINK, "connection.password": "${secrets:db:password}"}
    verdict = check("orders", config, 3, worker=worker, namespace="shop")
    assert (verdict.type, verdict.errors, verdict.warnings) == ("sink", [], [])
    assert verdict.passwords == frozenset()


def test_errors_name_field_value_and_what_is_allowed(worker: WorkerConfig) -> None:
    verdict = check("orders", {**SINK, "batch.size": "many"}, 0, worker=worker, namespace="shop")
    assert {error.field: error.message for error in verdict.errors} == {
        "batch.size": "Invalid value many for configuration batch.size: must be a 32-bit integer.",
        "tasks.max": "Invalid value 0 for configuration tasks.max: must be at least 1.",
    }


def test_a_class_that_is_not_installed_names_the_nearest(worker: WorkerConfig) -> None:
    verdict = check("x", {"connector.class": "JdbcSnk"}, 1, worker=worker, namespace="shop")
    assert verdict.type == "unknown"
    (error,) = verdict.errors
    assert error.field == "connector.class"
    assert error.message.endswith("; did you mean io.confluent.connect.jdbc.JdbcSinkConnector?")


def test_a_sink_needs_topics(worker: WorkerConfig) -> None:
    config = {key: value for key, value in SINK.items() if key != "topics"}
    verdict = check("x", config, 1, worker=worker, namespace="shop")
    assert {error.field for error in verdict.errors} == {"topics", "topics.regex"}


def test_an_unknown_key_is_odd_and_names_the_nearest(worker: WorkerConfig) -> None:
    verdict = check("x", {**SINK, "batch.sise": "3"}, 1, worker=worker, namespace="shop")
    assert verdict.errors == []
    assert verdict.warnings == ["unknown key batch.sise, did you mean batch.size?"]


def test_a_password_in_plain_text_is_odd_and_never_shown(worker: WorkerConfig) -> None:
    config = {
        **SINK,
        "connection.password": "hunter2",
        "consumer.override.sasl.jaas.config": "login required password=hunter2;",
    }
    verdict = check("x", config, 1, worker=worker, namespace="shop")
    assert verdict.errors == []
    assert verdict.passwords == {"connection.password", "consumer.override.sasl.jaas.config"}
    assert len(verdict.warnings) == 2
    assert "connection.password is a password in plain text" in verdict.warnings[0]
    assert "hunter2" not in str(verdict)


def test_a_password_in_a_url_is_odd(worker: WorkerConfig) -> None:
    url = "jdbc:postgresql://db/shop?user=me&password="
    literal = check(
        "x", {**SINK, "connection.url": url + "hunter2"}, 1, worker=worker, namespace=""
    )
    assert len(literal.warnings) == 1
    assert "connection.url has a password in its URL" in literal.warnings[0]
    assert "hunter2" not in str(literal)
    reference = {**SINK, "connection.url": url + "${secrets:db:password}"}
    assert check("x", reference, 1, worker=worker, namespace="").warnings == []


def test_a_reference_is_unknown_not_wrong(worker: WorkerConfig) -> None:
    config = {
        **SINK,
        "connection.url": "${secrets:db:url}",
        "batch.size": "${configmaps:shop/sizes:batch}",
        "insert.mode": "${env:MODE}",
    }
    assert check("x", config, 1, worker=worker, namespace="shop").errors == []


def test_a_secret_of_another_namespace_is_an_error(worker: WorkerConfig) -> None:
    config = {**SINK, "connection.password": "${secrets:billing/db:password}"}
    (error,) = check("x", config, 1, worker=worker, namespace="shop").errors
    assert error.field == "connection.password"
    assert "billing" in error.message
    assert "own namespace shop" in error.message
    assert error.fix == "Copy it to shop and write ${secrets:db:password}."


def test_values_that_are_no_scalars(worker: WorkerConfig) -> None:
    verdict = check("x", {**SINK, "batch.size": [1]}, 1, worker=worker, namespace="shop")
    assert [error.field for error in verdict.errors] == ["batch.size"]


def test_credentials_of_the_worker_are_not_needed(worker: WorkerConfig) -> None:
    offline = offline_worker(
        {
            "ssl.truststore.password": "${secrets:kafka:password}",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        }
    )
    assert set(offline.props) == {"value.converter"}
    assert check("x", SINK, 1, worker=offline, namespace="shop").errors == []

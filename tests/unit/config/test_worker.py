import pytest

from coracle.api import ConfigError, ConfigErrors
from coracle.config.worker import WORKER_SPEC, load_worker


def test_a_broker_on_localhost_needs_no_file():
    worker = load_worker()
    assert worker.props == {}
    assert worker.warnings == []
    expected = {
        "bootstrap.servers": ["localhost:9092"],
        "group.id": "connect-cluster",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        "offset.storage.topic": "connect-offsets",
        "offset.storage.partitions": 25,
        "offset.storage.replication.factor": None,
        "offset.flush.interval.ms": 60000,
        "offset.flush.timeout.ms": 5000,
        "task.shutdown.graceful.timeout.ms": 5000,
        "listeners": ["http://:8083"],
        "topic.creation.enable": True,
        "session.timeout.ms": 10000,
        "heartbeat.interval.ms": 3000,
        "connector.client.config.override.policy": "All",
    }
    assert {name: worker.config[name] for name in expected} == expected
    assert worker.client("admin") == {"bootstrap.servers": "localhost:9092"}


STANDALONE = """
bootstrap.servers=broker:9092
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=true
offset.storage.file.filename=/tmp/connect.offsets
offset.flush.interval.ms=10000
#listeners=HTTP://:8083
plugin.path=/usr/share/java
"""

DISTRIBUTED = """
bootstrap.servers=localhost:9092
group.id=connect-cluster
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=true
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.storage.cleanup.policy=compact
config.storage.topic=connect-configs
config.storage.replication.factor=1
status.storage.topic=connect-status
status.storage.replication.factor=1
status.storage.partitions=5
offset.flush.interval.ms=10000
plugin.discovery=hybrid_warn
"""


def test_the_files_that_kafka_ships_are_accepted(tmp_path):
    file = tmp_path / "connect-standalone.properties"
    file.write_text(STANDALONE)
    worker = load_worker(file)
    assert worker.config["bootstrap.servers"] == ["broker:9092"]
    assert worker.config["offset.flush.interval.ms"] == 10000
    assert worker.warnings == [
        "offset.storage.file.filename is ignored: offsets live in the Kafka topic connect-offsets, "
        "not in a file"
    ]
    file.write_text(DISTRIBUTED)
    worker = load_worker(file)
    assert worker.warnings == []
    assert worker.config["offset.storage.replication.factor"] == 1
    assert worker.config.with_prefix("offset.storage.")["cleanup.policy"] == "compact"


def test_overrides_win_over_the_file(tmp_path):
    file = tmp_path / "w.properties"
    file.write_text("bootstrap.servers=a:1\ngroup.id=g\n")
    worker = load_worker(file, {"bootstrap.servers": "b:2, c:3"})
    assert worker.config["bootstrap.servers"] == ["b:2", "c:3"]
    assert worker.config["group.id"] == "g"


def test_every_kind_of_internal_converter_is_ignored_with_a_warning():
    names = [
        "internal.key.converter",
        "internal.value.converter",
        "internal.value.converter.schemas.enable",
        "key.internal.value.converter",
        "key.internal.value.converter.bork.bork.bork",
        "key.internal.value.please.just.work.converter",
    ]
    worker = load_worker(None, dict.fromkeys(names, "org.apache.kafka.connect.json.JsonConverter"))
    assert worker.warnings == [
        f"{name} is ignored: internal converters are fixed since Kafka 3.0" for name in names
    ]


def test_odd_keys_are_warned_about_with_the_nearest_name():
    worker = load_worker(
        None,
        {
            "bootstrap.server": "x:1",
            "xyzzy": "1",
            "rest.extension.classes": "x.Y",
            "worker.sync.timeout.ms": "3000",
            "client.dns.lookup": "use_all_dns_ips",
            "producer.anything": "goes",
        },
    )
    assert worker.warnings == [
        "unknown worker key bootstrap.server, did you mean bootstrap.servers?",
        "unknown worker key xyzzy",
        "rest.extension.classes is ignored: REST extensions are Java classes and are not loaded",
    ]


def test_all_wrong_values_are_reported_with_the_file(tmp_path):
    file = tmp_path / "w.properties"
    file.write_text(
        "offset.flush.interval.ms=soon\noffset.storage.replication.factor=0\nbootstrap.servers=\n"
    )
    with pytest.raises(ConfigErrors) as caught:
        load_worker(file)
    assert [str(error) for error in caught.value.errors] == [
        f"{file}: Invalid value [] for configuration bootstrap.servers: must be not empty.",
        f"{file}: Invalid value 0 for configuration offset.storage.replication.factor: must be a "
        "positive number, or -1 to use the broker's default.",
        f"{file}: Invalid value soon for configuration offset.flush.interval.ms: must be a 64-bit "
        "integer.",
    ]


def test_an_unknown_override_policy_is_refused():
    with pytest.raises(ConfigErrors, match=r"connector\.client\.config\.override\.policy: must"):
        load_worker(None, {"connector.client.config.override.policy": "com.example.Mine"})


def test_exactly_once_is_not_promised():
    worker = load_worker(None, {"exactly.once.source.support": "enabled"})
    assert worker.warnings == [
        "exactly.once.source.support has no effect yet: sources deliver at least once"
    ]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no file .*nope\.properties\."):
        load_worker(tmp_path / "nope.properties")


def test_references_are_resolved_and_never_shown(monkeypatch):
    monkeypatch.setenv("CORACLE_TEST_PW", "s3cret")
    worker = load_worker(
        None, {"sasl.jaas.config": 'Plain password="${env:CORACLE_TEST_PW}";', "group.id": "g"}
    )
    assert worker.client("consumer")["sasl.jaas.config"] == 'Plain password="s3cret";'
    assert worker.props["sasl.jaas.config"] == 'Plain password="${env:CORACLE_TEST_PW}";'
    assert "s3cret" not in repr(worker)
    with pytest.raises(ConfigErrors) as caught:
        load_worker(None, {"session.timeout.ms": "${env:CORACLE_TEST_PW}"})
    assert "s3cret" not in str(caught.value)


def test_clients_get_brokers_security_and_their_own_prefix():
    worker = load_worker(
        None,
        {
            "bootstrap.servers": "a:1,b:2",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "ssl.truststore.location": "/ca.pem",
            "producer.linger.ms": "5",
            "producer.sasl.mechanism": "SCRAM-SHA-512",
            "consumer.fetch.min.bytes": "10",
            "admin.listeners": "http://:8084",
            "admin.retries": "3",
            "group.id": "g",
        },
    )
    security = {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "ssl.truststore.location": "/ca.pem",
    }
    assert worker.client("producer") == {
        **security,
        "linger.ms": "5",
        "sasl.mechanism": "SCRAM-SHA-512",
    }
    assert worker.client("consumer") == {**security, "fetch.min.bytes": "10"}
    assert worker.client("admin") == {**security, "retries": "3"}


def test_every_worker_key_is_documented():
    assert [key.name for key in WORKER_SPEC.keys if not key.doc] == []

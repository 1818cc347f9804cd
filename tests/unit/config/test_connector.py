import pytest

from coracle.api import ConfigErrors
from coracle.config.connector import prepare, texts
from coracle.config.worker import load_worker

from . import fakes

SOURCE = {
    "name": "orders",
    "connector.class": "com.example.TableSourceConnector",
    "connection.url": "jdbc:x",
}
SINK = {
    "name": "orders",
    "connector.class": "TableSink",
    "connection.url": "jdbc:x",
    "topics": "a,b",
}


def errors_of(props, worker):
    with pytest.raises(ConfigErrors) as caught:
        prepare(props, worker)
    return {error.field: str(error) for error in caught.value.errors}


def test_a_source_with_defaults(worker):
    config = prepare(SOURCE, worker)
    assert config.name == "orders"
    assert config.kind == "source"
    assert config.raw == SOURCE
    assert config.class_name == "com.example.TableSourceConnector"
    assert config.connector_class is fakes.TableSource
    assert config.tasks_max == 1
    assert config.config["connection.url"] == "jdbc:x"
    assert config.config["batch.max.rows"] == 100
    assert config.config["errors.tolerance"] == "none"
    assert config.config["errors.retry.timeout"] == 0
    assert config.config["errors.retry.delay.max.ms"] == 60000
    assert config.config["exactly.once.support"] == "requested"
    assert config.config.originals == SOURCE
    assert config.transforms == []
    assert config.topic_creation == []
    assert config.topics == []
    assert config.topics_regex == ""
    assert config.warnings == []


def test_a_sink(worker):
    config = prepare({**SINK, "tasks.max": 3, "errors.tolerance": "all"}, worker)
    assert config.kind == "sink"
    assert config.class_name == "com.example.TableSinkConnector"
    assert config.topics == ["a", "b"]
    assert config.tasks_max == 3
    assert config.config["errors.tolerance"] == "all"
    assert config.config["errors.deadletterqueue.topic.replication.factor"] == 3
    pattern = {key: value for key, value in SINK.items() if key != "topics"}
    assert prepare({**pattern, "topics.regex": "a.*"}, worker).topics_regex == "a.*"


def test_json_scalars_are_taken_as_kafka_connect_stores_them():
    assert texts({"a": 1, "b": True, "c": "x", "d": 1.5}) == {
        "a": "1",
        "b": "true",
        "c": "x",
        "d": "1.5",
    }
    with pytest.raises(ConfigErrors) as caught:
        texts({"a": None, "b": [1], "c": {}})
    assert [error.field for error in caught.value.errors] == ["a", "b", "c"]
    assert "Null value can not be supplied as the configuration value." in str(caught.value)


def test_an_alias_of_a_key_is_read(worker):
    assert prepare({**SOURCE, "batch.rows": "7"}, worker).config["batch.max.rows"] == 7
    assert errors_of({**SOURCE, "batch.rows": "x"}, worker) == {
        "batch.rows": "Invalid value x for configuration batch.rows: must be a 32-bit integer."
    }


# --- classes and converters


def test_a_configuration_without_a_class(worker):
    assert errors_of({"name": "x"}, worker) == {
        "connector.class": 'Missing required configuration "connector.class" which has no default '
        "value."
    }


def test_an_unknown_class(worker):
    errors = errors_of({**SOURCE, "connector.class": "TableSuorce"}, worker)
    assert errors["connector.class"].startswith(
        "Failed to find any class that implements Connector and which name matches TableSuorce, "
    )
    assert errors["connector.class"].endswith("did you mean com.example.TableSourceConnector?")


def test_converters_come_from_the_worker_with_its_settings():
    worker = load_worker(None, {"value.converter": "TextConverter", "value.converter.strict": "no"})
    assert (
        "value.converter"
        not in prepare(
            {**SOURCE, "value.converter": "JsonConverter"}, worker
        ).value_converter.config.originals
    )
    assert errors_of(SOURCE, worker) == {
        "value.converter.strict": "In the worker's configuration: Invalid value no for "
        "configuration value.converter.strict: must be true or false."
    }
    worker = load_worker(
        None,
        {
            "value.converter": "TextConverter",
            "value.converter.strict": "false",
            "key.converter.strict": "false",
        },
    )
    config = prepare({**SOURCE, "key.converter": "TextConverter"}, worker)
    assert config.value_converter.name == "com.example.TextConverter"
    assert config.value_converter.cls is fakes.OtherText
    assert config.value_converter.config["strict"] is False
    # A connector's own converter starts from the defaults, as in Kafka Connect.
    assert config.key_converter.config["strict"] is True
    assert config.header_converter.cls is fakes.PlainHeaderConverter


def test_a_connectors_own_converter_and_its_settings(worker):
    config = prepare(
        {
            **SOURCE,
            "value.converter": "com.example.TextConverter",
            "value.converter.strict": "false",
            "value.converter.extra": "1",
            "header.converter": "com.example.TextConverter",
        },
        worker,
    )
    assert config.value_converter.config["strict"] is False
    assert config.value_converter.config.originals == {"strict": "false", "extra": "1"}
    assert config.key_converter.name == "org.apache.kafka.connect.json.JsonConverter"
    assert config.header_converter.cls is fakes.OtherText


def test_converter_errors_name_the_whole_key(worker):
    errors = errors_of(
        {
            **SOURCE,
            "key.converter": "JsonConvertr",
            "value.converter": "TextConverter",
            "value.converter.strict": "maybe",
            "header.converter": "",
        },
        worker,
    )
    assert set(errors) == {"key.converter", "value.converter.strict", "header.converter"}
    assert errors["key.converter"].startswith(
        "Invalid value JsonConvertr for configuration key.converter: Failed to find any class that "
        "implements Converter and which name matches JsonConvertr, available converters are: "
    )
    assert errors["key.converter"].endswith(
        "; did you mean org.apache.kafka.connect.json.JsonConverter?"
    )
    assert errors["value.converter.strict"] == (
        "Invalid value maybe for configuration value.converter.strict: must be true or false."
    )


# --- transforms and predicates


CHAIN = {
    "transforms": "first, second",
    "transforms.first.type": "com.example.Router",
    "transforms.first.regex": "a(.*)",
    "transforms.second.type": "com.example.Move$Key",
    "transforms.second.regex": "b",
    "transforms.second.limit": "5",
    "transforms.second.predicate": "mine",
    "transforms.second.negate": "true",
    "predicates": "mine",
    "predicates.mine.type": "NameMatches",
    "predicates.mine.pattern": "x.*",
}


def test_a_chain_of_transforms(worker):
    first, second = prepare({**SOURCE, **CHAIN}, worker).transforms
    assert (first.alias, first.predicate, first.negate) == ("first", None, False)
    assert first.plugin.name == "com.example.Router"
    assert first.plugin.cls is fakes.Router
    assert first.plugin.config["regex"] == "a(.*)"
    assert first.plugin.config["limit"] == 1
    assert second.plugin.cls is fakes.RouterKey
    assert second.plugin.config["limit"] == 5
    assert second.negate is True
    assert second.predicate is not None
    assert second.predicate.cls is fakes.NameMatches
    assert second.predicate.config["pattern"] == "x.*"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"transforms": "first,first"},
            "transforms",
            "Invalid value [first, first] for configuration transforms: Duplicate alias provided.",
        ),
        (
            {"transforms": "first,"},
            "transforms",
            "Invalid value [first, ] for configuration transforms: an alias must not be empty.",
        ),
        (
            {"predicates": "mine,mine"},
            "predicates",
            "Invalid value [mine, mine] for configuration predicates: Duplicate alias provided.",
        ),
        (
            {"transforms.first.type": None},
            "transforms.first.type",
            'Missing required configuration "transforms.first.type" which has no default value.',
        ),
        (
            {"transforms.first.regex": None},
            "transforms.first.regex",
            'Missing required configuration "transforms.first.regex" which has no default value.',
        ),
        (
            {"transforms.second.limit": "many"},
            "transforms.second.limit",
            "Invalid value many for configuration transforms.second.limit: must be a 32-bit "
            "integer.",
        ),
        (
            {"transforms.second.predicate": None},
            "transforms.second.type",
            "Config 'transforms.second.negate' was provided but there is no config "
            "'transforms.second.predicate' defining a predicate to be negated.",
        ),
        (
            {"transforms.second.predicate": "yours"},
            "transforms.second.predicate",
            "Invalid value yours for configuration transforms.second.predicate: must be one of the "
            "aliases in predicates (mine).",
        ),
        (
            {"transforms.second.negate": "perhaps"},
            "transforms.second.negate",
            "Invalid value perhaps for configuration transforms.second.negate: must be true or "
            "false.",
        ),
        (
            {"predicates.mine.pattern": None},
            "predicates.mine.pattern",
            'Missing required configuration "predicates.mine.pattern" which has no default value.',
        ),
    ],
)
def test_errors_in_chains(worker, changes, field, message):
    props = {
        key: value for key, value in {**SOURCE, **CHAIN, **changes}.items() if value is not None
    }
    assert errors_of(props, worker) == {field: message}


def test_an_unknown_transform(worker):
    errors = errors_of({**SOURCE, **CHAIN, "transforms.first.type": "com.example.Move"}, worker)
    assert list(errors) == ["transforms.first.type"]
    assert errors["transforms.first.type"].endswith(
        "; did you mean com.example.Move$Key or com.example.Move$Value?"
    )


# --- rules of sinks and sources


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"topics": ""},
            dict.fromkeys(
                ("topics", "topics.regex"), "Must configure one of topics or topics.regex"
            ),
        ),
        (
            {"topics.regex": "a.*"},
            dict.fromkeys(
                ("topics", "topics.regex"),
                "topics and topics.regex are mutually exclusive options, but both are set.",
            ),
        ),
        (
            {"errors.deadletterqueue.topic.name": "b"},
            {
                "topics": "The DLQ topic 'b' may not be included in the list of topics "
                "('topics=[a, b]') consumed by the connector"
            },
        ),
        (
            {"topics": "", "topics.regex": "d.*", "errors.deadletterqueue.topic.name": "dlq"},
            {
                "topics.regex": "The DLQ topic 'dlq' may not be matched by the regex for the "
                "topics ('topics.regex=d.*') consumed by the connector"
            },
        ),
        (
            {"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dlq"},
            {
                "errors.deadletterqueue.topic.name": "Dead letter queues are not available yet: "
                "records that fail would be skipped and not be found in the topic. Set "
                "errors.tolerance=none to stop at them, or remove the topic to skip them."
            },
        ),
        (
            {"topics": "", "topics.regex": "("},
            {
                "topics.regex": "Invalid value ( for configuration topics.regex: must be a Java "
                "regular expression (Unclosed group)."
            },
        ),
        ({"topics": "a,a"}, {"topics": "Configuration 'topics' values must not be duplicated."}),
        ({"topics": "a,"}, {"topics": "Configuration 'topics' values must not be empty."}),
        (
            {"consumer.override.group.id": "connect-cluster"},
            {
                "consumer.override.group.id": "Consumer group for sink connector named orders "
                "conflicts with Connect worker group connect-cluster"
            },
        ),
        (
            {"tasks.max": "0"},
            {"tasks.max": "Invalid value 0 for configuration tasks.max: must be at least 1."},
        ),
        (
            {"name": "a\nb"},
            {
                "name": "Invalid value 'a\\nb' for configuration name: must be a non-empty string "
                "without ISO control characters."
            },
        ),
        (
            {"errors.tolerance": "some"},
            {
                "errors.tolerance": "Invalid value some for configuration errors.tolerance: must "
                "be one of 'none', 'all'."
            },
        ),
    ],
)
def test_rules_of_sinks(worker, changes, expected):
    assert errors_of({**SINK, **changes}, worker) == expected


def test_everything_wrong_is_reported_at_once(worker):
    errors = errors_of(
        {
            "connector.class": "TableSource",
            "tasks.max": "many",
            "mode": "incrementing",
            "batch.max.rows": "0",
            "transforms": "t",
        },
        worker,
    )
    assert set(errors) == {
        "name",
        "connection.url",
        "tasks.max",
        "column",
        "batch.max.rows",
        "transforms.t.type",
    }
    assert errors["column"] == "mode incrementing needs a column"


def test_exactly_once_is_not_promised(worker):
    assert errors_of({**SOURCE, "exactly.once.support": "REQUIRED"}, worker) == {
        "exactly.once.support": "This worker does not have exactly-once source support enabled. "
        "Sources deliver at least once; set exactly.once.support to requested."
    }


# --- clients


def test_clients_get_the_workers_settings_then_the_overrides():
    worker = load_worker(
        None,
        {
            "bootstrap.servers": "a:1",
            "security.protocol": "SSL",
            "producer.linger.ms": "5",
            "producer.acks": "1",
        },
    )
    config = prepare(
        {
            **SOURCE,
            "producer.override.acks": "all",
            "producer.override.security.protocol": "PLAINTEXT",
            "consumer.override.group.id": "mine",
            "admin.override.retries": 3,
        },
        worker,
    )
    assert config.producer == {
        "bootstrap.servers": "a:1",
        "security.protocol": "PLAINTEXT",
        "linger.ms": "5",
        "acks": "all",
    }
    assert config.consumer == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SSL",
        "group.id": "mine",
    }
    assert config.admin["retries"] == "3"
    assert config.warnings == []


@pytest.mark.parametrize(
    ("policy", "allowed", "refused"),
    [
        ("All", ["acks", "sasl.jaas.config"], []),
        (
            "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy",
            ["acks"],
            [],
        ),
        ("None", [], ["acks", "sasl.jaas.config"]),
        ("Principal", ["sasl.jaas.config", "security.protocol"], ["acks"]),
        ("Allowlist", ["linger.ms", "acks"], ["sasl.jaas.config"]),
    ],
)
def test_override_policies(policy, allowed, refused):
    worker = load_worker(
        None,
        {
            "connector.client.config.override.policy": policy,
            "connector.client.config.override.allowlist": "acks, linger.ms",
        },
    )
    prepare({**SOURCE, **{f"producer.override.{key}": "1" for key in allowed}}, worker)
    for key in refused:
        errors = errors_of({**SOURCE, f"producer.override.{key}": "1"}, worker)
        assert list(errors) == [f"producer.override.{key}"]
        assert "connector.client.config.override.policy is " + policy in str(errors)


# --- new topics


def test_groups_of_topics(worker):
    groups = prepare(
        {
            **SOURCE,
            "topic.creation.groups": "compacted, default, logs",
            "topic.creation.default.replication.factor": "-1",
            "topic.creation.default.partitions": "4",
            "topic.creation.compacted.include": "orders, cust.*",
            "topic.creation.compacted.exclude": "custom",
            "topic.creation.compacted.cleanup.policy": "compact",
            "topic.creation.logs.include": "log-.*",
            "topic.creation.logs.partitions": "1",
            "topic.creation.logs.replication.factor": "2",
        },
        worker,
    ).topic_creation
    assert [group.name for group in groups] == ["compacted", "logs", "default"]
    compacted, logs, default = groups
    assert (compacted.replication_factor, compacted.partitions) == (-1, 4)
    assert compacted.configs == {"cleanup.policy": "compact"}
    assert (logs.replication_factor, logs.partitions, logs.configs) == (2, 1, {})
    assert [
        topic
        for topic in ("orders", "orders2", "customers", "custom", "log-1", "log")
        if compacted.matches(topic)
    ] == ["orders", "customers"]
    assert default.matches("anything")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"topic.creation.groups": "a"},
            {
                f"topic.creation.default.{key}": "Missing required configuration "
                f'"topic.creation.default.{key}" which has no default value.'
                for key in ("replication.factor", "partitions")
            },
        ),
        (
            {
                "topic.creation.default.replication.factor": "0",
                "topic.creation.default.partitions": "-2",
            },
            {
                f"topic.creation.default.{key}": f"Invalid value {value} for configuration "
                f"topic.creation.default.{key}: must be a positive number, or -1 to use the "
                "broker's default."
                for key, value in (("replication.factor", 0), ("partitions", -2))
            },
        ),
        (
            {
                "topic.creation.groups": "a",
                "topic.creation.default.replication.factor": "1",
                "topic.creation.default.partitions": "1",
                "topic.creation.a.include": "x,(",
            },
            {
                "topic.creation.a.include": "Invalid value ( for configuration "
                "topic.creation.a.include: must be a Java regular expression (Unclosed group)."
            },
        ),
    ],
)
def test_errors_in_groups_of_topics(worker, settings, expected):
    assert errors_of({**SOURCE, **settings}, worker) == expected


def test_a_worker_may_leave_new_topics_to_the_broker():
    worker = load_worker(None, {"topic.creation.enable": "false"})
    config = prepare({**SOURCE, "topic.creation.default.partitions": "4"}, worker)
    assert config.topic_creation == []
    assert config.warnings == [
        "topic.creation. settings have no effect: the worker's topic.creation.enable is false"
    ]


# --- warnings


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        (
            "batch.max.row",
            "1",
            "unknown key batch.max.row, did you mean batch.max.rows?",
        ),
        ("tranforms", "x", "unknown key tranforms, did you mean transforms?"),
        ("xyzzy", "x", "unknown key xyzzy"),
        (
            "transforms.ghost.type",
            "x",
            "transforms.ghost.type has no effect: ghost is not listed in transforms",
        ),
        (
            "transforms.first.regexp",
            "x",
            "unknown key transforms.first.regexp, did you mean transforms.first.regex?",
        ),
        (
            "predicates.ghost.type",
            "x",
            "predicates.ghost.type has no effect: ghost is not listed in predicates",
        ),
        (
            "topic.creation.ghost.partitions",
            "1",
            "topic.creation.ghost.partitions has no effect: ghost is not listed in "
            "topic.creation.groups",
        ),
        (
            "value.converter.schemas.enable",
            "false",
            "value.converter.schemas.enable has no effect without value.converter: the worker's "
            "converter is used",
        ),
        (
            "key.internal.value.converter.bork",
            "x",
            "key.internal.value.converter.bork is ignored: internal converters are fixed since "
            "Kafka 3.0",
        ),
        ("old.key", "x", "old.key is deprecated: use mode"),
        (
            "column",
            "${vault:x}",
            "column holds a reference to the config provider 'vault', which is not configured: "
            "the text is used as it is",
        ),
        (
            "topic.creation.default.include",
            "x",
            "topic.creation.default.include has no effect: the default group takes every topic "
            "that no other group takes",
        ),
    ],
)
def test_odd_settings_earn_a_warning(worker, name, value, warning):
    props = {**SOURCE, **CHAIN, name: value}
    if name.startswith("topic.creation."):
        props |= {
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
        }
    assert prepare(props, worker).warnings == [warning]


def test_what_is_known_earns_none(worker):
    config = prepare(
        {
            **SOURCE,
            **CHAIN,
            "driver.anything": "x",
            "batch.rows": "1",
            "tables": "internal",
            "key.converter": "TextConverter",
            "key.converter.strict": "true",
            "key.converter.plugin.version": "1",
            "transforms.first.plugin.version": "1",
            "column": "${topic}-x",
        },
        worker,
    )
    assert config.warnings == []


# --- references


def test_references_are_resolved_for_running_and_kept_for_showing(monkeypatch, worker):
    monkeypatch.setenv("CORACLE_TEST_PW", "s3cret")
    props = {
        **SOURCE,
        "connection.password": "${env:CORACLE_TEST_PW}",
        "producer.override.sasl.jaas.config": "x ${env:CORACLE_TEST_PW}",
    }
    config = prepare(props, worker)
    assert config.config["connection.password"].reveal == "s3cret"
    assert config.producer["sasl.jaas.config"] == "x s3cret"
    assert config.raw == props
    assert "s3cret" not in repr(config)


def test_errors_never_quote_what_a_provider_returned(monkeypatch, worker):
    monkeypatch.setenv("CORACLE_TEST_PW", "s3cret")
    reference = "${env:CORACLE_TEST_PW}"
    errors = errors_of(
        {
            **SOURCE,
            **CHAIN,
            "tasks.max": reference,
            "connector.class": reference,
            "key.converter": reference,
            "transforms.first.type": reference,
            "transforms.second.predicate": reference,
            "transforms.second.limit": reference,
            "topics": reference,
        },
        worker,
    )
    assert set(errors) == {
        "tasks.max",
        "connector.class",
        "key.converter",
        "transforms.first.type",
        "transforms.second.predicate",
        "transforms.second.limit",
    }
    assert "s3cret" not in str(errors)
    assert errors["tasks.max"] == (
        "Invalid value for configuration 'tasks.max': the value resolved from the config provider "
        "reference failed validation"
    )


def test_a_reference_that_fails_is_an_error(worker):
    assert errors_of({**SOURCE, "connection.password": "${env:CORACLE_TEST_UNSET}"}, worker) == {
        "connection.password": "The reference ${env:CORACLE_TEST_UNSET} in configuration "
        "connection.password cannot be resolved: the environment variable CORACLE_TEST_UNSET is "
        "not set."
    }

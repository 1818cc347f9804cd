import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import ConfigErrors
from coracle.config.connector import prepare
from coracle.config.validation import validate
from coracle.config.worker import load_worker

from .test_connector import CHAIN, SINK, SOURCE

TOPICS = {
    "topic.creation.groups": "g",
    "topic.creation.default.partitions": "1",
    "topic.creation.default.replication.factor": "1",
    "topic.creation.g.include": "x",
}


def value_of(validation, name):
    (found,) = [value for value in validation.configs if value.name == name]
    return found


def test_a_right_configuration(worker):
    validation = validate({**SOURCE, **CHAIN}, worker)
    assert validation.errors == []
    assert validation.warnings == []
    assert value_of(validation, "connection.url").value == "jdbc:x"
    assert value_of(validation, "tasks.max").value == "1"
    assert value_of(validation, "transforms").value == "first,second"
    assert value_of(validation, "tasks.max.enforce").value == "true"
    assert value_of(validation, "key.converter").value is None
    assert value_of(validation, "transforms.second.limit").value == "5"


def test_groups_come_in_kafkas_order(worker):
    assert validate({**SOURCE, **CHAIN, **TOPICS}, worker).groups == [
        "Common",
        "Transforms",
        "Predicates",
        "Error Handling",
        "Topic Creation",
        "Exactly Once Support",
        "offsets.topic",
        "Transforms: first",
        "Transforms: second",
        "Predicates: mine",
        "Topic Creation: default",
        "Topic Creation: g",
        "Database",
        "Mode",
    ]
    assert validate(SINK, worker).groups == [
        "Common",
        "Transforms",
        "Predicates",
        "Error Handling",
    ]


@pytest.mark.parametrize(("kind", "props"), [("source", SOURCE), ("sink", SINK)])
def test_the_frameworks_keys_are_kafkas(worker, kind, props):
    """``connector_keys.tsv`` is what Kafka Connect 4.3.1 printed, see ``ConnectorKeys.java``."""
    with (Path(__file__).parent / "connector_keys.tsv").open() as file:
        expected = [row for row in csv.DictReader(file, delimiter="\t") if row.pop("of") == kind]
    keys = [value.key for value in validate(props, worker).configs[: len(expected)]]
    assert [
        {
            "name": key.name,
            "type": key.type.value,
            "default": default_text(key),
            "importance": key.importance.value,
            "group": key.group,
            "order": str(key.order),
            "width": key.width.value,
            "display": key.display_name,
        }
        for key in keys
    ] == expected


def default_text(key):
    if key.required:
        return "REQUIRED"
    if isinstance(key.default, bool | None):
        return {None: "null", True: "true", False: "false"}[key.default]
    return str(key.default)


def test_keys_below_a_prefix_are_declared_under_their_whole_name(worker):
    validation = validate({**SOURCE, **CHAIN, "value.converter": "TextConverter"}, worker)
    key = value_of(validation, "transforms.first.type").key
    assert (key.name, key.group, key.order, key.required) == (
        "transforms.first.type",
        "Transforms: first",
        0,
        True,
    )
    assert value_of(validation, "transforms.first.regex").key.order == 4
    assert value_of(validation, "value.converter.strict").key.group is None


def test_classes_are_recommended(worker):
    validation = validate({**SOURCE, **CHAIN}, worker)
    assert "com.example.Router" in value_of(validation, "transforms.first.type").recommended
    assert value_of(validation, "predicates.mine.type").recommended == ["com.example.NameMatches"]
    assert "com.example.TextConverter" in value_of(validation, "key.converter").recommended
    assert (
        "org.apache.kafka.connect.storage.SimpleHeaderConverter"
        in value_of(validation, "header.converter").recommended
    )
    assert value_of(validation, "mode").recommended == ["bulk", "incrementing"]


def test_visibility_follows_the_values(worker):
    assert not value_of(validate(SOURCE, worker), "column").visible
    incrementing = {**SOURCE, "mode": "incrementing", "column": "id"}
    assert value_of(validate(incrementing, worker), "column").visible


def test_internal_keys_are_not_shown(worker):
    assert "tables" not in [value.name for value in validate(SOURCE, worker).configs]


def test_errors_stand_at_their_keys(worker):
    validation = validate({**SINK, "batch.size": "many", "topics": ""}, worker)
    message = "Invalid value many for configuration batch.size: must be a 32-bit integer."
    assert value_of(validation, "batch.size").errors == [message]
    assert value_of(validation, "batch.size").value == "many"
    for name in ("topics", "topics.regex"):
        assert value_of(validation, name).errors == ["Must configure one of topics or topics.regex"]
    assert len(validation.errors) == 3


def test_an_error_at_an_alias_stands_at_its_key(worker):
    validation = validate({**SOURCE, "batch.rows": "many"}, worker)
    (message,) = value_of(validation, "batch.max.rows").errors
    assert "configuration batch.rows" in message


def test_an_error_at_an_undeclared_key_is_shown_too():
    worker = load_worker(None, {"connector.client.config.override.policy": "None"})
    value = value_of(
        validate({**SOURCE, "producer.override.acks": "1"}, worker), "producer.override.acks"
    )
    assert value.key is None
    assert value.value == "1"
    assert len(value.errors) == 1


def test_secrets_are_hidden(worker):
    validation = validate({**SOURCE, "connection.password": "s3cret"}, worker)
    assert value_of(validation, "connection.password").value == "[hidden]"
    assert "s3cret" not in repr(validation)
    assert value_of(validate(SOURCE, worker), "connection.password").value is None


def test_an_open_reference_is_unknown_not_wrong(worker):
    """Nothing is looked up: neither the variable nor the file exists."""
    validation = validate(
        {
            **SOURCE,
            **CHAIN,
            "connection.url": "${env:CORACLE_TEST_UNSET}",
            "connection.password": "${file:/nowhere:x}",
            "tasks.max": "${env:CORACLE_TEST_UNSET}",
            "mode": "${env:CORACLE_TEST_UNSET}",
            "transforms.second.limit": "${env:CORACLE_TEST_UNSET}",
            "transforms.first.type": "${env:CORACLE_TEST_UNSET}",
            "transforms.first.anything": "x",
            "value.converter": "${env:CORACLE_TEST_UNSET}",
            "value.converter.anything": "x",
        },
        worker,
    )
    assert validation.errors == []
    assert validation.warnings == []
    assert value_of(validation, "tasks.max").value == "${env:CORACLE_TEST_UNSET}"
    assert value_of(validation, "connection.password").value == "${file:/nowhere:x}"


def test_a_rule_that_reads_an_open_reference_is_not_judged(worker):
    wrong = {**SOURCE, "mode": "incrementing"}
    assert [error.field for error in validate(wrong, worker).errors] == ["column"]
    assert validate({**wrong, "column": "${env:X}"}, worker).errors == []
    assert validate({**SINK, "topics": "${env:X}"}, worker).errors == []


def test_an_open_reference_does_not_hide_other_errors(worker):
    validation = validate(
        {**SOURCE, "connection.password": "${env:X}", "mode": "incrementing", "tasks.max": "0"},
        worker,
    )
    assert {error.field for error in validation.errors} == {"column", "tasks.max"}


def test_open_lists_of_aliases(worker):
    props = {**SOURCE, **CHAIN, "transforms": "${env:X}", "predicates": "${env:Y}"}
    validation = validate(props, worker)
    assert validation.errors == []


def test_an_open_class_leaves_the_frameworks_keys(worker):
    validation = validate({**SOURCE, "connector.class": "${env:X}", "tasks.max": "0"}, worker)
    assert [error.field for error in validation.errors] == ["tasks.max"]
    assert validation.warnings == [
        "connector.class is a reference: the connector's own keys are not checked here"
    ]


def test_values_that_are_no_scalars(worker):
    validation = validate({"name": None, "topics": ["a"]}, worker)
    assert [error.field for error in validation.errors] == ["name", "topics"]


POOL = {
    **SOURCE,
    **CHAIN,
    **TOPICS,
    "connector.class": ["TableSource", "TableSink", "Nope", ""],
    "topics": ["a", "", "a,a"],
    "topics.regex": ["", "a", "("],
    "mode": ["bulk", "incrementing", "x"],
    "column": ["id", ""],
    "tasks.max": ["1", "0", "x"],
    "transforms.first.type": ["com.example.Router", "x"],
    "transforms.second.predicate": ["mine", "yours"],
    "value.converter": ["TextConverter", "x"],
    "value.converter.strict": ["true", "x"],
    "exactly.once.support": ["required", "requested"],
    "consumer.override.group.id": ["connect-cluster", "x"],
    "errors.deadletterqueue.topic.name": ["a", "dlq"],
}
settings = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(choices if isinstance(choices, list) else [choices])
        for name, choices in POOL.items()
    },
)


@given(settings)
def test_what_validation_accepts_can_be_prepared_and_the_other_way_round(props):
    worker = load_worker()
    expected = [str(error) for error in validate(props, worker).errors]
    found = []
    try:
        prepare(props, worker)
    except ConfigErrors as error:
        found = [str(each) for each in error.errors]
    assert found == expected


@given(settings, st.sets(st.sampled_from(sorted(POOL))))
def test_a_provided_value_never_shows(props, open_keys):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CORACLE_TEST_PW", "s3cret")
        worker = load_worker()
        props = props | dict.fromkeys(open_keys, "${env:CORACLE_TEST_PW}")
        validation = validate(props, worker)
        shown = json.dumps([str(error) for error in validation.errors]) + repr(validation.configs)
        try:
            shown += repr(prepare(props, worker))
        except ConfigErrors as error:
            shown += str(error)
        assert "s3cret" not in shown

"""Strimzi's manifests mean here what they mean there, or a remark says that they do not."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coracle.kube import names, strimzi
from coracle.kube.model import (
    KafkaConnect,
    KafkaConnector,
    KafkaConnectorStatus,
    KafkaConnectStatus,
    unknown_fields,
)
from coracle.kube.references import Kind, provider_kinds


def messages(translation: strimzi.Translation) -> list[str]:
    return [remark.message for remark in translation.remarks]


def connector(text: str, **metadata: Any) -> strimzi.Translation:
    return strimzi.connector(_resource("KafkaConnector", text, metadata))


def connect(text: str, **metadata: Any) -> strimzi.Translation:
    return strimzi.connect(_resource("KafkaConnect", text, metadata))


def _resource(kind: str, text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": kind,
        "metadata": {"name": "orders", "namespace": "shop", "uid": "1", **metadata},
        "spec": yaml.safe_load(text),
    }


def test_connector_as_in_the_examples() -> None:
    made = connector(
        """
        class: org.apache.kafka.connect.file.FileStreamSourceConnector
        tasksMax: 2
        autoRestart: {enabled: true, maxRestarts: 10}
        config: {file: /opt/kafka/LICENSE, topic: my-topic}
        """,
        labels={"strimzi.io/cluster": "my-connect", "team": "shop"},
        annotations={"strimzi.io/restart-task": "1", "kubectl.kubernetes.io/x": "y"},
    )
    assert made.remarks == ()
    assert made.resource == {
        "apiVersion": "coracle.dev/v1",
        "kind": "KafkaConnector",
        "metadata": {
            "name": "orders",
            "namespace": "shop",
            "labels": {"team": "shop"},
            "annotations": {"coracle.dev/restart-task": "1"},
        },
        "spec": {
            "class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "tasksMax": 2,
            "autoRestart": {"enabled": True, "maxRestarts": 10},
            "config": {"file": "/opt/kafka/LICENSE", "topic": "my-topic"},
            "connect": {"name": "my-connect"},
        },
    }


def test_forbidden_keys_of_a_connector_are_ignored_with_a_remark() -> None:
    made = connector(
        """
        class: A
        config:
          {name: x, Connector.Class: y, tasks.max: 3, connector.plugin.version: 1, name.format: z}
        """
    )
    assert made.resource["spec"]["config"] == {"name.format": "z"}
    assert {remark.reason for remark in made.remarks} == {"ForbiddenConfiguration"}
    assert messages(made)[0] == "spec.config name is ignored: a field of spec says it."
    assert len(made.remarks) == 4


def test_pause_of_v1beta2() -> None:
    spec = KafkaConnector.model_validate(connector("{class: A, pause: true}").resource).spec
    assert spec.target == "paused"
    spec = KafkaConnector.model_validate(
        connector("{class: A, pause: true, state: running}").resource
    ).spec
    assert spec.target == "running"


def test_offset_fields_and_annotations_have_remarks() -> None:
    made = connector(
        "{class: A, listOffsets: {toConfigMap: {name: x}}}",
        annotations={"strimzi.io/connector-offsets": "list"},
    )
    assert [text.split(" has no effect")[0] for text in messages(made)] == [
        "The annotation strimzi.io/connector-offsets",
        "spec.listOffsets",
    ]


def test_connect_of_v1beta2_as_in_the_examples() -> None:
    made = connect(
        """
        version: 4.0.0
        replicas: 1
        bootstrapServers: my-cluster-kafka-bootstrap:9093
        tls: {trustedCertificates: [{secretName: my-cluster-cluster-ca-cert, pattern: "*.crt"}]}
        config:
          group.id: connect-cluster
          offset.storage.topic: offsets
          config.storage.topic: configs
          status.storage.topic: statuses
          config.storage.replication.factor: -1
        """
    )
    spec = made.resource["spec"]
    assert spec["groupId"] == "connect-cluster"
    assert spec["offsetStorageTopic"] == "offsets"
    assert spec["tls"]["trustedCertificates"][0]["pattern"] == "*.crt"
    assert spec["config"]["config.storage.replication.factor"] == -1
    assert "group.id" not in spec["config"]
    assert {text.split(" ")[0] for text in messages(made)} == {
        "spec.version",
        "spec.configStorageTopic",
        "spec.statusStorageTopic",
    }


def test_connect_without_group_has_the_one_strimzi_gives_it() -> None:
    spec = connect("{bootstrapServers: b}").resource["spec"]
    assert spec["groupId"] == "connect-cluster"
    assert spec["offsetStorageTopic"] == "connect-cluster-offsets"


def test_forbidden_keys_of_a_connect() -> None:
    made = connect(
        """
        bootstrapServers: b
        groupId: g
        config:
          group.id: other
          ssl.truststore.location: /x
          ssl.endpoint.identification.algorithm: ""
          security.protocol: SSL
          rest.port: 1
          plugin.path: /x
          producer.ssl.protocol: TLSv1.3
          offset.flush.interval.ms: 1000
        """
    )
    kept = {k for k in made.resource["spec"]["config"] if not k.startswith("config.providers")}
    assert kept == {
        "ssl.endpoint.identification.algorithm",
        "producer.ssl.protocol",
        "offset.flush.interval.ms",
    }
    forbidden = [
        r.message.split(" ")[1] for r in made.remarks if r.reason == "ForbiddenConfiguration"
    ]
    assert forbidden == [
        "group.id", "ssl.truststore.location", "security.protocol", "rest.port", "plugin.path",
    ]  # fmt: skip
    assert made.resource["spec"]["groupId"] == "g"


def test_providers_that_strimzi_declares_are_there_beside_ones_own() -> None:
    config = connect(
        """
        bootstrapServers: b
        config:
          config.providers: secrets
          config.providers.secrets.class: io.strimzi.kafka.KubernetesSecretConfigProvider
        """
    ).resource["spec"]["config"]
    assert config["config.providers"] == "strimzienv,strimzifile,strimzidir,strimzisecrets,secrets"
    assert config["config.providers.strimzidir.class"].endswith(".DirectoryConfigProvider")
    assert provider_kinds(config)["strimzisecrets"] is Kind.SECRET


def test_external_configuration_moves_to_the_template() -> None:
    made = connect(
        """
        bootstrapServers: b
        template: {connectContainer: {env: [{name: A, value: a}]}}
        externalConfiguration:
          env: [{name: B, valueFrom: {secretKeyRef: {name: s, key: k}}}]
          volumes: [{name: db.login, secret: {secretName: db}}]
        """
    )
    spec = KafkaConnect.model_validate(made.resource).spec
    assert spec.template is not None
    assert spec.template.container is not None
    assert spec.template.pod is not None
    assert [one.name for one in spec.template.container.env] == ["A", "B"]
    assert spec.template.pod.volumes == [
        {"name": "ext-conf-db-login", "secret": {"secretName": "db"}}
    ]
    assert spec.template.container.volume_mounts == [
        {
            "name": "ext-conf-db-login",
            "mountPath": "/opt/kafka/external-configuration/db.login",
            "readOnly": True,
        }
    ]


def test_oauth_becomes_settings_of_kafkas_own_client() -> None:
    made = connect(
        """
        bootstrapServers: b
        authentication:
          type: oauth
          tokenEndpointUri: https://login/token
          clientId: connect
          clientSecret: {secretName: login, key: secret}
          scope: kafka
          audience: 'the "brokers"'
          tlsTrustedCertificates: [{secretName: ca, certificate: ca.crt}]
          refreshToken: {secretName: a, key: b}
        """
    )
    assert made.resource["spec"]["authentication"] == {
        "type": "custom",
        "sasl": True,
        "config": {
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.token.endpoint.url": "https://login/token",
            "sasl.oauthbearer.client.credentials.client.id": "connect",
            "sasl.oauthbearer.client.credentials.client.secret": "${secrets:login:secret}",
            "sasl.oauthbearer.scope": "kafka",
            "sasl.jaas.config": "org.apache.kafka.common.security.oauthbearer."
            'OAuthBearerLoginModule required oauth.audience="the \\"brokers\\"" '
            'oauth.ssl.truststore.type="PEM" '
            'oauth.ssl.truststore.certificates="${secrets:ca:ca.crt}";',
        },
    }
    assert (
        "spec.authentication.refreshToken has no effect: Coracle has no such setting."
        in messages(made)
    )


def test_the_roots_log_level_goes_over() -> None:
    made = connect(
        """
        bootstrapServers: b
        logging:
          type: inline
          loggers: {rootLogger.level: debug, logger.reflections.level: ERROR}
        """
    )
    assert made.resource["spec"]["logging"] == {"type": "inline", "loggers": {"root": "DEBUG"}}
    assert any("logger.reflections.level" in text for text in messages(made))


def test_what_coracle_has_no_place_for_is_left_out_and_named() -> None:
    made = connect(
        """
        bootstrapServers: b
        image: quay.io/strimzi/kafka:latest
        build: {output: {type: docker, image: x}, plugins: []}
        plugins: [{name: x, artifacts: []}]
        jvmOptions: {-Xmx: 1g}
        template:
          podSet: {metadata: {labels: {a: b}}}
          pod: {hostAliases: [{ip: 1.2.3.4}], priorityClassName: high}
        resources: {limits: {memory: 1Gi}, claims: [{name: x}]}
        """
    )
    spec = made.resource["spec"]
    assert spec["template"] == {"pod": {"priorityClassName": "high"}}
    assert spec["resources"] == {"limits": {"memory": "1Gi"}}
    assert not {"image", "build", "plugins", "jvmOptions"} & set(spec)
    assert {text.split(" ")[0] for text in messages(made)} >= {
        "spec.image", "spec.build", "spec.plugins", "spec.jvmOptions", "spec.template.podSet",
        "spec.template.pod.hostAliases", "spec.resources.claims",
    }  # fmt: skip


keys = st.sampled_from(
    ["name", "tasks.max", "group.id", "offset.storage.topic", "ssl.protocol", "ssl.key", "topics",
     "config.providers", "Rest.port", "listeners.x", "file", "connector.class.x"]
) | st.text(min_size=1)  # fmt: skip
settings = st.dictionaries(keys, st.text() | st.integers() | st.booleans() | st.floats())
metadata = st.fixed_dictionaries({"labels": st.dictionaries(keys, st.text())})
connectors = st.fixed_dictionaries(
    {"class": st.text(min_size=1)},
    optional={
        "config": settings,
        "tasksMax": st.integers(1, 9),
        "pause": st.booleans(),
        "state": st.sampled_from(["running", "paused", "stopped"]),
        "autoRestart": st.fixed_dictionaries({"enabled": st.booleans()}),
        "listOffsets": st.just({"toConfigMap": {"name": "x"}}),
        "something": settings,
    },
)
volumes = st.lists(st.fixed_dictionaries({"name": st.text(min_size=1), "secret": st.just({})}))
connects = st.fixed_dictionaries(
    {"bootstrapServers": st.text(min_size=1)},
    optional={
        "config": settings,
        "groupId": st.text(min_size=1),
        "image": st.text(min_size=1),
        "plugins": st.just([{"name": "x", "artifacts": []}]),
        "jvmOptions": st.just({"-Xmx": "1g"}),
        "logging": st.fixed_dictionaries({"type": st.just("inline"), "loggers": settings}),
        "externalConfiguration": st.fixed_dictionaries(
            {}, optional={"env": st.just([{"name": "A", "value": "a"}]), "volumes": volumes}
        ),
        "template": st.fixed_dictionaries(
            {},
            optional={
                "pod": st.just({"hostAliases": [{}], "tolerations": [{"key": "a", "x": 1}]}),
                "connectContainer": st.just({"env": [{"name": "A", "value": "a"}]}),
                "podSet": st.just({"metadata": {}}),
            },
        ),
        "authentication": st.sampled_from(
            [
                {"type": "tls", "certificateAndKey": {"secretName": "a", "certificate": "b",
                                                      "key": "c"}},
                {"type": "oauth"},
                {"type": "oauth", "accessToken": {"secretName": "a", "key": "b"}, "httpRetries": 1},
            ]
        ),
    },
)  # fmt: skip


@given(connectors, metadata)
def test_any_connector_translates(spec: dict[str, Any], more: dict[str, Any]) -> None:
    resource = {"metadata": {"name": "x", **more}, "spec": spec}
    before = copy.deepcopy(resource)
    made = strimzi.connector(resource)
    assert repr(resource) == repr(before)
    parsed = KafkaConnector.model_validate(made.resource)
    assert unknown_fields(type(parsed.spec), made.resource["spec"]) == []
    ignored = [r for r in made.remarks if r.reason == "ForbiddenConfiguration"]
    assert len(parsed.spec.config) + len(ignored) == len(spec.get("config", {}))


@given(connects)
def test_any_connect_translates(spec: dict[str, Any]) -> None:
    resource = {"metadata": {"name": "x"}, "spec": spec}
    before = copy.deepcopy(resource)
    made = strimzi.connect(resource)
    assert repr(resource) == repr(before)
    parsed = KafkaConnect.model_validate(made.resource)
    assert unknown_fields(type(parsed.spec), made.resource["spec"]) == []
    given = spec.get("groupId") or str(spec.get("config", {}).get("group.id", ""))
    assert parsed.spec.group_id == (given or "connect-cluster")


SINCE = "2026-03-01T12:00:00Z"


def status(
    ready: str, tasks: str = "RUNNING", reason: str = "ClassNotFound", **more: Any
) -> KafkaConnectorStatus:
    return KafkaConnectorStatus.model_validate(
        {
            "conditions": [
                {
                    "type": "Ready",
                    "status": ready,
                    "reason": reason,
                    "message": "No such class.",
                    "lastTransitionTime": SINCE,
                    "observedGeneration": 3,
                },
                {"type": "Reconciling", "status": "True"},
            ],
            "connectorStatus": {
                "name": "orders",
                "type": "sink",
                "connector": {
                    "state": "RUNNING", "worker_id": "10.0.0.1:8083", "epoch": 5, "tasks": 2,
                    "useful": 2, "trace": "",
                },
                "tasks": [
                    {"id": 1, "state": tasks, "worker_id": "10.0.0.2:8083", "epoch": 5,
                     "trace": "boom" if tasks == "FAILED" else None, "records": 7, "lag": 0},
                    {"id": 0, "state": "RUNNING", "worker_id": "10.0.0.1:8083", "version": "1"},
                ],
            },
            "tasksMax": 2,
            "topics": ["b", "a"],
            "replicas": 2,
            **more,
        }
    )  # fmt: skip


def test_status_of_a_connector_is_what_rest_answers() -> None:
    assert strimzi.connector_status(status("True"), name="orders", generation=9) == {
        "observedGeneration": 9,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": SINCE}],
        "connectorStatus": {
            "name": "orders",
            "connector": {"state": "RUNNING", "worker_id": "10.0.0.1:8083"},
            "tasks": [
                {"id": 0, "state": "RUNNING", "worker_id": "10.0.0.1:8083", "version": "1"},
                {"id": 1, "state": "RUNNING", "worker_id": "10.0.0.2:8083"},
            ],
            "type": "sink",
        },
        "tasksMax": 2,
        "topics": ["a", "b"],
        "autoRestart": None,
    }


def test_failed_tasks_are_not_ready_true() -> None:
    written = strimzi.connector_status(
        status(
            "False",
            "FAILED",
            names.TASK_FAILED,
            autoRestart={"count": 2, "lastRestartTimestamp": SINCE},
        ),
        name="orders",
        generation=9,
    )
    assert written["conditions"] == [
        {
            "type": "NotReady",
            "status": "True",
            "lastTransitionTime": SINCE,
            "reason": "Throwable",
            "message": "The following tasks have failed: 1, see connectorStatus for more details.",
        }
    ]
    assert written["connectorStatus"]["tasks"][1]["trace"] == "boom"
    assert written["autoRestart"] == {
        "count": 2,
        "connectorName": "orders",
        "lastRestartTimestamp": SINCE,
    }


def test_a_failed_connector() -> None:
    failed = status(
        "False", reason=names.CONNECTOR_FAILED, connectorStatus={"connector": {"state": "FAILED"}}
    )
    (condition,) = strimzi.connector_status(failed, name="orders", generation=1)["conditions"]
    assert condition["reason"] == "Throwable"
    assert condition["message"] == "Connector has failed, see connectorStatus for more details."


def test_other_reasons_are_told_as_they_are() -> None:
    written = strimzi.connector_status(
        status("False", "FAILED"),
        name="orders",
        generation=1,
        remarks=connector("{class: A, config: {tasks.max: 1}}").remarks,
    )
    assert [(each["type"], each["reason"]) for each in written["conditions"]] == [
        ("NotReady", "ClassNotFound"),
        ("Warning", "ForbiddenConfiguration"),
    ]
    assert all(each["status"] == "True" for each in written["conditions"])


def test_paused_reconciliation() -> None:
    written = strimzi.connector_status(status("True"), name="orders", generation=1, paused=True)
    assert [each["type"] for each in written["conditions"]] == ["ReconciliationPaused"]


def test_status_before_anything_is_known() -> None:
    assert strimzi.connector_status(KafkaConnectorStatus(), name="orders", generation=1) == {
        "observedGeneration": 1,
        "conditions": [],
        "connectorStatus": None,
        "tasksMax": None,
        "topics": [],
        "autoRestart": None,
    }


def test_status_of_a_connect() -> None:
    written = strimzi.connect_status(
        KafkaConnectStatus.model_validate(
            {
                "conditions": [{"type": "Ready", "status": "True"}],
                "url": "http://c-connect-api.shop.svc:8083",
                "connectorPlugins": [{"class": "A", "type": "sink", "version": "1"}],
                "replicas": 1,
                "labelSelector": "a=b",
            }
        ),
        generation=2,
    )
    assert written == {
        "observedGeneration": 2,
        "conditions": [{"type": "Ready", "status": "True"}],
        "url": "http://c-connect-api.shop.svc:8083",
        "connectorPlugins": [{"class": "A", "type": "sink", "version": "1"}],
        "replicas": 1,
        "labelSelector": "a=b",
    }


@pytest.mark.parametrize("key", sorted(strimzi.ANNOTATIONS))
def test_annotations_mean_the_same(key: str) -> None:
    made = connector("{class: A}", annotations={key: "true"})
    ours = key.replace("strimzi.io", names.GROUP)
    assert made.resource["metadata"]["annotations"] == {ours: "true"}

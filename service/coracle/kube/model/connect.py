"""KafkaConnect: what the connectors of one Kafka cluster have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from coracle.kube.model.base import (
    Long,
    Model,
    Settings,
    Verbatim,
    ignored,
    map_by,
    rule,
    rules,
    stored,
)
from coracle.kube.model.objects import Condition, ObjectMeta
from coracle.kube.model.pods import LocalObjectReference, Resources, Selector, Template

WorkerConfig = Annotated[
    Settings,
    Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]


class CertificateSource(Model):
    """Certificates in a Secret."""

    model_config = rules(
        rule(
            "has(self.certificate) != has(self.pattern)",
            "name one file with certificate, or several with pattern",
        )
    )
    secret_name: str = Field(
        min_length=1, description="Secret of this namespace, for example my-cluster-ca-cert."
    )
    certificate: str | None = Field(
        default=None, min_length=1, description="Key of a PEM file in it, for example ca.crt."
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        description="Pattern for keys of PEM files in it, for example *.crt.",
    )


class Tls(Model):
    """TLS to the Kafka brokers."""

    trusted_certificates: Sequence[CertificateSource] = Field(
        default=(),
        json_schema_extra={"maxItems": 100},
        description="Certificate authorities to trust. Without any, those of the image.",
    )


class CertificateAndKey(Model):
    """A client certificate in a Secret."""

    secret_name: str = Field(min_length=1, description="Secret of this namespace.")
    certificate: str = Field(
        min_length=1, description="Key of the PEM certificate in it, for example user.crt."
    )
    key: str = Field(
        min_length=1, description="Key of the PEM private key in it, for example user.key."
    )


class PasswordSecret(Model):
    """A password in a Secret."""

    secret_name: str = Field(min_length=1, description="Secret of this namespace.")
    password: str = Field(
        min_length=1, description="Key of the password in it, for example password."
    )


class Authentication(Model):
    """How connectors prove to Kafka who they are."""

    model_config = rules(
        rule(
            "self.type != 'tls' || has(self.certificateAndKey)",
            "authentication of type tls needs certificateAndKey",
        ),
        rule(
            "!(self.type in ['plain', 'scram-sha-256', 'scram-sha-512'])"
            " || (has(self.username) && has(self.passwordSecret))",
            "authentication of type plain, scram-sha-256 or scram-sha-512 needs username and"
            " passwordSecret",
        ),
        rule(
            "self.type != 'custom' || has(self.config)",
            "authentication of type custom needs config with the Kafka client's settings",
        ),
    )
    type: Literal["tls", "plain", "scram-sha-256", "scram-sha-512", "custom"] = Field(
        description="tls: a client certificate (certificateAndKey, with spec.tls). plain, "
        "scram-sha-256, scram-sha-512: SASL with username and passwordSecret. custom: the settings "
        "in config, for OAuth for example."
    )
    username: str | None = Field(default=None, description="User for plain and SCRAM.")
    password_secret: PasswordSecret | None = Field(
        default=None, description="Where the password for plain and SCRAM is."
    )
    certificate_and_key: CertificateAndKey | None = Field(
        default=None, description="Where the client certificate for tls is."
    )
    sasl: bool | None = Field(
        default=None, description="For custom: whether the connection uses SASL. Default: false."
    )
    config: WorkerConfig | None = Field(
        default=None,
        description="For custom: settings of Kafka's clients that begin with sasl. or "
        "ssl.keystore., for example sasl.mechanism: OAUTHBEARER. Secrets belong in a Secret: "
        "${secrets:name:key}.",
    )


class Plugins(Model):
    """Python packages with further connectors, converters or transforms."""

    packages: Sequence[str] = Field(
        json_schema_extra={
            "maxItems": 100,
            "items": {"type": "string", "minLength": 1, "maxLength": 1024},
        },
        description="What to install before Coracle starts, as pip's requirements, for example "
        "[acme-connectors==1.4.2]. Wheels only: nothing is built in the pod. Pin versions, or pods "
        "started at different times may differ.",
    )
    index_url: str | None = Field(
        default=None,
        description="Package index. Default: https://pypi.org/simple. Credentials belong in "
        "indexSecret, never here.",
    )
    find_links: str | None = Field(
        default=None, description="URL of a page with links to wheels, instead of an index."
    )
    index_secret: LocalObjectReference | None = Field(
        default=None,
        description="Secret of this namespace with the keys username and password for the index.",
    )


class Rest(Model):
    """The Kafka Connect REST API over the custom resources."""

    enabled: bool = Field(
        default=False,
        description="Whether the api pods serve Kafka Connect's REST API: connectors made there "
        "become KafkaConnector resources of this namespace. It has no authentication: whoever "
        "reaches port 8083 can change every connector. Default: false.",
    )


class AllowedNamespaces(Model):
    """Whose connectors may use this KafkaConnect."""

    model_config = rules(
        rule(
            "(self.from == 'Selector') == has(self.selector)",
            "selector belongs to from: Selector, and is needed there",
        )
    )
    from_: Literal["Same", "All", "Selector"] = Field(
        alias="from",
        default="Same",
        json_schema_extra=stored,
        description="Same: connectors of this namespace. All: of every namespace. Selector: of "
        "namespaces whose labels match selector. Default: Same.",
    )
    selector: Selector | None = Field(
        default=None, description="Labels of the namespaces that are let in."
    )


class Enabled(Model):
    """Something that is on or off."""

    enabled: bool = Field(default=False, description="Whether it is there. Default: false.")


class NetworkPolicy(Model):
    """The NetworkPolicies of api and task pods."""

    enabled: bool = Field(
        default=True,
        description="Whether the operator makes them. Default: true. They have an effect only "
        "where the cluster's network enforces NetworkPolicies.",
    )


class Strimzi(Model):
    """Resources of Strimzi's API group."""

    enabled: bool = Field(
        default=False,
        description="Whether Coracle runs the kafka.strimzi.io KafkaConnectors of this namespace "
        "that are labelled strimzi.io/cluster: <this name>, as Strimzi would. Default: false. "
        "Strimzi's operator must not watch the same resources.",
    )


LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF")

LogLevel = Annotated[str, WithJsonSchema({"type": "string", "enum": list(LOG_LEVELS)})]


class Logging(Model):
    """Log levels, changed in running pods."""

    type: str | None = Field(
        default=None, description="Strimzi's; inline is the only type that has an effect."
    )
    loggers: Mapping[str, LogLevel] = Field(
        default_factory=dict,
        description="Level (TRACE, DEBUG, INFO, WARN, ERROR, FATAL, OFF) by logger, for example "
        "{root: INFO, coracle.kafka: DEBUG}. Loggers are called as Coracle's Python modules; root "
        "is for all that have no level of their own. Default: root is INFO. No pod is restarted.",
    )
    value_from: Verbatim | None = ignored("levels are read from loggers only")


class KafkaConnectSpec(Model):
    """What is wanted."""

    bootstrap_servers: str = Field(
        min_length=1,
        max_length=10000,
        description="Kafka brokers to connect to first, as host:port with commas between, for "
        "example my-cluster-kafka-bootstrap:9093.",
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        description="Image of the api and task pods, for one with connectors of your own. Default: "
        "the one the operator came with.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="When the image is pulled: Always, IfNotPresent or Never. Default: Always for "
        "the tag latest, else IfNotPresent.",
    )
    replicas: int = Field(
        default=1,
        ge=0,
        json_schema_extra=stored,
        description="Number of api pods. They check configurations at admission and serve the REST "
        "API; connectors run in pods of their own and need none of them. Default: 1.",
    )
    group_id: str | None = Field(
        default=None,
        min_length=1,
        description="Worker group, as group.id of Kafka Connect. It is part of the source "
        "connectors' group names and transactional ids; give each KafkaConnect on one Kafka "
        "cluster its own. Default: coracle.",
    )
    offset_storage_topic: str | None = Field(
        default=None,
        min_length=1,
        description="Topic where source connectors keep how far they are. It is made when it does "
        "not exist. Default: connect-offsets.",
    )
    config_storage_topic: str | None = ignored("configurations are the resources")
    status_storage_topic: str | None = ignored("status is in the resources")
    tls: Tls | None = Field(
        default=None,
        description="TLS to the brokers, for example {trustedCertificates: [{secretName: "
        "my-cluster-ca-cert, certificate: ca.crt}]}. Default: the connection is in plain text.",
    )
    authentication: Authentication | None = Field(
        default=None,
        description="How to log in to Kafka, for example {type: scram-sha-512, username: connect, "
        "passwordSecret: {secretName: connect, password: password}}. Default: not at all.",
    )
    config: WorkerConfig = Field(
        default_factory=dict,
        description="Worker settings with Kafka Connect's names, for all connectors: converters "
        "(key.converter), clients (producer.compression.type, consumer.max.poll.records), "
        "offset.flush.interval.ms and so on. Addresses, TLS and login have fields of their own.",
    )
    resources: Resources | None = Field(
        default=None,
        description="CPU and memory of each pod, for example {requests: {cpu: 250m, memory: "
        "128Mi}}; a KafkaConnector's own take precedence.",
    )
    template: Template | None = Field(
        default=None,
        description="What pods look like; a KafkaConnector's own template takes precedence field "
        "by field.",
    )
    plugins: Plugins | None = Field(
        default=None,
        description="Packages to install when a pod starts, for example {packages: "
        "[acme-connectors==1.4.2]}. An image of your own starts faster.",
    )
    rest: Rest | None = Field(default=None, description="The Kafka Connect REST API. Default: off.")
    allowed_namespaces: AllowedNamespaces | None = Field(
        default=None,
        description="Which namespaces' connectors may use this KafkaConnect. They run in their own "
        "namespace, so the Secrets that it names must be there too. Default: only this one.",
    )
    strimzi: Strimzi | None = Field(
        default=None, description="Running connectors that are written for Strimzi. Default: off."
    )
    pod_monitor: Enabled | None = Field(
        default=None,
        description="A PodMonitor for the Prometheus operator, for the pods of each connector.",
    )
    service_monitor: Enabled | None = Field(
        default=None,
        description="A ServiceMonitor for the Prometheus operator, for the Service of each "
        "connector.",
    )
    network_policy: NetworkPolicy | None = Field(
        default=None, description="Who may reach the pods: their own kind and the operator."
    )
    logging: Logging | None = Field(
        default=None,
        description="Log levels of all connectors, for example {loggers: {root: INFO}}; a "
        "KafkaConnector's take precedence.",
    )
    version: str | None = ignored("the image decides the version")
    jvm_options: Verbatim | None = ignored("there is no JVM")
    jmx_options: Verbatim | None = ignored("there is no JVM")
    metrics_config: Verbatim | None = ignored("it is about the metrics of a JVM")
    tracing: Verbatim | None = ignored("there is no tracing yet")
    rack: Verbatim | None = ignored("set client.rack in config")
    client_rack_init_image: str | None = ignored("there is no init container for racks")
    build: Verbatim | None = ignored("images are built elsewhere, or use plugins")
    liveness_probe: Verbatim | None = ignored("probes are Coracle's own")
    readiness_probe: Verbatim | None = ignored("probes are Coracle's own")


class ConnectorPlugin(Model):
    """A plugin that the image has."""

    class_: str = Field(alias="class", description="Class name for configurations.")
    type: str = Field(default="", description="source, sink, converter, transformation and so on.")
    version: str = Field(default="", description="Version of the plugin.")


class KafkaConnectStatus(Model):
    """What is. Written by the operator."""

    observed_generation: Long | None = Field(
        default=None, description="metadata.generation that this status is about."
    )
    conditions: Sequence[Condition] = Field(
        default=(),
        json_schema_extra=map_by("type", 32),
        description="Ready: the api pods answer. Stalled: it cannot become ready without a change. "
        "Warning: what was asked for and has no effect.",
    )
    url: str | None = Field(
        default=None,
        description="Where the api answers inside the cluster, for example "
        "http://my-connect-connect-api.shop.svc:8083.",
    )
    connector_plugins: Sequence[ConnectorPlugin] = Field(
        default=(),
        json_schema_extra={"maxItems": 2000},
        description="Connectors that the image has.",
    )
    replicas: int | None = Field(default=None, description="Number of api pods.")
    label_selector: str | None = Field(
        default=None, description="Label selector of the api pods, for autoscalers."
    )


class KafkaConnect(Model):
    """Coracle's counterpart of a Kafka Connect cluster, less the cluster.

    It says which Kafka its connectors use and what they have in common: security, converters,
    image, resources. Each KafkaConnector that names it runs in pods of its own.
    """

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta
    spec: KafkaConnectSpec = Field(
        description="What is wanted. The least is where Kafka is: {bootstrapServers: kafka:9092}."
    )
    status: KafkaConnectStatus | None = Field(
        default=None, description="What is. Written by the operator."
    )

"""KafkaConnector: one connector, its pods and its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from coracle.api import ConfigError, ConfigErrors
from coracle.api.config import to_text
from coracle.kube.model.base import (
    Long,
    Model,
    Settings,
    Time,
    ignored,
    map_by,
    rule,
    rules,
    stored,
)
from coracle.kube.model.connect import Logging
from coracle.kube.model.objects import Condition, ObjectMeta
from coracle.kube.model.pods import LocalObjectReference, Resources, Template

TRACE_LIMIT = 4096
"""Bytes of a trace in the status; the REST API of the pod has all of it."""

MAX_TASKS_IN_STATUS = 4096

_CONFIG = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "topics": {
            "x-kubernetes-int-or-string": True,
            "description": "For sinks: topics to read, with commas between, for example "
            "orders,payments. A sink has either topics or topics.regex.",
        },
        "topics.regex": {
            "type": "string",
            "description": "For sinks: a regular expression, in Java's syntax, for names of topics "
            "to read, for example shop[.].* for all that begin with shop and a dot. New topics "
            "that match are read as they come.",
        },
    },
    "x-kubernetes-validations": [
        rule(
            "!has(self.topics) || !has(self.topics__dot__regex)"
            " || self.topics == '' || self.topics__dot__regex == ''",
            "topics and topics.regex are mutually exclusive options, but both are set",
        )
    ],
}

ConnectorConfig = Annotated[Settings, Field(json_schema_extra=_CONFIG)]


class ConnectReference(Model):
    """A KafkaConnect."""

    name: str = Field(min_length=1, description="Name of the KafkaConnect.")
    namespace: str | None = Field(
        default=None,
        min_length=1,
        description="Its namespace. Default: the connector's own. Another one has to let this one "
        "in with spec.allowedNamespaces.",
    )


class AutoRestart(Model):
    """Restarting what has failed."""

    enabled: bool = Field(
        default=False,
        description="Whether a connector or task that failed is restarted: at once, then 2, 6, 12, "
        "20, 30, 42 and 56 minutes after the last restart, then every hour. What has been healthy "
        "for as long starts over. Default: false.",
    )
    max_restarts: int | None = Field(
        default=None,
        ge=0,
        description="After how many restarts in a row to give up. Default: never.",
    )


class Autoscaling(Model):
    """A HorizontalPodAutoscaler or KEDA ScaledObject that sets spec.tasksMax."""

    model_config = rules(
        rule(
            "!has(self.minTasks) || self.minTasks <= self.maxTasks",
            "minTasks must not be more than maxTasks",
        ),
        rule("has(self.cpu) != has(self.lag)", "set exactly one of cpu and lag"),
    )
    min_tasks: int = Field(default=1, ge=1, description="Never fewer tasks than these. Default: 1.")
    max_tasks: int = Field(
        ge=1,
        description="Never more tasks than these. More than a sink has partitions are of no use "
        "and get no pod.",
    )
    cpu: int | None = Field(
        default=None,
        ge=1,
        description="Add tasks while the pods use more than this, in percent of "
        "resources.requests.cpu, for example 70. Needs the metrics server.",
    )
    lag: Long | None = Field(
        default=None,
        ge=1,
        description="For sinks: one task for each of these records that are still to be read, for "
        "example 10000. Needs KEDA.",
    )


class DeletionPolicy(Model):
    """What goes with the resource."""

    offsets: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="Retain: how far the connector has come stays in Kafka, and one of the same "
        "name goes on from there. Delete: it is forgotten, and one of the same name starts over. "
        "Default: Retain.",
    )


class ListOffsets(Model):
    """Where offsets are listed to."""

    to_config_map: LocalObjectReference = Field(description="ConfigMap to write them to.")


class AlterOffsets(Model):
    """Where offsets are altered from."""

    from_config_map: LocalObjectReference = Field(description="ConfigMap to read them from.")


class KafkaConnectorSpec(Model):
    """What is wanted."""

    class_: str = Field(
        alias="class",
        min_length=1,
        max_length=1024,
        description="Connector class, by its Java name or the last part of it, for example "
        "io.confluent.connect.jdbc.JdbcSinkConnector. `coracle plugins` and the KafkaConnect's "
        "status list those there are.",
    )
    connect: ConnectReference | None = Field(
        default=None,
        description="The KafkaConnect to run with. A label coracle.dev/cluster: <name> does the "
        "same; this field takes precedence.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Name of the connector in Kafka, when Kubernetes does not allow it as "
        "metadata.name, for example sink_postgres_00_json. Groups and offsets are kept under it, "
        "so it cannot be changed. Default: metadata.name.",
    )
    tasks_max: int = Field(
        default=1,
        ge=1,
        json_schema_extra=stored,
        description="Most tasks to divide the work into, each able to run in a pod of its own; "
        "tasks.max of Kafka Connect, and what `kubectl scale --replicas` sets. Changing it "
        "restarts no pod. Leave it out when an autoscaler sets it. Default: 1.",
    )
    config: ConnectorConfig = Field(
        default_factory=dict,
        description="The connector's settings, with Kafka Connect's names and values, for example "
        "topics, connection.url, value.converter, transforms. `name`, `connector.class` and "
        "`tasks.max` have fields of their own. Secrets belong in a Secret of this namespace: "
        "${secrets:<name>:<key>}.",
    )
    state: Literal["running", "paused", "stopped"] | None = Field(
        default=None,
        description="running, paused (pods stay and do nothing) or stopped (no pods, no tasks; "
        "needed to change offsets). Default: running.",
    )
    pause: bool | None = Field(
        default=None,
        description="true is Strimzi's older way to say state: paused; state takes precedence. "
        "Default: false.",
    )
    version: str | None = Field(
        default=None,
        description="Version of the connector class that is needed, as connector.plugin.version of "
        "Kafka Connect, for example [1.2,2). Default: whichever the image has.",
    )
    auto_restart: AutoRestart | None = Field(
        default=None,
        description="Restarts what has failed, for example {enabled: true, maxRestarts: 10}. "
        "Default: it stays failed.",
    )
    autoscaling: Autoscaling | None = Field(
        default=None,
        description="Sets tasksMax by load, for example {minTasks: 1, maxTasks: 8, cpu: 70}. Leave "
        "tasksMax out then. Default: nothing changes it.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="What is deleted along with this resource. Default: its pods, but not how far "
        "it has come.",
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        description="Image of the pods, for example registry.example.com/coracle-acme:1.4. "
        "Default: the KafkaConnect's.",
    )
    resources: Resources | None = Field(
        default=None,
        description="CPU and memory of each pod, for example {requests: {cpu: 250m, memory: "
        "128Mi}, limits: {memory: 256Mi}}. Default: the KafkaConnect's.",
    )
    template: Template | None = Field(
        default=None,
        description="What the pods look like: labels, node choice, environment, security. A field "
        "that is not set here is taken from the KafkaConnect's template.",
    )
    logging: Logging | None = Field(
        default=None,
        description="Log levels, for example {loggers: {coracle.connectors.jdbc: DEBUG}}, over the "
        "KafkaConnect's. No pod is restarted.",
    )
    list_offsets: ListOffsets | None = ignored("offsets cannot be listed this way yet")
    alter_offsets: AlterOffsets | None = ignored("offsets cannot be altered this way yet")

    def settings(self) -> dict[str, str]:
        """``config`` as Kafka Connect has it: every value a string.

        Raises:
            ConfigErrors: with each value that is null, a list or an object.
        """
        return strings(self.config)

    @property
    def target(self) -> Literal["running", "paused", "stopped"]:
        """The state that is asked for, by ``state`` or else by Strimzi's ``pause``."""
        return self.state or ("paused" if self.pause else "running")


_EPOCH_RULE = rule(
    "!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",
    "a newer leader has reported since: epoch never decreases",
)

_States = Literal["UNASSIGNED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "RESTARTING"]


class TaskStatus(Model):
    """One task, by the pod that runs it."""

    model_config = rules(_EPOCH_RULE)

    id: int = Field(ge=0, description="Number of the task, from 0.")
    state: _States | None = Field(
        default=None, description="RUNNING, PAUSED, FAILED, RESTARTING or UNASSIGNED."
    )
    worker_id: str | None = Field(
        default=None,
        alias="worker_id",
        description="Address of the pod that runs it, for example 10.1.2.3:8083.",
    )
    trace: str | None = Field(
        default=None,
        max_length=TRACE_LIMIT,
        description="Why it failed, at most 4 KiB of it. The pod's log has all of it.",
    )
    version: str | None = Field(default=None, description="Version of the plugin.")
    epoch: Long | None = Field(
        default=None,
        description="When the assignment was made that this report is from, in milliseconds since "
        "1970. Reports from an older one are refused.",
    )
    records: Long | None = Field(
        default=None,
        description="Records written since the task started. Refreshed once a minute at most.",
    )
    lag: Long | None = Field(
        default=None,
        description="For sinks: records in Kafka that it has still to read. Refreshed once a "
        "minute at most.",
    )
    last_commit: Time | None = Field(
        default=None,
        description="When its progress was last committed. Refreshed once a minute at most.",
    )


class ConnectorState(Model):
    """The connector itself, by the pod that leads its group."""

    model_config = rules(_EPOCH_RULE)

    state: _States | None = Field(
        default=None,
        description="RUNNING, PAUSED, STOPPED, FAILED, RESTARTING or UNASSIGNED.",
    )
    worker_id: str | None = Field(
        default=None, alias="worker_id", description="Address of the pod that runs it."
    )
    trace: str | None = Field(
        default=None, max_length=TRACE_LIMIT, description="Why it failed, at most 4 KiB of it."
    )
    version: str | None = Field(default=None, description="Version of the plugin.")
    epoch: Long | None = Field(
        default=None, description="When the leader took over, in milliseconds since 1970."
    )
    tasks: int | None = Field(
        default=None, ge=0, description="How many tasks the connector divides its work into."
    )
    useful: int | None = Field(
        default=None,
        ge=0,
        description="How many pods can have something to do: tasks, but for a sink no more than "
        "there are partitions.",
    )


class ConnectorStatus(Model):
    """What GET /connectors/<name>/status of Kafka Connect would say."""

    name: str | None = Field(default=None, description="Name of the connector.")
    type: str | None = Field(default=None, description="source or sink.")
    connector: ConnectorState | None = Field(default=None, description="The connector itself.")
    tasks: Sequence[TaskStatus] = Field(
        default=(),
        json_schema_extra=map_by("id", MAX_TASKS_IN_STATUS),
        description="Its tasks.",
    )


class AutoRestartStatus(Model):
    """What automatic restarting has done."""

    count: int = Field(default=0, description="Restarts since the connector was last healthy.")
    connector_name: str | None = Field(default=None, description="Name of the connector.")
    last_restart_timestamp: Time | None = Field(default=None, description="When the last one was.")


class KafkaConnectorStatus(Model):
    """What is. Written by the pods and the operator."""

    observed_generation: Long | None = Field(
        default=None, description="metadata.generation that this status is about."
    )
    conditions: Sequence[Condition] = Field(
        default=(),
        json_schema_extra=map_by("type", 32),
        description="Ready: the connector and all its tasks do what spec.state says. Reconciling: "
        "it is on its way there. Stalled: it will not get there without a change. Warning: what "
        "was asked for and has no effect.",
    )
    replicas: int | None = Field(default=None, description="Number of pods.")
    label_selector: str | None = Field(
        default=None, description="Label selector of the pods, for autoscalers."
    )
    tasks_max: int | None = Field(
        default=None, description="How many tasks there are; spec.tasksMax is how many may be."
    )
    topics: Sequence[str] = Field(
        default=(),
        json_schema_extra={"maxItems": 10000},
        description="Topics that the connector reads or writes.",
    )
    connector_status: ConnectorStatus | None = Field(
        default=None, description="State of the connector and its tasks, reported by the pods."
    )
    auto_restart: AutoRestartStatus | None = Field(
        default=None, description="What automatic restarting has done."
    )


class KafkaConnector(Model):
    """A connector that Coracle runs: records from somewhere into Kafka, or from Kafka to somewhere.

    It has pods of its own, which share its tasks. `kubectl scale` and autoscalers work on it.
    """

    model_config = rules(
        rule(
            "(has(self.spec.name) ? self.spec.name : self.metadata.name)"
            " == (has(oldSelf.spec.name) ? oldSelf.spec.name : oldSelf.metadata.name)",
            "groups and offsets are kept under the connector's name, so spec.name cannot be "
            "changed: make a new connector",
            fieldPath=".spec.name",
        )
    )
    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta
    spec: KafkaConnectorSpec = Field(
        description="What is wanted: which connector (class), with which Kafka (connect) and which "
        "settings (config), for example {connect: {name: my-connect}, class: "
        "io.confluent.connect.jdbc.JdbcSinkConnector, tasksMax: 2, config: {topics: orders, "
        "connection.url: jdbc:postgresql://db/shop, connection.password: ${secrets:db:password}}}."
    )
    status: KafkaConnectorStatus | None = Field(
        default=None, description="What is. Written by the pods and the operator."
    )

    @property
    def connector_name(self) -> str:
        """The connector's name in Kafka."""
        return self.spec.name or self.metadata.name


def strings(config: Mapping[str, object]) -> dict[str, str]:
    """Settings as Kafka Connect has them: every value a string.

    YAML's numbers and booleans become text as they do over REST, so ``1`` and ``"1"`` are one.

    Raises:
        ConfigErrors: with each value that is null, a list or an object.
    """
    settings: dict[str, str] = {}
    errors: list[ConfigError] = []
    for key, value in config.items():
        match value:
            case str() | bool() | int() | float():
                settings[key] = to_text(value)
            case None:
                errors.append(
                    ConfigError(
                        f"Configuration {key} is null.",
                        field=key,
                        fix='Leave it out, or write "".',
                    )
                )
            case _:
                errors.append(
                    ConfigError(
                        f"Configuration {key} is a list or an object, but Kafka Connect's settings "
                        "are strings.",
                        field=key,
                        fix="Write list entries in one string with commas between.",
                    )
                )
    if errors:
        raise ConfigErrors(errors)
    return settings

"""From a prepared configuration to the objects that run a task.

The one place that knows how the pieces of a task fit together; everything else gets what it needs
handed to it.
"""

from __future__ import annotations

from typing import Any

from coracle.api import Converter, HeaderConverter, SinkTask, SourceTask
from coracle.config.connector import ConnectorConfig, PluginConfig
from coracle.config.worker import WorkerConfig
from coracle.converters.header_adapter import ConverterAsHeaderConverter
from coracle.java.regex import compile_regex
from coracle.kafka.consume import BatchConsumer
from coracle.kafka.membership import TaskPartitions
from coracle.kafka.offsets import OffsetTopic
from coracle.kafka.produce import BatchProducer
from coracle.kafka.task_consumer import TaskConsumer
from coracle.runtime.conversion import Converters
from coracle.runtime.pipeline import Pipeline
from coracle.runtime.sink import SinkRun, SinkSettings
from coracle.runtime.source import SourceRun, SourceSettings
from coracle.runtime.tolerance import Tolerance
from coracle.runtime.topics import TopicCreator
from coracle.transforms.chain import Chain, Step

Run = SinkRun | SourceRun


def build_run(
    config: ConnectorConfig,
    task: int,
    worker: WorkerConfig,
    partitions: TaskPartitions | None = None,
) -> Run:
    """One run of a task, connected to nothing yet.

    Args:
        config: the connector's configuration together with the task's own keys.
        task: the task's number.
        worker: the worker's configuration.
        partitions: where a sink's task finds its partitions when its process is a member of the
            group; without it the task becomes a member itself.

    Raises:
        ConfigError: when a plugin refuses its settings.
    """
    if config.kind == "sink":
        return _sink(config, task, worker, partitions)
    return _source(config, task, worker)


def group_settings(config: ConnectorConfig, worker: WorkerConfig) -> dict[str, str]:
    """Properties of a member of the group whose members run a connector's tasks."""
    if config.kind == "sink":
        return _sink_group(config, worker) | {"client.id": f"connector-{config.name}"}
    return worker.client("consumer") | {
        "group.id": f"coracle-{worker.config['group.id']}-{config.name}",
        "client.id": f"connector-{config.name}",
        **_timing(worker),
    }


def _sink_group(config: ConnectorConfig, worker: WorkerConfig) -> dict[str, str]:
    return {"group.id": f"connect-{config.name}", **_timing(worker)} | config.consumer


def _timing(worker: WorkerConfig) -> dict[str, str]:
    keys = ("session.timeout.ms", "heartbeat.interval.ms", "rebalance.timeout.ms")
    return {key: str(worker.config[key]) for key in keys}


def _sink(
    config: ConnectorConfig, task: int, worker: WorkerConfig, partitions: TaskPartitions | None
) -> SinkRun:
    plugin = config.connector_class.task_class()
    assert isinstance(plugin, SinkTask)
    props = {
        "client.id": f"connector-consumer-{config.name}-{task}",
        **_sink_group(config, worker),
    }
    del props["rebalance.timeout.ms"]
    return SinkRun(
        _pipeline(config, task),
        plugin,
        BatchConsumer(props) if partitions is None else TaskConsumer(props, partitions),
        SinkSettings(
            topics=config.topics,
            pattern=compile_regex(config.topics_regex).pattern if config.topics_regex else "",
            flush_interval=worker.config["offset.flush.interval.ms"] / 1000,
            flush_timeout=worker.config["offset.flush.timeout.ms"] / 1000,
        ),
    )


def _source(config: ConnectorConfig, task: int, worker: WorkerConfig) -> SourceRun:
    plugin = config.connector_class.task_class()
    assert isinstance(plugin, SourceTask)
    producer_props = {
        "client.id": f"connector-producer-{config.name}-{task}",
    } | config.producer
    groups = config.topic_creation if worker.config["topic.creation.enable"] else []
    return SourceRun(
        _pipeline(config, task),
        plugin,
        BatchProducer(producer_props),
        offset_topic(config, worker),
        TopicCreator(groups, config.admin).ensure,
        SourceSettings(
            flush_interval=worker.config["offset.flush.interval.ms"] / 1000,
            flush_timeout=worker.config["offset.flush.timeout.ms"] / 1000,
            offset_partitions=worker.config["offset.storage.partitions"],
            offset_replication_factor=worker.config["offset.storage.replication.factor"],
        ),
    )


def offset_topic(config: ConnectorConfig, worker: WorkerConfig) -> OffsetTopic:
    """The offset store of a source connector, not started yet."""
    topic = config.config["offsets.storage.topic"] or worker.config["offset.storage.topic"]
    return OffsetTopic(
        config.name, topic, worker.client("consumer"), worker.client("producer"), config.admin
    )


def _pipeline(config: ConnectorConfig, task: int) -> Pipeline:
    return Pipeline(
        config.name,
        task,
        config.config,
        _converters(config),
        _chain(config),
        Tolerance(config.name, task, config.config),
    )


def _chain(config: ConnectorConfig) -> Chain:
    return Chain(
        [
            Step(
                alias=link.alias,
                transform=_configured(link.plugin),
                predicate=None if link.predicate is None else _configured(link.predicate),
                negate=link.negate,
                plugin=link.plugin.name,
            )
            for link in config.transforms
        ]
    )


def _converters(config: ConnectorConfig) -> Converters:
    key: Converter = config.key_converter.cls()
    key.configure(config.key_converter.config, "key")
    value: Converter = config.value_converter.cls()
    value.configure(config.value_converter.config, "value")
    return Converters(
        key,
        value,
        _header_converter(config.header_converter),
        config.key_converter.name,
        config.value_converter.name,
        config.header_converter.name,
    )


def _header_converter(plugin: PluginConfig) -> HeaderConverter:
    made = plugin.cls()
    if isinstance(made, Converter):
        made.configure(plugin.config, "header")
        return ConverterAsHeaderConverter(made)
    made.configure(plugin.config)
    return made


def _configured(plugin: PluginConfig) -> Any:
    made = plugin.cls()
    made.configure(plugin.config)
    return made

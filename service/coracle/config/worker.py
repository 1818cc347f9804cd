"""The worker's configuration: what all connectors of a process share.

The keys are those of ``connect-distributed.properties`` and ``connect-standalone.properties``, and
both files are accepted as they ship. Everything has a default, so that a broker on localhost needs
no file. Keys that only mean something inside a JVM or between Connect workers are known but do
nothing; those whose effect somebody would miss earn a warning.
https://kafka.apache.org/documentation/#connectconfigs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from coracle.api import (
    Config,
    ConfigError,
    ConfigErrors,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Importance,
    NonEmpty,
    OneOf,
    Range,
)
from coracle.api.config import invalid
from coracle.config import client_overrides, properties, providers

_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW
_BOOLEAN, _STRING, _CLASS = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.CLASS
_INT, _SHORT, _LONG, _LIST = ConfigType.INT, ConfigType.SHORT, ConfigType.LONG, ConfigType.LIST


@dataclass(frozen=True)
class PositiveOrDefault:
    """A positive number, or -1 for the broker's default."""

    def __call__(self, name: str, value: int) -> None:
        """Raise ``ConfigError`` when the value is not allowed."""
        if value != -1 and value < 1:
            raise invalid(name, value, str(self))

    def __str__(self) -> str:
        return "a positive number, or -1 to use the broker's default"


def _internal_topic(name: str, topic: str, partitions: int | None) -> list[ConfigKey]:
    """The keys of one of Kafka Connect's own topics."""
    prefix = f"{name}.storage."
    keys = [
        ConfigKey(prefix + "topic", _STRING, topic, f"Topic of the {name} records.", _HIGH),
        ConfigKey(
            prefix + "replication.factor",
            _SHORT,
            None,
            "Replicas of that topic when it is created; three, or the number of brokers if less, "
            "when unset.",
            _LOW,
            PositiveOrDefault(),
        ),
    ]
    if partitions is not None:
        keys.append(
            ConfigKey(
                prefix + "partitions",
                _INT,
                partitions,
                "Partitions of that topic when it is created.",
                _LOW,
                PositiveOrDefault(),
            )
        )
    return keys


_JSON = "org.apache.kafka.connect.json.JsonConverter"
_SIMPLE_HEADER = "org.apache.kafka.connect.storage.SimpleHeaderConverter"

WORKER_SPEC = ConfigSpec(
    [
        ConfigKey(
            "bootstrap.servers",
            _LIST,
            ["localhost:9092"],
            "Brokers to find the Kafka cluster by, as host:port.",
            _HIGH,
            NonEmpty(),
        ),
        ConfigKey(
            "group.id",
            _STRING,
            "connect-cluster",
            "Names the set of workers that belong together; part of the names of their groups.",
            _HIGH,
            NonEmpty(),
        ),
        ConfigKey(
            "key.converter",
            _CLASS,
            _JSON,
            "Converter of record keys for connectors that name none.",
            _HIGH,
        ),
        ConfigKey(
            "value.converter",
            _CLASS,
            _JSON,
            "Converter of record values for connectors that name none.",
            _HIGH,
        ),
        ConfigKey(
            "header.converter",
            _CLASS,
            _SIMPLE_HEADER,
            "Converter of record headers for connectors that name none.",
            _LOW,
        ),
        *_internal_topic("offset", "connect-offsets", 25),
        *_internal_topic("config", "connect-configs", None),
        *_internal_topic("status", "connect-status", 5),
        ConfigKey(
            "offset.flush.interval.ms",
            _LONG,
            60000,
            "How often the progress of tasks is committed, in milliseconds.",
            _LOW,
            Range(1),
        ),
        ConfigKey(
            "offset.flush.timeout.ms",
            _LONG,
            5000,
            "How long a commit of offsets may take, in milliseconds.",
            _LOW,
            Range(1),
        ),
        ConfigKey(
            "task.shutdown.graceful.timeout.ms",
            _LONG,
            5000,
            "How long all tasks may take to finish when the worker stops, in milliseconds.",
            _LOW,
            Range(0),
        ),
        ConfigKey(
            "listeners",
            _LIST,
            ["http://:8083"],
            "URLs the REST API listens on.",
            _LOW,
            NonEmpty(),
        ),
        ConfigKey(
            "admin.listeners",
            _LIST,
            None,
            "URLs of the logger endpoints: those of listeners when unset, off when empty.",
            _LOW,
        ),
        ConfigKey(
            "rest.advertised.host.name",
            _STRING,
            None,
            "Host name that others reach this worker's REST API by.",
            _LOW,
        ),
        ConfigKey("rest.advertised.port", _INT, None, "Port that goes with that host name.", _LOW),
        ConfigKey(
            "rest.advertised.listener",
            _STRING,
            None,
            "Which listener is the advertised one.",
            _LOW,
            OneOf(("http", "https")),
        ),
        ConfigKey(
            "access.control.allow.origin",
            _STRING,
            "",
            "Value of the header Access-Control-Allow-Origin.",
            _LOW,
        ),
        ConfigKey(
            "access.control.allow.methods",
            _STRING,
            "",
            "Value of the header Access-Control-Allow-Methods.",
            _LOW,
        ),
        ConfigKey(
            "config.providers",
            _LIST,
            [],
            "Names of the config providers declared as config.providers.<name>.class.",
            _LOW,
        ),
        ConfigKey(
            "connector.client.config.override.policy",
            _STRING,
            "All",
            "Which producer.override., consumer.override. and admin.override. settings connectors "
            "may have: All, None, Principal, or those of the Allowlist.",
            _MEDIUM,
            OneOf(client_overrides.POLICIES),
        ),
        ConfigKey(
            "connector.client.config.override.allowlist",
            _LIST,
            [],
            "Client settings that connectors may override under the policy Allowlist.",
            _MEDIUM,
        ),
        ConfigKey(
            "topic.creation.enable",
            _BOOLEAN,
            True,
            "Whether topics of source connectors are created by their topic.creation. settings.",
            _LOW,
        ),
        ConfigKey(
            "topic.tracking.enable",
            _BOOLEAN,
            True,
            "Whether the topics that each connector uses are tracked.",
            _LOW,
        ),
        ConfigKey(
            "topic.tracking.allow.reset",
            _BOOLEAN,
            True,
            "Whether the set of tracked topics may be reset.",
            _LOW,
        ),
        ConfigKey(
            "exactly.once.source.support",
            _STRING,
            "disabled",
            "Whether source connectors may write in transactions.",
            _HIGH,
            OneOf(("disabled", "preparing", "enabled"), ignore_case=True),
        ),
        ConfigKey(
            "session.timeout.ms",
            _INT,
            10000,
            "After how many milliseconds without a heartbeat a worker's tasks go to others.",
            _HIGH,
            Range(1),
        ),
        ConfigKey(
            "heartbeat.interval.ms",
            _INT,
            3000,
            "How often a worker tells the group that it is alive, in milliseconds.",
            _HIGH,
            Range(1),
        ),
        ConfigKey(
            "rebalance.timeout.ms",
            _INT,
            60000,
            "How long workers may take to join a rebalance, in milliseconds.",
            _HIGH,
            Range(1),
        ),
        ConfigKey("client.id", _STRING, "", "Name that brokers log for this worker.", _LOW),
    ],
    prefixes=(
        "producer.",
        "consumer.",
        "admin.",
        "security.",
        "sasl.",
        "ssl.",
        "listeners.https.",
        "config.providers.",
        "config.storage.",
        "offset.storage.",
        "status.storage.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
    ),
)
"""The worker's settings with their defaults."""

_SECURITY = ("security.", "sasl.", "ssl.")

# Known to Kafka Connect and meaningless here; the stock files contain some of them.
_WITHOUT_EFFECT = frozenset(
    (
        "client.dns.lookup",
        "connect.protocol",
        "connections.max.idle.ms",
        "inter.worker.key.generation.algorithm",
        "inter.worker.key.size",
        "inter.worker.key.ttl.ms",
        "inter.worker.signature.algorithm",
        "inter.worker.verification.algorithms",
        "internal.topics.automatic.creation.enable",
        "metadata.max.age.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "metrics.num.samples",
        "metrics.recording.level",
        "metrics.sample.window.ms",
        "plugin.discovery",
        "plugin.path",
        "receive.buffer.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "scheduled.rebalance.max.delay.ms",
        "send.buffer.bytes",
        "socket.connection.setup.timeout.max.ms",
        "socket.connection.setup.timeout.ms",
        "worker.sync.timeout.ms",
        "worker.unsync.backoff.ms",
    )
)

_MISSED = {
    "offset.storage.file.filename": "offsets live in the Kafka topic {topic}, not in a file",
    "rest.extension.classes": "REST extensions are Java classes and are not loaded",
    "metric.reporters": "metrics reporters are Java classes and are not loaded",
    "access.control.allow.origin": "cross-origin headers are not sent yet",
    "access.control.allow.methods": "cross-origin headers are not sent yet",
    "admin.listeners": "there are no listeners for administration yet",
    "response.http.headers.config": "the REST API does not set additional headers",
}


@dataclass(frozen=True)
class WorkerConfig:
    """A worker's settings.

    Attributes:
        props: the settings as given, references unresolved.
        config: the typed values of ``WORKER_SPEC``, references resolved.
        warnings: settings that are odd or do nothing, one sentence each.
        providers: what resolves references in connector configurations, by name.
    """

    props: Mapping[str, str] = field(repr=False)
    config: Config = field(repr=False)
    warnings: list[str]
    providers: Mapping[str, providers.ConfigProvider] = field(repr=False)

    def client(self, role: client_overrides.Role) -> dict[str, str]:
        """The settings of every Kafka client of one role: brokers, security, then ``<role>.*``.

        Kafka Connect gives a worker's top-level security settings to its own clients only and
        leaves tasks without; here they are the default of all clients.
        """
        given = self.config.originals
        return {
            "bootstrap.servers": ",".join(self.config["bootstrap.servers"]),
            **{name: value for name, value in given.items() if name.startswith(_SECURITY)},
            **{
                name: value
                for name, value in self.config.with_prefix(f"{role}.").items()
                if f"{role}.{name}" not in self.config  # admin.listeners is the REST API's
            },
        }


def load_worker(
    path: Path | None = None, overrides: Mapping[str, str] | None = None
) -> WorkerConfig:
    """Read a worker's configuration.

    Args:
        path: a ``.properties`` file, or ``None`` for the defaults.
        overrides: settings that win over those of the file.

    Raises:
        ConfigError: when the file cannot be read.
        ConfigErrors: with every wrong setting.
    """
    props = {**(properties.read(path) if path else {}), **(overrides or {})}
    try:
        return _parsed(props)
    except ConfigErrors as error:
        if path is None:
            raise
        raise ConfigErrors(
            [
                ConfigError(
                    f"{path}: {each.message}", field=each.field, code=each.code, fix=each.fix
                )
                for each in error.errors
            ]
        ) from None


def _parsed(props: Mapping[str, str]) -> WorkerConfig:
    known_providers = providers.from_worker(props)
    resolved = providers.resolve(props, known_providers)
    config, errors = WORKER_SPEC.collect(resolved.values)
    if errors:
        raise ConfigErrors(resolved.redact(errors))
    return WorkerConfig(dict(props), config, list(_warnings(props, config)), known_providers)


def ignored_internal_converter(name: str) -> str:
    """A warning when a key belongs to the ``internal.key.converter`` family, else an empty string.

    Kafka removed it in 3.0 (KIP-738), yet it lives on in many files, misspelt too.
    """
    if fnmatchcase(name, "*internal*converter*"):
        return f"{name} is ignored: internal converters are fixed since Kafka 3.0"
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the most similar known key, or an empty string."""
    close = get_close_matches(name, known, n=1, cutoff=0.75)
    return f", did you mean {close[0]}?" if close else ""


def _warnings(props: Mapping[str, str], config: Config) -> Iterable[str]:
    known = [key.name for key in WORKER_SPEC.keys]
    if config["exactly.once.source.support"].lower() != "disabled":
        yield "exactly.once.source.support has no effect yet: sources deliver at least once"
    for name in props:
        if name in _MISSED:
            yield f"{name} is ignored: " + _MISSED[name].format(
                topic=config["offset.storage.topic"]
            )
        elif warning := ignored_internal_converter(name):
            yield warning
        elif not (WORKER_SPEC.knows(name) or name in _WITHOUT_EFFECT):
            yield f"unknown worker key {name}{did_you_mean(name, known)}"

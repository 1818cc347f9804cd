"""Worker settings that ``spec.config`` of a KafkaConnect may not hold, because fields say the same.

They are Strimzi's: https://strimzi.io/docs/operators/latest/configuring#type-KafkaConnectSpec-reference
"""

_PREFIXES = (
    "group.id",
    "config.storage.topic",
    "offset.storage.topic",
    "status.storage.topic",
    "ssl.",
    "sasl.",
    "security.",
    "listeners",
    "plugin.path",
    "rest.",
    "bootstrap.servers",
    "consumer.interceptor.classes",
    "producer.interceptor.classes",
    "prometheus.metrics.reporter.",
)
TLS_OPTIONS = frozenset(
    {
        "ssl.endpoint.identification.algorithm",
        "ssl.cipher.suites",
        "ssl.protocol",
        "ssl.enabled.protocols",
    }
)
"""Those of the reserved prefixes that no field says: they may be set, and hold for all clients."""


def is_reserved(key: str) -> bool:
    """Whether a key of ``spec.config`` is ignored, with a warning."""
    return key.lower().startswith(_PREFIXES) and key.lower() not in TLS_OPTIONS

"""Java client properties translated to aiokafka's arguments.

People configure clients as ``producer.override.compression.type=lz4``; the names are those of
https://kafka.apache.org/documentation/#configuration. What has no counterpart in aiokafka is named
in a warning, once, instead of being ignored in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from coracle.api import ConfigError
from coracle.kafka.security import SECURITY_PREFIXES, security_arguments

logger = logging.getLogger(__name__)

Parse = Callable[[str], Any]


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _acks(text: str) -> int | str:
    return "all" if text in ("all", "-1") else int(text)


def _compression(text: str) -> str | None:
    return None if text == "none" else text


_COMMON: dict[str, tuple[str, Parse]] = {
    "bootstrap.servers": ("bootstrap_servers", str),
    "client.id": ("client_id", str),
    "request.timeout.ms": ("request_timeout_ms", int),
    "retry.backoff.ms": ("retry_backoff_ms", int),
    "metadata.max.age.ms": ("metadata_max_age_ms", int),
    "connections.max.idle.ms": ("connections_max_idle_ms", int),
}
_CONSUMER: dict[str, tuple[str, Parse]] = {
    **_COMMON,
    "auto.offset.reset": ("auto_offset_reset", str),
    "check.crcs": ("check_crcs", _boolean),
    "client.rack": ("client_rack", str),
    "fetch.max.bytes": ("fetch_max_bytes", int),
    "fetch.max.wait.ms": ("fetch_max_wait_ms", int),
    "fetch.min.bytes": ("fetch_min_bytes", int),
    "group.id": ("group_id", str),
    "group.instance.id": ("group_instance_id", str),
    "heartbeat.interval.ms": ("heartbeat_interval_ms", int),
    "isolation.level": ("isolation_level", str),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes", int),
    "session.timeout.ms": ("session_timeout_ms", int),
}
_PRODUCER: dict[str, tuple[str, Parse]] = {
    **_COMMON,
    "acks": ("acks", _acks),
    "batch.size": ("max_batch_size", int),
    "compression.type": ("compression_type", _compression),
    "enable.idempotence": ("enable_idempotence", _boolean),
    "linger.ms": ("linger_ms", int),
    "max.request.size": ("max_request_size", int),
    "transaction.timeout.ms": ("transaction_timeout_ms", int),
    "transactional.id": ("transactional_id", str),
}

# Settings whose purpose is met another way here; users need not be told.
_MET_OTHERWISE = frozenset(
    {
        "allow.auto.create.topics",
        "buffer.memory",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "key.deserializer",
        "key.serializer",
        "max.block.ms",
        "max.in.flight.requests.per.connection",
        "max.poll.interval.ms",
        "max.poll.records",
        "retries",
        "value.deserializer",
        "value.serializer",
    }
)


def consumer_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of ``AIOKafkaConsumer``.

    Raises:
        ConfigError: naming the property that is wrong.
    """
    return _arguments(props, _CONSUMER, "consumer")


def client_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of ``AIOKafkaClient``: those that have nothing to do with records.

    Args:
        props: properties of any kind of client; others than the common ones are passed over.

    Raises:
        ConfigError: naming the property that is wrong.
    """
    common = {
        key: value
        for key, value in props.items()
        if key in _COMMON or key.startswith(SECURITY_PREFIXES)
    }
    return _arguments(common, _COMMON, "consumer")


def producer_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of ``AIOKafkaProducer``.

    Raises:
        ConfigError: naming the property that is wrong.
    """
    return _arguments(props, _PRODUCER, "producer")


def admin_arguments(props: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of ``AIOKafkaAdminClient``.

    Raises:
        ConfigError: naming the property that is wrong.
    """
    return _arguments(props, _COMMON, "admin")


def _arguments(
    props: Mapping[str, str], known: Mapping[str, tuple[str, Parse]], client: str
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for key, text in props.items():
        if key in known:
            argument, parse = known[key]
            try:
                arguments[argument] = parse(str(text).strip())
            except ValueError as error:
                raise ConfigError(
                    f"Invalid value {text} for configuration {client}.override.{key}: {error}.",
                    field=f"{client}.override.{key}",
                ) from None
        elif key not in _MET_OTHERWISE and not key.startswith(SECURITY_PREFIXES):
            logger.warning("the %s setting %s has no effect here", client, key)
    return arguments | security_arguments(props)

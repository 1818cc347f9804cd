"""What a connector may change about its own Kafka clients.

``producer.override.``, ``consumer.override.`` and ``admin.override.`` settings go to a connector's
clients as far as the worker's ``connector.client.config.override.policy`` allows (KIP-458,
KIP-1188):
https://cwiki.apache.org/confluence/display/KAFKA/KIP-458
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from coracle.api import Config, ConfigError

Role = Literal["producer", "consumer", "admin"]
"""What a Kafka client is for."""

PREFIXES = ("producer.override.", "consumer.override.", "admin.override.")

_POLICY_CLASS = "org.apache.kafka.connect.connector.policy.{}ConnectorClientConfigOverridePolicy"
_SHORT_NAMES = {
    name: short
    for short in ("All", "None", "Principal", "Allowlist")
    for name in (short, _POLICY_CLASS.format(short))
}
POLICIES = tuple(_SHORT_NAMES)
"""The names of policies: short ones and those of Kafka Connect's classes."""

_PRINCIPAL = ("sasl.jaas.config", "sasl.mechanism", "security.protocol")


def check(
    values: Mapping[str, str], worker: Config, connector: str, kind: Literal["source", "sink"]
) -> Iterator[ConfigError]:
    """Every override that is not allowed.

    Args:
        values: the connector's settings.
        worker: the worker's parsed settings.
        connector: the connector's name, for messages.
        kind: a sink's consumer group must not be the worker's own.
    """
    policy = _SHORT_NAMES[worker["connector.client.config.override.policy"]]
    allowed = {"None": (), "Principal": _PRINCIPAL}.get(
        policy, worker["connector.client.config.override.allowlist"]
    )
    for name in values:
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix and policy != "All" and name.removeprefix(prefix) not in allowed:
            yield ConfigError(
                f"{name} is not allowed: the worker's connector.client.config.override.policy is "
                f"{policy}" + (f" and permits {', '.join(allowed)}." if allowed else "."),
                field=name,
                code="forbidden",
            )
    group = values.get("consumer.override.group.id")
    if kind == "sink" and group == worker["group.id"]:
        yield ConfigError(
            f"Consumer group for sink connector named {connector} conflicts with Connect worker "
            f"group {group}",
            field="consumer.override.group.id",
            code="conflict",
        )

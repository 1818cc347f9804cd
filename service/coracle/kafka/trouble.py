"""What a broker refuses, in words for people."""

from __future__ import annotations

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from coracle.api import ConnectError


def connect_error(error: KafkaError) -> ConnectError:
    """What an error of aiokafka means for whoever runs the connector."""
    if isinstance(error, TopicAuthorizationFailedError):
        return ConnectError(
            f"Not allowed to read topic {error.args[0]}.", fix="Grant Read and Describe."
        )
    if isinstance(error, GroupAuthorizationFailedError):
        return ConnectError(f"Not allowed to use group {error.args[0]}.", fix="Grant Read on it.")
    if isinstance(error, InconsistentGroupProtocolError):
        return ConnectError(
            "The group has members that are no processes of this connector, so that its tasks "
            "cannot be shared with them.",
            fix="Stop them (workers of Kafka Connect, consumers of that group), or give the "
            "connector another group with consumer.override.group.id.",
        )
    return ConnectError(f"Kafka: {error!r}")

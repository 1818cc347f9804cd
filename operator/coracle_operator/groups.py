"""Which connectors would share a Kafka group without meaning to.

Two connectors of one name in two namespaces have the same consumer group, or the same place among
the stored offsets, when they use one Kafka cluster. The elder keeps it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from coracle.kube.model import KafkaConnector
from coracle_operator.manifests.scaling import consumer_group

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Group:
    """A group of Kafka's.

    Attributes:
        cluster: the bootstrap servers, in order: the only name of a Kafka cluster that is known
            without asking it.
        name: of the group.
    """

    cluster: tuple[str, ...]
    name: str


def group_of(
    connector: KafkaConnector, settings: Mapping[str, str], worker: Mapping[str, str]
) -> Group:
    """The group that a connector's tasks would join: of a sink, or of a source's offsets."""
    servers = settings.get("consumer.override.bootstrap.servers") or worker["bootstrap.servers"]
    cluster = tuple(sorted(filter(None, map(str.strip, servers.split(",")))))
    reported = connector.status and connector.status.connector_status
    kind = reported.type if reported else None
    if kind == "sink" or settings.get("topics") or settings.get("topics.regex"):
        return Group(cluster, consumer_group(connector.connector_name, settings))
    return Group(cluster, f"coracle-{worker['group.id']}-{connector.connector_name}")


class Groups(Generic[K]):
    """Who claims which group."""

    def __init__(self) -> None:
        self._claims: dict[K, Group] = {}
        self._members: dict[Group, dict[K, str]] = {}

    def claim(self, key: K, group: Group, since: str) -> set[K]:
        """Note a claim; returns the others whose case may be another now.

        Args:
            key: who claims it.
            group: what is claimed.
            since: when the claimant was made, as RFC 3339 writes it.
        """
        if self._claims.get(key) == group:
            return set()
        touched = self.release(key)
        self._claims[key] = group
        members = self._members.setdefault(group, {})
        touched |= members.keys()
        members[key] = since
        return touched - {key}

    def release(self, key: K) -> set[K]:
        """Give a claim up; returns the others whose case may be another now."""
        group = self._claims.pop(key, None)
        if group is None:
            return set()
        members = self._members[group]
        del members[key]
        if not members:
            del self._members[group]
        return set(members)

    def holder(self, key: K) -> K:
        """Who has the group that a claimant claims: the elder, or the first by name."""
        members = self._members[self._claims[key]]
        return min(members, key=lambda member: (members[member], str(member)))

"""Topics that a source connector's records go to, created before the first record (KIP-158).

With ``topic.creation.default.*`` set on the connector, a missing topic is created by the first
group that matches. Without, creation is left to the broker, as in Kafka Connect.
https://cwiki.apache.org/confluence/display/KAFKA/KIP-158
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coracle.config.topic_creation import TopicCreationGroup
from coracle.kafka.admin import Admin


class TopicCreator:
    """Creates the topics of one source connector.

    Args:
        groups: rules in order of precedence; empty leaves creation to the broker.
        admin_props: Java admin client properties.
    """

    def __init__(
        self, groups: Sequence[TopicCreationGroup], admin_props: Mapping[str, str]
    ) -> None:
        self._groups = groups
        self._admin_props = admin_props
        self._known: set[str] = set()

    async def ensure(self, topic: str) -> None:
        """Create a topic if it is missing and a rule matches. Asks Kafka once per topic.

        Raises:
            ConnectError: when Kafka refuses to create it.
        """
        if topic in self._known:
            return
        group = next((g for g in self._groups if g.matches(topic)), None)
        if group is not None:
            async with Admin(self._admin_props) as admin:
                if topic not in await admin.topics():
                    await admin.create_topic(
                        topic,
                        partitions=group.partitions,
                        replication_factor=group.replication_factor,
                        configs=group.configs,
                    )
        self._known.add(topic)

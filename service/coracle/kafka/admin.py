"""Topics, brokers and the cluster's id."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.admin import DeleteGroupsRequest

from coracle.api import ConnectError, RetriableError
from coracle.kafka.security.connection import start
from coracle.kafka.settings import admin_arguments

logger = logging.getLogger(__name__)

DEFAULT_REPLICATION_FACTOR = 3

# Codes of https://kafka.apache.org/protocol#protocol_error_codes that aiokafka has no class for.
_NON_EMPTY_GROUP = 68
_GROUP_ID_NOT_FOUND = 69


class Admin:
    """An administrative connection, to be used as an async context manager.

    Args:
        props: Java admin client properties.
    """

    def __init__(self, props: Mapping[str, str]) -> None:
        self._props = dict(props)
        self._client: Any = None

    async def __aenter__(self) -> Admin:
        self._client = AIOKafkaAdminClient(**admin_arguments(self._props))
        try:
            await start(self._client, self._props)
        except ConnectError:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def cluster_id(self) -> str:
        """The Kafka cluster's id."""
        return str((await self._client.describe_cluster())["cluster_id"])

    async def broker_count(self) -> int:
        """How many brokers there are."""
        return len((await self._client.describe_cluster())["brokers"])

    async def topics(self) -> set[str]:
        """The names of all topics we may see.

        Raises:
            RetriableError: when the broker does not say.
        """
        try:
            return set(await self._client.list_topics())
        except KafkaError as error:
            raise RetriableError(f"Kafka did not list its topics: {error!r}") from error

    async def create_topic(
        self,
        name: str,
        *,
        partitions: int,
        replication_factor: int | None,
        configs: Mapping[str, str],
    ) -> bool:
        """Create a topic unless it exists.

        Args:
            partitions: number of partitions; -1 takes the broker's default.
            replication_factor: ``None`` when nobody chose one: then it is 3, or the number of
                brokers
                where there are fewer, with a warning. -1 takes the broker's default.

        Returns:
            whether it was created just now.

        Raises:
            ConnectError: when the broker refuses.
        """
        if replication_factor is None:
            brokers = await self.broker_count()
            replication_factor = min(DEFAULT_REPLICATION_FACTOR, brokers)
            if replication_factor < DEFAULT_REPLICATION_FACTOR:
                logger.warning(
                    "topic %s is created with replication factor %d: there are only %d brokers",
                    name,
                    replication_factor,
                    brokers,
                )
        topic = NewTopic(name, partitions, replication_factor, topic_configs=dict(configs))
        try:
            response = await self._client.create_topics([topic])
        except TopicAlreadyExistsError:
            return False
        except KafkaError as error:
            raise ConnectError(f"Kafka did not create topic {name}: {error!r}") from error
        for _, code, *message in response.topic_errors:
            kind = for_code(code)
            if kind is TopicAlreadyExistsError:
                return False
            if code != 0:
                words = message[0] if message and message[0] else kind.__name__
                raise ConnectError(f"Kafka did not create topic {name}: {words}")
        logger.info("created topic %s", name)
        return True

    async def delete_group(self, group: str) -> bool:
        """Delete a consumer group and the positions committed in it.

        Returns:
            whether there was such a group.

        Raises:
            RetriableError: while the group has members, or its coordinator cannot be asked.
            ConnectError: when the broker refuses.
        """
        try:
            coordinator = await self._client.find_coordinator(group)
            response = await self._client._send_request(DeleteGroupsRequest([group]), coordinator)
        except KafkaError as error:
            raise RetriableError(f"Group {group} cannot be deleted now: {error!r}") from error
        [(_, code)] = response.results
        if code in (0, _GROUP_ID_NOT_FOUND):
            return code == 0
        if code == _NON_EMPTY_GROUP:
            raise RetriableError(
                f"Group {group} cannot be deleted: it has members.",
                fix="Stop the connector, and whatever else reads in this group.",
            )
        error = for_code(code)
        if error is GroupAuthorizationFailedError:
            raise ConnectError(f"Not allowed to delete group {group}.", fix="Grant Delete on it.")
        kind = RetriableError if error.retriable else ConnectError
        raise kind(f"Kafka did not delete group {group}: {error.__name__}")

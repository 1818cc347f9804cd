"""Forgetting how far a connector has come: Kafka Connect's ``DELETE /connectors/{name}/offsets``.

A source's offsets get tombstones in the offsets topic, a sink's consumer group is deleted. Only the
settings that lead there are read: a connector whose configuration is wrong, or whose Secrets are
gone, can be forgotten too. https://cwiki.apache.org/confluence/display/KAFKA/KIP-875
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from coracle.api import RetriableError
from coracle.config import providers
from coracle.config.worker import WorkerConfig
from coracle.kafka.admin import Admin
from coracle.kafka.offsets import OffsetTopic
from coracle.store import ConnectorType

logger = logging.getLogger(__name__)

_NEEDED = ("offsets.storage.topic", "consumer.override.group.id")
_ADMIN = "admin.override."
_RETRY_SECONDS = 1.0


async def reset_offsets(
    name: str,
    config: Mapping[str, str],
    kind: ConnectorType,
    worker: WorkerConfig,
    *,
    patience: float = 20.0,
) -> None:
    """Forget the offsets of a connector that does not run.

    Args:
        name: the connector's name.
        config: its configuration, references unresolved.
        kind: whether it has a consumer group or offsets in the topic; both when it is unknown.
        worker: the worker's configuration.
        patience: seconds to wait for members that have gone without a word, and for a broker.

    Raises:
        ConfigErrors: when a setting that is needed refers to something that is not there.
        ConnectError: when Kafka refuses, or the group still has members.
    """
    needed = {k: v for k, v in config.items() if k in _NEEDED or k.startswith(_ADMIN)}
    values = providers.resolve(needed, worker.providers).values
    admin = worker.client("admin") | {
        key.removeprefix(_ADMIN): value for key, value in values.items() if key.startswith(_ADMIN)
    }
    if kind != "source":
        group = values.get("consumer.override.group.id") or f"connect-{name}"
        existed = await _delete_group(group, admin, patience)
        logger.info("consumer group %s %s", group, "is deleted" if existed else "does not exist")
    if kind != "sink":
        topic = values.get("offsets.storage.topic") or worker.config["offset.storage.topic"]
        offsets = OffsetTopic(
            name, topic, worker.client("consumer"), worker.client("producer"), admin
        )
        logger.info("offsets of %d source partitions erased in %s", await offsets.erase(), topic)


async def _delete_group(group: str, admin_props: Mapping[str, str], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            async with Admin(admin_props) as admin:
                return await admin.delete_group(group)
        except RetriableError as error:
            if time.monotonic() > deadline:
                raise
            logger.info("%s Trying again.", error)
        await asyncio.sleep(_RETRY_SECONDS)

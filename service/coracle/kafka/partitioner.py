"""Which partition a record goes to, as Java's default producer chooses.

With a key: ``toPositive(murmur2(key)) % partitions``, so records that a JVM producer and we write
under one key share a partition. Without a key: one partition is kept for a stretch of bytes and
then another is drawn (KIP-794's sticky partitioning, https://cwiki.apache.org/confluence/x/PSOVDg),
so batches stay large.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65536)
def _positive_hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


class Partitioner:
    """Chooses partitions for the records of one topic.

    Args:
        sticky_bytes: how much goes to one partition before a keyless record changes to another.
    """

    def __init__(self, sticky_bytes: int) -> None:
        self._sticky_bytes = sticky_bytes
        self._current: int | None = None
        self._sent = 0

    def keyed(self, keys: Sequence[bytes], count: int) -> list[int]:
        """The partition of each key among ``count`` partitions."""
        return [_positive_hash(key) % count for key in keys]

    def sticky(self, nbytes: int, partitions: Sequence[int]) -> int:
        """The partition for keyless records of ``nbytes`` in all."""
        if self._current not in partitions or self._sent >= self._sticky_bytes:
            others = [p for p in partitions if p != self._current] or list(partitions)
            self._current = random.choice(others)  # noqa: S311 - spreading load, not a secret
            self._sent = 0
        self._sent += nbytes
        assert self._current is not None
        return self._current

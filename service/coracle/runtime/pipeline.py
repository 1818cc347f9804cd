"""What both kinds of tasks have: who they are, and the stages between Kafka and the plugin."""

from __future__ import annotations

from dataclasses import dataclass

from coracle.api import Config
from coracle.runtime.conversion import Converters
from coracle.runtime.tolerance import Tolerance
from coracle.transforms.chain import Chain


@dataclass(frozen=True)
class Pipeline:
    """The stages of one task.

    Attributes:
        connector, task: the task's identity.
        config: its configuration, connector and task keys together.
        converters, chain, tolerance: the stages.
    """

    connector: str
    task: int
    config: Config
    converters: Converters
    chain: Chain
    tolerance: Tolerance

    @property
    def plugin(self) -> str:
        """The connector's class as its configuration names it."""
        return self.config.originals.get("connector.class", "")

    def delay(self, attempt: int, after: float | None) -> float:
        """Seconds before a call of the plugin is repeated.

        Args:
            attempt: how often it has failed.
            after: what the plugin asked for, if it did.
        """
        return self.tolerance.delay(attempt) if after is None else after

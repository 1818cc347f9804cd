"""What a plugin is: connectors, tasks, converters, transforms and predicates.

Plugins never see Kafka, queues or commits. The runtime calls them as follows, always from one
asyncio task per Coracle task, so a plugin needs no locks:

    source task   start → (poll → … → committed)* → stop
    sink task     open → (put → flush)* → close → stop      open and close repeat on rebalances

A plugin class is constructed with no arguments; what it needs arrives in its first call. Third
parties register classes through entry points, see docs/adr/0004-plugin-names.md.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from coracle.api.config import Config, ConfigSpec
from coracle.api.errors import ConfigError
from coracle.api.record import Header, RecordBatch, SourceOffset, TopicPartition
from coracle.api.schema import Schema


class Plugin:
    """What all plugins declare.

    Attributes:
        spec: every key the plugin reads.
        version: shown by the REST API; the distribution's own version when empty.

    The names a configuration may call a plugin by, Java class names among them, are the names of
    its
    entry points: a name is resolved without importing any plugin but the one that is meant.
    """

    spec: ClassVar[ConfigSpec] = ConfigSpec([])
    version: ClassVar[str] = ""


class OffsetReader(Protocol):
    """Reads the stored offsets of a source connector."""

    async def read(
        self, partitions: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any] | None]:
        """The stored offset of each source partition, ``None`` where there is none."""
        ...


class ConnectorContext(Protocol):
    """What a connector may ask of the runtime.

    Attributes:
        name: the connector's name.
        offsets: its stored source offsets (empty for sinks).
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def offsets(self) -> OffsetReader: ...  # noqa: D102


class Connector(Plugin, ABC):
    """Decides how a connector's work is shared out. One instance runs, wherever the tasks run.

    A connector moves no data: it looks at the configuration and the outside world and returns what
    makes each task's configuration different.
    """

    task_class: ClassVar[Any]
    """The class of its tasks: a ``SourceTask`` or a ``SinkTask``."""

    async def start(self, context: ConnectorContext, config: Config) -> None:
        """Keep what is needed and connect to the outside world.

        Raises:
            ConnectError: the connector becomes FAILED.
        """
        self.context = context
        self.config = config

    @abstractmethod
    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """The task-specific keys of each task, at most ``max_tasks``, in an order that stays the
        same
        while the outside world does. Keys of the connector's own configuration are not repeated.
        """

    async def changed(self) -> None:
        """Return when ``task_configs`` would give another answer. By default never."""
        await asyncio.Event().wait()

    async def validate(self, config: Config) -> Sequence[ConfigError]:
        """Problems only the outside world can reveal. Bounded to three seconds by the caller."""
        return ()

    async def alter_offsets(self, offsets: Mapping[Any, Mapping[str, Any] | None]) -> bool:
        """Check offsets that a user wants to set; ``False`` says they are managed elsewhere too."""
        return False

    async def stop(self) -> None:
        """Release what ``start`` took. Called once, also after a failed start."""


class SourceConnector(Connector):
    """A connector whose tasks read an outside system into Kafka."""


class SinkConnector(Connector):
    """A connector whose tasks write Kafka topics to an outside system."""

    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """Sinks share out topic-partitions, not configuration: every task gets the same."""
        return [{} for _ in range(max_tasks)]


class SourceTaskContext(Protocol):
    """What a source task may ask of the runtime.

    Attributes:
        connector: the connector's name.
        task: the task's number.
        offsets: the connector's stored offsets, as of this start.
    """

    @property
    def connector(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> int: ...  # noqa: D102
    @property
    def offsets(self) -> OffsetReader: ...  # noqa: D102


class SourceTask(ABC):
    """Reads one share of an outside system. See the module's opening for the order of calls."""

    @abstractmethod
    async def start(self, context: SourceTaskContext, config: Config) -> None:
        """Connect and seek to the stored offsets.

        Raises:
            ConnectError: the task becomes FAILED.
        """

    @abstractmethod
    async def poll(self) -> RecordBatch | None:
        """The next records, or ``None`` after waiting a while in vain. May wait as long as it
        likes: it is cancelled when the task stops.

        Raises:
            RetriableError: poll is called again after a while.
            ConnectError: the task becomes FAILED.
        """

    async def committed(self, offsets: Sequence[SourceOffset]) -> None:
        """These offsets are stored in Kafka, with all records before them; sources with a position
        of
        their own on the other side (a replication slot) advance it here.
        """

    async def stop(self) -> None:
        """Disconnect. Called once, also after a failed start."""


class SinkTaskContext(Protocol):
    """What a sink task may ask of the runtime.

    Attributes:
        connector: the connector's name.
        task: the task's number.
    """

    @property
    def connector(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> int: ...  # noqa: D102


class SinkTask(ABC):
    """Writes topic-partitions to an outside system. The module's opening has the order of calls."""

    @abstractmethod
    async def start(self, context: SinkTaskContext, config: Config) -> None:
        """Connect. Called once before anything else.

        Raises:
            ConnectError: the task becomes FAILED.
        """

    async def open(self, partitions: AbstractSet[TopicPartition]) -> None:
        """These partitions are ours from now on."""

    @abstractmethod
    async def put(self, batches: Sequence[RecordBatch]) -> None:
        """Take everything that is ready, in order. Better one transaction for all than one per
        batch.

        Raises:
            RetriableError: nothing of this call may count as written; it is repeated.
            BatchError: these records are bad; nothing of this call was written.
            ConnectError: the task becomes FAILED; nothing of this call counts as written.
        """

    async def flush(self) -> Mapping[TopicPartition, int] | None:
        """Make what was put durable, and say how far.

        Returns:
            per partition the offset to commit (one past the last durable record), or ``None`` when
            everything that ``put`` took is durable.
        """
        return None

    async def close(self, partitions: AbstractSet[TopicPartition]) -> None:
        """These partitions are no longer ours. ``flush`` was called just before."""

    async def stop(self) -> None:
        """Disconnect. Called once, also after a failed start."""


class Column(NamedTuple):
    """Converted values with their schemas; ``codes`` as in ``RecordBatch``."""

    values: list[Any]
    schemas: Sequence[Schema | None]
    codes: Sequence[int] | None = None


ConverterKind = Literal["key", "value", "header"]


class Converter(Plugin, ABC):
    """Translates between the bytes in Kafka and typed values, a column at a time."""

    @abstractmethod
    def configure(self, config: Config, kind: ConverterKind) -> None:
        """Take the settings. Called once."""

    @abstractmethod
    async def to_connect(self, topic: str, data: Sequence[bytes | None]) -> Column:
        """Deserialize the keys or values of records of one topic.

        Returns:
            as many values as ``data`` has.

        Raises:
            BatchError: with a ``DataError`` for every record that could not be read.
        """

    @abstractmethod
    async def from_connect(
        self, topic: str, schema: Schema | None, values: Sequence[Any]
    ) -> list[bytes | None]:
        """Serialize values that share a schema (``None``: schemaless).

        Raises:
            BatchError: with a ``DataError`` for every record that could not be written.
        """


class HeaderConverter(Plugin, ABC):
    """Translates single headers. Rare enough to go one at a time."""

    @abstractmethod
    def configure(self, config: Config) -> None:
        """Take the settings. Called once."""

    @abstractmethod
    def to_connect_header(self, topic: str, name: str, data: bytes | None) -> Header:
        """Deserialize one header.

        Raises:
            DataError: when the bytes are no value of this converter.
        """

    @abstractmethod
    def from_connect_header(self, topic: str, header: Header) -> bytes | None:
        """Serialize one header.

        Raises:
            DataError: when the value has no form here.
        """


class Transform(Plugin, ABC):
    """Changes records in passing.

    A transform returns a batch with the columns it changed. It keeps ``offsets`` and ``position``
    as they are (of the records it keeps), so that commits stay right whatever it drops or
    re-routes. It
    never changes the lists it was given: it makes new ones.
    """

    @abstractmethod
    def configure(self, config: Config) -> None:
        """Take the settings. Called once."""

    @abstractmethod
    def apply(self, batch: RecordBatch) -> RecordBatch:
        """The transformed batch.

        Raises:
            BatchError: with a ``DataError`` for every record that could not be transformed.
        """


class Predicate(Plugin, ABC):
    """Chooses the records a transform applies to."""

    @abstractmethod
    def configure(self, config: Config) -> None:
        """Take the settings. Called once."""

    @abstractmethod
    def matches(self, batch: RecordBatch) -> Sequence[bool]:
        """One answer per record."""

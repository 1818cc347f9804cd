"""``DatagenConnector``: records made up from an annotated Avro schema.

Takes the keys of Confluent's ``io.confluent.kafka.connect.datagen.DatagenConnector``
(https://github.com/confluentinc/kafka-connect-datagen) and keeps its outside: the same quickstart
names, fields and keys, source partition ``{"task.id"}``, offset ``{"task.generation",
"current.iteration", "random.seed"}``, the headers of those names, and the task that fails with
"Stopping connector: generated the configured N number of messages" once ``iterations`` are done.

Records come in batches of up to 1,000. Record *i* of a task is a function of the seed and *i*
alone: random numbers are seeded anew for each block of 1,000 iterations, and a block is always made
whole. So a restart goes on with the very records that would have come, wherever it falls and
however the records were batched. The same seed gives the same records every time, though not the
ones that Confluent's connector would make of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic
from typing import Any

from coracle.api import (
    Config,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    ConnectError,
    Header,
    Importance,
    NonEmpty,
    Range,
    RecordBatch,
    RecordSchema,
    SourceConnector,
    SourceOffset,
    SourceTask,
    SourceTaskContext,
)
from coracle.api.schema import INT64, OPTIONAL_STRING
from coracle.connectors.datagen.avro import Generated, SchemaError, compile_record, load
from coracle.connectors.datagen.quickstarts import QUICKSTARTS

logger = logging.getLogger(__name__)

TASK_ID = "task.id"
GENERATION = "task.generation"
ITERATION = "current.iteration"
SEED = "random.seed"

_BLOCK = 1000
_CATCH_UP_SECONDS = 1.0


def _from_file(name: str) -> Generated:
    return load(Path(name).read_text("utf-8"))


def _from_quickstart(name: str) -> Generated:
    return compile_record(QUICKSTARTS[name.lower()].schema)


_SOURCES = {
    "schema.string": load,
    "schema.filename": _from_file,
    "quickstart": _from_quickstart,
}
"""How to compile the schema that each key gives."""


class _ValidSchema:
    """The value must give a schema that compiles; empty counts as absent."""

    def __call__(self, name: str, value: str) -> None:
        if value:
            try:
                _SOURCES[name](value)
            except (SchemaError, OSError) as error:
                raise ConfigError(
                    f"Invalid value for configuration {name}: {error}.", field=name
                ) from None

    def __str__(self) -> str:
        return "an Avro record schema"


class _ValidQuickstart:
    """The value must be the name of a built-in schema, in any case; empty counts as absent."""

    def __call__(self, name: str, value: str) -> None:
        if value and value.lower() not in QUICKSTARTS:
            raise ConfigError(
                f"Invalid value {value} for configuration {name}: must be {self}.",
                field=name,
                fix="Others of Confluent's quickstarts can be given as schema.string.",
            )

    def __str__(self) -> str:
        return f"one of {', '.join(QUICKSTARTS)}"


def _one_source(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    given = [name for name in _SOURCES if values[name]]
    if len(given) == 1:
        return ()
    message = f"Must set exactly one of {', '.join(_SOURCES)}"
    return [ConfigError(message, field=name, code="conflict") for name in given or _SOURCES]


def _key_field_exists(values: Mapping[str, Any]) -> Sequence[ConfigError]:
    key = values["schema.keyfield"]
    given = [name for name in _SOURCES if values[name]]
    if not key or len(given) != 1:
        return ()
    generated = _SOURCES[given[0]](values[given[0]])
    if key in generated.schema.by_name:
        return ()
    return [
        ConfigError(
            "The schema does not contain the field provided in 'schema.keyfield': it has"
            f" {', '.join(generated.schema.field_names)}.",
            field="schema.keyfield",
        )
    ]


class DatagenTask(SourceTask):
    """Makes its own sequence of records, different from the other tasks'."""

    async def start(self, context: SourceTaskContext, config: Config) -> None:
        """Compile the schema and go on where the stored offset says."""
        source = next(name for name in _SOURCES if config[name])
        # A schema file is read here, once; it is small.
        generated = await asyncio.to_thread(_SOURCES[source], config[source])
        self._make = generated.column
        quickstart = QUICKSTARTS.get(config["quickstart"].lower())
        self._key: str = config["schema.keyfield"] or (quickstart.key if quickstart else "")
        key_schema = generated.schema.by_name[self._key] if self._key else OPTIONAL_STRING
        self._schemas = [RecordSchema(config["kafka.topic"], key_schema, generated.schema)]
        self._end: int = config["iterations"]
        self._interval = config["max.interval"] / 1000
        self._pace = Random()  # noqa: S311 - how long to wait is no secret
        self._due = monotonic()
        task: int = config[TASK_ID]
        self._partition = {TASK_ID: task}
        (stored,) = await context.offsets.read([self._partition])
        if stored is None:
            self._generation, self._count = 0, 0
            self._seed = _task_seed(config["random.seed"], task)
        else:
            self._generation = int(stored[GENERATION])
            self._count = int(stored[ITERATION])
            self._seed = int(stored[SEED])
        self._constant_headers = (
            Header(GENERATION, INT64, self._generation),
            Header(TASK_ID, INT64, task),
        )
        self._block_number = -1
        self._block: list[Any] = []
        self._record_bytes = 0

    async def poll(self) -> RecordBatch:
        """The next records: as many as are due, up to 1,000.

        Raises:
            ConnectError: when ``iterations`` records have been made.
        """
        due = await self._wait()
        if 0 < self._end <= self._count:
            raise ConnectError(
                f"Stopping connector: generated the configured {self._count} number of messages"
            )
        number, first = divmod(self._count, _BLOCK)
        if number != self._block_number:
            self._fill(number)
        values = self._block[first : first + due]
        if self._end > 0:
            values = values[: self._end - self._count]
        count = len(values)
        iterations = range(self._count, self._count + count)
        self._count += count
        key = self._key
        return RecordBatch(
            self._schemas,
            keys=[value[key] for value in values] if key else [None] * count,
            values=values,
            offsets=range(count),
            timestamps=[None] * count,
            headers=[
                (*self._constant_headers, Header(ITERATION, INT64, iteration))
                for iteration in iterations
            ],
            source_offsets=[
                SourceOffset(
                    self._partition,
                    {
                        GENERATION: self._generation + 1,
                        ITERATION: self._count,
                        SEED: self._seed,
                    },
                )
            ],
            nbytes=count * self._record_bytes,
        )

    async def _wait(self) -> int:
        """Wait for the next record's time; returns how many records are due by then.

        The times lie a random part of ``max.interval`` apart. Time lost in Kafka or in the event
        loop is made up for, so that short intervals are kept, but no more than a second of it.
        """
        if not self._interval:
            await asyncio.sleep(0)
            return _BLOCK
        now = monotonic()
        self._due = max(self._due, now - _CATCH_UP_SECONDS)
        self._due += self._pace.random() * self._interval
        await asyncio.sleep(max(0.0, self._due - now))
        now = monotonic()
        due = 1
        while due < _BLOCK:
            following = self._due + self._pace.random() * self._interval
            if following > now:
                break
            self._due = following
            due += 1
        return due

    def _fill(self, number: int) -> None:
        start = number * _BLOCK
        random = Random(f"{self._seed}/{number}")  # noqa: S311 - made up data, not secrets
        self._block = self._make(random, range(start, start + _BLOCK))
        self._block_number = number
        self._record_bytes = len(repr(self._block[0]))


def _task_seed(seed: int | None, task: int) -> int:
    """A seed of 63 bits (a Java long) that differs from task to task."""
    if seed is None:
        return SystemRandom().getrandbits(63)
    return Random(f"{seed}/task {task}").getrandbits(63) if task else seed  # noqa: S311


class DatagenConnector(SourceConnector):
    """Any number of tasks, each with its own records; see the module's opening."""

    task_class = DatagenTask
    spec = ConfigSpec(
        [
            ConfigKey(
                "kafka.topic",
                ConfigType.STRING,
                doc="The topic to write to.",
                importance=Importance.HIGH,
                validator=NonEmpty(),
            ),
            ConfigKey(
                "max.interval",
                ConfigType.LONG,
                500,
                "The longest pause between two records of a task in milliseconds; pauses are"
                " random, half as long on average. 0 makes records as fast as they can be sent.",
                Importance.HIGH,
                validator=Range(0),
            ),
            ConfigKey(
                "iterations",
                ConfigType.INT,
                -1,
                "How many records each task makes before it stops by failing; below 1: no end.",
                Importance.HIGH,
            ),
            ConfigKey(
                "schema.string",
                ConfigType.STRING,
                "",
                "The Avro schema, as JSON, annotated with arg.properties.",
                Importance.HIGH,
                validator=_ValidSchema(),
            ),
            ConfigKey(
                "schema.filename",
                ConfigType.STRING,
                "",
                "A file with the Avro schema, where the worker can read it.",
                Importance.HIGH,
                validator=_ValidSchema(),
            ),
            ConfigKey(
                "schema.keyfield",
                ConfigType.STRING,
                "",
                "The field whose value becomes the key. Without it a quickstart uses its own key"
                " field, and other schemas have no key.",
                Importance.HIGH,
            ),
            ConfigKey(
                "quickstart",
                ConfigType.STRING,
                "",
                f"A built-in schema: {', '.join(QUICKSTARTS)}.",
                Importance.HIGH,
                validator=_ValidQuickstart(),
                recommender=lambda name, values: list(QUICKSTARTS),
            ),
            ConfigKey(
                "random.seed",
                ConfigType.LONG,
                None,
                "Two connectors with the same seed make the same records; the tasks of one"
                " connector make different ones. Without it every new connector makes its own.",
                Importance.LOW,
            ),
            ConfigKey(TASK_ID, ConfigType.INT, 0, "The number of the task.", internal=True),
        ],
        checks=(_one_source, _key_field_exists),
    )

    async def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """As many tasks as allowed."""
        return [{TASK_ID: str(task)} for task in range(max_tasks)]

import asyncio
import json
from time import monotonic

import pytest

from coracle.api import ConfigErrors, ConnectError
from coracle.api.schema import INT32, INT64, OPTIONAL_STRING
from coracle.connectors.datagen.source import DatagenConnector, DatagenTask


class Offsets:
    def __init__(self, stored):
        self.stored = stored

    async def read(self, partitions):
        self.asked = partitions
        return [self.stored]


class Context:
    connector = "gen"
    task = 0

    def __init__(self, stored=None):
        self.offsets = Offsets(stored)


def config(**keys):
    settings = {"kafka.topic": "t", "max.interval": "0"}
    settings |= {name.replace("_", "."): value for name, value in keys.items()}
    return DatagenConnector.spec.parse(settings)


async def started(stored=None, **keys):
    task = DatagenTask()
    await task.start(Context(stored), config(**({"quickstart": "orders"} | keys)))
    return task


async def made(task, count):
    """At least that many records, with the last offset."""
    values = []
    while len(values) < count:
        batch = await task.poll()
        values += batch.values
    return values, batch.source_offsets[-1]


async def test_records_have_the_quickstart_key_and_confluents_headers():
    batch = await (await started(random_seed=1)).poll()
    assert len(batch) == 1000
    ((schema, _),) = batch.groups()
    assert (schema.topic, schema.key, schema.value.name) == ("t", INT32, "ksql.orders")
    assert batch.keys[:3] == [0, 1, 2]
    assert batch.headers[2] == (
        ("task.generation", INT64, 0),
        ("task.id", INT64, 0),
        ("current.iteration", INT64, 2),
    )
    assert batch.source_offsets == [
        (
            {"task.id": 0},
            {"task.generation": 1, "current.iteration": 1000, "random.seed": 1},
        )
    ]


@pytest.mark.parametrize("stop", [1000, 1500, 2000])
async def test_a_restart_goes_on_with_the_same_records(stop):
    whole, _ = await made(await started(random_seed=5), 4000)
    first, offset = await made(await started(random_seed=5, iterations=stop), stop)

    rest, _ = await made(await started(stored=offset.offset, random_seed=99), 4000 - stop)

    assert first + rest[: 4000 - stop] == whole


async def test_without_a_seed_a_restart_goes_on_too():
    first = await started()
    await first.poll()
    batch = await first.poll()
    second = await started(
        stored={**batch.source_offsets[0].offset, "current.iteration": 1000, "task.generation": 4}
    )
    again = await second.poll()
    assert again.values == batch.values
    assert again.headers[0][0].value == 4
    assert again.source_offsets[0].offset["task.generation"] == 5


async def test_tasks_make_different_records_from_one_seed():
    batches = [await (await started(random_seed=5, task_id=n)).poll() for n in range(3)]
    items = [[value["itemid"] for value in batch.values] for batch in batches]
    assert items[0] != items[1] != items[2]
    assert batches[2].source_offsets[0].partition == {"task.id": 2}


async def test_iterations_end_by_failing():
    task = await started(iterations=1001)
    assert len((await made(task, 1001))[0]) == 1001
    with pytest.raises(ConnectError, match="generated the configured 1001 number of messages"):
        await task.poll()


async def test_records_come_at_random_intervals():
    task = await started(max_interval="4")
    begin = monotonic()
    values, _ = await made(task, 100)
    took = monotonic() - begin
    assert 0.05 < took < 2
    assert [value["orderid"] for value in values] == list(range(len(values)))


async def test_waiting_can_be_cancelled():
    task = await started(max_interval="600000")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task.poll(), 0.05)


SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}


async def test_a_schema_of_ones_own(tmp_path):
    path = tmp_path / "schema.avsc"
    path.write_text(json.dumps(SCHEMA))
    task = await started(quickstart="", schema_filename=str(path), schema_keyfield="id")
    batch = await task.poll()
    assert batch.schemas[0].key == INT64
    assert batch.keys[0] == batch.values[0]["id"]


async def test_a_schema_without_a_key_field():
    batch = await (await started(quickstart="", schema_string=json.dumps(SCHEMA))).poll()
    assert batch.schemas[0].key == OPTIONAL_STRING
    assert set(batch.keys) == {None}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "Must set exactly one of schema.string, schema.filename, quickstart"),
        ({"quickstart": "users", "schema_string": json.dumps(SCHEMA)}, "Must set exactly one of"),
        ({"quickstart": "ratings"}, "must be one of orders, users"),
        ({"schema_string": "{"}, "schema.string: the schema is not JSON"),
        ({"schema_filename": "/nowhere"}, "schema.filename: .*No such file"),
        ({"quickstart": "users", "schema_keyfield": "nope"}, "does not contain the field"),
        ({"quickstart": "users", "max_interval": "-1"}, "max.interval"),
    ],
)
def test_wrong_settings_are_named(keys, message):
    with pytest.raises(ConfigErrors, match=message):
        config(**keys)


def test_quickstarts_are_named_in_any_case():
    assert config(quickstart="ORDERS")["quickstart"] == "ORDERS"


async def test_every_task_knows_its_number():
    connector = DatagenConnector()
    await connector.start(Context(), config(quickstart="users"))
    assert await connector.task_configs(2) == [{"task.id": "0"}, {"task.id": "1"}]

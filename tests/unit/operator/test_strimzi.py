import pytest

from coracle_operator.kinds import (
    CONNECT,
    CONNECTOR,
    DEPLOYMENT,
    STRIMZI_CONNECT,
    STRIMZI_CONNECTOR,
)
from coracle_operator.reconcile_strimzi import ADOPT
from tests.unit.operator.fakes import World


@pytest.fixture
def world():
    return World()


def theirs(world, *, adopt=True, **spec):
    """Strimzi's pair, as its examples write it."""
    connect = world.add(
        STRIMZI_CONNECT,
        "my-connect",
        {
            "replicas": 1,
            "bootstrapServers": "k:9092",
            "groupId": "g",
            "offsetStorageTopic": "o",
            "configStorageTopic": "c",
            "statusStorageTopic": "s",
            "config": {"config.storage.replication.factor": -1},
        },
        annotations={"strimzi.io/use-connector-resources": "true"}
        | ({ADOPT: "true"} if adopt else {}),
    )
    connector = world.add(
        STRIMZI_CONNECTOR,
        "my-sink",
        {
            "class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "tasksMax": 2,
            "config": {"topics": "t", "file": "/tmp/x", "tasks.max": 9},
            **spec,
        },
        labels={"strimzi.io/cluster": "my-connect"},
    )
    return connect, connector


async def test_an_adopted_pair_runs_as_ours_and_hears_what_becomes_of_it(world):
    connect, connector = theirs(world)
    await world.reconcile(connect)
    ours = world.get(CONNECT, "my-connect")
    assert ours["spec"]["strimzi"] == {"enabled": True}
    assert ours["metadata"]["ownerReferences"][0]["uid"] == "shop-my-connect"
    await world.reconcile(connector)
    ours = world.cache.resources[next(k for k in world.queued if k.kind == CONNECTOR)]
    assert ours["spec"]["connect"] == {"name": "my-connect"}
    assert "tasks.max" not in ours["spec"]["config"]
    key = next(k for k in world.queued if k.kind == CONNECTOR)
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "my-sink-connector")
    world.pod(key)
    world.report(key, tasks=("RUNNING", "RUNNING"))
    await world.reconcile(key)
    await world.reconcile(connector)
    status = world.status(connector)
    kinds = [(one["type"], one["status"]) for one in status["conditions"]]
    assert kinds[0] == ("Ready", "True")
    assert "tasks.max" in next(o for o in status["conditions"] if o["type"] == "Warning")["message"]
    assert status["tasksMax"] == 2
    assert "epoch" not in status["connectorStatus"]["tasks"][0]
    world.cluster.requests.clear()
    await world.reconcile(connector, times=2)
    await world.reconcile(connect, times=2)
    assert world.cluster.requests == []


async def test_what_is_not_opted_in_is_never_touched(world):
    connect, connector = theirs(world, adopt=False)
    await world.reconcile(connect)
    await world.reconcile(connector)
    assert world.cluster.requests == []


async def test_a_connector_joins_a_connect_of_ours_that_lets_strimzis_in(world):
    _, connector = theirs(world, adopt=False)
    world.connect("my-connect", strimzi={"enabled": True})
    await world.reconcile(connector)
    assert world.get(CONNECTOR, "my-sink")


async def test_a_resource_of_ours_of_the_same_name_is_left_alone(world):
    _, connector = theirs(world, adopt=False)
    world.connect("my-connect", strimzi={"enabled": True})
    world.connector("my-sink")
    before = world.get(CONNECTOR, "my-sink")
    await world.reconcile(connector, times=2)
    assert world.get(CONNECTOR, "my-sink") == before
    [condition] = world.status(connector)["conditions"]
    assert (condition["type"], condition["status"]) == ("NotReady", "True")


async def test_what_is_no_longer_opted_in_goes(world):
    connect, connector = theirs(world)
    await world.reconcile(connect)
    await world.reconcile(connector)
    world.edit(connect, lambda obj: obj["metadata"].update(annotations={}))
    await world.reconcile(connect)
    assert world.get(CONNECT, "my-connect") is None
    await world.reconcile(connector)
    assert world.get(CONNECTOR, "my-sink") is None


async def test_strimzis_restart_annotation_is_handed_on_and_taken_away(world):
    connect, connector = theirs(world)
    await world.reconcile(connect)
    await world.reconcile(connector)
    world.edit(
        connector,
        lambda obj: obj["metadata"].update(annotations={"strimzi.io/restart": "includeTasks"}),
    )
    await world.reconcile(connector)
    ours = world.get(CONNECTOR, "my-sink")["metadata"]["annotations"]
    assert ours["coracle.dev/restart"] == "includeTasks"
    assert world.get(STRIMZI_CONNECTOR, "my-sink")["metadata"]["annotations"] == {}

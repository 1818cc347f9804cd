import orjson
import pytest

from coracle.kube import names
from coracle_operator.cluster import ClusterError
from coracle_operator.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    CONNECTOR,
    DEPLOYMENT,
    JOB,
    OWNED,
    POD,
    SCALED_OBJECT,
    SERVICE_MONITOR,
)
from coracle_operator.tasks import GRACE_SECONDS
from tests.unit.operator.fakes import World


@pytest.fixture
def world():
    return World()


def control(world, name="orders-connector"):
    return orjson.loads(world.get(CONFIG_MAP, name)["data"]["control.json"])


async def running(world, **spec):
    """A connector with one pod, running."""
    world.connect()
    key = world.connector(**spec)
    await world.reconcile(key)
    world.pod(key)
    world.report(key)
    await world.reconcile(key)
    return key


async def test_a_connector_gets_its_objects_and_becomes_ready(world):
    key = await running(world)
    made = {k[0].name for k in world.cluster.objects if k[0] in OWNED}
    assert made == {
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ConfigMap",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Deployment",
    }
    assert world.condition(key)["status"] == "True"
    assert world.condition(key, "Reconciling") is None
    assert world.status(key)["replicas"] == 1
    assert world.status(key)["tasksMax"] == 1
    assert names.FINALIZER in world.get(CONNECTOR, "orders")["metadata"]["finalizers"]
    assert world.events() == [("Normal", "Running")]


async def test_nothing_changed_costs_no_request(world):
    key = await running(world)
    world.cluster.requests.clear()
    await world.reconcile(key, times=5)
    assert world.cluster.requests == []


async def test_a_new_operator_that_finds_all_in_order_writes_nothing(world):
    key = await running(world)
    world.cluster.requests.clear()
    world.restart()
    await world.reconcile(key, times=2)
    assert world.cluster.requests == []


async def test_what_somebody_changes_by_hand_is_put_right(world):
    key = await running(world)
    name = (DEPLOYMENT, "shop", "orders-connector")
    world.edit(name, lambda obj: obj["spec"].update(replicas=7))
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 1
    del world.cluster.objects[(CONFIG_MAP, "shop", "orders-connector")]
    await world.reconcile(key)
    assert world.get(CONFIG_MAP, "orders-connector")


async def test_one_request_that_fails_is_made_up_for_without_an_event(world):
    world.connect()
    key = world.connector()
    failures = iter([ClusterError("the API server does not answer")])
    world.cluster.fail = lambda verb, kind: next(failures, None) if kind == "Role" else None
    with pytest.raises(ClusterError):
        await world.reconcile(key)
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "orders-connector")


async def test_what_kubernetes_refuses_is_said_once_it_lasts(world):
    world.connect()
    key = world.connector()
    error = ClusterError("apply Deployment orders-connector: exceeded quota: small", status=403)
    world.cluster.fail = lambda verb, kind: error if kind == "Deployment" else None
    with pytest.raises(ClusterError):
        await world.reconcile(key)
    assert world.condition(key) is None
    world.seconds += 2
    with pytest.raises(ClusterError):
        await world.reconcile(key)
    assert world.condition(key)["reason"] == "Refused"
    assert "exceeded quota: small" in world.condition(key)["message"]
    assert not world.condition(key, "Stalled")
    world.cluster.fail = None
    await world.settle(key)
    assert world.condition(key)["reason"] == "PodsMissing"


async def test_what_kubernetes_refuses_an_api_is_said_too(world):
    """Such as a right that the operator does not have, because the chart's features.rest is off."""
    key = world.connect(rest={"enabled": True})
    error = ClusterError("apply Role lab-connect-api: attempting to grant RBAC", status=403)
    world.cluster.fail = lambda verb, kind: error if kind == "Role" else None
    for _ in range(2):
        with pytest.raises(ClusterError):
            await world.reconcile(key)
        world.seconds += 2
    assert world.condition(key)["reason"] == "Refused"
    assert "attempting to grant RBAC" in world.condition(key)["message"]
    world.cluster.fail = None
    await world.settle(key)
    assert world.condition(key)["reason"] != "Refused"


async def test_a_binding_comes_after_its_role_and_the_deployment(world):
    """The API server knows a role only a moment after it was made."""
    world.connect()
    await world.settle(world.connector())
    made = [kind for verb, kind, _ in world.cluster.requests if verb == "apply"]
    first = made.index
    assert first("Role") < first("Deployment") < first("RoleBinding")


@pytest.mark.parametrize("after", range(12))
async def test_the_operator_can_be_killed_after_any_request(world, after):
    """The next one brings the same end about."""
    world.connect()
    key = world.connector(metadata={"annotations": {names.RESTART: "true"}})
    left = iter(range(after))
    world.cluster.fail = lambda verb, kind: (
        ClusterError("killed") if next(left, None) is None else None
    )
    with pytest.raises(ClusterError):
        await world.settle(key)
    world.cluster.fail = None
    world.restart()
    await world.settle(key)
    assert len([k for k in world.cluster.objects if k[0] in OWNED]) == 8
    assert control(world)["restart"]["id"]
    assert names.RESTART not in world.get(CONNECTOR, "orders")["metadata"]["annotations"]


async def test_a_connect_that_comes_later(world):
    key = world.connector()
    await world.settle(key)
    assert world.condition(key)["reason"] == "ConnectMissing"
    assert world.condition(key, "Reconciling")
    assert not world.condition(key, "Stalled")
    world.connect()
    await world.settle(key)
    assert world.get(DEPLOYMENT, "orders-connector")
    assert world.condition(key)["reason"] == "PodsMissing"


async def test_what_runs_goes_on_while_its_connect_is_gone(world):
    key = await running(world)
    del world.cluster.objects[next(k for k in world.cluster.objects if k[0].name == "KafkaConnect")]
    await world.settle(key)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 1
    assert world.condition(key)["reason"] == "ConnectMissing"


@pytest.mark.parametrize(
    ("allowed", "labels", "reason"),
    [
        (None, {}, "NotAllowed"),
        ({"from": "Same"}, {}, "NotAllowed"),
        ({"from": "All"}, {}, "PodsMissing"),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}, {"a": "b"}, "PodsMissing"),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}, {"a": "c"}, "NotAllowed"),
    ],
)
async def test_another_namespace_has_to_be_let_in(world, allowed, labels, reason):
    world.connect(namespace="platform", **({"allowedNamespaces": allowed} if allowed else {}))
    world.cluster.namespaces["shop"] = labels
    key = world.connector(connect={"name": "lab", "namespace": "platform"})
    again = await world.settle(key)
    assert world.condition(key)["reason"] == reason
    assert again <= 600
    assert bool(world.get(DEPLOYMENT, "orders-connector")) == (reason == "PodsMissing")


async def test_the_younger_of_two_with_one_group_is_stalled_until_the_elder_goes(world):
    world.connect()
    world.connect(namespace="other")
    elder = world.connector(namespace="other", created=1)
    younger = world.connector(created=2)
    await world.settle(younger)
    await world.settle(elder)
    assert younger in world.queued
    await world.settle(younger)
    assert world.condition(younger)["reason"] == "GroupConflict"
    assert world.condition(younger, "Stalled")
    assert world.get(DEPLOYMENT, "orders-connector", "shop") is None
    assert world.get(DEPLOYMENT, "orders-connector", "other")
    world.queued.clear()
    del world.cluster.objects[tuple(elder)]
    assert await world.reconcile(elder) is None
    assert younger in world.queued
    await world.settle(younger)
    assert world.get(DEPLOYMENT, "orders-connector", "shop")


async def test_after_a_restart_the_younger_never_comes_first(world):
    world.connect()
    world.connect(namespace="other")
    world.connector(namespace="other", created=1)
    younger = world.connector(created=2)
    world.restart()
    await world.reconcile(younger)
    assert world.get(DEPLOYMENT, "orders-connector", "shop") is None


async def test_another_group_is_no_conflict(world):
    world.connect()
    world.connect(namespace="other")
    first = world.connector(namespace="other", created=1)
    second = world.connector(
        created=2, config={"topics": "t", "consumer.override.group.id": "mine"}
    )
    await world.settle(first)
    await world.settle(second)
    assert world.condition(second)["reason"] == "PodsMissing"


async def test_a_wrong_config_leaves_what_runs_alone(world):
    key = await running(world)
    before = world.get(CONFIG_MAP, "orders-connector")["data"]
    world.edit(key, lambda obj: obj["spec"]["config"].update({"fields": ["a", "b"], "x": None}))
    await world.reconcile(key)
    ready = world.condition(key)
    assert (ready["status"], ready["reason"]) == ("False", "ConfigInvalid")
    assert "fields" in ready["message"]
    assert "x is null" in ready["message"]
    assert world.get(CONFIG_MAP, "orders-connector")["data"] == before


async def test_a_secret_of_another_namespace_is_an_error(world):
    world.connect()
    key = world.connector(config={"topics": "t", "password": "${secrets:other/db:password}"})
    await world.reconcile(key)
    assert world.condition(key)["reason"] == "ConfigInvalid"
    assert "other" in world.condition(key)["message"]


async def test_a_megabyte_of_settings_is_refused(world):
    world.connect()
    key = world.connector(config={"topics": "t", "query": "x" * 1_100_000})
    await world.reconcile(key)
    assert world.condition(key)["reason"] == "ConfigTooLarge"
    assert world.get(CONFIG_MAP, "orders-connector") is None


async def test_replicas_follow_what_is_useful(world):
    key = await running(world, tasksMax=5)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 1
    world.report(key, tasks=("RUNNING",) * 5, useful=3)
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 3


async def test_scaling_and_pausing_roll_no_pod(world):
    key = await running(world)
    before = world.get(DEPLOYMENT, "orders-connector")["spec"]["template"]
    world.edit(key, lambda obj: obj["spec"].update(tasksMax=4, state="paused"))
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["template"] == before
    assert control(world)["tasksMax"] == 4
    assert control(world)["state"] == "paused"
    world.report(key, state="PAUSED", tasks=("PAUSED",))
    await world.reconcile(key)
    assert world.condition(key)["reason"] == "Paused"
    assert world.condition(key)["status"] == "True"


async def test_a_new_config_is_a_new_pod_template(world):
    key = await running(world)
    before = world.get(DEPLOYMENT, "orders-connector")["spec"]["template"]
    world.edit(key, lambda obj: obj["spec"]["config"].update({"batch.size": 7}))
    await world.reconcile(key)
    after = world.get(DEPLOYMENT, "orders-connector")["spec"]
    assert after["template"] != before
    assert after["strategy"] == {"type": "Recreate"}
    # The pod of before is there still, and what it says is not about this configuration.
    assert world.condition(key)["status"] == "False"
    assert world.condition(key)["reason"] == "Rolling"


async def test_stop_scales_to_zero_and_leaves_no_running_task(world):
    key = await running(world)
    world.edit(key, lambda obj: obj["spec"].update(state="stopped"))
    await world.reconcile(key)
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 0
    assert world.condition(key)["reason"] == "Stopping"
    del world.cluster.objects[(POD, "shop", "orders-0")]
    assert await world.reconcile(key) <= GRACE_SECONDS
    assert world.condition(key)["reason"] == "Stopped"
    world.seconds += GRACE_SECONDS
    await world.reconcile(key, times=2)
    reported = world.status(key)["connectorStatus"]
    assert reported["connector"]["state"] == "STOPPED"
    assert reported["tasks"] == []


async def test_a_pod_that_is_gone_leaves_no_stale_running(world):
    key = await running(world)
    del world.cluster.objects[(POD, "shop", "orders-0")]
    await world.reconcile(key)
    task = world.status(key)["connectorStatus"]["tasks"][0]
    assert task["state"] == "RUNNING"  # for a moment: it may have only just started elsewhere
    world.seconds += GRACE_SECONDS
    await world.reconcile(key)
    task = world.status(key)["connectorStatus"]["tasks"][0]
    assert task == {"id": 0, "state": "UNASSIGNED", "worker_id": "10.0.0.1:8083", "epoch": 1}
    assert world.condition(key)["status"] == "False"


async def test_a_newer_owner_wins_over_the_operators_mark(world):
    key = await running(world)
    del world.cluster.objects[(POD, "shop", "orders-0")]
    await world.reconcile(key)
    world.seconds += GRACE_SECONDS
    stale = world.cache.resources[key]
    world.report(key, epoch=2, ips=["10.0.0.9"])
    world.cache.resources[key] = stale
    await world.reconciler.reconcile(key)
    task = world.status(key)["connectorStatus"]["tasks"][0]
    assert (task["state"], task["epoch"]) == ("RUNNING", 2)


async def test_entries_of_tasks_that_are_no_more_go(world):
    key = await running(world)
    world.report(key, tasks=("RUNNING",) * 3, count=2)
    await world.reconcile(key)
    world.seconds += GRACE_SECONDS
    await world.reconcile(key)
    tasks = world.status(key)["connectorStatus"]["tasks"]
    assert [task["id"] for task in tasks] == [0, 1]


async def test_a_failed_task_is_named(world):
    key = await running(world)
    world.report(key, tasks=("RUNNING", "FAILED"))
    await world.reconcile(key)
    ready = world.condition(key)
    assert ready["reason"] == "TaskFailed"
    assert ready["message"].startswith(
        "The following tasks have failed: 1, see connectorStatus for more details."
    )
    assert ("Warning", "TaskFailed") in world.events()


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        ("true", (False, False)),
        ("includeTasks", (True, False)),
        ("onlyFailed", (False, True)),
        ("includeTasks,onlyFailed", (True, True)),
    ],
)
async def test_a_restart_annotation_is_acted_on_once(world, value, flags):
    key = await running(world)
    world.edit(key, lambda obj: obj["metadata"].update(annotations={names.RESTART: value}))
    await world.reconcile(key, times=3)
    restart = control(world)["restart"]
    assert (restart["includeTasks"], restart["onlyFailed"]) == flags
    assert names.RESTART not in world.get(CONNECTOR, "orders")["metadata"].get("annotations", {})
    await world.reconcile(key)
    assert control(world)["restart"] == restart
    world.restart()
    await world.reconcile(key)
    assert control(world)["restart"] == restart


async def test_a_restart_is_one_even_if_its_annotation_cannot_be_taken_away(world):
    key = await running(world)
    world.edit(key, lambda obj: obj["metadata"].update(annotations={names.RESTART_TASK: "2"}))
    world.cluster.fail = lambda verb, kind: ClusterError("no") if verb == "patch" else None
    with pytest.raises(ClusterError):
        await world.reconcile(key)
    first = control(world)["restartTasks"]
    with pytest.raises(ClusterError):
        await world.reconcile(key)
    world.cluster.fail = None
    await world.reconcile(key)
    assert control(world)["restartTasks"] == first
    world.edit(key, lambda obj: obj["metadata"].update(annotations={names.RESTART_TASK: "2"}))
    await world.reconcile(key)
    assert control(world)["restartTasks"]["2"] != first["2"]


async def test_an_annotation_nobody_understands_is_named(world):
    key = await running(world)
    world.edit(
        key, lambda obj: obj["metadata"].update(annotations={names.RESTART: "true,onlyFailed"})
    )
    await world.reconcile(key)
    assert "true,onlyFailed" in world.condition(key, "Warning")["message"]
    assert "restart" not in control(world)


async def test_what_fails_is_restarted_by_itself_with_longer_and_longer_waits(world):
    key = await running(world, autoRestart={"enabled": True, "maxRestarts": 3})
    ids = []
    for _ in range(60):
        world.report(key, tasks=("FAILED",))
        await world.reconcile(key)
        if (restart := control(world).get("restart")) and restart["id"] not in ids:
            ids.append(restart["id"])
            assert restart["includeTasks"]
            assert restart["onlyFailed"]
        world.seconds += 60
    assert len(ids) == 3
    assert world.status(key)["autoRestart"]["count"] == 3


async def test_a_paused_reconciliation_changes_nothing(world):
    key = await running(world)

    def pause(obj):
        obj["metadata"]["annotations"] = {names.PAUSE_RECONCILIATION: "true"}
        obj["spec"]["config"]["batch.size"] = 3

    before = world.get(CONFIG_MAP, "orders-connector")
    world.edit(key, pause)
    await world.reconcile(key, times=2)
    assert world.get(CONFIG_MAP, "orders-connector") == before
    assert world.condition(key, "ReconciliationPaused")["status"] == "True"
    world.edit(key, lambda obj: obj["metadata"].update(annotations={}))
    await world.reconcile(key)
    assert world.get(CONFIG_MAP, "orders-connector") != before
    assert world.condition(key, "ReconciliationPaused") is None


def deleted(obj):
    obj["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"


def settled(world):
    world.edit(
        (DEPLOYMENT, "shop", "orders-connector"),
        lambda obj: obj.update(
            status={"observedGeneration": obj["metadata"]["generation"], "replicas": 0}
        ),
    )


async def test_deletion_waits_for_the_pods(world):
    key = await running(world)
    world.edit(key, deleted)
    again = await world.reconcile(key)
    assert again <= 10
    assert world.get(DEPLOYMENT, "orders-connector")["spec"]["replicas"] == 0
    assert world.get(CONNECTOR, "orders")
    settled(world)
    await world.settle(key)
    assert "orders-0" in world.condition(key)["message"]
    del world.cluster.objects[(POD, "shop", "orders-0")]
    await world.reconcile(key)
    assert world.get(CONNECTOR, "orders") is None
    assert await world.reconcile(key) is None


async def test_deletion_of_one_that_never_started(world):
    key = world.connector()
    await world.reconcile(key)
    world.edit(key, deleted)
    await world.reconcile(key)
    assert world.get(CONNECTOR, "orders") is None


async def test_deletion_with_offsets_runs_a_job_first(world):
    key = await running(world, deletionPolicy={"offsets": "Delete"})
    world.edit(key, deleted)
    await world.reconcile(key)
    settled(world)
    del world.cluster.objects[(POD, "shop", "orders-0")]
    await world.reconcile(key)
    job = world.get(JOB, "orders-connector")
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["offsets", "reset"]
    assert world.get(CONNECTOR, "orders")
    world.edit(
        (JOB, "shop", "orders-connector"),
        lambda obj: obj.update(status={"conditions": [{"type": "Failed", "status": "True"}]}),
    )
    await world.reconcile(key)
    assert world.condition(key)["reason"] == "OffsetsNotDeleted"
    world.edit(
        (JOB, "shop", "orders-connector"),
        lambda obj: obj.update(status={"conditions": [{"type": "Complete", "status": "True"}]}),
    )
    await world.reconcile(key)
    assert world.get(CONNECTOR, "orders") is None


async def test_offsets_that_cannot_be_deleted_do_not_hold_up_the_deletion(world):
    key = world.connector(deletionPolicy={"offsets": "Delete"})
    await world.reconcile(key)
    world.edit(key, deleted)
    await world.reconcile(key)
    assert world.get(CONNECTOR, "orders") is None
    assert ("Warning", "OffsetsRetained") in world.events()


async def test_objects_that_are_wanted_no_longer_go(world):
    world.connect()
    key = world.connector(autoscaling={"maxTasks": 4, "cpu": 70})
    await world.reconcile(key)
    scaler = world.get(AUTOSCALER, "orders-connector")
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "KafkaConnector"
    world.edit(key, lambda obj: obj["spec"].pop("autoscaling"))
    await world.reconcile(key)
    assert world.get(AUTOSCALER, "orders-connector") is None
    assert world.get(DEPLOYMENT, "orders-connector")


async def test_scaling_by_lag_without_keda_is_refused_with_a_message(world):
    key = await running(world, autoscaling={"maxTasks": 4, "lag": 1000})
    assert "KEDA" in world.condition(key, "Warning")["message"]
    world.cache.there.add(SCALED_OBJECT)
    await world.reconcile(key)
    trigger = world.get(SCALED_OBJECT, "orders-connector")["spec"]["triggers"][0]
    assert trigger["metadata"]["consumerGroup"] == "connect-orders"
    assert world.condition(key, "Warning") is None


async def test_monitors_are_made_where_the_cluster_knows_them(world):
    world.connect(serviceMonitor={"enabled": True})
    key = world.connector()
    await world.settle(key)
    assert "ServiceMonitor" in world.condition(key, "Warning")["message"]
    world.cache.there.add(SERVICE_MONITOR)
    await world.settle(key)
    assert world.get(SERVICE_MONITOR, "orders-connector")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
                ]
            },
            "ImagePull",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
                        "restartCount": 3,
                    }
                ]
            },
            "CrashLoop",
        ),
    ],
)
async def test_pods_that_cannot_run(world, status, reason):
    world.connect()
    key = world.connector()
    await world.reconcile(key)
    world.pod(key, ready=False, **status)
    await world.reconcile(key)
    assert world.condition(key)["reason"] == reason
    assert world.condition(key, "Stalled")
    assert ("Warning", reason) in world.events()


async def test_events_are_told_on_transitions_only(world):
    key = await running(world)
    for _ in range(5):
        world.report(key, tasks=("FAILED",))
        await world.reconcile(key, times=2)
    assert world.events().count(("Warning", "TaskFailed")) == 1


async def test_a_transition_time_stays_while_the_status_does(world):
    key = await running(world)
    before = world.condition(key)
    world.seconds += 100
    world.edit(key, lambda obj: obj["spec"].update(tasksMax=2))
    await world.reconcile(key)
    after = world.condition(key)
    assert after["observedGeneration"] == before["observedGeneration"] + 1
    assert after["lastTransitionTime"] == before["lastTransitionTime"]


async def test_a_connect_becomes_ready_with_its_api(world):
    key = world.connect(config={"group.id": "x"}, jvmOptions={"-Xmx": "1g"})
    await world.settle(key)
    assert world.condition(key)["reason"] == "PodsStarting"
    message = world.condition(key, "Warning")["message"]
    assert "group.id" in message
    assert "jvmOptions" in message
    world.edit(
        (DEPLOYMENT, "shop", "lab-connect-api"),
        lambda obj: obj.update(
            status={"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1}
        ),
    )
    await world.reconcile(key)
    assert world.condition(key)["status"] == "True"
    assert world.status(key)["url"] == "http://lab-connect-api.shop.svc:8083"

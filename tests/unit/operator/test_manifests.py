import pytest

from coracle.kube.model import KafkaConnect, KafkaConnector
from coracle_operator.kinds import AUTOSCALER, DEPLOYMENT, NETWORK_POLICY, ROLE, kind_of
from coracle_operator.manifests import connect_manifests, connector_manifests


def plan(connector=None, connect=None, **metadata):
    given = {"bootstrapServers": "k:9092", **(connect or {})}
    wanted = {"class": "A", "config": {}, **(connector or {})}
    named = {"name": "orders", "namespace": "shop", "uid": "u", **metadata}
    return connector_manifests(
        KafkaConnector.model_validate({"metadata": named, "spec": wanted}),
        KafkaConnect.model_validate(
            {"metadata": {"name": "lab", "namespace": "shop"}, "spec": given}
        ),
        image="img:1",
        restarts={},
        known_kinds=set(),
    )


def one(objects, kind):
    [found] = [obj for obj in objects if kind_of(obj) == kind]
    return found


def pod_of(found):
    return one(found.objects, DEPLOYMENT)["spec"]["template"]


def test_pods_are_as_strict_as_the_restricted_standard_asks():
    pod = pod_of(plan())["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_a_pod_may_watch_its_config_map_and_patch_its_status_and_nothing_else():
    rules = one(plan().objects, ROLE)["rules"]
    assert rules == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["orders-connector"],
            "verbs": ["get", "watch"],
        },
        {
            "apiGroups": ["coracle.dev"],
            "resources": ["kafkaconnectors/status"],
            "resourceNames": ["orders"],
            "verbs": ["patch"],
        },
    ]


def test_every_object_belongs_to_the_connector():
    for obj in plan().objects:
        [owner] = obj["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("KafkaConnector", "u", True)
        assert obj["metadata"]["namespace"] == "shop"


def test_secrets_are_optional_files_and_never_in_a_config_map():
    found = plan(
        {"config": {"a": "${secrets:db:user}:${secrets:db:password}", "b": "${configmaps:m:k}"}}
    )
    volumes = {v["name"]: v for v in pod_of(found)["spec"]["volumes"]}
    mounts = {m["mountPath"]: m for m in pod_of(found)["spec"]["containers"][0]["volumeMounts"]}
    mount = mounts["/var/run/coracle/secrets/db"]
    [source] = volumes[mount["name"]]["projected"]["sources"]
    assert source["secret"]["optional"]
    assert [item["key"] for item in source["secret"]["items"]] == ["password", "user"]
    assert "/var/run/coracle/configmaps/m" in mounts


def test_the_connectors_template_goes_over_the_connects_field_by_field():
    found = plan(
        {
            "template": {
                "pod": {"metadata": {"labels": {"a": "own"}}, "nodeSelector": {"disk": "ssd"}},
                "container": {"env": [{"name": "X", "value": "own"}]},
            }
        },
        {
            "resources": {"requests": {"cpu": "1"}},
            "template": {
                "pod": {
                    "metadata": {"labels": {"a": "shared", "b": "shared"}},
                    "nodeSelector": {"disk": "hdd", "zone": "z"},
                    "priorityClassName": "high",
                },
                "container": {
                    "env": [{"name": "X", "value": "shared"}, {"name": "Y", "value": "shared"}]
                },
            },
        },
    )
    pod = pod_of(found)
    assert pod["metadata"]["labels"].items() >= {"a": "own", "b": "shared"}.items()
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert pod["spec"]["priorityClassName"] == "high"
    env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert (env["X"], env["Y"]) == ("own", "shared")
    assert pod["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}}


def test_labels_of_ours_cannot_be_replaced():
    mine = {"app.kubernetes.io/component": "mine", "coracle.dev/connector": "mine"}
    found = plan({"template": {"pod": {"metadata": {"labels": mine}}}})
    selector = one(found.objects, DEPLOYMENT)["spec"]["selector"]["matchLabels"]
    assert pod_of(found)["metadata"]["labels"].items() >= selector.items()


def test_plugins_are_installed_without_what_the_image_has():
    plugins = {
        "packages": ["acme==1"],
        "indexUrl": "https://index.example/simple",
        "indexSecret": {"name": "s"},
    }
    pod = pod_of(plan(connect={"plugins": plugins}))["spec"]
    [init] = pod["initContainers"]
    assert init["command"][-2:] == ["--", "acme==1"]
    assert "--only-binary=:all:" in init["command"]
    env = {each["name"]: each for each in init["env"]}
    assert env["PIP_INDEX_URL"]["value"] == (
        "https://$(INDEX_USERNAME):$(INDEX_PASSWORD)@index.example/simple"
    )
    assert init["securityContext"]["readOnlyRootFilesystem"]
    paths = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert "/plugins/lib/python3.11/site-packages" in paths["PYTHONPATH"]


@pytest.mark.parametrize(
    ("plugins", "trusted"),
    [
        ({"indexUrl": "http://index.shop.svc:8080/simple"}, "index.shop.svc"),
        ({"findLinks": "http://[fd00::1]:80/wheels"}, "[fd00::1]"),
        ({"indexUrl": "http://a/simple", "findLinks": "http://b/wheels"}, "a b"),
        ({"indexUrl": "https://index.example/simple"}, None),
        ({"findLinks": "/wheels"}, None),
        ({"indexUrl": "http://[no url"}, None),
        ({}, None),
    ],
)
def test_an_index_without_tls_is_used_if_the_url_says_so(plugins, trusted):
    [init] = pod_of(plan(connect={"plugins": {"packages": ["acme"], **plugins}}))["spec"][
        "initContainers"
    ]
    env = {each["name"]: each.get("value") for each in init["env"]}
    assert env.get("PIP_TRUSTED_HOST") == trusted


@pytest.mark.parametrize("name", ["n" * 200, "a.dotted.name", "9lives"])
def test_names_stay_legal(name):
    for obj in plan(name=name).objects:
        assert len(obj["metadata"]["name"]) <= 63
        assert "." not in obj["metadata"]["name"]
        assert all(len(value) <= 63 for value in obj["metadata"]["labels"].values())


def test_equal_input_makes_equal_objects():
    config = {"x": "${secrets:b:k}", "y": "${secrets:a:k}"}
    turned = dict(reversed(config.items()))
    assert plan({"config": config}).objects == plan({"config": turned}).objects


def test_own_fields_in_config_are_ignored_with_a_warning():
    found = plan({"config": {"name": "other", "tasks.max": 3, "connector.class": "B"}})
    assert found.settings == {"connector.class": "A"}
    assert len(found.warnings) == 3


def busy(tasks_max, useful, **spec):
    """A plan for a sink with an autoscaler whose leader has said how many pods can be busy."""
    connector = KafkaConnector.model_validate(
        {
            "metadata": {"name": "orders", "namespace": "shop", "uid": "u"},
            "spec": {
                "class": "A",
                "config": {"topics": "t"},
                "tasksMax": tasks_max,
                "autoscaling": {"maxTasks": 4, "cpu": 70},
                **spec,
            },
            "status": {"connectorStatus": {"connector": {"state": "RUNNING", "useful": useful}}},
        }
    )
    connect = KafkaConnect.model_validate(
        {"metadata": {"name": "lab", "namespace": "shop"}, "spec": {"bootstrapServers": "k:9092"}}
    )
    return connector_manifests(connector, connect, image="i", restarts={}, known_kinds=set())


def test_an_autoscalers_bounds_do_not_depend_on_what_it_sets():
    """Else it would set tasksMax to 4, be held to 2 partitions, set 2, be free again, set 4, …"""
    before, after = busy(2, 2), busy(4, 2)
    scalers = [one(each.objects, AUTOSCALER)["spec"] for each in (before, after)]
    assert scalers[0] == scalers[1]
    assert (scalers[0]["minReplicas"], scalers[0]["maxReplicas"]) == (1, 4)
    assert (before.replicas, after.replicas) == (2, 2)


@pytest.mark.parametrize(
    ("resources", "warned"),
    [
        ({}, True),
        ({"requests": {"memory": "64Mi"}}, True),
        ({"requests": {"cpu": "100m"}}, False),
        ({"limits": {"cpu": "1"}}, False),
    ],
)
def test_a_cpu_target_needs_a_cpu_request(resources, warned):
    found = busy(1, 1, resources=resources).warnings
    assert [True for warning in found if "resources.requests.cpu" in warning] == [True] * warned


def api(*, operator_does_strimzi=False, **spec):
    given = {"bootstrapServers": "k:9092", **spec}
    connect = KafkaConnect.model_validate(
        {"metadata": {"name": "lab", "namespace": "shop", "uid": "u"}, "spec": given}
    )
    return connect_manifests(
        connect, {"bootstrap.servers": "k:9092"}, image="img:1", strimzi=operator_does_strimzi
    )


def test_the_api_may_write_only_when_rest_is_on():
    def verbs(objects):
        return {verb for rule in one(objects, ROLE)["rules"] for verb in rule["verbs"]}

    assert verbs(api()) == {"get", "list", "watch"}
    assert verbs(api(rest={"enabled": True})) == {
        "get",
        "list",
        "watch",
        "create",
        "patch",
        "delete",
    }
    secrets = [
        r for r in one(api(rest={"enabled": True}), ROLE)["rules"] if "secrets" in r["resources"]
    ]
    assert [rule["verbs"] for rule in secrets] == [["create"]]


@pytest.mark.parametrize("operator_does_strimzi", [True, False])
@pytest.mark.parametrize("adopts", [True, False])
@pytest.mark.parametrize("rest", [True, False])
def test_over_rest_what_comes_from_strimzi_is_changed_there(operator_does_strimzi, adopts, rest):
    objects = api(
        operator_does_strimzi=operator_does_strimzi,
        rest={"enabled": rest},
        strimzi={"enabled": adopts},
    )
    theirs = [
        rule for rule in one(objects, ROLE)["rules"] if rule["apiGroups"] == ["kafka.strimzi.io"]
    ]
    right = {
        "apiGroups": ["kafka.strimzi.io"],
        "resources": ["kafkaconnectors"],
        "verbs": ["get", "patch", "delete"],
    }
    # The API server refuses a Role with rights that the operator does not have.
    assert theirs == ([right] if operator_does_strimzi and adopts and rest else [])


def test_only_coracle_reaches_the_api_unless_rest_is_on():
    def peers(objects):
        [rule] = one(objects, NETWORK_POLICY)["spec"]["ingress"]
        return rule["from"]

    assert "podSelector" in peers(api())[0]
    assert peers(api(rest={"enabled": True})) == [{"namespaceSelector": {}}]
    assert NETWORK_POLICY not in {kind_of(o) for o in api(networkPolicy={"enabled": False})}

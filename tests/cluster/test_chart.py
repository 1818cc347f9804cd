"""The chart and the manifests in k8s/, installed on a real API server.

No pod runs here: what is checked is what the API server takes, whom it lets do what, and what an
upgrade leaves alone. `test_install.py` installs the chart where pods run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from k8s.render import BASE, rendered

from tests.cluster.binaries import programs
from tests.cluster.commands import CommandError
from tests.cluster.release import CHART, ROOT, Api, Question
from tests.cluster.throwaway import ControlPlaneServer
from tests.servers.ports import free_port

CONNECT = """
apiVersion: coracle.dev/v1
kind: KafkaConnect
metadata: {name: connect}
spec: {bootstrapServers: "kafka:9092"}
"""
CONNECTOR = """
apiVersion: coracle.dev/v1
kind: KafkaConnector
metadata: {name: lines}
spec:
  connect: {name: connect}
  class: FileStreamSink
  config: {topics: orders, file: /tmp/lines.txt}
"""
EVERYTHING = {
    "nameOverride": "boats",
    "image": {"repository": "registry.example.com/c", "digest": "sha256:" + "a" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"team": "platform"},
    "features": {"keda": True, "monitors": True, "strimzi": True, "rest": False},
    "operator": {
        "logLevel": "DEBUG",
        "env": [{"name": "A", "value": "b"}],
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "1Gi"}},
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                    ]
                }
            }
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "serviceAccount": {"annotations": {"cloud/role": "operator"}},
    },
    "webhook": {"replicas": 3, "failurePolicy": "Fail", "timeoutSeconds": 10},
    "metrics": {"serviceMonitor": {"enabled": True, "interval": "10s", "labels": {"prom": "x"}}},
    "connect": {
        "create": True,
        "spec": {"bootstrapServers": "kafka:9092", "config": {"offset.flush.interval.ms": 1000}},
    },
}
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "little": {
        "webhook": {"enabled": False},
        "metrics": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "rbac": {"aggregate": False},
        "crds": {"keep": False},
    },
    "some-namespaces": {"watchNamespaces": ["one", "two"], "fullnameOverride": "boat"},
}


def named(text: str, kind: str, name: str = "") -> dict[str, Any]:
    """The one object of a kind (and the end of its name) among manifests."""
    (found,) = (
        each
        for each in yaml.safe_load_all(text)
        if each and each["kind"] == kind and each["metadata"]["name"].endswith(name)
    )
    return found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    server = ControlPlaneServer()
    server.start()
    yield Api(programs(), server.kubeconfig, tmp_path_factory.mktemp("home"))
    server.stop()


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def values(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(request.param))
    return path


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace for pods of the level "restricted" only; no release is left behind."""
    name = api.new_namespace(**{"pod-security.kubernetes.io/enforce": "restricted"})
    yield name
    for release in json.loads(api.helm("list", "--all", "-o", "json", "-n", name)):
        api.helm("uninstall", release["name"], "-n", name)
    api.remove_crds()
    api.kubectl("delete", "namespace", name, "--wait=false")


# What it renders


def test_lint(api: Api, values: Path) -> None:
    assert "0 chart(s) failed" in api.helm("lint", "--strict", str(CHART), "-f", str(values))


def test_chart_has_the_version_of_the_application() -> None:
    import coracle

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == coracle.__version__


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The settings: what is no group of settings, and what Kubernetes defines."""
    if isinstance(value, dict) and value and path[-1:] != ("resources",):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    else:
        yield path, value


VALUES = dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OTHERS = {
    ("fullnameOverride",): "other",
    ("watchNamespaces",): ["other"],
    ("image", "tag"): "2",
    ("image", "pullPolicy"): "Always",
    ("connect", "name"): "other",
    ("connect", "namespace"): "other",
    ("connect", "spec"): {"bootstrapServers": "other:9092"},
}


def another(path: tuple[str, ...]) -> Any:
    """A value that is not the default."""
    if isinstance(VALUES[path], bool):
        return not VALUES[path]
    if path in OTHERS:
        return OTHERS[path]
    found: Any = EVERYTHING
    for key in path:
        if key not in found:  # operator and webhook have much in common
            return another(("operator", *path[1:]))
        found = found[key]
    return found


@pytest.mark.parametrize("path", VALUES, ids=".".join)
def test_every_value_has_an_effect(api: Api, tmp_path: Path, path: tuple[str, ...]) -> None:
    changed = another(path)
    for key in reversed(path):
        changed = {key: changed}
    base = {
        "metrics": {"serviceMonitor": {"enabled": True}},
        "connect": {"create": True, "spec": {"bootstrapServers": "kafka:9092"}},
    }
    if path in (("connect", "create"), ("metrics", "serviceMonitor", "enabled")):
        base = {}
    arguments = ["template", "coracle", str(CHART)]
    for number, content in enumerate((base, changed)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(content))
        arguments += ["-f", str(file)]
    if path == ("connect", "create"):
        arguments += ["--set", "connect.spec.bootstrapServers=kafka:9092"]
    assert api.helm(*arguments) != api.helm(*arguments[:5])


def test_schema_knows_every_value() -> None:
    def known(schema: dict[str, Any], path: tuple[str, ...]) -> bool:
        for key in path:
            schema = schema.get("properties", {}).get(key, {})
        return bool(schema)

    assert [path for path in VALUES if not known(SCHEMA, path)] == []


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("operator.logLeve=INFO", "/operator"),
        ("webhook.replicas=0", "/webhook/replicas"),
        ("webhook.failurePolicy=Maybe", "/webhook/failurePolicy"),
        ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("image.repository=", "/image/repository"),
        ("watchNamespaces={Shop}", "/watchNamespaces/0"),
        ("crds.install=perhaps", "/crds/install"),
        ("feature.keda=true", "feature"),
    ],
)
def test_wrong_value_is_refused(api: Api, setting: str, place: str) -> None:
    with pytest.raises(CommandError, match=place):
        api.helm("template", "coracle", str(CHART), "--set", setting)


def test_connect_without_brokers_is_refused(api: Api) -> None:
    with pytest.raises(CommandError, match="needs connect"):
        api.helm("template", "coracle", str(CHART), "--set", "connect.create=true")


# What the API server takes


def test_api_server_takes_everything(api: Api, namespace: str, values: Path) -> None:
    api.define("monitoring.coreos.com", "v1", "ServiceMonitor")
    for each in yaml.safe_load(values.read_text()).get("watchNamespaces", ()):
        api.new_namespace(name=each, exist=True)
    command = ["coracle", str(CHART), "-n", namespace, "-f", str(values)]
    manifests = api.helm("template", *command)
    accounts = [
        each
        for each in yaml.safe_load_all(manifests)
        if each and each["kind"] in ("ServiceAccount", "CustomResourceDefinition")
    ]
    api.apply(yaml.safe_dump_all(accounts))  # which pods need to be taken at all
    api.kubectl("apply", "--server-side", "--validate=strict", "-f-", text=manifests)
    for deployment in yaml.safe_load_all(manifests):
        if deployment and deployment["kind"] == "Deployment":
            template = deployment["spec"]["template"]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "try", "labels": template["metadata"]["labels"]},
                "spec": template["spec"],
            }
            # The level "restricted" is enforced for pods, not for Deployments.
            api.kubectl("create", "--dry-run=server", "-n", namespace, "-f-", text=json.dumps(pod))
    api.kubectl("delete", "-f-", "--wait=false", text=manifests)


def test_install_says_what_to_do_next(api: Api, namespace: str) -> None:
    notes = api.install(namespace)
    assert "looks after KafkaConnectors in all namespaces" in notes
    for manifest in notes.split("<<END\n")[1:]:
        text = "\n".join(line.removeprefix("  ") for line in manifest.split("END")[0].splitlines())
        api.kubectl("apply", "--dry-run=server", "--validate=strict", "-f-", text=text)
    notes = api.upgrade(namespace, "--set", "webhook.enabled=false")
    assert "The webhook is off" in notes


# Upgrades


def test_certificate_authority_survives_upgrade_and_rollback(api: Api, namespace: str) -> None:
    api.install(namespace)
    configuration = f"validatingwebhookconfiguration/coracle-{namespace}"
    bundle = api.certificate_authority()
    patch = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    api.kubectl("patch", configuration, "--type=json", "-p", json.dumps(patch))

    def held() -> tuple[str, str]:
        (webhook,) = api.get(configuration)["webhooks"]
        return webhook["failurePolicy"], webhook["clientConfig"].get("caBundle", "")

    api.upgrade(namespace, "--set", "webhook.failurePolicy=Fail")
    assert held() == ("Fail", bundle)
    api.upgrade(namespace, "--set", "webhook.timeoutSeconds=7")
    assert held() == ("Ignore", bundle)
    api.helm("rollback", "coracle", "2", "-n", namespace)
    assert held() == ("Fail", bundle)


def test_upgrade_brings_new_fields(api: Api, namespace: str, tmp_path: Path) -> None:
    api.install(namespace)
    api.apply(CONNECT + "---" + CONNECTOR, namespace)
    newer = tmp_path / "coracle"
    shutil.copytree(CHART, newer)
    (file,) = (newer / "files" / "crds").glob("*kafkaconnectors*.yaml")
    crd = yaml.safe_load(file.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "brandNew" not in spec["properties"]
    spec["properties"]["brandNew"] = {"type": "string", "description": "For tomorrow."}
    file.write_text(yaml.safe_dump(crd))
    api.helm("upgrade", "coracle", str(newer), "-n", namespace)
    api.until("explain", "kafkaconnector.spec.brandNew", shows="For tomorrow")
    assert (
        api.get("kafkaconnectors.coracle.dev/lines", namespace)["spec"]["class"] == "FileStreamSink"
    )


def test_uninstall_leaves_connectors_and_a_new_release_takes_over(api: Api, namespace: str) -> None:
    api.install(namespace)
    api.apply(CONNECT + "---" + CONNECTOR, namespace)
    uid = api.get("kafkaconnectors.coracle.dev/lines", namespace)["metadata"]["uid"]
    api.helm("uninstall", "coracle", "-n", namespace)
    left = api.kubectl("get", "deploy,svc,sa,role,pdb,netpol", "-n", namespace, "-o", "name")
    assert [name for name in left.split() if "coracle" in name] == []
    cluster_wide = api.kubectl(
        "get", "clusterrole,clusterrolebinding,validatingwebhookconfiguration", "-o", "name"
    )
    assert "coracle" not in cluster_wide
    assert api.get("kafkaconnectors.coracle.dev/lines", namespace)["metadata"]["uid"] == uid
    api.install(namespace)
    assert api.get("kafkaconnectors.coracle.dev/lines", namespace)["metadata"]["uid"] == uid


def test_crds_go_with_the_release_if_wanted(api: Api, namespace: str) -> None:
    api.install(namespace, "--set", "crds.keep=false")
    api.helm("uninstall", "coracle", "-n", namespace, "--wait")
    assert "coracle.dev" not in api.kubectl("get", "crd", "-o", "name")


def test_two_releases_share_a_cluster(api: Api, namespace: str) -> None:
    other = api.new_namespace()
    api.install(namespace, "--set", f"watchNamespaces={{{namespace}}}")
    api.install(other, "--set", f"watchNamespaces={{{other}}}", "--set", "crds.install=false")
    api.helm("uninstall", "coracle", "-n", other)
    assert api.get("deployment/coracle-operator", namespace)["spec"]["replicas"] == 1


# Admission


def test_only_what_runs_is_asked_about(api: Api, namespace: str) -> None:
    """Nobody answers here, so what the API server asks about fails, and nothing else does."""
    api.install(namespace, "--set", "webhook.enabled=false")
    api.apply(CONNECT + "---" + CONNECTOR, namespace)
    api.upgrade(namespace, "--set", "webhook.failurePolicy=Fail")
    lines = ("kafkaconnectors.coracle.dev/lines", "-n", namespace)

    def patch(change: dict[str, Any], *more: str) -> str:
        return api.kubectl(
            "patch", *lines, "--type=merge", "-p", json.dumps(change), *more, patience=10
        )

    # A webhook that was just configured is not called at once.
    api.until("create", "--dry-run=server", "-n", namespace, "-f-", fails="webhook", text=CONNECTOR)
    with pytest.raises(CommandError, match="failed calling webhook"):
        patch({"spec": {"config": {"file": "/tmp/other.txt"}}})
    with pytest.raises(CommandError, match="failed calling webhook"):
        patch({"metadata": {"labels": {"coracle.dev/cluster": "other"}}})
    patch({"metadata": {"annotations": {"coracle.dev/restart": "true"}}})
    patch({"metadata": {"labels": {"team": "shop"}, "finalizers": ["coracle.dev/stop"]}})
    patch({"status": {"tasksMax": 1}}, "--subresource=status")
    api.kubectl("scale", *lines, "--replicas=3")
    api.kubectl("delete", *lines, "--wait=false")
    patch({"metadata": {"finalizers": None}})
    assert "lines" not in api.kubectl("get", "cconn", "-n", namespace, "-o", "name")


# Rights


OPERATOR_MAY = [
    ("list", "kafkaconnectors.coracle.dev"),
    ("patch", "kafkaconnectors.coracle.dev/status"),
    ("update", "kafkaconnectors.coracle.dev/finalizers"),
    ("watch", "kafkaconnects.coracle.dev"),
    ("patch", "deployments.apps"),
    ("delete", "configmaps"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("patch", "horizontalpodautoscalers.autoscaling"),
    ("create", "jobs.batch"),
    ("list", "pods"),
]
OPERATOR_MAY_NOT = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("watch", "secrets"),
    ("delete", "secrets"),
    ("delete", "pods"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("escalate", "roles.rbac.authorization.k8s.io"),
    ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ("create", "clusterroles.rbac.authorization.k8s.io"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ("impersonate", "serviceaccounts"),
    ("create", "serviceaccounts/token"),
    ("get", "nodes"),
]


def rights(
    api: Api, account: str, where: str, questions: list[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Those questions that are answered with yes."""
    answers = api.allows(account, *(Question(*each, namespace=where) for each in questions))
    return {each for each, may in zip(questions, answers, strict=True) if may}


def test_rights_of_the_operator(api: Api, namespace: str) -> None:
    elsewhere = api.new_namespace()
    api.install(namespace)
    operator = f"{namespace}/coracle-operator"
    assert rights(api, operator, elsewhere, OPERATOR_MAY) == set(OPERATOR_MAY)
    assert rights(api, operator, elsewhere, OPERATOR_MAY_NOT) == set()
    assert rights(api, operator, namespace, OPERATOR_MAY_NOT) == set()
    certificate = "coracle-webhook-certificate"
    webhooks = "validatingwebhookconfigurations.admissionregistration.k8s.io"
    assert api.allows(
        operator,
        Question("update", "secrets", namespace, certificate),
        Question("get", "secrets", elsewhere, certificate),
        Question("patch", webhooks, name=f"coracle-{namespace}"),
        Question("patch", webhooks, name="other"),
    ) == [True, False, True, False]


def test_rights_end_at_the_watched_namespaces(api: Api, namespace: str) -> None:
    watched, elsewhere = api.new_namespace(), api.new_namespace()
    api.install(namespace, "--set", f"watchNamespaces={{{watched}}}")
    operator = f"{namespace}/coracle-operator"
    assert rights(api, operator, watched, OPERATOR_MAY) == set(OPERATOR_MAY)
    assert rights(api, operator, elsewhere, OPERATOR_MAY) == set()
    assert rights(api, operator, watched, OPERATOR_MAY_NOT) == set()
    webhook, question = f"{namespace}/coracle-webhook", [("get", "kafkaconnects.coracle.dev")]
    assert rights(api, webhook, watched, question) == set(question)
    assert rights(api, webhook, elsewhere, question) == set()


def test_rights_of_the_webhook(api: Api, namespace: str) -> None:
    api.install(namespace)
    questions = [("get", "kafkaconnects.coracle.dev"), *OPERATOR_MAY, *OPERATOR_MAY_NOT]
    assert rights(api, f"{namespace}/coracle-webhook", namespace, questions) == {
        ("get", "kafkaconnects.coracle.dev")
    }


FEATURES = {
    "keda": ("create", "scaledobjects.keda.sh"),
    "monitors": ("create", "podmonitors.monitoring.coreos.com"),
    "strimzi": ("watch", "kafkaconnectors.kafka.strimzi.io"),
    "rest": ("create", "secrets"),
}


def test_features_are_rights(api: Api, namespace: str) -> None:
    elsewhere = api.new_namespace()
    operator, questions = f"{namespace}/coracle-operator", list(FEATURES.values())
    for switched in ("false", "true"):
        settings = [f"features.{feature}={switched}" for feature in FEATURES]
        api.upgrade(namespace, "--install", "--set", ",".join(settings))
        expected = set(questions) if switched == "true" else set()
        assert rights(api, operator, elsewhere, questions) == expected


EVERY_KIND = """
apiVersion: coracle.dev/v1
kind: KafkaConnect
metadata: {name: connect}
spec:
  bootstrapServers: kafka:9092
  rest: {enabled: true}
  strimzi: {enabled: true}
  serviceMonitor: {enabled: true}
  podMonitor: {enabled: true}
---
apiVersion: coracle.dev/v1
kind: KafkaConnector
metadata: {name: lines}
spec:
  connect: {name: connect}
  class: FileStreamSink
  config: {topics: orders, file: /tmp/lines.txt}
  autoscaling: {maxTasks: 3, lag: 100}
---
apiVersion: coracle.dev/v1
kind: KafkaConnector
metadata: {name: more-lines}
spec:
  connect: {name: connect}
  class: FileStreamSink
  config: {topics: orders, file: /tmp/lines.txt}
  autoscaling: {maxTasks: 3, cpu: 70}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata:
  name: theirs
  annotations: {coracle.dev/adopt: "true"}
spec: {replicas: 1, bootstrapServers: "kafka:9092", groupId: theirs}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata: {name: their-lines, labels: {strimzi.io/cluster: theirs}}
spec: {class: FileStreamSink, tasksMax: 1, config: {topics: orders, file: /tmp/lines.txt}}
"""
MADE = {
    "horizontalpodautoscaler.autoscaling/more-lines-connector",
    "podmonitor.monitoring.coreos.com/lines-connector",
    "scaledobject.keda.sh/lines-connector",
    "servicemonitor.monitoring.coreos.com/lines-connector",
    *(
        f"{kind}/{name}"
        for kind in (
            "configmap",
            "deployment.apps",
            "networkpolicy.networking.k8s.io",
            "poddisruptionbudget.policy",
            "role.rbac.authorization.k8s.io",
            "rolebinding.rbac.authorization.k8s.io",
            "service",
            "serviceaccount",
        )
        for name in ("connect-connect-api", "lines-connector", "their-lines-connector")
    ),
}


@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "some-namespaces"])
def test_operator_does_all_it_does_with_its_rights(
    api: Api, namespace: str, tmp_path: Path, everywhere: bool
) -> None:
    """The operator as the chart starts it, as a process with its ServiceAccount's token."""
    for group, version, kind in (
        ("keda.sh", "v1alpha1", "ScaledObject"),
        ("monitoring.coreos.com", "v1", "PodMonitor"),
        ("monitoring.coreos.com", "v1", "ServiceMonitor"),
        ("kafka.strimzi.io", "v1", "KafkaConnect"),
        ("kafka.strimzi.io", "v1", "KafkaConnector"),
    ):
        api.define(group, version, kind)
    shop = api.new_namespace()
    features = "features.keda=true,features.monitors=true,features.strimzi=true"
    where = [] if everywhere else ["--set", f"watchNamespaces={{{shop}}}"]
    api.install(namespace, "--set", features, *where)
    deployment = api.get("deployment/coracle-operator", namespace)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {
        each["name"]: each.get("value", namespace if "valueFrom" in each else "")
        for each in container["env"]
    } | {
        "KUBECONFIG": str(api.account(namespace, "coracle-operator")),
        "CORACLE_OPERATOR_PORT": str(free_port()),
    }
    command = [str(Path(sys.executable).parent / container["command"][0]), "run"]
    assert container["command"][1:] == command[1:]
    kinds = ",".join(sorted({each.split("/")[0] for each in MADE}))
    api.apply(EVERY_KIND, shop)
    for group in ("coracle.dev", "kafka.strimzi.io"):  # discovery follows a moment later
        api.until("get", "--raw", "/apis", shows=f'"{group}"')
        api.until("get", "--raw", f"/apis/{group}/v1", shows='"kafkaconnectors"')
    log = tmp_path / "operator.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out) as operator,
    ):
        try:
            deadline = time.monotonic() + 60
            while missing := MADE - set(
                api.kubectl("get", kinds, "-n", shop, "-o", "name").split()
            ):
                assert operator.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"{missing}\n{log.read_text()}"
                time.sleep(0.5)
            bundle = "jsonpath={.webhooks[0].clientConfig.caBundle}"
            configuration = f"validatingwebhookconfiguration/coracle-{namespace}"
            api.until("get", configuration, "-o", bundle, shows="LS0t")
            api.kubectl("delete", "-n", shop, "kafkaconnectors.coracle.dev/lines", "--timeout=30s")
            api.kubectl(
                "delete",
                "-n",
                shop,
                "kafkaconnectors.kafka.strimzi.io/their-lines",
                "--timeout=30s",
            )
            api.kubectl(
                "wait", "-n", shop, "kafkaconnector.coracle.dev/their-lines", "--for=delete"
            )
        finally:
            operator.send_signal(signal.SIGTERM)
            operator.wait(20)
    assert "orbidden" not in log.read_text()


def test_users_of_a_namespace_may_have_connectors(api: Api, namespace: str) -> None:
    api.install(namespace)
    shop = api.new_namespace()
    for role in ("view", "edit"):
        api.kubectl(
            "create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", "-n", shop
        )
    # The controller manager adds aggregated rules a moment later.
    api.until(
        "auth",
        "can-i",
        "--as=edit",
        "-n",
        shop,
        "create",
        "kafkaconnectors.coracle.dev",
        shows="yes",
    )
    api.until(
        "auth", "can-i", "--as=view", "-n", shop, "get", "kafkaconnectors.coracle.dev", shows="yes"
    )
    with pytest.raises(CommandError):
        api.kubectl(
            "auth", "can-i", "--as=view", "-n", shop, "create", "kafkaconnectors.coracle.dev"
        )


# Beside Strimzi


def test_strimzi_is_left_alone(api: Api, namespace: str) -> None:
    for kind in ("KafkaConnect", "KafkaConnector"):
        api.define("kafka.strimzi.io", "v1", kind, versions=("v1beta2",))
    text = CONNECTOR.replace("coracle.dev", "kafka.strimzi.io")
    api.apply(text, namespace)
    kinds = ("crd/kafkaconnectors.kafka.strimzi.io", "crd/kafkaconnects.kafka.strimzi.io")
    strimzis = ("kafkaconnectors.kafka.strimzi.io/lines", namespace)
    before = [api.get(kind)["metadata"]["resourceVersion"] for kind in kinds] + [
        api.get(*strimzis)["metadata"]["resourceVersion"]
    ]
    api.install(namespace)
    api.apply(CONNECT + "---" + CONNECTOR, namespace)
    api.helm("uninstall", "coracle", "-n", namespace)
    after = [api.get(kind)["metadata"]["resourceVersion"] for kind in kinds] + [
        api.get(*strimzis)["metadata"]["resourceVersion"]
    ]
    assert before == after


# A first KafkaConnect


def test_first_connect_is_applied(api: Api, namespace: str, tmp_path: Path) -> None:
    """What the hook's Job does, with the rights it has."""
    api.install(namespace)
    settings = ["connect.create=true", "connect.spec.bootstrapServers=kafka:9092"]
    command = ["template", "coracle", str(CHART), "-n", namespace, "--set", ",".join(settings)]
    manifests = api.helm(*command)
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        api.apply(yaml.safe_dump(named(manifests, kind, "coracle-connect")))
    data = named(manifests, "ConfigMap", "coracle-connect")["data"]
    for name, content in data.items():
        (tmp_path / name).write_text(content)
    for _ in range(2):  # a second time, as each upgrade does
        api.python(
            str(tmp_path / "apply.py"),
            str(tmp_path / "connect.yaml"),
            kubeconfig=api.account(namespace, "coracle-connect"),
        )
    connect = api.get("kafkaconnects.coracle.dev/connect", namespace)
    assert connect["spec"]["bootstrapServers"] == "kafka:9092"


# k8s/


def test_base_is_what_the_chart_renders(api: Api) -> None:
    assert BASE.read_text() == rendered(api.program("helm")), "run `make manifests`"


@pytest.mark.parametrize("folder", ["base", "overlays/example", "gitops/shop", "gitops/staging"])
def test_kustomizations(api: Api, folder: str) -> None:
    text = api.kubectl("kustomize", str(ROOT / "k8s" / folder))
    api.apply(api.kubectl("kustomize", str(ROOT / "k8s" / "crds")))
    for each in yaml.safe_load_all(text):
        if each["kind"] == "Namespace" or "namespace" in each["metadata"]:
            api.new_namespace(
                name=each["metadata"].get("namespace", each["metadata"]["name"]), exist=True
            )
    api.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f-", text=text)
    if folder.startswith("overlays"):
        images = {
            container["image"]
            for each in yaml.safe_load_all(text)
            if each["kind"] == "Deployment"
            for container in each["spec"]["template"]["spec"]["containers"]
        }
        assert images == {"registry.example.com/coracle:0.1.0"}
        policy = named(text, "ValidatingWebhookConfiguration")["webhooks"][0]["failurePolicy"]
        assert policy == "Fail"
    api.remove_crds()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "k8s" / "examples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_examples(api: Api, path: Path) -> None:
    api.apply(api.kubectl("kustomize", str(ROOT / "k8s" / "crds")))
    for kind in ("KafkaConnect", "KafkaConnector"):
        api.define("kafka.strimzi.io", "v1", kind)
    api.define("keda.sh", "v1alpha1", "ScaledObject")
    for each in yaml.safe_load_all(path.read_text()):
        api.new_namespace(name=each["metadata"].get("namespace", "shop"), exist=True)
    answer = api.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    assert answer.count("dry run") == len(list(yaml.safe_load_all(path.read_text())))

"""Argo CD's health check makes the right thing of our conditions, in the Lua it runs (5.1)."""

from typing import Any

import pytest
import yaml
from lupa import lua51

from tests.unit.manifests.resources import ROOT

FOLDER = ROOT / "k8s" / "argocd"
SCRIPT = (FOLDER / "health.lua").read_text()


def health(resource: dict[str, Any]) -> tuple[str, str]:
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.globals().obj = lua.table_from(resource, recursive=True)
    answer = lua.execute(SCRIPT)
    return answer.status, answer.message


def connector(
    *conditions: tuple[str, str, str], observed: int = 2, generation: int = 2, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"class": "FileStreamSink", **spec},
        "status": {
            "observedGeneration": observed,
            "conditions": [
                {"type": kind, "status": status, "reason": "Reason", "message": message}
                for kind, status, message in conditions
            ],
        },
    }


READY = ("Ready", "True", "all is well")
FAILED = ("Ready", "False", "task 0 has failed")


@pytest.mark.parametrize(
    ("resource", "status", "message"),
    [
        (connector(READY), "Healthy", "all is well"),
        (connector(("Warning", "True", "odd"), READY), "Healthy", "all is well"),
        (connector(READY, observed=1), "Progressing", "Waiting for the operator"),
        (connector(FAILED), "Degraded", "task 0 has failed"),
        (connector(FAILED, state="paused"), "Degraded", "task 0 has failed"),
        (connector(FAILED, ("Reconciling", "True", "starting")), "Progressing", "starting"),
        (connector(FAILED, ("Stalled", "True", "no such class")), "Degraded", "no such class"),
        (connector(("Stalled", "True", "")), "Degraded", "Reason"),
        (connector(READY, state="paused"), "Suspended", "Set to paused"),
        (connector(READY, state="stopped"), "Suspended", "Set to stopped"),
        (connector(READY, pause=True), "Suspended", "Set to paused"),
        (connector(READY, state="running"), "Healthy", "all is well"),
        (connector(), "Progressing", "Waiting for the operator"),
        (connector(("Ready", "Unknown", "")), "Progressing", "Waiting for the operator"),
        ({"metadata": {"generation": 1}, "spec": {}}, "Progressing", "Waiting for the operator"),
        ({"metadata": {}, "spec": {}, "status": {}}, "Progressing", "Waiting for the operator"),
    ],
)
def test_health(resource: dict[str, Any], status: str, message: str) -> None:
    assert health(resource) == (status, message)


def test_config_map_holds_the_script() -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    prefix = "resource.customizations.health.coracle.dev_"
    assert data == {prefix + kind: SCRIPT for kind in ("KafkaConnector", "KafkaConnect")}

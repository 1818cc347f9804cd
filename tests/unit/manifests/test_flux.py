"""What Flux makes of our conditions, with its rules: progress is asked first, then failure."""

from typing import Any

import cel
import pytest

from tests.unit.manifests.resources import resources

(CHECKS,) = (
    resource["spec"]["healthCheckExprs"]
    for path, resource in resources("k8s/flux")
    if resource["kind"] == "Kustomization"
)


def health(check: dict[str, str], status: dict[str, Any], generation: int = 2) -> str:
    resource = {"metadata": {"generation": generation}, "status": status}
    for name in ("inProgress", "failed", "current"):
        if cel.evaluate(check[name], resource):
            return name
    return "unknown"


def status(*conditions: tuple[str, str], observed: int = 2) -> dict[str, Any]:
    found = [{"type": kind, "status": value} for kind, value in conditions]
    return {"observedGeneration": observed, "conditions": found}


READY, FAILED = ("Ready", "True"), ("Ready", "False")


def test_both_kinds_are_checked() -> None:
    assert [check["kind"] for check in CHECKS] == ["KafkaConnector", "KafkaConnect"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check["kind"])
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status(READY), "current"),
        (status(READY, ("Warning", "True")), "current"),
        (status(READY, observed=1), "inProgress"),
        (status(FAILED), "failed"),
        (status(FAILED, ("Reconciling", "True")), "inProgress"),
        (status(FAILED, ("Reconciling", "False")), "failed"),
        (status(("Stalled", "True")), "failed"),
        (status(("Ready", "Unknown")), "unknown"),
        ({}, "inProgress"),
    ],
)
def test_health(check: dict[str, str], found: dict[str, Any], expected: str) -> None:
    assert health(check, found) == expected

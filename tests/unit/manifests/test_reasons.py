"""docs/kubernetes.md explains every reason that the operator gives for a resource's state."""

import re

from tests.unit.manifests.resources import ROOT

GIVEN = re.compile(r"\b(?:waiting|stalled|Verdict)\(\s*(?:(?:True|False),\s*)?\"([A-Z]\w+)\"")


def test_every_reason_is_explained() -> None:
    given = {
        reason
        for path in (ROOT / "operator" / "coracle_operator").rglob("*.py")
        for reason in GIVEN.findall(path.read_text())
    }
    assert {"Running", "TaskFailed", "GroupConflict"} <= given
    rows = re.findall(r"^\| (`[A-Z].*?) \|", (ROOT / "docs" / "kubernetes.md").read_text(), re.M)
    explained = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}
    assert given - explained == set()

"""Automatic restarts are as far apart as Strimzi's."""

from datetime import UTC, datetime, timedelta

import pytest

from coracle.kube.autorestart import Decision, decide, wait
from coracle.kube.model import AutoRestart, AutoRestartStatus

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ON = AutoRestart(enabled=True)


def ago(minutes: float, count: int) -> AutoRestartStatus:
    time = NOW - timedelta(minutes=minutes)
    return AutoRestartStatus(
        count=count,
        connector_name="c",
        last_restart_timestamp=time.isoformat().replace("+00:00", "Z"),
    )


def decided(
    status: AutoRestartStatus | None, *, failed: bool = True, wanted: AutoRestart | None = ON
) -> Decision:
    return decide(wanted, status, failed=failed, now=NOW, connector_name="c")


def test_waits() -> None:
    assert [wait(n).total_seconds() / 60 for n in range(10)] == [
        0, 2, 6, 12, 20, 30, 42, 56, 60, 60,
    ]  # fmt: skip


def test_first_failure_restarts_at_once() -> None:
    decision = decided(None)
    assert decision.restart
    assert decision.status == AutoRestartStatus(
        count=1, connector_name="c", last_restart_timestamp="2026-03-01T12:00:00Z"
    )
    assert decision.again == NOW + timedelta(minutes=2)


@pytest.mark.parametrize("wanted", [None, AutoRestart(), AutoRestart(enabled=False)])
def test_off_does_nothing_and_forgets(wanted: AutoRestart | None) -> None:
    assert decided(ago(1, 3), wanted=wanted) == Decision(False, None, None)


def test_not_before_it_is_due() -> None:
    status = ago(19, 4)
    assert decided(status) == Decision(False, status, NOW + timedelta(minutes=1))
    assert decided(ago(20, 4)).restart


def test_gives_up() -> None:
    status = ago(500, 7)
    limited = AutoRestart(enabled=True, max_restarts=7)
    assert decided(status, wanted=limited) == Decision(False, status, None)
    assert decided(ago(500, 6), wanted=limited).restart
    assert not decided(None, wanted=AutoRestart(enabled=True, max_restarts=0)).restart


def test_healthy_for_long_enough_starts_over() -> None:
    status = ago(5, 2)
    assert decided(status, failed=False) == Decision(False, status, NOW + timedelta(minutes=1))
    assert decided(ago(6, 2), failed=False) == Decision(False, None, None)


def test_healthy_without_restarts_needs_nothing() -> None:
    assert decided(None, failed=False) == Decision(False, None, None)


def test_a_status_that_somebody_broke_starts_over() -> None:
    broken = AutoRestartStatus(count=9, last_restart_timestamp="yesterday")
    decision = decided(broken)
    assert decision.restart
    assert decision.status is not None
    assert decision.status.count == 1

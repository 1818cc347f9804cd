"""When a failed connector is restarted by itself.

Strimzi's schedule, so that ``autoRestart`` in its manifests means the same: after n restarts in a
row the next is due n² + n minutes after the last one, an hour at most: at once, then 2, 6,
12, 20, 30, 42 and 56 minutes, then every hour. A connector that has been healthy for as long as its
next wait has earned a clean slate.
https://strimzi.io/docs/operators/latest/configuring#type-AutoRestart-reference
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coracle.kube.model import AutoRestart, AutoRestartStatus

LONGEST_WAIT = timedelta(minutes=60)


def wait(count: int) -> timedelta:
    """How long after the last restart the next is due, when there were ``count`` in a row."""
    return min(timedelta(minutes=count * count + count), LONGEST_WAIT)


@dataclass(frozen=True)
class Decision:
    """What to do now.

    Attributes:
        restart: whether to restart what has failed.
        status: what to keep in the resource's status; ``None`` when there is nothing to keep.
        again: when to decide again even if nothing changes; ``None`` when there is no need to.
    """

    restart: bool
    status: AutoRestartStatus | None
    again: datetime | None


def decide(
    wanted: AutoRestart | None,
    status: AutoRestartStatus | None,
    *,
    failed: bool,
    now: datetime,
    connector_name: str,
) -> Decision:
    """What to do about a connector.

    Args:
        wanted: ``spec.autoRestart``.
        status: ``status.autoRestart`` as it stands.
        failed: whether the connector or one of its tasks is FAILED.
        now: the time, with its zone.
        connector_name: goes into the status.
    """
    if wanted is None or not wanted.enabled:
        return Decision(False, None, None)
    last = _time(status.last_restart_timestamp) if status else None
    if status is None or last is None:
        count, due = 0, now
    else:
        count = status.count
        due = last + wait(count)
    if not failed:
        if now >= due:
            return Decision(False, None, None)
        return Decision(False, status, due)
    if wanted.max_restarts is not None and count >= wanted.max_restarts:
        return Decision(False, status, None)
    if now < due:
        return Decision(False, status, due)
    restarted = AutoRestartStatus(
        count=count + 1,
        connector_name=connector_name,
        last_restart_timestamp=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Decision(True, restarted, now + wait(count + 1))


def _time(text: str | None) -> datetime | None:
    """A timestamp of a status; ``None`` for what is none, which starts the count anew."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)

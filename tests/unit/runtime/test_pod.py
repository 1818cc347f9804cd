"""Which restarts a change of ids asks of a pod."""

import pytest

from coracle.kube.control import Control, Restart
from coracle.runtime.pod import due_restarts
from coracle.store import ConnectorStatus, State, TaskStatus

STATUS = ConnectorStatus(
    "orders",
    State.RUNNING,
    "w",
    "sink",
    tasks=[TaskStatus(1, State.FAILED, "w"), TaskStatus(4, State.RUNNING, "w")],
)
BEFORE = Control(restart=Restart("a"), restart_tasks={1: "x", 4: "x"})


@pytest.mark.parametrize(
    ("restart", "leader", "due"),
    [
        (Restart("a", include_tasks=True), True, (False, [])),
        (Restart("b"), True, (True, [])),
        (Restart("b"), False, (False, [])),
        (Restart("b", include_tasks=True), False, (False, [1, 4])),
        (Restart("b", include_tasks=True), True, (True, [1, 4])),
        (Restart("b", include_tasks=True, only_failed=True), True, (False, [1])),
        (Restart("b", connector=False, include_tasks=True), True, (False, [1, 4])),
        (Restart(), True, (False, [])),
    ],
)
def test_another_id_means_once_more(restart, leader, due):
    after = Control(restart=restart, restart_tasks=BEFORE.restart_tasks)
    assert due_restarts(BEFORE, after, STATUS, leader=leader) == due


def test_a_task_restarts_where_it_runs():
    after = Control(restart=BEFORE.restart, restart_tasks={1: "y", 2: "y", 4: "x"})
    assert due_restarts(BEFORE, after, STATUS, leader=True) == (False, [1])
    gone = Control(restart=BEFORE.restart)
    assert due_restarts(BEFORE, gone, STATUS, leader=True) == (False, [])

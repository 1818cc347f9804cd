from coracle.kube.status import (
    TRACE_BYTES,
    connector_entry,
    cut,
    task_entry,
    task_manager,
)
from coracle.store import ConnectorStatus, State, TaskProgress, TaskStatus

TASK = TaskStatus(3, State.RUNNING, "10.1.2.3:8083", version="1.0")


def test_a_task_says_its_state_and_its_numbers():
    entry = task_entry(TASK, 1700000000123, TaskProgress(5, 7, 1700000000.9))
    assert task_manager(3) == "coracle-task-3"
    assert entry.patch("orders", "shop") == {
        "apiVersion": "coracle.dev/v1",
        "kind": "KafkaConnector",
        "metadata": {"name": "orders", "namespace": "shop"},
        "status": {
            "connectorStatus": {
                "tasks": [
                    {
                        "id": 3,
                        "state": "RUNNING",
                        "worker_id": "10.1.2.3:8083",
                        "epoch": 1700000000123,
                        "version": "1.0",
                        "records": 5,
                        "lag": 7,
                        "lastCommit": "2023-11-14T22:13:20Z",
                    }
                ]
            }
        },
    }


def test_numbers_are_no_change_of_state():
    first = task_entry(TASK, 1, TaskProgress(5))
    second = task_entry(TASK, 1, TaskProgress(6))
    assert first.status == second.status
    assert first.numbers != second.numbers
    assert first.patch("o", "s") != second.patch("o", "s")
    assert first.patience == 60
    assert task_entry(TASK, 1, TaskProgress(5), tasks=3).patience == 180


def test_what_is_not_known_is_left_out():
    [task] = task_entry(TASK, 1, TaskProgress()).patch("o", "s")["status"]["connectorStatus"][
        "tasks"
    ]
    assert "lag" not in task
    assert "lastCommit" not in task
    assert "trace" not in task


def test_the_leader_says_the_connectors_state_and_how_many_pods_are_of_use():
    status = ConnectorStatus("orders", State.FAILED, "w:1", "sink", "boom\n", "2.0", [TASK])
    entry = connector_entry(status, 9, tasks=4, useful=2)
    assert entry.patch("o", "s")["status"] == {
        "connectorStatus": {
            "name": "orders",
            "type": "sink",
            "connector": {
                "state": "FAILED",
                "worker_id": "w:1",
                "epoch": 9,
                "trace": "boom\n",
                "version": "2.0",
                "tasks": 4,
                "useful": 2,
            },
        }
    }


def test_a_trace_is_cut_behind_a_line():
    assert cut("short\n") == "short\n"
    exact = "x" * TRACE_BYTES
    assert cut(exact) == exact
    lines = [f"\tat line {number} — é\n" for number in range(400)]
    shown = cut("".join(lines))
    assert TRACE_BYTES - 40 < len(shown.encode()) <= TRACE_BYTES
    *whole, last = shown.splitlines(keepends=True)
    assert whole == lines[: len(whole)]
    assert last == "\t… cut here; the whole trace is in the pod's log\n"


def test_a_trace_of_one_endless_line_is_cut_between_characters():
    shown = cut("é" * TRACE_BYTES)
    assert len(shown.encode()) <= TRACE_BYTES
    assert shown.startswith("é" * 2000)
    assert "…" in shown

"""What reaches the log."""

import logging

from coracle.cli.logs import Once


def record(
    at: float, name: str = "aiokafka", message: str = "Unable connect to node %s"
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, "client.py", 1, message, (1,), None)
    made.created = at
    return made


def test_a_library_that_repeats_itself_is_heard_now_and_then() -> None:
    once = Once(10)
    assert [once.filter(record(at)) for at in (100, 101, 109, 111)] == [True, False, False, True]
    assert once.filter(record(122))
    assert not once.filter(record(130))


def test_what_was_held_back_is_counted() -> None:
    once = Once(10)
    for at in (100, 101, 102):
        once.filter(record(at))
    shown = record(111)
    once.filter(shown)
    assert shown.getMessage() == "Unable connect to node 1 (and 2 times more since)"


def test_our_own_messages_and_other_messages_pass() -> None:
    once = Once(10)
    assert all(once.filter(record(100, "coracle.kafka")) for _ in range(3))
    assert once.filter(record(100))
    assert once.filter(record(100, message="Group Coordinator Request failed: %s"))

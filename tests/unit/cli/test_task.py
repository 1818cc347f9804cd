"""`coracle task` where there is no Kubernetes, and its log levels."""

import asyncio
import logging

import pytest

from coracle.api import ConfigErrors
from coracle.cli.logs import set_levels
from coracle.cli.task import identity
from coracle.runtime.pod import Pod

ENVIRONMENT = {
    "CORACLE_NAMESPACE": "shop",
    "CORACLE_RESOURCE": "orders",
    "CORACLE_CONFIG_MAP": "orders-connector",
    "CORACLE_CONFIG_HASH": "0123456789abcdef",
    "POD_IP": "10.1.2.3",
}


def test_a_pod_knows_who_it_is():
    who = identity(ENVIRONMENT, 8083)
    assert (who.namespace, who.resource, who.config_map) == ("shop", "orders", "orders-connector")
    assert who.worker_id == "10.1.2.3:8083"
    assert identity(ENVIRONMENT | {"POD_IP": "fd00::1"}, 8083).worker_id == "[fd00::1]:8083"


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(ConfigErrors) as caught:
        identity({"CORACLE_NAMESPACE": "shop"}, 8083)
    assert [error.field for error in caught.value.errors] == [*ENVIRONMENT][1:]
    assert "use coracle run" in str(caught.value)


def test_levels_are_set_and_taken_back():
    before = logging.root.level
    one = logging.getLogger("coracle.test.one")
    one.setLevel(logging.ERROR)
    try:
        set_levels({"root": "ERROR", "coracle.test.one": "TRACE", "coracle.test.two": "OFF"})
        assert logging.root.level == logging.ERROR
        assert one.isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("coracle.test.two").isEnabledFor(logging.CRITICAL)
        set_levels({"coracle.test.one": "FATAL"})
        assert logging.root.level == before
        assert one.level == logging.CRITICAL
        assert logging.getLogger("coracle.test.two").level == logging.NOTSET
    finally:
        set_levels({})
    assert one.level == logging.ERROR


async def test_a_pod_that_hears_nothing_any_more_says_so():
    pod = Pod.__new__(Pod)
    going, failing = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        await failing.wait()
        raise ValueError("ours")

    pod._loops = [asyncio.create_task(loop) for loop in (going.wait(), fail())]
    broken = asyncio.create_task(pod.broken())
    await asyncio.sleep(0.01)
    assert not broken.done()
    failing.set()
    assert isinstance(await broken, ValueError)
    going.set()

import asyncio

from coracle.kube import names
from coracle_operator.cache import Cache, Key
from coracle_operator.cluster import ClusterError
from coracle_operator.informer import Informer
from coracle_operator.kinds import CONFIG_MAP, CONNECTOR, SCALED_OBJECT


def obj(name, version, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{name}-connector",
            "namespace": "shop",
            "uid": name,
            "resourceVersion": str(version),
            "labels": {names.CONNECTOR_LABEL: name},
            **metadata,
        },
    }


class Source:
    """Answers with what a test has prepared; a watch that has nothing left waits for ever."""

    def __init__(self, lists, watches):
        self.lists, self.watches, self.from_versions = lists, watches, []

    async def list(self, kind, namespace, labels):
        found = self.lists.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def watch(self, kind, namespace, labels, version):
        self.from_versions.append(version)
        for event in self.watches.pop(0) if self.watches else []:
            if isinstance(event, Exception):
                raise event
            yield event
        if not self.watches:
            await asyncio.Event().wait()


async def run(source, kind=CONFIG_MAP, cache=None, seconds=0.2):
    cache, changed, appeared = cache or Cache(), [], []
    informer = Informer(source, kind, None, cache, changed.append, appeared.append)
    task = asyncio.create_task(informer.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return informer, cache, [key.name for key in changed], appeared


def key(name):
    return Key(CONNECTOR, "shop", name)


async def test_what_is_listed_and_what_happens_then():
    source = Source(
        [([obj("a", 1), obj("b", 2)], 5)],
        [[("ADDED", obj("c", 6)), ("MODIFIED", obj("a", 7)), ("DELETED", obj("b", 8))]],
    )
    informer, cache, changed, _ = await run(source)
    assert informer.synced.is_set()
    assert changed == ["a", "b", "c", "a", "b"]
    assert [bool(cache.objects(key(name))) for name in "abc"] == [True, False, True]


async def test_a_watch_goes_on_from_the_last_version():
    source = Source([([], 5)], [[("ADDED", obj("a", 9))], [ClusterError("away")], []])
    await run(source, seconds=1.0)
    assert source.from_versions[:2] == [5, 9]


async def test_a_version_too_old_means_a_new_list_that_forgets_what_is_gone():
    cache = Cache()
    cache.resources[key("b")] = {"metadata": {"uid": "x"}}
    source = Source(
        [([obj("a", 1), obj("b", 2)], 5), ([obj("a", 1)], 20)],
        [[ClusterError("too old", status=410)], []],
    )
    _, cache, changed, _ = await run(source, cache=cache, seconds=0.5)
    assert changed == ["a", "b", "b"]
    assert not cache.objects(key("b"))


async def test_an_older_event_changes_nothing():
    source = Source(
        [([obj("a", 9, annotations={"coracle.dev/applied": "new"})], 9)],
        [[("MODIFIED", obj("a", 3))]],
    )
    _, cache, changed, _ = await run(source)
    [known] = cache.objects(key("a")).values()
    assert known.applied == "new"
    assert changed == ["a"]


async def test_a_kind_that_the_cluster_does_not_know_is_waited_for_in_silence(caplog):
    source = Source([ClusterError("no such kind", status=404)], [])
    informer, cache, _, appeared = await run(source, SCALED_OBJECT)
    assert informer.synced.is_set()
    assert appeared == []
    assert SCALED_OBJECT not in cache.there
    assert not caplog.records
    _, cache, _, appeared = await run(Source([([], 1)], []), SCALED_OBJECT)
    assert appeared == [SCALED_OBJECT]
    assert SCALED_OBJECT in cache.there

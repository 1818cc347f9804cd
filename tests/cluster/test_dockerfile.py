"""The image that the Dockerfile makes: built by `python -m tests.cluster image --dockerfile`."""

import os

import pytest

from tests.cluster import dockerfile, images
from tests.cluster.commands import Kubectl

MEGABYTES = 300
"""Of the image, unpacked and with this machine's CPython; compressed it is about a third."""


@pytest.fixture(scope="session")
def built() -> str:
    """The image's name."""
    return os.environ.get("CORACLE_TEST_IMAGE", dockerfile.IMAGE)


def test_both_programs_run_as_nobody_special_on_a_read_only_root(
    kubectl: Kubectl, built: str
) -> None:
    assert kubectl.run_pod("task", built, "coracle", "--version").startswith("coracle ")
    assert "JdbcSourceConnector" in kubectl.run_pod("plugins", built, "coracle", "plugins")
    assert "Usage" in kubectl.run_pod("operator", built, "coracle-operator", "--help")
    assert kubectl.run_pod("user", built, "sh", "-c", "id -u; id -g").split() == ["10001", "10001"]


def test_a_connector_is_added_with_pip(kubectl: Kubectl, built: str) -> None:
    """What the init container of `spec.plugins` and `FROM coracle` need."""
    said = kubectl.run_pod("pip", built, "pip", "--no-cache-dir", "list", "--format=freeze")
    versions = dict(line.split("==") for line in said.lower().splitlines() if "==" in line)
    tested = dict(
        line.split("==")
        for line in (images.ROOT / "constraints.txt").read_text().lower().splitlines()
    )
    assert "coracle-connect" in versions
    assert {name: versions[name] for name in ("asyncpg", "kopf", "fastapi")} == {
        name: tested[name] for name in ("asyncpg", "kopf", "fastapi")
    }


def test_it_is_small(kubectl: Kubectl, built: str) -> None:
    said = kubectl.run_pod("size", built, "sh", "-c", "du -sm /opt/coracle /usr/local | cut -f1")
    assert sum(map(int, said.split())) < MEGABYTES

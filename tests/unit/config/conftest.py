"""The fakes take the place of installed plugins; Kafka's own config providers stay."""

from importlib.metadata import entry_points

import pytest

from coracle.config import plugins
from coracle.config.worker import load_worker

from .fakes import FakeDistribution
from .fakes import entry_points as fake_entry_points


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Entry points as if the fakes were installed."""
    points = [*fake_entry_points(), *entry_points(group="coracle.config_providers")]
    monkeypatch.setattr(plugins, "distributions", lambda: [FakeDistribution(points)])
    plugins._catalogue.cache_clear()
    yield points
    plugins._catalogue.cache_clear()


@pytest.fixture
def worker():
    return load_worker()

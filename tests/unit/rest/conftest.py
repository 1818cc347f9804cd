from collections.abc import AsyncIterator

import httpx
import pytest

from coracle.rest.app import create_app
from tests.unit.rest.fake_store import FakeStore


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def client(store: FakeStore) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://worker:8083") as client:
        yield client


@pytest.fixture
async def orders(store: FakeStore) -> None:
    """A running connector called ``orders``."""
    await store.create("orders", {"connector.class": "C", "name": "orders", "a": "1"})

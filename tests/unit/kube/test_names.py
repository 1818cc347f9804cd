"""Names that Kubernetes takes, whatever a connector is called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.kube import names

SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

anything = st.text(min_size=1, max_size=300)
nearly = st.from_regex(r"[a-zA-Z0-9._-]{1,260}", fullmatch=True)


@given(anything | nearly, st.sampled_from(["", "connector", "connect-api"]))
def test_object_names_are_legal_for_services(name: str, suffix: str) -> None:
    made = names.object_name(name, suffix)
    assert SERVICE.fullmatch(made)
    assert len(made) <= 63
    assert made.endswith(suffix)


@given(anything | nearly)
def test_resource_names_are_legal(name: str) -> None:
    made = names.resource_name(name)
    assert SUBDOMAIN.fullmatch(made)
    assert len(made) <= 253


@given(anything | nearly)
def test_label_values_are_legal(name: str) -> None:
    made = names.label_value(name)
    assert LABEL.fullmatch(made)
    assert len(made) <= 63


@given(st.lists(nearly, min_size=2, max_size=2, unique=True))
def test_different_names_stay_different(pair: list[str]) -> None:
    for rule in (names.resource_name, names.label_value):
        assert rule(pair[0]) != rule(pair[1])


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("orders", "orders"),
        ("shop.orders", "shop.orders"),
        ("0-orders", "0-orders"),
        ("sink_postgres_00_json", "sink-postgres-00-json-eee3cecb"),
        ("Orders", "orders-b7e8acdd"),
        ("ß", "c-cd3a7e92"),
    ],
)
def test_resource_name(name: str, made: str) -> None:
    assert names.resource_name(name) == made


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("orders", "orders-connector"),
        ("shop.orders", "shop-orders-7458f44c-connector"),
        ("0-orders", "c-0-orders-7987609d-connector"),
        ("a" * 53, "a" * 53 + "-connector"),
    ],
)
def test_object_name(name: str, made: str) -> None:
    assert names.object_name(name, names.CONNECTOR_SUFFIX) == made


def test_long_names_keep_their_suffix() -> None:
    first, second = (
        names.object_name("a" * 200 + end, names.CONNECT_API_SUFFIX) for end in ("b", "c")
    )
    assert len(first) == 63
    assert first.endswith("-connect-api")
    assert first != second

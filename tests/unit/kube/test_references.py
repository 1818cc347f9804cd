"""References to Secrets and ConfigMaps are found, without looking into any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coracle.api import ConfigErrors
from coracle.kube.references import (
    ForeignNamespaceError,
    Kind,
    Reference,
    config_hash,
    keys,
    provider_kinds,
    references,
)

PASSWORD = Reference(Kind.SECRET, None, "db", "password")


def test_every_key_is_found_once_and_in_order() -> None:
    config = {
        "connection.url": "jdbc:postgresql://${configmaps:hosts:db.host}/${env:DB}",
        "connection.password": "${secrets:db:password}",
        "connection.user": "${secrets:db:user}",
        "again": "${secrets:shop/db:password} and ${secrets:db:user}",
        "table.name.format": "${topic}",
    }
    found = references(config, namespace="shop")
    assert found == [
        Reference(Kind.CONFIG_MAP, None, "hosts", "db.host"),
        PASSWORD,
        Reference(Kind.SECRET, None, "db", "user"),
    ]
    assert keys(found) == {
        (Kind.CONFIG_MAP, "hosts"): ["db.host"],
        (Kind.SECRET, "db"): ["password", "user"],
    }
    assert str(found[0].path) == "/var/run/coracle/configmaps/hosts/db.host"


def test_another_namespace_is_refused_with_what_to_do() -> None:
    config = {"user": "${secrets:shop/db:user}", "password": "${secrets:other/db:password}"}
    with pytest.raises(ConfigErrors) as raised:
        references(config, namespace="shop")
    (error,) = raised.value.errors
    assert isinstance(error, ForeignNamespaceError)
    assert error.field == "password"
    assert "of the namespace other" in error.message
    assert error.fix == "Copy it to shop and write ${secrets:db:password}."


def test_as_written_when_the_namespace_is_not_known() -> None:
    assert references({"a": "${secrets:other/db:password}"}) == [
        Reference(Kind.SECRET, "other", "db", "password")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "${secrets:password}",
        "${secrets::password}",
        "${secrets:db:}",
        "${secrets:Db:password}",
        "${secrets:db:a/b}",
        "${secrets:db:..}",
        "${secrets:db:..data}",
        "${secrets:ns/:key}",
    ],
)
def test_impossible_references_are_errors_here_and_not_of_the_api_server(text: str) -> None:
    with pytest.raises(ConfigErrors, match="names no possible key"):
        references({"connection.password": text}, namespace="ns")


def test_providers_may_have_other_names() -> None:
    kinds = provider_kinds(
        {
            "config.providers": "vault, configmaps,secrets",
            "config.providers.vault.class": "io.strimzi.kafka.KubernetesSecretConfigProvider",
            "config.providers.configmaps.class": "com.example.OtherProvider",
        }
    )
    assert kinds == {"vault": Kind.SECRET, "secrets": Kind.SECRET}
    config = {"a": "${vault:db:password}", "b": "${configmaps:not:ours}"}
    assert references(config, kinds=kinds) == [PASSWORD]


@given(st.dictionaries(st.text(), st.text()))
def test_plain_text_refers_to_nothing(config: dict[str, str]) -> None:
    assert (
        references(
            {k: v.replace("secrets", "").replace("configmaps", "") for k, v in config.items()}
        )
        == []
    )


def test_config_hash() -> None:
    assert config_hash("{}") == "44136fa355b3678a"
    assert config_hash("{ }") != config_hash("{}")

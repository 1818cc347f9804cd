"""Client properties to aiokafka's arguments: protocols, mechanisms, TLS settings."""

import ssl
from typing import Any

import pytest

from coracle.api import ConfigError, Password
from coracle.kafka.security import security_arguments

COMMON = "org.apache.kafka.common.security"
USER = 'username="alice" password="pa ss";'
PLAIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.jaas.config": f"{COMMON}.plain.PlainLoginModule required {USER}",
}
SCRAM = f"{COMMON}.scram.ScramLoginModule required {USER}"


def tls(props: dict[str, str]) -> ssl.SSLContext:
    return security_arguments({"security.protocol": "SSL"} | props)["ssl_context"]


def test_without_a_protocol_nothing_is_secured() -> None:
    assert security_arguments({"bootstrap.servers": "x"}) == {"security_protocol": "PLAINTEXT"}


def test_a_setting_without_effect_is_named(caplog: pytest.LogCaptureFixture) -> None:
    security_arguments(PLAIN)
    assert not caplog.records
    security_arguments(PLAIN | {"ssl.trustore.location": "secret-place", "linger.ms": "5"})
    assert caplog.messages == ["the setting ssl.trustore.location has no effect here"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "sasl_ssl"])
@pytest.mark.parametrize("wrap", [str, Password])
def test_name_and_password_come_from_jaas(protocol: str, mechanism: str, wrap: Any) -> None:
    jaas = PLAIN["sasl.jaas.config"] if mechanism == "PLAIN" else SCRAM
    changed = {"security.protocol": protocol, "sasl.mechanism": mechanism}
    arguments = security_arguments(PLAIN | changed | {"sasl.jaas.config": wrap(jaas)})
    context = arguments.pop("ssl_context", None)
    assert (context is not None) == (protocol == "sasl_ssl")
    assert arguments == {
        "security_protocol": protocol.upper(),
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "alice",
        "sasl_plain_password": "pa ss",
    }


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"security.protocol": "TLS"}, "security.protocol", "PLAINTEXT, SSL, SASL_PLAINTEXT"),
        ({"sasl.mechanism": "AWS_MSK_IAM"}, "sasl.mechanism", "SCRAM-SHA-512, OAUTHBEARER"),
        ({"sasl.mechanism": "plain"}, "sasl.mechanism", "one of PLAIN"),
        ({"sasl.jaas.config": ""}, "sasl.jaas.config", "Missing"),
        ({"sasl.mechanism": "SCRAM-SHA-256"}, "sasl.jaas.config", "ScramLoginModule"),
        (
            {"sasl.jaas.config": f'{COMMON}.plain.PlainLoginModule required username="a";'},
            "sasl.jaas.config",
            "no password",
        ),
        ({"sasl.login.class": "com.x.Y"}, "sasl.login.class", "cannot be loaded"),
        (
            {"sasl.client.callback.handler.class": "com.x.Y"},
            "sasl.client.callback.handler.class",
            "com.x.Y",
        ),
        ({"ssl.engine.factory.class": "com.x.Y"}, "ssl.engine.factory.class", "cannot be loaded"),
    ],
)
def test_what_is_not_supported_is_named(changes: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        security_arguments(PLAIN | changes)
    assert caught.value.field == field
    assert "pa ss" not in str(caught.value)


def test_kerberos_names_the_package_it_needs() -> None:
    props = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.jaas.config": "com.sun.security.auth.module.Krb5LoginModule required;",
    }
    with pytest.raises(ConfigError, match=r"service\.name"):
        security_arguments(props)
    with pytest.raises(ConfigError, match="package gssapi"):
        security_arguments(props | {"sasl.kerberos.service.name": "kafka"})


def test_the_hosts_name_is_checked_unless_switched_off() -> None:
    key = "ssl.endpoint.identification.algorithm"
    assert tls({}).check_hostname
    assert tls({key: "HTTPS"}).check_hostname
    off = tls({key: ""})
    assert not off.check_hostname
    assert off.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ConfigError, match="https, or empty"):
        tls({key: "none"})


TLS2, TLS3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("props", "lowest", "highest"),
    [
        ({}, TLS2, TLS3),
        ({"ssl.protocol": "TLS"}, TLS2, TLS3),
        ({"ssl.protocol": "TLSv1.2"}, TLS2, TLS2),
        ({"ssl.enabled.protocols": "TLSv1.2"}, TLS2, TLS2),
        ({"ssl.enabled.protocols": "TLSv1.3"}, TLS3, TLS3),
        ({"ssl.enabled.protocols": "TLSv1.2,TLSv1.1, TLSv1"}, TLS2, TLS2),
        ({"ssl.cipher.suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, TLS2, TLS2),
    ],
)
def test_versions(props: dict[str, str], lowest: Any, highest: Any) -> None:
    made = tls(props)
    assert (made.minimum_version, made.maximum_version) == (lowest, highest)


def names(made: ssl.SSLContext, protocol: str) -> set[str]:
    return {c["name"] for c in made.get_ciphers() if c["protocol"] == protocol}


@pytest.mark.parametrize(
    ("java", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", "DHE-RSA-AES256-SHA256"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384"),
    ],
)
def test_suites_have_java_names(java: str, openssl: str) -> None:
    assert [c["name"] for c in tls({"ssl.cipher.suites": java}).get_ciphers()][-1:] == [openssl]


def test_suites_of_tls_1_3_are_all_or_none() -> None:
    modern = names(tls({}), "TLSv1.3")
    assert tls({"ssl.cipher.suites": ",".join(modern)}).minimum_version is TLS3
    with pytest.raises(ConfigError, match="all of them"):
        tls({"ssl.cipher.suites": "TLS_AES_128_GCM_SHA256"})
    both = tls({"ssl.cipher.suites": f"{','.join(modern)},TLS_RSA_WITH_AES_128_CBC_SHA"})
    assert (both.minimum_version, both.maximum_version) == (TLS2, TLS3)
    assert names(both, "TLSv1.2") | names(both, "SSLv3") == {"AES128-SHA"}


@pytest.mark.parametrize(
    ("props", "field"),
    [
        ({"ssl.protocol": "SSLv3"}, "ssl.protocol"),
        ({"ssl.enabled.protocols": "TLSv1.1"}, "ssl.enabled.protocols"),
        ({"ssl.enabled.protocols": "TLSv9"}, "ssl.enabled.protocols"),
        (
            {"ssl.protocol": "TLSv1.2", "ssl.enabled.protocols": "TLSv1.3"},
            "ssl.enabled.protocols",
        ),
        ({"ssl.cipher.suites": "TLS_NO_SUCH_WITH_NULL_NULL"}, "ssl.cipher.suites"),
        ({"ssl.cipher.suites": "TLS_AES_1_GCM_SHA1"}, "ssl.cipher.suites"),
        (
            {
                "ssl.cipher.suites": "TLS_RSA_WITH_AES_128_CBC_SHA",
                "ssl.enabled.protocols": "TLSv1.3",
            },
            "ssl.cipher.suites",
        ),
    ],
)
def test_tls_that_cannot_be_spoken(props: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tls(props)
    assert caught.value.field == field

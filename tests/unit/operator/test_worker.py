import pytest

from coracle.api import ConfigError
from coracle.kube.model import KafkaConnect
from coracle_operator.worker import worker


def of(**spec):
    spec = {"bootstrapServers": "k:9093", **spec}
    return worker(KafkaConnect.model_validate({"metadata": {"name": "lab"}, "spec": spec}))


def test_plain_text_is_all_there_is_without_tls_and_login():
    found = of(config={"key.converter": "A", "offset.flush.interval.ms": 1000})
    assert found.properties == {
        "bootstrap.servers": "k:9093",
        "group.id": "coracle",
        "offset.storage.topic": "connect-offsets",
        "key.converter": "A",
        "offset.flush.interval.ms": "1000",
    }
    assert found.warnings == ()


@pytest.mark.parametrize(
    "key", ["group.id", "bootstrap.servers", "sasl.mechanism", "SSL.truststore.type", "rest.port"]
)
def test_what_fields_say_is_ignored_in_config_with_a_warning(key):
    found = of(config={key: "x"})
    assert "x" not in found.properties.values()
    assert key in found.warnings[0]


def test_tls_is_pem_by_reference_for_every_client():
    sources = [
        {"secretName": "a", "certificate": "ca.crt"},
        {"secretName": "b", "certificate": "c"},
    ]
    found = of(tls={"trustedCertificates": sources}, config={"ssl.protocol": "TLSv1.3"})
    for prefix in ("", "producer.", "consumer.", "admin."):
        assert found.properties[f"{prefix}security.protocol"] == "SSL"
        assert found.properties[f"{prefix}ssl.protocol"] == "TLSv1.3"
        assert found.properties[f"{prefix}ssl.truststore.type"] == "PEM"
        assert found.properties[f"{prefix}ssl.truststore.certificates"] == (
            "${secrets:a:ca.crt}\n${secrets:b:c}"
        )
    assert found.whole_secrets == ()


def test_a_pattern_chooses_among_the_files_of_a_whole_secret():
    sources = [{"secretName": "a", "pattern": "*.crt"}, {"secretName": "b", "certificate": "c"}]
    found = of(tls={"trustedCertificates": sources})
    assert found.properties["ssl.truststore.location"] == (
        "/var/run/coracle/secrets/a/*.crt,/var/run/coracle/secrets/b/c"
    )
    assert found.whole_secrets == ("a", "b")


def test_scram_is_a_login_module_with_a_reference():
    login = {
        "type": "scram-sha-512",
        "username": 'a"b',
        "passwordSecret": {"secretName": "s", "password": "k"},
    }
    found = of(authentication=login)
    assert found.properties["security.protocol"] == "SASL_PLAINTEXT"
    assert found.properties["consumer.sasl.mechanism"] == "SCRAM-SHA-512"
    assert found.properties["sasl.jaas.config"] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="a\\"b" password="${secrets:s:k}";'
    )


def test_a_client_certificate_is_two_references():
    shown = {"secretName": "u", "certificate": "user.crt", "key": "user.key"}
    found = of(tls={}, authentication={"type": "tls", "certificateAndKey": shown})
    assert found.properties["security.protocol"] == "SSL"
    assert found.properties["ssl.keystore.key"] == "${secrets:u:user.key}"
    assert found.properties["ssl.keystore.certificate.chain"] == "${secrets:u:user.crt}"


def test_custom_login_takes_sasl_settings_only():
    login = {"type": "custom", "sasl": True, "config": {"sasl.mechanism": "X", "acks": "all"}}
    found = of(tls={}, authentication=login)
    assert found.properties["security.protocol"] == "SASL_SSL"
    assert found.properties["sasl.mechanism"] == "X"
    assert "acks" in found.warnings[0]


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_half_a_login_is_an_error(kind):
    with pytest.raises(ConfigError, match=r"needs|has no"):
        of(authentication={"type": kind})

"""Every way in to a broker that asks who connects, and every way of being turned away."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from coracle.api import ConnectError, RetriableError
from coracle.kafka.admin import Admin
from coracle.kafka.consume import BatchConsumer
from coracle.kafka.produce import BatchProducer
from coracle.kafka.security import security_arguments
from coracle.runtime.failure import format_trace
from tests.servers.kafka import SecureKafka
from tests.servers.oauth import CLIENT_ID, CLIENT_SECRET

SECURITY = "org.apache.kafka.common.security"
WRONG = "wr0ng-and-still-secret"


def jaas(module: str, **options: str) -> str:
    listed = " ".join(f'{name}="{value}"' for name, value in options.items())
    return f"{SECURITY}.{module} required {listed};"


def sasl(kafka: SecureKafka, mechanism: str, *, right: bool = True) -> dict[str, str]:
    """The SASL properties of one mechanism, with the right or a wrong secret."""
    props = {"sasl.mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        token = kafka.authorization.token(seconds=600 if right else -600)
        options = {"oauth.access.token": token}
        return props | {"sasl.jaas.config": jaas("oauthbearer.OAuthBearerLoginModule", **options)}
    module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
    user = {"username": kafka.user, "password": kafka.password if right else WRONG}
    return props | {"sasl.jaas.config": jaas(module, **user)}


def trusting(ca: Path) -> dict[str, str]:
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(ca)}


def over_sasl_ssl(kafka: SecureKafka, mechanism: str = "PLAIN", **more: Any) -> dict[str, str]:
    return {
        "bootstrap.servers": kafka.sasl_ssl,
        "security.protocol": "SASL_SSL",
        **trusting(kafka.certificates.ca),
        **sasl(kafka, mechanism, **more),
    }


def over_sasl_plaintext(kafka: SecureKafka, mechanism: str, **more: Any) -> dict[str, str]:
    return {
        "bootstrap.servers": kafka.sasl_plaintext,
        "security.protocol": "SASL_PLAINTEXT",
        **sasl(kafka, mechanism, **more),
    }


def over_mutual_tls(kafka: SecureKafka) -> dict[str, str]:
    return {
        "bootstrap.servers": kafka.mutual_tls,
        "security.protocol": "SSL",
        **trusting(kafka.certificates.ca),
    }


async def produce_one(props: dict[str, str], topic: str) -> None:
    producer = BatchProducer(props)
    await producer.start()
    try:
        await asyncio.gather(*await producer.send(topic, [None], [b"ahoy"], [None]))
    finally:
        await producer.stop(5)


async def consume_one(props: dict[str, str], topic: str) -> None:
    consumer = BatchConsumer(props | {"group.id": f"g-{secrets.token_hex(4)}"})

    async def nothing(_: object) -> None:
        pass

    try:
        await consumer.start([topic], "", nothing, nothing)
        async with asyncio.timeout(20):
            while not (batches := consumer.take(1 << 20)):
                await consumer.wait(1)
        assert batches[0].values == [b"ahoy"]
    finally:
        await consumer.stop()


async def list_topics(props: dict[str, str], topic: str) -> None:
    async with Admin(props) as admin:
        assert topic in await admin.topics()


CLIENTS: list[Callable[[dict[str, str], str], Awaitable[None]]] = [
    produce_one,
    consume_one,
    list_topics,
]


async def turned_away(props: dict[str, str], client: Any = list_topics) -> str:
    """The message of a client that is refused within seconds, for good."""
    begun = time.monotonic()
    with pytest.raises(ConnectError) as caught:
        await client(props, "any")
    assert time.monotonic() - begun < 5
    assert not isinstance(caught.value, RetriableError)
    return str(caught.value)


@pytest.mark.parametrize("mechanism", SecureKafka.mechanisms)
@pytest.mark.parametrize("way", [over_sasl_ssl, over_sasl_plaintext])
async def test_the_right_secret_lets_every_client_in(
    secure_kafka: SecureKafka, way: Any, mechanism: str
) -> None:
    topic = secure_kafka.new_topic()
    for client in CLIENTS:
        await client(way(secure_kafka, mechanism), topic)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("mechanism", SecureKafka.mechanisms)
@pytest.mark.parametrize("way", [over_sasl_ssl, over_sasl_plaintext])
async def test_a_wrong_secret_is_refused_at_once_and_named(
    secure_kafka: SecureKafka, way: Any, mechanism: str, client: Any
) -> None:
    props = way(secure_kafka, mechanism, right=False)
    message = await turned_away(props, client)
    assert props["bootstrap.servers"] in message
    assert mechanism in message
    assert ("token" if mechanism == "OAUTHBEARER" else secure_kafka.user) in message
    assert WRONG not in message


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_authority_that_is_not_trusted(secure_kafka: SecureKafka, client: Any) -> None:
    stranger = trusting(secure_kafka.certificates.other_ca)
    message = await turned_away(over_sasl_ssl(secure_kafka) | stranger, client)
    assert "not trusted" in message
    assert "ssl.truststore" in message


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_certificate_is_asked_for(secure_kafka: SecureKafka, client: Any) -> None:
    assert "ssl.keystore" in await turned_away(over_mutual_tls(secure_kafka), client)


@pytest.mark.parametrize("way", ["TLS to none", "none to TLS", "no login"])
async def test_another_protocol_than_the_listeners_ends_with_a_hint(
    secure_kafka: SecureKafka, way: str
) -> None:
    props = {
        "TLS to none": over_sasl_ssl(secure_kafka)
        | {"bootstrap.servers": secure_kafka.sasl_plaintext},
        "none to TLS": {"bootstrap.servers": secure_kafka.sasl_ssl},
        "no login": {"bootstrap.servers": secure_kafka.sasl_plaintext},
    }[way]
    for client in CLIENTS:
        with pytest.raises(RetriableError, match=r"security\.protocol"):
            async with asyncio.timeout(5):
                await client(props, "any")


def client_key(kafka: SecureKafka, kind: str) -> dict[str, str]:
    certificates = kafka.certificates
    if kind == "PKCS12":
        return {
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": str(certificates.client_p12),
            "ssl.keystore.password": certificates.password,
            "ssl.truststore.type": "PKCS12",
            "ssl.truststore.location": str(certificates.trust_p12),
            "ssl.truststore.password": certificates.password,
        }
    if kind == "inline PEM":
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.key": certificates.client_key_encrypted.read_text(),
            "ssl.keystore.certificate.chain": certificates.client_certificate.read_text(),
            "ssl.key.password": certificates.password,
        }
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(certificates.client)}


@pytest.mark.parametrize("kind", ["PEM", "inline PEM", "PKCS12"])
async def test_mutual_tls_lets_every_client_in(secure_kafka: SecureKafka, kind: str) -> None:
    topic = secure_kafka.new_topic()
    props = over_mutual_tls(secure_kafka) | client_key(secure_kafka, kind)
    for client in CLIENTS:
        await client(props, topic)
    await list_topics(props | {"ssl.protocol": "TLSv1.2"}, topic)


async def test_tls_1_2_also_says_that_a_certificate_is_asked_for(
    secure_kafka: SecureKafka,
) -> None:
    props = over_mutual_tls(secure_kafka) | {"ssl.protocol": "TLSv1.2"}
    assert "ssl.keystore" in await turned_away(props)


async def test_a_name_the_certificate_is_not_for(secure_kafka: SecureKafka) -> None:
    port = secure_kafka.sasl_ssl.rpartition(":")[2]
    # Another spelling of 127.0.0.1, which the certificate does not have.
    props = over_sasl_ssl(secure_kafka) | {"bootstrap.servers": f"127.1:{port}"}
    message = await turned_away(props)
    assert "not for 127.1" in message
    assert "ssl.endpoint.identification.algorithm" in message
    topic = secure_kafka.new_topic()
    await list_topics(props | {"ssl.endpoint.identification.algorithm": ""}, topic)


def from_endpoint(kafka: SecureKafka, secret: str = CLIENT_SECRET) -> dict[str, str]:
    return {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.token.endpoint.url": kafka.authorization.token_url,
        "sasl.jaas.config": jaas(
            "oauthbearer.OAuthBearerLoginModule", clientId=CLIENT_ID, clientSecret=secret
        ),
    }


async def test_a_token_from_an_endpoint_serves_all_clients(secure_kafka: SecureKafka) -> None:
    topic = secure_kafka.new_topic()
    issued = secure_kafka.authorization.issued
    props = over_sasl_ssl(secure_kafka) | from_endpoint(secure_kafka)
    await asyncio.gather(produce_one(props, topic), consume_one(props, topic))
    assert secure_kafka.authorization.issued == issued + 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_the_endpoint_refuses(secure_kafka: SecureKafka, client: Any) -> None:
    props = over_sasl_ssl(secure_kafka) | from_endpoint(secure_kafka, WRONG)
    message = await turned_away(props, client)
    assert "401: invalid_client" in message
    assert WRONG not in message


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("mechanism", SecureKafka.mechanisms)
async def test_no_secret_is_logged_or_traced(
    secure_kafka: SecureKafka, mechanism: str, right: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    topic = secure_kafka.new_topic()
    props = over_sasl_plaintext(secure_kafka, mechanism, right=right)
    props |= from_endpoint(secure_kafka, CLIENT_SECRET) if mechanism == "OAUTHBEARER" else {}
    hidden = [secure_kafka.password, WRONG, CLIENT_SECRET]
    if mechanism == "OAUTHBEARER" and not right:
        props = over_sasl_plaintext(secure_kafka, mechanism, right=False)
        hidden.append(props["sasl.jaas.config"].split('"')[1])
    seen = [repr(security_arguments(props))] if mechanism == "OAUTHBEARER" else []
    for client in CLIENTS:
        try:
            await client(props, topic)
        except ConnectError as error:
            assert not right
            seen += [format_trace(error, "c", 0), repr(error), str(error)]
    logged = [record.getMessage() for record in caplog.records]
    assert any("Request to" in line for line in logged), "aiokafka's debug log is on"
    assert not any("SaslAuthenticate" in line for line in logged)
    for secret in hidden:
        assert not [line for line in [*logged, *seen] if secret in line]
    assert not any("auth=Bearer" in line for line in logged)


def token_file(kafka: SecureKafka, path: Path, seconds: int) -> dict[str, str]:
    path.write_text(kafka.authorization.token(seconds=seconds))
    return {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.token.endpoint.url": path.as_uri(),
        "sasl.jaas.config": jaas("oauthbearer.OAuthBearerLoginModule"),
    }


async def read_on(consumer: BatchConsumer) -> None:
    while True:
        consumer.take(1 << 20)
        await consumer.wait(0.5)


async def test_a_running_client_learns_that_it_is_no_longer_let_in(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    topic, path = secure_kafka.new_topic(), tmp_path / "token"
    props = over_sasl_plaintext(secure_kafka, "PLAIN") | token_file(secure_kafka, path, 600)
    producer = BatchProducer(props)
    await producer.start()
    await asyncio.gather(*await producer.send(topic, [None], [b"ahoy"], [None]))
    consumer = BatchConsumer(props | {"group.id": f"g-{secrets.token_hex(4)}"})

    async def nothing(_: object) -> None:
        pass

    await consumer.start([topic], "", nothing, nothing)
    token_file(secure_kafka, path, -600)
    await asyncio.to_thread(secure_kafka.stop)
    await asyncio.to_thread(secure_kafka.start)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(ConnectError, match="refused the login") as caught:
                await read_on(consumer)
            assert not isinstance(caught.value, RetriableError)
            with pytest.raises(ConnectError, match="refused the login"):
                await asyncio.gather(*await producer.send(topic, [None], [b"late"], [None]))
    finally:
        await consumer.stop()
        await producer.stop(1)


async def test_a_running_client_goes_on_with_a_new_token(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    topic, path = secure_kafka.new_topic(), tmp_path / "token"
    props = over_sasl_plaintext(secure_kafka, "PLAIN") | token_file(secure_kafka, path, 600)
    producer = BatchProducer(props)
    await producer.start()
    await asyncio.to_thread(secure_kafka.stop)
    sending = asyncio.ensure_future(producer.send(topic, [None], [b"ahoy"], [None]))
    token_file(secure_kafka, path, 700)
    await asyncio.to_thread(secure_kafka.start)
    async with asyncio.timeout(20):
        await asyncio.gather(*await sending)
        await consume_one(props, topic)
    await producer.stop(5)

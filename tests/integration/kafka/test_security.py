"""Every way in to a broker that asks who connects, and every way of being turned away."""

import asyncio
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
from tests.servers.kafka import SecureKafka

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

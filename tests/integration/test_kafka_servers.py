"""The test brokers themselves: they answer, come back after being away, and know who connects."""

import asyncio
import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError, KafkaError

from tests.servers.connect import Connect
from tests.servers.kafka import Kafka, SecureKafka


class Token(AbstractTokenProvider):
    """Hands out the same token always."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def token(self) -> str:
        return self._value


async def produce(servers: str, topic: str, value: bytes, **options: Any) -> int:
    """Write one record and return its offset."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, **options)
    try:
        await producer.start()
        return (await producer.send_and_wait(topic, value)).offset
    finally:
        await producer.stop()
        await disconnected(servers)


async def disconnected(servers: str) -> None:
    """Wait until this process has no connection to a broker any more.

    aiokafka begins to close a TLS connection and does not wait for the end; were the loop to end
    first, the socket would be left open, and reported in some later test.
    """
    port = int(servers.rpartition(":")[2])
    process = psutil.Process()
    async with asyncio.timeout(10):
        while any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
            await asyncio.sleep(0.02)


async def test_a_record_written_is_read_back(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    await produce(kafka.bootstrap_servers, topic, b"ahoy")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()
    assert record.value == b"ahoy"


async def test_a_topic_has_the_partitions_and_settings_asked_for(kafka: Kafka) -> None:
    topic = kafka.new_topic(3, {"max.message.bytes": "10"})
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    assert await producer.partitions_for(topic) == {0, 1, 2}
    await producer.stop()
    with pytest.raises(KafkaError, match="MessageSizeTooLarge"):
        await produce(kafka.bootstrap_servers, topic, b"more than ten bytes")


async def test_a_broker_comes_back_with_its_records(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    assert await produce(kafka.bootstrap_servers, topic, b"before") == 0
    kafka.stop()
    with pytest.raises(KafkaConnectionError):
        await produce(kafka.bootstrap_servers, topic, b"away")
    kafka.start()
    assert await produce(kafka.bootstrap_servers, topic, b"after") == 1


async def test_a_paused_broker_does_not_answer_until_resumed(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    kafka.pause()
    writing = asyncio.ensure_future(produce(kafka.bootstrap_servers, topic, b"late"))
    done, _ = await asyncio.wait([writing], timeout=1)
    assert not done
    kafka.resume()
    assert await asyncio.wait_for(writing, 30) == 0


def sasl(kafka: SecureKafka, mechanism: str, *, right: bool) -> dict[str, Any]:
    """aiokafka's options for one mechanism, with a right or a wrong secret."""
    if mechanism == "OAUTHBEARER":
        token = kafka.authorization.token(seconds=600 if right else -600)
        secret: dict[str, Any] = {"sasl_oauth_token_provider": Token(token)}
    else:
        password = kafka.password if right else "wrong"
        secret = {"sasl_plain_username": kafka.user, "sasl_plain_password": password}
    return {"sasl_mechanism": mechanism, **secret}


def trust(ca: Path, client: Path | None = None) -> dict[str, Any]:
    """aiokafka's options to trust an authority, and to show a client certificate."""
    context = ssl.create_default_context(cafile=str(ca))
    if client:
        context.load_cert_chain(client)
    return {"ssl_context": context}


@pytest.mark.parametrize("mechanism", SecureKafka.mechanisms)
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_the_right_secret_is_let_in_and_the_wrong_one_is_not(
    secure_kafka: SecureKafka,
    protocol: str,
    mechanism: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic = secure_kafka.new_topic()
    tls = trust(secure_kafka.certificates.ca) if protocol == "SASL_SSL" else {}
    servers = secure_kafka.sasl_ssl if tls else secure_kafka.sasl_plaintext
    options = {"security_protocol": protocol, **tls}

    right = sasl(secure_kafka, mechanism, right=True)
    assert await produce(servers, topic, b"let in", **options, **right) == 0

    # aiokafka raises that it cannot bootstrap; its log has the reason, but for a refused token: it
    # takes that for success, and gets no metadata until the request times out.
    wrong = sasl(secure_kafka, mechanism, right=False) | {"request_timeout_ms": 2000}
    with pytest.raises(KafkaError):
        await produce(servers, topic, b"kept out", **options, **wrong)
    silent = mechanism == "OAUTHBEARER"
    assert ("No broker metadata" if silent else "SaslAuthenticationFailed") in caplog.text


async def test_mutual_tls_asks_for_a_certificate_of_its_authority(
    secure_kafka: SecureKafka,
) -> None:
    topic, certificates = secure_kafka.new_topic(), secure_kafka.certificates
    options = {"security_protocol": "SSL"}
    known = trust(certificates.ca, certificates.client)
    assert await produce(secure_kafka.mutual_tls, topic, b"let in", **options, **known) == 0
    for stranger in (trust(certificates.ca), trust(certificates.other_ca, certificates.client)):
        with pytest.raises(KafkaError):
            await produce(secure_kafka.mutual_tls, topic, b"kept out", **options, **stranger)


@pytest.mark.full
def test_a_connect_worker_has_the_sink_it_is_compared_by(kafka: Kafka) -> None:
    worker = Connect(kafka.bootstrap_servers)
    worker.start()
    try:
        with urllib.request.urlopen(f"{worker.url}/connector-plugins") as answer:
            plugins = {plugin["class"]: plugin.get("version") for plugin in json.load(answer)}
    finally:
        worker.stop()
    assert plugins["io.debezium.connector.jdbc.JdbcSinkConnector"] == "3.2.0.Final"

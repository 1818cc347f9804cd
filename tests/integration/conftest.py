"""Real servers as fixtures: started when first asked for, once a session.

Databases are fresh for every test, topics have names of their own. A test may stop, kill or
pause the server it was given: it is brought back before the next one.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.servers.database import Database
from tests.servers.kafka import Kafka, SecureKafka
from tests.servers.mariadb import MariaDB
from tests.servers.missing import MissingServerError
from tests.servers.postgres import Postgres
from tests.servers.process import Server, ServerError

S = TypeVar("S", bound=Server)


def started(make: Callable[[], S]) -> Iterator[S]:
    """Make and start a server, yield it, stop it; one that cannot be had fails the test."""
    server, trouble = None, ""
    try:
        server = make()
        server.start()
    except (MissingServerError, ServerError) as error:
        trouble = str(error)
    if server is None or trouble:
        pytest.fail(trouble, pytrace=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    yield from started(Postgres)


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Database[Postgres]]:
    """A fresh PostgreSQL database with a user that owns it."""
    database = postgres_server.database()
    yield database
    postgres_server.restore()
    postgres_server.drop(database)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """A MariaDB server."""
    yield from started(MariaDB)


@pytest.fixture
def mariadb(mariadb_server: MariaDB) -> Iterator[Database[MariaDB]]:
    """A fresh MariaDB database with a user that may do everything in it."""
    database = mariadb_server.database()
    yield database
    mariadb_server.restore()
    mariadb_server.drop(database)


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Kafka]:
    """A broker with one plain listener."""
    yield from started(Kafka)


@pytest.fixture
def kafka(kafka_server: Kafka) -> Iterator[Kafka]:
    """A broker, shared by all tests: take a `new_topic`, and names of your own for groups."""
    yield kafka_server
    kafka_server.restore()


@pytest.fixture(scope="session")
def secure_kafka_server() -> Iterator[SecureKafka]:
    """A broker with listeners for SASL and TLS."""
    yield from started(SecureKafka)


@pytest.fixture
def secure_kafka(secure_kafka_server: SecureKafka) -> Iterator[SecureKafka]:
    """A broker that asks who connects, shared by all tests."""
    yield secure_kafka_server
    secure_kafka_server.restore()

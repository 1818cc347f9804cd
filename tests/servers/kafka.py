"""Apache Kafka as a KRaft single node: broker and controller in one JVM, jars from Maven Central.

`Kafka` has one plain listener. `SecureKafka` has besides it a listener that asks for SASL over TLS,
one for SASL without TLS, and one for TLS with a client certificate.
"""

import asyncio
import secrets
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from tests.servers import jvm
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.oauth import AUDIENCE, ISSUER, Authorization
from tests.servers.ports import accepts, free_port
from tests.servers.process import Server, ServerError

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
HEAP = "384m"


class Kafka(Server):
    """A broker. `start` it, then make topics.

    Attributes:
        host: Address of all listeners.
        port: Port of the plain listener.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        initial_rebalance_delay_ms: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a broker.

        Args:
            host: Where to listen, and what to tell clients to connect to.
            initial_rebalance_delay_ms: How long an empty group waits for more members before its
                first assignment. A broker's own default is 3000.
            properties: More of server.properties.
        """
        super().__init__("kafka")
        self.host = host
        self.port = free_port(host)
        self._controller_port = free_port()
        self._delay = initial_rebalance_delay_ms
        self._more = dict(properties or {})

    @property
    def bootstrap_servers(self) -> str:
        """Address of the plain listener."""
        return f"{self.host}:{self.port}"

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create a topic, synchronously, and return its name.

        Raises:
            KafkaError: The broker refused.
        """
        self._admin([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
        return name

    def new_topic(self, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create a topic under a name nobody else has, and return that name."""
        return self.topic(f"topic-{secrets.token_hex(4)}", partitions, config)

    def command(self) -> list[str]:
        """The broker."""
        return jvm.command("kafka.Kafka", str(self._formatted), heap=HEAP)

    def ready(self) -> bool:
        """Whether it answers requests of clients."""
        if not accepts(self.port, self.host):
            return False
        try:
            self._admin([])
        except (KafkaError, OSError):
            return False
        return True

    def _listeners(self) -> dict[str, int]:
        """Ports by listener name; a listener is named after its security protocol."""
        return {"PLAINTEXT": self.port}

    def _properties(self) -> dict[str, str]:
        listeners = self._listeners()
        addresses = [f"{name}://{self.host}:{port}" for name, port in listeners.items()]
        controller = f"127.0.0.1:{self._controller_port}"
        protocols = [f"{name}:{name}" for name in listeners]
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join([*addresses, f"CONTROLLER://{controller}"]),
            "advertised.listeners": ",".join(addresses),
            "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "group.initial.rebalance.delay.ms": str(self._delay),
            # The default of 128 MB would not fit the small heap.
            "log.cleaner.dedupe.buffer.size": "2097152",
            **self._more,
        }

    def _scram_users(self) -> list[str]:
        """Users to make while formatting, as kafka-storage's --add-scram takes them."""
        return []

    @cached_property
    def _formatted(self) -> Path:
        """Path of server.properties, its data folder formatted."""
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        users = [word for user in self._scram_users() for word in ("--add-scram", user)]
        tool = jvm.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(path))
        done = subprocess.run([*tool, *users], capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"kafka-storage format failed\n{done.stdout}{done.stderr}")
        return path

    def _admin(self, topics: list[NewTopic]) -> None:
        """Create topics from a thread with its own loop: callers may be inside a running one."""

        async def create() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
            try:
                await admin.start()
                answer: Any = await admin.create_topics(topics) if topics else None
            finally:
                await admin.close()
            for name, code, *message in answer.topic_errors if topics else []:
                if code:
                    raise for_code(code)(f"{name}: {message}")

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, create()).result()


class SecureKafka(Kafka):
    """A broker whose listeners, but for the plain one, know who connects.

    Attributes:
        user: A user known to PLAIN and to both SCRAM mechanisms.
        password: That user's password.
        authorization: Issues the tokens that OAUTHBEARER takes.
        certificates: The files for TLS.
    """

    user = "alice"
    password = "alice-secret"
    mechanisms = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")

    def __init__(self) -> None:
        super().__init__()
        self._ports = {name: free_port() for name in ("SASL_SSL", "SASL_PLAINTEXT", "SSL")}
        self.certificates: Certificates = make_certificates(self.folder)
        self.authorization = Authorization(self.folder)

    @property
    def sasl_ssl(self) -> str:
        """Address of the listener for SASL over TLS."""
        return f"127.0.0.1:{self._ports['SASL_SSL']}"

    @property
    def sasl_plaintext(self) -> str:
        """Address of the listener for SASL without TLS."""
        return f"127.0.0.1:{self._ports['SASL_PLAINTEXT']}"

    @property
    def mutual_tls(self) -> str:
        """Address of the listener for TLS that asks for a client certificate."""
        return f"127.0.0.1:{self._ports['SSL']}"

    def start(self) -> None:
        """Start the broker and the authorization server beside it."""
        self.authorization.start()
        super().start()

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self.authorization.stop()

    def command(self) -> list[str]:
        """The broker, allowed to read the authorization server's keys."""
        java, *rest = super().command()
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._jwks_url}"
        return [java, allowed, *rest]

    @property
    def _jwks_url(self) -> str:
        return self.authorization.jwks.as_uri()

    def _listeners(self) -> dict[str, int]:
        return super()._listeners() | self._ports

    def _scram_users(self) -> list[str]:
        return [
            f"{mechanism}=[name={self.user},password={self.password}]"
            for mechanism in self.mechanisms
            if mechanism.startswith("SCRAM")
        ]

    def _properties(self) -> dict[str, str]:
        security = "org.apache.kafka.common.security"
        modules = {
            "plain": f"{security}.plain.PlainLoginModule required "
            f'user_{self.user}="{self.password}";',
            "scram-sha-256": f"{security}.scram.ScramLoginModule required;",
            "scram-sha-512": f"{security}.scram.ScramLoginModule required;",
            "oauthbearer": f"{security}.oauthbearer.OAuthBearerLoginModule required;",
        }
        properties = super()._properties() | {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.oauthbearer.jwks.endpoint.url": self._jwks_url,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
        }
        for listener in ("sasl_ssl", "sasl_plaintext"):
            prefix = f"listener.name.{listener}"
            properties[f"{prefix}.sasl.enabled.mechanisms"] = ",".join(self.mechanisms)
            properties[f"{prefix}.oauthbearer.sasl.server.callback.handler.class"] = (
                f"{security}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            )
            for mechanism, module in modules.items():
                properties[f"{prefix}.{mechanism}.sasl.jaas.config"] = module
        return properties

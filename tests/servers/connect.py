"""JVM Kafka Connect, one distributed worker with Debezium's JDBC sink, to compare Coracle with."""

import urllib.request
from collections.abc import Mapping
from urllib.error import URLError

from tests.servers import jvm
from tests.servers.ports import free_port
from tests.servers.process import Server


class Connect(Server):
    """A worker and its REST API.

    Attributes:
        port: Port of the REST API.
    """

    start_seconds = 180.0

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        group: str = "oracle",
        heap: str = "2g",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a worker.

        Args:
            bootstrap_servers: The brokers.
            group: Its group.id; also the prefix of its three topics.
            heap: Largest heap, as -Xmx takes it.
            properties: More of the worker's properties, before these defaults.
        """
        super().__init__("connect")
        self.port = free_port()
        self._heap = heap
        self._properties = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            **{
                f"{kind}.storage.{key}": value
                for kind in ("config", "offset", "status")
                for key, value in (("topic", f"{group}-{kind}s"), ("replication.factor", "1"))
            },
            "listeners": f"HTTP://127.0.0.1:{self.port}",
            **(properties or {}),
        }

    @property
    def url(self) -> str:
        """Root of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The worker, with the plugins fetched."""
        path = self.folder / "worker.properties"
        properties = self._properties | {"plugin.path": str(jvm.fetched(jvm.DEBEZIUM_JDBC))}
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        return jvm.command(main, str(path), heap=self._heap)

    def ready(self) -> bool:
        """Whether it has joined its group and answers for its connectors."""
        try:
            with urllib.request.urlopen(f"{self.url}/connectors", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

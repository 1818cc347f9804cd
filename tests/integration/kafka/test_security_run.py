"""``coracle run`` over SASL_SSL: a file to a topic to a file, each client with its own login."""

import json
import time
from pathlib import Path

from tests.integration.kafka.test_security import over_sasl_ssl, sasl
from tests.integration.rest.test_run import running
from tests.servers.kafka import SecureKafka


def overrides(prefix: str, props: dict[str, str]) -> dict[str, str]:
    return {f"{prefix}.override.{key}": value for key, value in props.items()}


def test_lines_travel_over_sasl_ssl(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    topic, source, sink = secure_kafka.new_topic(), tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("one\ntwo\nthree\n")
    worker = tmp_path / "worker.properties"
    settings = over_sasl_ssl(secure_kafka) | {
        "group.id": "coracle",
        "listeners": "http://127.0.0.1:0",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.topic": f"offsets-{topic}",
        "offset.flush.interval.ms": "200",
    }
    worker.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    producer = sasl(secure_kafka, "SCRAM-SHA-512")
    consumer = sasl(secure_kafka, "OAUTHBEARER")
    connectors = {
        "lines-in": {
            "connector.class": "FileStreamSource",
            "file": str(source),
            "topic": topic,
            **overrides("producer", producer),
        },
        "lines-out": {
            "connector.class": "FileStreamSink",
            "file": str(sink),
            "topics": topic,
            **overrides("consumer", consumer),
        },
        "stranger": {
            "connector.class": "FileStreamSink",
            "file": str(sink),
            "topics": topic,
            **overrides("consumer", sasl(secure_kafka, "PLAIN", right=False)),
        },
    }
    files: list[str] = []
    for name, config in connectors.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"name": name, "config": config}))
        files.append(str(path))
    with running("--worker", str(worker), *files) as process:
        refused = process.line("PLAIN login of user alice")
        deadline = time.monotonic() + 30
        while not sink.exists() or sink.read_text() != "one\ntwo\nthree\n":
            assert time.monotonic() < deadline, "".join(process.lines)
            time.sleep(0.1)
        process.popen.terminate()
        process.end()
        assert "refused the login" in refused.string
        assert "wr0ng" not in "".join(process.lines)

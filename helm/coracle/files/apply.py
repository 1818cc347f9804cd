"""Applies the KafkaConnect of the chart's values, once the API server knows its kind."""

import sys
import time
from pathlib import Path

import yaml
from lightkube import ApiError, Client
from lightkube.generic_resource import create_namespaced_resource

KafkaConnect = create_namespaced_resource("coracle.dev", "v1", "KafkaConnect", "kafkaconnects")
connect = KafkaConnect.from_dict(yaml.safe_load(Path(sys.argv[1]).read_text()))
deadline = time.monotonic() + 60
while True:
    try:
        Client(field_manager="helm").apply(connect, force=True)
        break
    except ApiError as error:
        # A kind that has just been defined is served a moment later.
        if error.status.code != 404 or time.monotonic() > deadline:
            sys.exit(f"KafkaConnect {connect.metadata.name}: {error.status.message}")
    time.sleep(0.5)

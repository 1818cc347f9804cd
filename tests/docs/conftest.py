"""The broker of the integration tests."""

from tests.integration.conftest import kafka, kafka_server

__all__ = ["kafka", "kafka_server"]

"""Coracle: Kafka Connect connectors as small asyncio services."""

__version__ = "0.1.0"

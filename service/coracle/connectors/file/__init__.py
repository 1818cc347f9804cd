"""Kafka's own file connectors: a line is a record."""

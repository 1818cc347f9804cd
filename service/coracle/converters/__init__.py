"""Converters: between the bytes in Kafka and typed values. One module per family."""

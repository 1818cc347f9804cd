"""The key that every converter of Kafka Connect has: what it is used for."""

from __future__ import annotations

from coracle.api import ConfigKey, ConfigType, Importance, OneOf

CONVERTER_TYPE = ConfigKey(
    "converter.type",
    ConfigType.STRING,
    None,
    "How this converter is used. The runtime knows, so nobody needs to set it.",
    Importance.LOW,
    OneOf(("key", "value", "header")),
)

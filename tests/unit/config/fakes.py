"""Plugins that exist for tests only, so that no test depends on a real connector."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from coracle.api import (
    Column,
    ConfigError,
    ConfigKey,
    ConfigSpec,
    ConfigType,
    Converter,
    Header,
    HeaderConverter,
    OneOf,
    Predicate,
    Range,
    SinkConnector,
    SourceConnector,
    Transform,
)
from coracle.config.providers import ConfigProvider


def _mode_needs_column(values):
    if values["mode"] == "incrementing" and not values["column"]:
        return [ConfigError("mode incrementing needs a column", field="column", code="missing")]
    return []


class TableSource(SourceConnector):
    version = "7.1"
    spec = ConfigSpec(
        [
            ConfigKey("connection.url", ConfigType.STRING, group="Database"),
            ConfigKey("connection.password", ConfigType.PASSWORD, None, group="Database"),
            ConfigKey(
                "mode",
                ConfigType.STRING,
                "bulk",
                validator=OneOf(("bulk", "incrementing")),
                group="Mode",
                recommender=lambda name, values: ["bulk", "incrementing"],
            ),
            ConfigKey(
                "column",
                ConfigType.STRING,
                "",
                group="Mode",
                visible=lambda values: values["mode"] == "incrementing",
            ),
            ConfigKey(
                "batch.max.rows",
                ConfigType.INT,
                100,
                validator=Range(1),
                aliases=("batch.rows",),
                group="Mode",
            ),
            ConfigKey("old.key", ConfigType.STRING, None, deprecated="use mode"),
            ConfigKey("tables", ConfigType.LIST, [], internal=True),
        ],
        prefixes=("driver.",),
        checks=(_mode_needs_column,),
    )

    async def task_configs(self, max_tasks):
        return [{}]


class TableSink(SinkConnector):
    spec = ConfigSpec(
        [
            ConfigKey("connection.url", ConfigType.STRING),
            ConfigKey("connection.password", ConfigType.PASSWORD, None),
            ConfigKey("batch.size", ConfigType.INT, 3000, validator=Range(1)),
        ]
    )


class FirstTableSink(TableSink):
    pass


class OtherTableSink(TableSink):
    pass


class TextConverter(Converter):
    spec = ConfigSpec(
        [
            ConfigKey("converter.encoding", ConfigType.STRING, "UTF-8"),
            ConfigKey("strict", ConfigType.BOOLEAN, True),
        ]
    )

    def configure(self, config, kind):
        self.config = config

    async def to_connect(self, topic, data):
        return Column([], [])

    async def from_connect(self, topic, schema, values):
        return []


class PlainHeaderConverter(HeaderConverter):
    def configure(self, config):
        self.config = config

    def to_connect_header(self, topic, name, data):
        return Header(name, None, data)

    def from_connect_header(self, topic, header):
        return header.value


class Router(Transform):
    spec = ConfigSpec(
        [ConfigKey("regex", ConfigType.STRING), ConfigKey("limit", ConfigType.INT, 1)]
    )

    def configure(self, config):
        self.config = config

    def apply(self, batch):
        return batch


class RouterKey(Router):
    pass


class NameMatches(Predicate):
    spec = ConfigSpec([ConfigKey("pattern", ConfigType.STRING)])

    def configure(self, config):
        self.config = config

    def matches(self, batch):
        return []


class VaultProvider(ConfigProvider):
    spec = ConfigSpec([ConfigKey("token", ConfigType.PASSWORD)])

    def get(self, path, key):
        return f"{path}/{key}"


class NotAPlugin:
    pass


_HERE = __name__
_NAMES = {
    "coracle.connectors": {
        "com.example.TableSourceConnector": "TableSource",
        "com.example.TableSinkConnector": "TableSink",
        "com.example.FirstConnector": "FirstTableSink",
        "org.example.FirstConnector": "OtherTableSink",
        "com.example.BrokenConnector": "NotAPlugin",
        "com.example.GoneConnector": "NoSuchClass",
    },
    "coracle.connectors.aliases": {"aaa.example.TableSourceConnector": "TableSource"},
    "coracle.converters": {
        "org.apache.kafka.connect.json.JsonConverter": "TextConverter",
        "com.example.TextConverter": "OtherText",
    },
    "coracle.header_converters": {
        "org.apache.kafka.connect.storage.SimpleHeaderConverter": "PlainHeaderConverter"
    },
    "coracle.transforms": {
        "com.example.Router": "Router",
        "com.example.Move$Key": "RouterKey",
        "com.example.Move$Value": "OtherRouter",
    },
    "coracle.predicates": {"com.example.NameMatches": "NameMatches"},
    "coracle.config_providers": {"com.example.VaultProvider": "VaultProvider"},
}


class OtherText(TextConverter):
    pass


class OtherRouter(Router):
    pass


def entry_points() -> list[EntryPoint]:
    """What ``importlib.metadata`` would find if the fakes were installed, in its sorted order."""
    return [
        EntryPoint(name, f"{_HERE}:{target}", group)
        for group, targets in sorted(_NAMES.items())
        for name, target in sorted(targets.items())
    ]


class FakeDistribution:
    """Stands for an installed distribution."""

    def __init__(self, points):
        self.entry_points = points

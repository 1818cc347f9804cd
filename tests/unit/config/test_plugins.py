import sys
from importlib.metadata import Distribution, EntryPoint

import pytest

from coracle.api import ConfigError
from coracle.config import plugins
from coracle.config.plugins import PluginKind, available, find, lookup, names, plugin_version

from . import fakes


@pytest.mark.parametrize(
    "name",
    [
        "com.example.TableSourceConnector",
        "aaa.example.TableSourceConnector",
        "TableSourceConnector",
        "TableSource",
        " TableSource ",
    ],
)
def test_a_connector_is_found_by_whole_and_simple_names(name):
    assert find(PluginKind.CONNECTOR, name) is fakes.TableSource


@pytest.mark.parametrize("name", ["tablesource", "TableSourceConnectorConnector", "Table", ""])
def test_names_are_exact_and_case_sensitive(name):
    with pytest.raises(ConfigError) as caught:
        find(PluginKind.CONNECTOR, name)
    assert caught.value.code == "unknown_class"


def test_an_unknown_class_is_reported_in_kafkas_words_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        find(PluginKind.CONNECTOR, "org.acme.TableSoruceConnector")
    message = str(caught.value)
    assert message.startswith(
        "Failed to find any class that implements Connector and which name matches "
        "org.acme.TableSoruceConnector, available connectors are: "
    )
    assert message.endswith("; did you mean com.example.TableSourceConnector?")


def test_nothing_near_is_not_guessed():
    with pytest.raises(ConfigError) as caught:
        find(PluginKind.CONNECTOR, "Xyzzy")
    assert "did you mean" not in str(caught.value)


def test_an_outer_transform_class_names_its_variants():
    with pytest.raises(
        ConfigError, match=r"did you mean com\.example\.Move\$Key or com\.example\.Move\$Value\?"
    ):
        find(PluginKind.TRANSFORM, "com.example.Move")


def test_two_classes_of_one_simple_name_need_the_whole_name():
    with pytest.raises(ConfigError) as caught:
        find(PluginKind.CONNECTOR, "First")
    assert str(caught.value) == (
        "More than one connector matches alias First. Please use full package and class name "
        "instead. Classes found: com.example.FirstConnector, org.example.FirstConnector"
    )
    assert find(PluginKind.CONNECTOR, "org.example.FirstConnector") is fakes.OtherTableSink


def test_one_class_under_two_names_is_not_ambiguous():
    info = lookup(PluginKind.CONNECTOR, "TableSource")
    assert info.name == "com.example.TableSourceConnector"
    assert info.aliases == ("aaa.example.TableSourceConnector",)


def test_converters_serve_as_header_converters_but_not_the_other_way():
    assert find(PluginKind.HEADER_CONVERTER, "com.example.TextConverter") is fakes.OtherText
    assert find(PluginKind.HEADER_CONVERTER, "SimpleHeaderConverter") is fakes.PlainHeaderConverter
    with pytest.raises(ConfigError, match="implements Converter"):
        find(PluginKind.CONVERTER, "SimpleHeaderConverter")


def test_kinds_do_not_mix():
    with pytest.raises(ConfigError, match="implements Transformation"):
        find(PluginKind.TRANSFORM, "com.example.NameMatches")


def test_a_target_that_is_no_plugin_is_named():
    with pytest.raises(
        ConfigError, match=r"fakes:NotAPlugin is no coracle\.api\.plugin\.Connector"
    ):
        find(PluginKind.CONNECTOR, "com.example.BrokenConnector")
    with pytest.raises(ConfigError, match="NoSuchClass"):
        find(PluginKind.CONNECTOR, "com.example.GoneConnector")


class _Distribution(Distribution):
    """A distribution whose connector needs a driver that is not there."""

    def __init__(self, module):
        self._texts = {
            "METADATA": "Name: acme-connect\nVersion: 2.5\n"
            'Requires-Dist: acme-driver>=1; extra == "acme"\n',
            "entry_points.txt": f"[coracle.connectors]\nacme.AcmeConnector = {module}:Acme\n",
        }

    def read_text(self, filename):
        return self._texts.get(filename)

    def locate_file(self, path):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("driver", "fix"),
    [
        ("acme_driver", "Install it with: pip install 'acme-connect[acme]'"),
        ("other_driver", "Install the Python package that provides the module 'other_driver'."),
    ],
)
def test_a_missing_driver_says_what_to_install(tmp_path, monkeypatch, driver, fix):
    (tmp_path / "acme_source.py").write_text(f"import {driver}.sub\nclass Acme: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "distributions", lambda: [_Distribution("acme_source")])
    plugins._catalogue.cache_clear()
    with pytest.raises(ConfigError) as caught:
        find(PluginKind.CONNECTOR, "AcmeConnector")
    assert str(caught.value) == (
        f"The plugin acme.AcmeConnector cannot be loaded: No module named '{driver}'. {fix}"
    )
    assert caught.value.code == "unknown_class"
    # A list of plugins still shows it.
    assert [info.name for info in available()] == ["acme.AcmeConnector"]


def test_resolving_imports_only_what_is_meant(tmp_path, monkeypatch, installed):
    for name in ("wanted", "unwanted"):
        (tmp_path / f"lazy_{name}.py").write_text(
            "from coracle.api import SinkConnector\nclass Lazy(SinkConnector): ...\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    installed += [
        EntryPoint(f"lazy.{name.title()}Connector", f"lazy_{name}:Lazy", "coracle.connectors")
        for name in ("wanted", "unwanted")
    ]
    assert find(PluginKind.CONNECTOR, "Wanted").__module__ == "lazy_wanted"
    assert "lazy.UnwantedConnector" in names(PluginKind.CONNECTOR)
    assert "lazy_unwanted" not in sys.modules


def test_entry_points_are_read_once(monkeypatch):
    reads = []
    points = fakes.entry_points()
    monkeypatch.setattr(
        plugins, "distributions", lambda: reads.append(1) or [fakes.FakeDistribution(points)]
    )
    plugins._catalogue.cache_clear()
    find(PluginKind.CONNECTOR, "TableSource")
    find(PluginKind.TRANSFORM, "Router")
    assert reads == [1]


def test_the_list_of_plugins_is_in_the_order_of_the_rest_api():
    broken = {"com.example.BrokenConnector", "com.example.GoneConnector"}
    listed = available()
    types = [info.type for info in listed if info.name not in broken]
    assert list(dict.fromkeys(types)) == [
        "sink",
        "source",
        "transformation",
        "predicate",
        "converter",
        "header_converter",
        "config_provider",
    ]
    assert broken <= {info.name for info in listed}
    assert [info.name for info in listed].count("com.example.TableSourceConnector") == 1


def test_a_version_is_the_plugins_own_or_its_distributions(tmp_path, monkeypatch):
    assert plugin_version(fakes.TableSource) == "7.1"
    assert plugin_version(fakes.TableSink) == "undefined"
    (tmp_path / "acme_versioned.py").write_text(
        "from coracle.api import SinkConnector\nclass Acme(SinkConnector): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "distributions", lambda: [_Distribution("acme_versioned")])
    plugins._catalogue.cache_clear()
    assert plugin_version(find(PluginKind.CONNECTOR, "Acme")) == "2.5"


def test_a_plugin_whose_module_raises_spoils_no_other(monkeypatch, tmp_path):
    (tmp_path / "exploding_plugin.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    name = "com.example.ExplodingConnector"
    point = EntryPoint(name, "exploding_plugin:Exploding", "coracle.connectors")
    points = [*fakes.entry_points(), point]
    monkeypatch.setattr(plugins, "distributions", lambda: [fakes.FakeDistribution(points)])
    plugins._catalogue.cache_clear()
    with pytest.raises(ConfigError, match=rf"The plugin {name} is broken: no licence\."):
        find(PluginKind.CONNECTOR, name)
    assert name in {info.name for info in available()}
    assert find(PluginKind.CONNECTOR, "TableSource") is fakes.TableSource

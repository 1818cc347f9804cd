"""How a ``ConfigSpec`` parses settings below a prefix, and with values left open."""

from coracle.api import ConfigError, ConfigKey, ConfigSpec, ConfigType


def _sum_is_small(values):
    if values["a"] + values["b"] > 10:
        return [ConfigError("a and b are too large together", field="a", fix="Lower one.")]
    return []


SPEC = ConfigSpec(
    [ConfigKey("a", ConfigType.INT, 1), ConfigKey("b", ConfigType.INT, aliases=("b.old",))],
    checks=(_sum_is_small,),
)


def found(props, **how):
    config, errors = SPEC.collect(props, **how)
    return dict(config), [(error.field, str(error)) for error in errors]


def test_settings_below_a_prefix_are_reported_under_their_whole_name():
    config, errors = SPEC.collect({"p.a": "x", "a": "5", "p.c": "1"}, prefix="p.")
    assert config.originals == {"a": "x", "c": "1"}
    assert [str(error) for error in errors] == [
        "Invalid value x for configuration p.a: must be a 32-bit integer.",
        'Missing required configuration "p.b" which has no default value.',
    ]
    assert found({"p.a": "6", "p.b.old": "5"}, prefix="p.") == (
        {"a": 6, "b": 5},
        [("p.a", "p: a and b are too large together Lower one.")],
    )


def test_a_rule_is_judged_beside_wrong_keys_it_does_not_read():
    spec = SPEC + ConfigSpec([ConfigKey("c", ConfigType.INT, 0)])
    _, errors = spec.collect({"a": "6", "b": "5", "c": "x"})
    assert [error.field for error in errors] == ["c", "a"]


def test_a_rule_that_reads_a_wrong_or_open_key_is_not_judged():
    assert [field for field, _ in found({"a": "x", "b": "50"})[1]] == ["a"]
    assert found({"a": "${x:y}", "b": "50"}, unknown={"a"}) == ({"a": 1, "b": 50}, [])
    assert found({"a": "1", "b.old": "${x:y}"}, unknown={"b.old"}) == ({"a": 1, "b": None}, [])

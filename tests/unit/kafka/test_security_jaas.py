"""``sasl.jaas.config``, by the rules of Kafka's JaasConfig."""

import pytest

from coracle.api import ConfigError
from coracle.kafka.security.jaas import login_module

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('username="alice" password="secret";', {"username": "alice", "password": "secret"}),
        ("username='alice' password='se\"cret';", {"username": "alice", "password": 'se"cret'}),
        ("username=alice password=a-b_c$d.e;", {"username": "alice", "password": "a-b_c$d.e"}),
        (r'password="a\"b\\c\td\101";', {"password": 'a"b\\c\tdA'}),
        ('password="a;b=c // d # e";', {"password": "a;b=c // d # e"}),
        ('password = "x"\n  username\t= "y" ;', {"password": "x", "username": "y"}),
        ('/* who */ username="y" // and what\n password="x";', {"username": "y", "password": "x"}),
        ('password="";', {"password": ""}),
        ('password="пароль";', {"password": "пароль"}),
        ('user_name-1.x="v";', {"user_name-1.x": "v"}),
        (";", {}),
    ],
)
def test_options_are_read_as_java_reads_them(text: str, options: dict[str, str]) -> None:
    module = login_module(f"{PLAIN} required {text}")
    assert module.simple_name == "PlainLoginModule"
    assert module.options == options
    assert repr(module) == f"LoginModule(name='{PLAIN}')"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no login module"),
        (PLAIN, "no flag"),
        (f"{PLAIN} username=x;", "not followed by required"),
        (f'{PLAIN} required username="x"', "semicolon"),
        (f"{PLAIN} required username;", "username has no value"),
        (f"{PLAIN} required password=12345;", "password is not quoted"),
        (f"{PLAIN} required password=@hunter2;", "password is not quoted"),
        (f'{PLAIN} required password="hunter2;', "password is not quoted"),
        (f'{PLAIN} required password=a b="c" hunter2;', "hunter2 has no value"),
        (f"{PLAIN} required; {PLAIN} required;", "more than one"),
        (f'{PLAIN} required "x";', "no value"),
    ],
)
def test_what_java_refuses_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        login_module(text)
    assert caught.value.field == "sasl.jaas.config"

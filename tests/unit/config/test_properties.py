import pytest

from coracle.api import ConfigError
from coracle.config import properties


def test_the_grammar_is_javas():
    text = (
        b"# comment\n! comment\n\nplain=value\ncolon: value\nblank value\n  indented = value \n"
        b"long = a,\\\n       b\n"
        b"escaped\\ key\\:x = tab\\there\nempty=\nunicode=\\u00fc\nplain=last\n"
        b"windows=C:\\\\dir\r\nno.newline=end"
    )
    assert properties.parse(text, "x") == {
        "plain": "last",
        "colon": "value",
        "blank": "value",
        "indented": "value ",
        "long": "a,b",
        "escaped key:x": "tab\there",
        "empty": "",
        "unicode": "ü",
        "windows": "C:\\dir",
        "no.newline": "end",
    }


@pytest.mark.parametrize("data", ["k=ü".encode(), "k=ü".encode("latin-1"), "﻿k=ü".encode()])
def test_text_is_utf_8_or_else_latin_1(data):
    assert properties.parse(data, "x") == {"k": "ü"}


def test_a_malformed_escape_is_located():
    with pytest.raises(ConfigError) as caught:
        properties.parse(b"a=1\nb=\\u12G4\n", "my.properties")
    assert str(caught.value) == (
        "my.properties, line 2: malformed escape \\u12G4. Write \\u and four hexadecimal digits, "
        "or double the backslash."
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no file .*nope\.properties\."):
        properties.read(tmp_path / "nope.properties")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        properties.read(tmp_path)

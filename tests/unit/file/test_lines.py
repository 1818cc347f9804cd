import re

from hypothesis import given
from hypothesis import strategies as st

from coracle.connectors.file.lines import LineBuffer

ALL = 10**9


def test_every_kind_of_line_end():
    buffer = LineBuffer()
    buffer.feed(b"unix\nwindows\r\nmac\rlast\n")
    assert buffer.take(ALL, ALL) == ["unix", "windows", "mac", "last"]


def test_a_return_at_the_end_waits_for_its_newline():
    buffer = LineBuffer()
    buffer.feed(b"a\r")
    assert buffer.take(ALL, ALL) == []
    buffer.feed(b"\nb\n")
    assert buffer.take(ALL, ALL) == ["a", "b"]
    assert buffer.position == 5


def test_bytes_that_are_not_utf8_are_replaced_as_in_java():
    buffer = LineBuffer()
    buffer.feed(b"a\xffb\n")
    assert buffer.take(ALL, ALL) == ["a\ufffdb"]


def test_size_bounds_what_is_taken():
    buffer = LineBuffer(100)
    buffer.feed(b"12345\n12345\n12345\n")
    assert buffer.take(ALL, 7) == ["12345", "12345"]
    assert buffer.position == 112


TEXT = st.text(alphabet="ab\r\né", max_size=40)


@given(TEXT, st.lists(st.integers(1, 5)))
def test_lines_do_not_depend_on_how_the_bytes_arrive(text, cuts):
    data = text.encode()
    complete = re.match(rb"(?s)(.*(?:\n|\r(?=.)))?", data).group()  # a last \r is undecided
    buffer = LineBuffer()
    rest, sizes = data, iter(cuts)
    taken = []
    while rest:
        size = next(sizes, 3)
        buffer.feed(rest[:size])
        rest = rest[size:]
        taken += buffer.take(1, ALL)
    taken += buffer.take(ALL, ALL)

    expected = [part.decode() for part in re.split(rb"\r\n|\n|\r", complete)[:-1]]
    assert taken == expected
    assert buffer.position == len(complete)

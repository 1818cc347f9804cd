"""What a person reads when a task has failed."""

from coracle.api import ConfigError, DataError, RecordBatch, RecordSchema, SourceOffset
from coracle.runtime.failure import Stage, StageError, format_trace, position_of, span_of
from tests.unit.runtime.fakes import fetched


def raised() -> Exception:
    try:
        try:
            raise DataError("not a number", fix="Fix it.")
        except DataError as cause:
            raise StageError(
                "Tolerance exceeded in error handler", Stage.VALUE_CONVERTER, "Json", "orders-0@41"
            ) from cause
    except StageError as error:
        return error


def test_a_trace_names_java_classes_the_place_and_every_cause() -> None:
    lines = format_trace(raised(), "orders", 3).splitlines()
    assert lines[0] == (
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler"
    )
    assert lines[1] == (
        "\tin connector orders, task 3, stage VALUE_CONVERTER (Json), at orders-0@41"
    )
    assert lines[2].startswith("\tat test_failure.raised(")
    assert "Caused by: org.apache.kafka.connect.errors.DataException: not a number Fix it." in lines


def test_a_trace_of_a_connector_and_of_a_python_error() -> None:
    assert format_trace(ConfigError("wrong"), "orders", None).splitlines() == [
        "org.apache.kafka.common.config.ConfigException: wrong",
        "\tin connector orders",
    ]
    assert format_trace(ValueError("odd"), "o", 0).startswith("builtins.ValueError: odd\n")


def test_a_suppressed_context_stays_out_and_a_circle_ends() -> None:
    hiding = ConfigError("no login")
    hiding.__context__ = ValueError("holds the password")
    assert "password" in format_trace(hiding, "o", None)
    hiding.__suppress_context__ = True
    assert "password" not in format_trace(hiding, "o", None)
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert format_trace(first, "o", None).count("ValueError") == 2


def test_positions_and_spans() -> None:
    batch = fetched(b"a", b"b", b"c", first=40)
    assert position_of(batch, 1) == "orders-0@41"
    assert span_of(batch) == "orders-0@40-42"
    assert span_of(batch, fetched(), fetched(b"d", first=43)) == "orders-0@40 … orders-0@43"
    assert span_of() == span_of(fetched()) == ""


def test_a_polled_record_is_named_by_its_source() -> None:
    batch = RecordBatch(
        [RecordSchema("out")], [None], ["x"], [0], [None],
        source_offsets=[SourceOffset({"table": "t"}, {"id": 1})],
    )  # fmt: skip
    assert position_of(batch, 0) == "record 0 of a poll of {'table': 't'} for out"

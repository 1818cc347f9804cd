"""Whatever the order of writes, the result is that of one record after the other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coracle.api.schema import INT64, STRING, struct
from coracle.connectors.jdbc.sinks.ordering import Rows, Write, order
from tests.unit.jdbc.sink_case import batch, gatherer

KEY = struct({"id": INT64})
A = struct({"a": INT64})
B = struct({"a": INT64, "b": INT64})
C = struct({"c": INT64})
SCHEMAS = {"A": A, "B": B, "C": C}
Table = dict[Any, dict[str, Any]]

ops = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", "delete"]), st.integers(0, 3), st.integers(0, 99)),
    max_size=12,
)


def writes(records: list[tuple[str, int, int]], mode: str) -> list[Write]:
    rows = []
    for kind, key, number in records:
        schema = SCHEMAS.get(kind)
        value = None if schema is None else dict.fromkeys(schema.field_names, number)
        rows.append((KEY, {"id": key}, schema, value))
    third = max(1, len(rows) // 3)
    batches = [
        batch(rows[start : start + third], partition=start) for start in range(0, len(rows), third)
    ]
    groups = gatherer(pk_mode="record_key", delete_enabled="true", insert_mode=mode).gather(batches)
    parts = [
        Rows(group, list(zip(*(group.column(f) for f in group.layout.fields), strict=True)))
        for group in groups
    ]
    return order(parts, insert=mode == "insert")


def apply(mode: str, table: Table, kind: str, row: dict[str, Any]) -> str | None:
    key = row["id"]
    if kind == "delete":
        table.pop(key, None)
    elif mode == "insert" and key in table:
        return "duplicate"
    elif mode != "update" or key in table:
        table[key] = {**table.get(key, {}), **row}
    return None


def one_by_one(mode: str, records: list[tuple[str, int, int]], table: Table) -> str | None:
    for kind, key, number in records:
        fields = SCHEMAS[kind].field_names if kind in SCHEMAS else ()
        if error := apply(mode, table, kind, {"id": key, **dict.fromkeys(fields, number)}):
            return error
    return None


def together(mode: str, planned: list[Write], table: Table) -> str | None:
    for write in planned:
        layout = write.source.layout
        rows = [dict(zip(layout.names, row, strict=True)) for row in write.rows]
        if layout.delete or mode != "insert":
            assert len({row["id"] for row in rows}) == len(rows), "a key twice in a statement"
        for row in rows:
            if error := apply(mode, table, "delete" if layout.delete else "write", row):
                return error
    return None


@given(ops, st.sampled_from(["insert", "upsert", "update"]))
def test_the_result_is_that_of_one_record_after_the_other(records, mode):
    start = {0: {"id": 0, "a": -1, "b": -1, "c": -1}, 1: {"id": 1, "a": -2, "b": -2, "c": -2}}
    expected, found = dict(start), dict(start)
    refused = one_by_one(mode, records, expected)
    assert together(mode, writes(records, mode), found) == refused
    if not refused:
        assert found == expected


@given(ops)
def test_positions_are_those_of_the_rows_records(records):
    for write in writes(records, "upsert"):
        for row, position in zip(write.rows, write.positions(), strict=True):
            assert row[write.source.layout.names.index("id")] == records[position][1]


def test_disjoint_keys_take_one_statement_per_schema_however_they_interleave():
    records = [("AB"[i % 2], i, i) for i in range(50)]
    assert [len(write.rows) for write in writes(records, "upsert")] == [25, 25]


def test_the_last_of_equal_keys_is_written_once():
    [write] = writes([("A", 1, 10), ("A", 2, 20), ("A", 1, 11)], "upsert")
    assert sorted(write.rows, key=str) == [(11, 1), (20, 2)]
    assert write.positions() == [1, 2]


def test_keys_of_other_columns_are_written_in_record_order():
    other = struct({"id": INT64, "region": INT64})
    groups = gatherer(pk_mode="record_key", insert_mode="upsert").gather(
        [
            batch(
                [
                    (KEY, {"id": 1}, A, {"a": 1}),
                    (other, {"id": 1, "region": 2}, A, {"a": 2}),
                    (KEY, {"id": 1}, A, {"a": 3}),
                ]
            )
        ]
    )
    parts = [
        Rows(group, list(zip(*(group.column(f) for f in group.layout.fields), strict=True)))
        for group in groups
    ]
    assert [write.positions() for write in order(parts, insert=False)] == [[0], [1], [2]]


names = st.lists(
    st.tuples(st.sampled_from(["A", "B", "delete"]), st.sampled_from(["bob", "Bob", "bób ", "al"])),
    max_size=10,
)


@given(names)
def test_keys_that_a_collation_takes_for_equal_stay_in_order(records):
    """Debezium sends a renamed key as delete of the old and insert of the new one."""
    key = struct({"id": STRING})
    rows = [
        (key, {"id": name}, SCHEMAS.get(kind), None if kind == "delete" else {"a": n, "b": n})
        for n, (kind, name) in enumerate(records)
    ]
    config = {"pk_mode": "record_key", "delete_enabled": "true", "insert_mode": "upsert"}
    groups = gatherer(**config).gather([batch(rows)])
    parts = [
        Rows(group, list(zip(*(group.column(f) for f in group.layout.fields), strict=True)))
        for group in groups
    ]
    alive: set[str] = set()
    for write in order(parts, insert=False):
        found = {
            row[write.source.layout.names.index("id")].strip().lower().replace("ó", "o")
            for row in write.rows
        }
        alive = alive - found if write.source.layout.delete else alive | found
    last = {name.strip().lower().replace("ó", "o"): kind for kind, name in records}
    assert alive == {name for name, kind in last.items() if kind != "delete"}

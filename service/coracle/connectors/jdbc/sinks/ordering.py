"""The order of writes: as few statements as possible with the result of one record after the other.

Rows that carry no key may be written in any order. Rows with a key are written once per key, the
last one of the put, as long as every key occurs under one layout. When a key is found under
several (schemas that interleave, a delete and an upsert), its rows are laid out in phases: a phase
writes the layouts in a fixed order, and a row goes to the first phase in which it comes after all
earlier rows of its key. A put of mostly different keys has one phase, however its schemas
interleave.

Only the database knows which keys are equal: ``bob`` and ``Bob `` may be. Keys that could be are
kept in record order, as equal ones are, but only keys that are equal to the letter are merged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from unicodedata import combining, normalize

from coracle.connectors.jdbc.sinks.gathering import Group
from coracle.connectors.jdbc.sinks.layout import Layout

Row = tuple[Any, ...]


class Rows(NamedTuple):
    """A group with its rows as the driver takes them."""

    group: Group
    rows: Sequence[Row]

    @property
    def layout(self) -> Layout:
        """The group's layout."""
        return self.group.layout

    def keys(self) -> list[Any]:
        """The key of every row."""
        return list(map(itemgetter(*self.layout.key_indexes), self.rows))


class Write(NamedTuple):
    """Rows to write at once.

    Attributes:
        source: the group they belong to.
        indexes: which of its rows, ascending; ``None`` for all.
    """

    source: Rows
    indexes: Sequence[int] | None = None

    @property
    def rows(self) -> Sequence[Row]:
        """The rows themselves."""
        rows = self.source.rows
        return rows if self.indexes is None else [rows[index] for index in self.indexes]

    def positions(self) -> list[int]:
        """The places of the rows' records within the put."""
        positions = self.source.group.positions()
        return positions if self.indexes is None else [positions[i] for i in self.indexes]


def order(parts: Sequence[Rows], *, insert: bool) -> list[Write]:
    """Statements, in order, whose result is that of the records one after the other.

    Args:
        parts: all groups of a put.
        insert: whether a row is only ever added: equal keys are then not merged but left to the
            database to refuse.
    """
    tables: dict[Any, list[Rows]] = defaultdict(list)
    for part in parts:
        tables[part.layout.table].append(part)
    return [write for parts in tables.values() for write in _order_table(parts, insert)]


def _order_table(parts: Sequence[Rows], insert: bool) -> list[Write]:
    if insert and not any(part.layout.delete for part in parts):
        return [Write(part) for part in parts]
    if len({part.layout.key_names for part in parts}) > 1:
        return _by_runs(parts, insert)
    keys = [part.keys() for part in parts]
    last = [dict(zip(column, range(len(column)), strict=True)) for column in keys]
    if len(parts) > 1:
        alike = [set(map(_likeness, part)) for part in last]
        if len(set().union(*alike)) < sum(map(len, alike)):
            return _by_phases(parts, keys, insert)
    return [
        Write(part)
        if len(kept) == len(part.rows) or (insert and not part.layout.delete)
        else Write(part, sorted(kept.values()))
        for part, kept in zip(parts, last, strict=True)
    ]


def _in_record_order(parts: Sequence[Rows]) -> list[tuple[int, int, int]]:
    """(place in the put, part, row) of every row."""
    return sorted(
        (position, number, index)
        for number, part in enumerate(parts)
        for index, position in enumerate(part.group.positions())
    )


def _by_phases(parts: Sequence[Rows], keys: Sequence[Sequence[Any]], insert: bool) -> list[Write]:
    latest: dict[Any, tuple[int, int]] = {}
    slots: dict[tuple[int, int], dict[Any, int]] = defaultdict(dict)
    for _, number, index in _in_record_order(parts):
        key = keys[number][index]
        likeness = _likeness(key)
        phase, before = latest.get(likeness, (0, -1))
        if number < before:
            phase += 1
        latest[likeness] = (phase, number)
        merges = parts[number].layout.delete or not insert
        slots[phase, number][key if merges else (index,)] = index
    return [
        Write(parts[number], sorted(slot.values())) for (_, number), slot in sorted(slots.items())
    ]


def _likeness(key: Any) -> Any:
    """The same for all keys that some collation takes for equal.

    Collations may ignore case, accents and blanks at the end. A writer that makes literals hands
    them over with their quotes.
    """
    if isinstance(key, tuple):
        return tuple(map(_likeness, key))
    if not isinstance(key, str):
        return key
    key = key.rstrip("' ")
    if key.isascii():
        return key.lower()
    return "".join(c for c in normalize("NFKD", key.casefold()) if not combining(c))


def _by_runs(parts: Sequence[Rows], insert: bool) -> list[Write]:
    """Keys of different columns cannot be compared: every run of one layout is written by
    itself.
    """
    writes: list[Write] = []
    for number, run in groupby(_in_record_order(parts), key=itemgetter(1)):
        part = parts[number]
        indexes = [index for _, _, index in run]
        if part.layout.delete or not insert:
            getter = itemgetter(*part.layout.key_indexes)
            indexes = sorted({getter(part.rows[index]): index for index in indexes}.values())
        writes.append(Write(part, indexes))
    return writes

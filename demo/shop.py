"""The two databases, made-up orders, and the check that all of them arrived as they are."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_CREATE = """
CREATE TABLE orders (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    customer         TEXT NOT NULL,
    delivery_address TEXT,
    amount           DECIMAL(10, 2) NOT NULL,
    paid             BOOLEAN NOT NULL,
    ordered_at       TIMESTAMP NOT NULL
)
"""

COLUMNS = ("id", "customer", "shipping_address", "amount", "paid", "ordered_at")
"""The columns that the table in the warehouse must have."""

_FIRST = ["Zoë", "Jürgen", "Mária", "Søren", "Ольга", "Łukasz", "Chloé", "Νίκος", "美咲", "أمينة"]
_LAST = ["Ångström", "O'Brien", "García", "Øvergård", "Иванова", "Wójcik", "Dupré", "田中", "حداد"]
_STREETS = ["Hauptstraße", "Rue de l'Église", "Calle Mayor", "Łąkowa", "朝日通り", 'The "Old" Lane']
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Shop:
    """``shop.db`` with a table of orders, and ``warehouse.db``, empty."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "shop.db"
        self.destination = folder / "warehouse.db"
        self._random = random.Random(20261127)  # noqa: S311 (nothing secret)
        for path in (self.source, self.destination):
            with closing(sqlite3.connect(path)) as database:
                # Readers, such as this demo counting rows, never make the writer wait.
                database.execute("PRAGMA journal_mode = WAL")
        with closing(sqlite3.connect(self.source)) as database:
            database.execute(_CREATE)

    def order(self, number: int) -> None:
        """Add so many new orders, in one transaction."""
        with closing(sqlite3.connect(self.source)) as database, database:
            database.executemany(
                "INSERT INTO orders (customer, delivery_address, amount, paid, ordered_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [self._made_up() for _ in range(number)],
            )

    def _made_up(self) -> tuple[Any, ...]:
        draw = self._random
        address = f"{draw.choice(_STREETS)} {draw.randint(1, 200)}"
        ordered = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(
            milliseconds=draw.randrange(300 * 86_400_000)
        )
        return (
            f"{draw.choice(_FIRST)} {draw.choice(_LAST)}",
            None if draw.random() < 0.05 else address,
            draw.randint(100, 99_999) / 100,
            draw.random() < 0.8,
            ordered.strftime("%Y-%m-%d %H:%M:%S.") + f"{ordered.microsecond // 1000:03}",
        )

    def ordered(self) -> int:
        """How many orders the shop has."""
        with closing(sqlite3.connect(self.source)) as database:
            return int(database.execute("SELECT count(*) FROM orders").fetchone()[0])

    def tables(self) -> list[str]:
        """The warehouse's tables; the router made their names."""
        with closing(sqlite3.connect(self.destination)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return [name for (name,) in rows]

    def arrived(self) -> int:
        """How many orders the warehouse has."""
        with closing(sqlite3.connect(self.destination)) as database:
            return sum(
                int(database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608
                for table in self.tables()
            )

    def row(self, id_: int) -> dict[str, Any]:
        """An order as the shop has it."""
        return next(_rows(self.source, "orders", id_), {})

    def arrived_row(self, id_: int) -> dict[str, Any]:
        """An order as the warehouse has it, empty if it has not."""
        found = (row for table in self.tables() for row in _rows(self.destination, table, id_))
        return next(found, {})

    def differences(self) -> list[str]:
        """Compare every value of every order; what is wrong, in words."""
        arrived: dict[int, dict[str, Any]] = {}
        wrong: list[str] = []
        for table in self.tables():
            for row in _rows(self.destination, table):
                if row["id"] in arrived:
                    wrong.append(f"order {row['id']} arrived twice")
                arrived[row["id"]] = row
        for order in _rows(self.source, "orders"):
            expected, found = _expected(order), arrived.pop(order["id"], None)
            if found is None:
                wrong.append(f"order {order['id']} did not arrive")
            elif found != expected:
                wrong.append(f"order {order['id']} should be {expected} and is {found}")
        wrong += [f"order {id_} arrived and was never ordered" for id_ in arrived]
        return wrong


def _expected(order: dict[str, Any]) -> dict[str, Any]:
    """An order as it must arrive: a field renamed, the time as SQLite's JDBC driver stores it."""
    when = datetime.fromisoformat(order["ordered_at"]).replace(tzinfo=UTC)
    values = {**order, "ordered_at": (when - _EPOCH) // timedelta(milliseconds=1)}
    return {name: values[_ORIGINAL.get(name, name)] for name in COLUMNS}


_ORIGINAL = {"shipping_address": "delivery_address"}


def _rows(path: Path, table: str, id_: int | None = None) -> Iterator[dict[str, Any]]:
    where, values = ("", ()) if id_ is None else (" WHERE id = ?", (id_,))
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        for row in database.execute(f'SELECT * FROM "{table}"{where}', values):  # noqa: S608
            yield dict(row)

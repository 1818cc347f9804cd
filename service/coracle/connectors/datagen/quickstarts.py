"""The built-in schemas: names, fields and value ranges of Confluent's quickstarts of those names.

A quickstart that is not here can be had by giving its schema as ``schema.string``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Avro = Mapping[str, Any]


@dataclass(frozen=True)
class Quickstart:
    """A schema to generate from.

    Attributes:
        schema: Avro, annotated with ``arg.properties``.
        key: the field that becomes the record's key.
    """

    schema: Avro
    key: str


def _record(name: str, fields: Mapping[str, Avro], namespace: str | None = "ksql") -> Avro:
    members = [{"name": field, "type": type_} for field, type_ in fields.items()]
    record: dict[str, Any] = {"type": "record", "name": name, "fields": members}
    return record | {"namespace": namespace} if namespace else record


def _of(type_: str, **properties: Any) -> Avro:
    return {"type": type_, "arg.properties": properties}


_A_YEAR = {"min": 1487715775521, "max": 1519273364600}
"""February 2017 to February 2018, in milliseconds."""

QUICKSTARTS: Mapping[str, Quickstart] = {
    "orders": Quickstart(
        _record(
            "orders",
            {
                "ordertime": _of("long", range=_A_YEAR),
                "orderid": _of("int", iteration={"start": 0}),
                "itemid": _of("string", regex="Item_[1-9][0-9]{0,2}"),
                "orderunits": _of("double", range={"min": 0.1, "max": 10.0}),
                "address": _record(
                    "address",
                    {
                        "city": _of("string", regex="City_[1-9][0-9]?"),
                        "state": _of("string", regex="State_[1-9][0-9]?"),
                        "zipcode": _of("long", range={"min": 10000, "max": 99999}),
                    },
                ),
            },
        ),
        "orderid",
    ),
    "users": Quickstart(
        _record(
            "users",
            {
                "registertime": _of("long", range=_A_YEAR),
                "userid": _of("string", regex="User_[1-9]"),
                "regionid": _of("string", regex="Region_[1-9]"),
                "gender": _of("string", options=["MALE", "FEMALE", "OTHER"]),
            },
        ),
        "userid",
    ),
    "pageviews": Quickstart(
        _record(
            "pageviews",
            {
                "viewtime": _of("long", iteration={"start": 1, "step": 10}),
                "userid": _of("string", regex="User_[1-9]"),
                "pageid": _of("string", regex="Page_[1-9][0-9]"),
            },
        ),
        "viewtime",
    ),
    "stock_trades": Quickstart(
        _record(
            "StockTrade",
            {
                "side": _of("string", options=["BUY", "SELL"]),
                "quantity": _of("int", range={"min": 1, "max": 5000}),
                "symbol": _of(
                    "string",
                    options=["ZBZX", "ZJZZT", "ZTEST", "ZVV", "ZVZZT", "ZWZZT", "ZXZZT"],
                ),
                "price": _of("int", range={"min": 5, "max": 1000}),
                "account": _of("string", options=["ABC123", "LMN456", "XYZ789"]),
                "userid": _of("string", regex="User_[1-9]"),
            },
        ),
        "symbol",
    ),
    "product": Quickstart(
        _record(
            "product",
            {
                "id": _of("long", iteration={"start": 0}),
                "name": _of("string", iteration={"start": 0}),
                "description": _of("string", iteration={"start": 0}),
                "price": _of("double", iteration={"start": 0}),
            },
        ),
        "id",
    ),
}

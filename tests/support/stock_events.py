"""Rows of a batch, what they must add up to, and a database that dies at a command."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from pymongo.database import Database

from analytics.stock.rankings import LoyaltyRules, profit
from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from sinks.stock.totals import StockFormulas

TOPICS = {SALES: "topic-raw-sales", INVENTORY: "topic-inventory-updates", CLIENTS: "topic-clients"}
FORMULAS = StockFormulas(LoyaltyRules().standing, profit)
START = datetime(2026, 3, 1, tzinfo=timezone.utc)


def sale(invoice: str, client: str = "C1", amount: str = "10.00", **units: int) -> dict[str, Any]:
    """A sale event; `units` by product, one piece of P1 without them."""
    items = [{"product_id": product, "quantity": count} for product, count in (units or {"P1": 1}).items()]
    return {
        "invoice_id": invoice,
        "client_id": client,
        "timestamp": "2026-03-01T10:00:00Z",
        "total_amount": amount,
        "items": items,
    }


def credit(
    number: str, invoice: str, client: str = "C1", amount: str = "10.00", **units: int
) -> dict[str, Any]:
    """A credit note of `invoice`."""
    return {**sale(number, client, amount, **units), "credits": invoice}


def void(number: str, invoice: str, **changes: Any) -> dict[str, Any]:
    """Says that `invoice` counts as if it never was."""
    return {"invoice_id": number, "voids": invoice, "timestamp": "2026-03-02T10:00:00Z", **changes}


def product(product_id: str, buy: str = "1.00", sell: str = "3.00", **changes: Any) -> dict[str, Any]:
    """An inventory update."""
    update = {"product_id": product_id, "name": f"Product {product_id}", "category": "tea", "quantity": 5}
    return {**update, "buy_price": buy, "sell_price": sell, "batch_no": "B1", **changes}


def client(client_id: str, opening: str = "0", **changes: Any) -> dict[str, Any]:
    """A client's record."""
    return {
        "client_id": client_id,
        "name": f"Client {client_id}",
        "total_revenue_generated": opening,
        **changes,
    }


def kind_of(event: Mapping[str, Any]) -> str:
    """Which topic an event belongs to."""
    return SALES if "invoice_id" in event else INVENTORY if "product_id" in event else CLIENTS


def row(event: Mapping[str, Any], offset: int, partition: int = 0) -> dict[str, Any]:
    """An event as a record of Kafka, whose time is one second an offset."""
    kind = kind_of(event)
    return {
        "kind": kind,
        "topic": TOPICS[kind],
        "partition": partition,
        "offset": offset,
        "timestamp": START + timedelta(seconds=offset),
        "key": None,
        "value": json.dumps(event).encode(),
    }


def assert_totals_are_the_sum_of_the_invoices(database: Database[dict[str, Any]]) -> None:
    """Units, profit and client revenue are what the stored invoices and the stored prices add up to."""
    units: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    # What was retired is in the totals' past.
    for total in database["product_totals"].find({"past_units": {"$exists": True}}):
        units[total["_id"]] += total["past_units"]
    for stored in database["clients"].find({"past_cents": {"$exists": True}}):
        amounts[stored["_id"]] += stored["past_cents"]
    for stored in database["sales"].find({"items": {"$exists": True}}):
        amounts[stored["client_id"]] += int(stored["total_amount"].to_decimal() * 100)
        for item in stored["items"]:
            units[item["product_id"]] += item["quantity"]
    prices = {
        p["_id"]: p["sell_price"].to_decimal() - p["buy_price"].to_decimal()
        for p in database["inventory"].find()
    }
    expected = {
        name: (count, int(prices[name] * count * 100) if name in prices else None)
        for name, count in units.items()
    }
    found = {t["_id"]: (t["units"], t["profit_cents"]) for t in database["product_totals"].find()}
    assert found == expected
    clients = {c["_id"]: c for c in database["clients"].find()}
    assert {name: c["sales_cents"] for name, c in clients.items() if c["sales_cents"]} == {
        name: cents for name, cents in amounts.items() if cents
    }
    for stored in clients.values():
        revenue = Decimal(stored["opening_cents"] + stored["sales_cents"]) / 100
        assert stored["total_revenue_generated"].to_decimal() == revenue
        assert stored["eligible_promo"] == (revenue > 10_000)
        tier = "Gold" if revenue > 20_000 else "Silver" if revenue > 10_000 else "Standard"
        assert stored["loyalty_tier"] == tier


class CrashError(BaseException):
    """The process dies here; no `except Exception` may survive it."""


def letters_of(kept: Iterable[Sequence[Any]]) -> set[tuple[str, int, str]]:
    """Source, offset and reason of dead letters."""
    return {(one.source, one.position, one.reason) for some in kept for one in some}

"""Finds the products for the rankings by index: the best sold ones, and those that may be a risk."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

from pymongo.database import Database

from sinks.stock.schema import BEST_FIRST
from sinks.stock.totals import INVENTORY, TOTALS, find

_PRODUCT = {"product_id": 1, "name": 1, "quantity": 1, "expiry_date": 1, "last_movement": 1, "buy_cents": 1}


def best_sold(database: Database[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """`_id, units, name, buy_cents, sell_cents` of the products with a known price that earned most."""
    # Unpriced products have no profit, which sorts last; of one that was taken back whole nothing was sold.
    sold = {"units": {"$gt": 0}}
    found = database[TOTALS].find(sold, {"units": 1, "profit_cents": 1}).sort(BEST_FIRST).limit(limit)
    totals = [total for total in found if total["profit_cents"] is not None]
    products = find(
        database[INVENTORY], (total["_id"] for total in totals), ("name", "buy_cents", "sell_cents")
    )
    return [{**products[total["_id"]], "units": total["units"]} for total in totals]


def possible_risks(
    database: Database[dict[str, Any]], last_expiry: date, first_movement: date
) -> list[dict[str, Any]]:
    """Products that expire up to `last_expiry` or moved last before `first_movement`."""
    condition = {
        "$or": [
            {"expiry_date": {"$lte": _midnight(last_expiry)}},
            {"last_movement": {"$lt": _midnight(first_movement)}},
        ]
    }
    return list(database[INVENTORY].find(condition, _PRODUCT))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)

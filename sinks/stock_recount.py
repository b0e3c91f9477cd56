"""The totals counted anew from all invoices, and mended where they differ: nobody has to trust increments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pymongo
from pymongo.database import Database

from sinks.stock_ledger import OpenBatch
from sinks.stock_sales import COLLECTION as SALES
from sinks.stock_sales import Sums, pieces
from sinks.stock_totals import StockTotals, send, swap

_AT_ONCE = 5_000
_SECONDS = 3_600.0


def recount(database: Database[dict[str, Any]], totals: StockTotals) -> list[str]:
    """Mend what is wrong between two batches; the products and clients that were, by name and number.

    Costs one pass over all invoices, in the server.
    """
    # Far above the client's bound for a command.
    with pymongo.timeout(_SECONDS):
        return [*_recount_products(database, totals), *_recount_clients(database, totals)]


def _recount_products(database: Database[dict[str, Any]], totals: StockTotals) -> list[str]:
    group = {"_id": "$items.product_id", "units": {"$sum": "$items.quantity"}}
    counted = _grouped(database, [{"$unwind": "$items"}, {"$group": group}])
    wrong, changes = [], []
    for before, price in _with_prices(totals):
        units = counted.pop(before["_id"], 0)
        after = {"units": units, "profit_cents": totals.profit(units, price)}
        if any(before[name] != value for name, value in after.items()):
            wrong.append(f"product {before['_id']}: {before['units']} units, counted {units}")
            changes.append(swap(before["_id"], before, ("units", "applied"), after))
    send(totals.totals, changes)
    # No total at all; their number is lower than that of any batch to come.
    totals.add_units(1, counted)
    return wrong + [f"product {product}: no total, counted {units}" for product, units in counted.items()]


def _with_prices(totals: StockTotals) -> Iterable[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    for some in pieces(totals.totals.find({}), _AT_ONCE):
        prices = {
            product["_id"]: product
            for product in totals.inventory.find({"_id": {"$in": [total["_id"] for total in some]}})
        }
        for total in some:
            yield total, prices.get(total["_id"])


def _recount_clients(database: Database[dict[str, Any]], totals: StockTotals) -> list[str]:
    group = {"_id": "$client_id", "units": {"$sum": "$amount_cents"}}
    counted = _grouped(database, [{"$group": group}])
    wrong, changes = [], []
    for before in totals.clients.find({}):
        cents = counted.pop(before["_id"], 0)
        after = {"sales_cents": cents, **totals.derived({**before, "sales_cents": cents})}
        if any(before.get(name) != value for name, value in after.items()):
            changes.append(swap(before["_id"], before, ("order", "applied"), after))
        if before["sales_cents"] != cents:
            wrong.append(f"client {before['_id']}: {before['sales_cents']} cents, counted {cents}")
    send(totals.clients, changes)
    totals.take_clients(OpenBatch(1, 1), Sums(amounts=counted), [])
    return wrong + [f"client {client}: no total, counted {cents}" for client, cents in counted.items()]


def _grouped(database: Database[dict[str, Any]], pipeline: list[dict[str, Any]]) -> Counter[str]:
    found = database[SALES].aggregate(pipeline, allowDiskUse=True)
    return Counter({group["_id"]: group["units"] for group in found})

"""Counts the totals anew from all invoices and mends those that differ: increments need not be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from mongo_patience import while_it_answers
from sinks.stock.ledger import SealedBatch, Settled, StockLedger
from sinks.stock.retirement import PAST_CENTS, PAST_UNITS
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.sales import Sums, pieces
from sinks.stock.totals import WATCHED, StockTotals, find, send, storable, swap

_AT_ONCE = 5_000
_JUDGED = ("order", "applied", "eligible_promo", "loyalty_tier")


@dataclass(frozen=True)
class Recount:
    """One recount after the ledger was settled; one that dies half-way is simply begun again.

    Raises AlreadyRunningError when another process has taken over, StaleReadError when something was written
    meanwhile; pymongo's errors pass through.
    """

    database: Database[dict[str, Any]]
    totals: StockTotals
    ledger: StockLedger
    settled: Settled
    _wrong: list[str] = field(default_factory=list)

    def run(self, mark: Callable[[str], None]) -> list[str]:
        """Mend wrong totals; returns a line for each product and client that had one.

        Costs one pass over all invoices, in the server. `mark` is called between products and clients.
        """
        self._products()
        mark("recount")
        self._clients()
        return self._wrong

    def _products(self) -> None:
        group = {"_id": "$items.product_id", "sum": {"$sum": "$items.quantity"}}
        counted = self._counted([{"$unwind": "$items"}, {"$group": group}])
        known: set[str] = set()
        for some in pieces(self.totals.totals.find({}), _AT_ONCE):
            products = find(
                self.totals.inventory,
                (before["_id"] for before in some),
                ("buy_cents", "sell_cents", "order"),
            )
            changes = []
            for before in some:
                known.add(before["_id"])
                units = counted[before["_id"]] + before.get(PAST_UNITS, 0)
                after = self.totals.valued(units, products.get(before["_id"]))
                if any(before.get(name) != value for name, value in after.items()):
                    changes.append(swap(before["_id"], before, WATCHED, after))
                    self._tell_product(before, after)
            self._send(self.totals.totals, changes)
        lacking = Counter({product: units for product, units in counted.items() if product not in known})
        # The number is lower than that of any batch to come.
        self.totals.add_units(self.settled.number, lacking)
        self._tell_lacking("product", lacking)

    def _tell_product(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        # A price that was stored when its batch failed; the batch comes again, and there is nothing to mend.
        is_behind = before.get("priced") != after["priced"]
        if before["units"] != after["units"] or (
            before["profit_cents"] != after["profit_cents"] and not is_behind
        ):
            self._wrong.append(f"product {before['_id']}: {before['units']} units, counted {after['units']}")

    def _clients(self) -> None:
        counted = self._counted([{"$group": {"_id": "$client_id", "sum": {"$sum": "$amount_cents"}}}])
        known: set[str] = set()
        for some in pieces(self.totals.clients.find({}), _AT_ONCE):
            changes = []
            for before in some:
                known.add(before["_id"])
                cents = counted[before["_id"]] + before.get(PAST_CENTS, 0)
                after = {"sales_cents": cents, **self.totals.derived({**before, "sales_cents": cents})}
                if any(before.get(name) != value for name, value in after.items()):
                    changes.append(swap(before["_id"], before, _JUDGED, after))
                if before["sales_cents"] != cents:
                    told = f"client {before['_id']}: {before['sales_cents']} cents, counted {cents}"
                    self._wrong.append(told)
            self._send(self.totals.clients, changes)
        lacking = Counter({client: cents for client, cents in counted.items() if client not in known})
        batch = SealedBatch(self.settled.number, self.settled.number)
        self.totals.take_clients(batch, Sums(amounts=lacking), [])
        self._tell_lacking("client", lacking)

    def _tell_lacking(self, kind: str, lacking: Mapping[str, int]) -> None:
        self._wrong.extend(f"{kind} {name}: no total, counted {count}" for name, count in lacking.items())

    def _send(self, collection: Collection[dict[str, Any]], changes: Iterable[UpdateOne]) -> None:
        # The totals and the counted invoices are of one moment only if nothing was written in between.
        self.ledger.require(self.settled)
        send(collection, list(changes))

    def _counted(self, pipeline: list[dict[str, Any]]) -> Counter[str]:
        """Sums over the invoices that are in the totals: late ones are counted with a number to come."""
        late = sorted(self.settled.given_up)
        # What was retired is in the totals' own past, and has no items, client or amount.
        matched: list[dict[str, Any]] = [{"$match": {"items": {"$exists": True}, "batch": {"$nin": late}}}]
        count = partial(self.database[SALES].aggregate, [*matched, *pipeline], allowDiskUse=True)
        found = while_it_answers(self.database, count, f"the sums of {SALES}")
        return Counter({group["_id"]: storable(int(group["sum"])) for group in found})

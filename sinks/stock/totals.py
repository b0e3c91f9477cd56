"""Keeps products, clients, and the sums of their sales up to date, batch by batch.

Every document is changed in one piece by compare-and-set: the change applies to the state that was read, or
to none. The compared fields only ever rise, so a change that arrives late finds another state and does
nothing: the number of the last batch in `applied`, the `order` of the newest record, and in `priced` the
order of the record whose prices gave the profit. A batch that is applied again finds its number and records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple

from bson import Decimal128
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from contracts.stock import Client, Product
from sinks.stock.ledger import SealedBatch, StaleReadError
from sinks.stock.sales import Sums, pieces, stale_or

INVENTORY, TOTALS, CLIENTS = "inventory", "product_totals", "clients"
# A change of a product's total applies only if these fields are as they were read.
WATCHED = ("units", "priced", "applied")
_AT_ONCE = 1_000
_MAX_INT64 = 2**63 - 1

Documents = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StockFormulas:
    """`standing` gives a client's fields by revenue in cents, `profit` cents by units, buy and sell price."""

    standing: Callable[[int], Mapping[str, Any]]
    profit: Callable[[int, int, int], int]


class Taken(NamedTuple):
    """The number of records that are now stored as they came, and of those older than the stored one.

    Any other record was there already.
    """

    written: int
    superseded: int


class StockTotals:
    """The collections `inventory`, `product_totals` and `clients`. pymongo's errors pass through."""

    def __init__(self, database: Database[dict[str, Any]], formulas: StockFormulas) -> None:
        self.inventory = database[INVENTORY]
        self.totals = database[TOTALS]
        self.clients = database[CLIENTS]
        self._formulas = formulas

    def apply(
        self, batch: SealedBatch, sums: Sums, products: Sequence[Product] = (), clients: Sequence[Client] = ()
    ) -> tuple[Taken, Taken]:
        """Add a batch's sums and take its records, the newest of each product and client.

        Returns the ends of the products' records and of the clients'. Raises StaleReadError when another
        writer changed something; the batch is to be applied again.
        """
        # Clients and products have nothing to do with each other, and the server has cores for both.
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(self.take_clients, batch, sums, clients)
            taken = self._take_products(batch, products)
            self.add_units(batch.number, sums.units, [product.product_id for product in products])
            return taken, beside.result()

    def _take_products(self, batch: SealedBatch, products: Sequence[Product]) -> Taken:
        stored = find(self.inventory, (p.product_id for p in products), ("order", "batch"))
        changes, ends = [], Counter[str]()
        for product in products:
            before = stored.get(product.product_id)
            ends[_end(before, product.order, batch)] += 1
            if before is None or before["order"] < product.order:
                change = {**_inventory(product), "batch": batch.number}
                changes.append(swap(product.product_id, before, ("order",), change))
        send(self.inventory, changes)
        return Taken(ends["written"], ends["superseded"])

    def add_units(self, number: int, units: Mapping[str, int], also: Iterable[str] = ()) -> None:
        """Add `units` to totals without batch `number`; compute the profits of these and of `also`."""
        ids = sorted({*units, *also})
        stored = find(self.totals, ids, ("units", "applied", "profit_cents", "priced"))
        prices = find(self.inventory, units.keys() | stored.keys(), ("buy_cents", "sell_cents", "order"))
        changes = []
        for product_id in ids:
            before = stored.get(product_id)
            if before is None and product_id not in units:
                continue
            total, applied = (before["units"], before["applied"]) if before else (0, 0)
            if applied < number and product_id in units:
                total, applied = storable(total + units[product_id]), number
            after = {"applied": applied, **self.valued(total, prices.get(product_id))}
            if before is None or any(before.get(name) != value for name, value in after.items()):
                changes.append(swap(product_id, before, WATCHED, after))
        send(self.totals, changes)

    def valued(self, units: int, product: Mapping[str, Any] | None) -> dict[str, Any]:
        """Returns the fields of a total of `units`; it has no profit while `product` is not known."""
        if product is None:
            return {"units": units, "profit_cents": None, "priced": None}
        profit = self._formulas.profit(units, product["buy_cents"], product["sell_cents"])
        return {"units": units, "profit_cents": storable(profit), "priced": product["order"]}

    def take_clients(self, batch: SealedBatch, sums: Sums, clients: Sequence[Client]) -> Taken:
        """Add the amounts of `sums` to clients that have not had this batch, and take their records.

        Returns the ends of the records, as `apply` does; makes a client who is not known.
        """
        records = {client.client_id: client for client in clients}
        ids = sorted(records.keys() | sums.amounts.keys())
        stored = find(self.clients, ids, ("order", "batch", "applied", "opening_cents", "sales_cents"))
        changes, ends = [], Counter[str]()
        for client_id in ids:
            before, record = stored.get(client_id), records.get(client_id)
            after: dict[str, Any] = {}
            if record is not None:
                ends[_end(before, record.order, batch)] += 1
                if before is None or before.get("order", "") < record.order:
                    after |= {**_record(record), "batch": batch.number}
            if client_id in sums.amounts and (before is None or before["applied"] < batch.number):
                sold = before["sales_cents"] if before else 0
                cents = storable(sold + sums.amounts[client_id])
                after |= {"sales_cents": cents, "applied": batch.number}
            if after:
                full = {**_NEW_CLIENT, **(before or {}), **after}
                after = {**({} if before else _NEW_CLIENT), **after, **self.derived(full)}
                changes.append(
                    swap(client_id, before, ("order", "applied"), {**after, "client_id": client_id})
                )
        send(self.clients, changes)
        return Taken(ends["written"], ends["superseded"])

    def derived(self, client: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields that follow from the opening balance and the sales of `client`."""
        revenue = storable(client["opening_cents"] + client["sales_cents"])
        return {"revenue_cents": revenue, **bson_values(self._formulas.standing(revenue))}


_NEW_CLIENT: Mapping[str, Any] = {
    "name": None,
    "email": None,
    "phone": None,
    "opening_cents": 0,
    "sales_cents": 0,
    "applied": 0,
}


def _end(before: Mapping[str, Any] | None, order: str, batch: SealedBatch) -> str:
    """Returns the end of a record of `order`; one that an earlier try of `batch` has written is written."""
    known = (before or {}).get("order", "")
    if before is None or known < order:
        return "written"
    if known > order:
        return "superseded"
    return "written" if before["batch"] >= batch.first else "duplicate"


def storable(whole: int) -> int:
    """The nearest number that MongoDB can keep as an integer: a sum beyond it holds nothing up."""
    return max(-_MAX_INT64, min(_MAX_INT64, whole))


def find(collection: Collection[dict[str, Any]], ids: Iterable[str], fields: Sequence[str]) -> Documents:
    """The documents with these ids, by id."""
    projection = dict.fromkeys(fields, 1)
    return {
        document["_id"]: document
        for some in pieces(ids, _AT_ONCE)
        for document in collection.find({"_id": {"$in": some}}, projection)
    }


def swap(
    key: str, before: Mapping[str, Any] | None, watched: Sequence[str], after: Mapping[str, Any]
) -> UpdateOne:
    """Set `after` where `watched` are still as they were in `before`; make the document if there was none."""
    if before is None:
        return UpdateOne({"_id": key, watched[-1]: {"$exists": False}}, {"$set": dict(after)}, upsert=True)
    return UpdateOne({"_id": key, **{name: before.get(name) for name in watched}}, {"$set": dict(after)})


def send(collection: Collection[dict[str, Any]], changes: Sequence[UpdateOne]) -> None:
    """Make all changes. Raises StaleReadError when one found something else than was read."""
    for some in pieces(changes, _AT_ONCE):
        if _sent(collection, some) < len(some):
            raise StaleReadError(f"{collection.name} was written meanwhile")


def _sent(collection: Collection[dict[str, Any]], changes: list[UpdateOne]) -> int:
    try:
        answer = collection.bulk_write(changes, ordered=False)
    except BulkWriteError as error:
        raise stale_or(error) from error
    return answer.matched_count + answer.upserted_count


def bson_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with decimals as MongoDB has them."""
    return {
        name: Decimal128(value) if isinstance(value, Decimal) else value for name, value in values.items()
    }


def _inventory(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "name": product.name,
        "category": product.category,
        "quantity": product.quantity,
        "buy_price": Decimal128(f"{product.buy_price}E-2"),
        "sell_price": Decimal128(f"{product.sell_price}E-2"),
        "last_movement": _midnight(product.last_movement),
        "expiry_date": _midnight(product.expiry_date),
        "batch_no": product.batch_no,
        "buy_cents": product.buy_price,
        "sell_cents": product.sell_price,
        "order": product.order,
    }


def _record(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "email": client.email,
        "phone": client.phone,
        "opening_cents": client.opening,
        "order": client.order,
    }


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=timezone.utc)

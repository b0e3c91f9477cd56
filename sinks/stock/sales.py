"""The invoices and their corrections: each is stored once, under the number with which it is counted.

A credit note has negative pieces and cents, so that sums need not know of it. A void says nothing to be
counted: it makes that, for each invoice or credit note that it concerns, a reversal is stored, whichever of
the two was there first (reversals.py).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bson import Decimal128
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure

from contracts.stock import Sale, Void
from sinks.mongo_errors import DUPLICATE_KEY, is_transient_write, is_unauthorized, write_errors
from sinks.stock.ledger import StaleReadError
from sinks.stock.reversals import find_reversals

COLLECTION = "sales"
# What a document is, in `correction`, when it is no invoice.
CREDIT, VOID = "credit", "void"
_AT_ONCE, _MOVED_AT_ONCE = 1_000, 5_000
# No invoice's id: it has no blanks at its ends.
_NOBODY = " nobody"


@dataclass(frozen=True, slots=True)
class StoredSale:
    """The marks by which an invoice that is there already differs from another one of the same id."""

    digest: str
    batch: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of some invoices: pieces by product, cents by client."""

    units: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)

    def add(self, document: Mapping[str, Any]) -> None:
        """Count one stored invoice, credit note or reversal; a void says nothing itself."""
        if "items" not in document:
            return
        self.amounts[document["client_id"]] += document["amount_cents"]
        for item in document["items"]:
            self.units[item["product_id"]] += item["quantity"]


def digest(sale: Sale | Void) -> str:
    """Returns a hash of the content of `sale` that does not depend on the order of its items."""
    content: tuple[object, ...]
    if isinstance(sale, Void):
        content = ("voids", sale.voids, sale.time.isoformat())
    else:
        content = (sale.client_id, sale.time.isoformat(), sale.amount, sorted(_units(sale).items()))
        # Of a plain invoice it is that of the versions before this one.
        content += ("credits", sale.credits) if sale.credits else ()
    return hashlib.sha256(repr(content).encode("utf-8", "backslashreplace")).hexdigest()[:32]


class SalesStore:
    """The collection `sales`. pymongo's errors pass through."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._documents: Collection[dict[str, Any]] = database[COLLECTION]

    def last_number(self) -> int:
        """The greatest number that an invoice has; 0 without any."""
        found = self._documents.find_one({}, {"batch": 1}, sort=[("batch", DESCENDING)])
        return int(found["batch"]) if found else 0

    def find(self, invoice_ids: Iterable[str], given_up: Container[int] = ()) -> dict[str, StoredSale]:
        """Returns by id those of the invoices that are there.

        Raises StaleReadError when one has a number of `given_up`: it came late and is to be counted first.
        """
        found: dict[str, StoredSale] = {}
        for some in pieces(invoice_ids, _AT_ONCE):
            for document in self._documents.find({"_id": {"$in": some}}, {"digest": 1, "batch": 1}):
                if document["batch"] in given_up:
                    raise StaleReadError("an invoice arrived late")
                found[document["_id"]] = StoredSale(document["digest"], document["batch"])
        return found

    def retired_of(self, names: Iterable[str]) -> set[str]:
        """Returns those of `names` whose invoice, or a credit note of it, says nothing any more.

        What such a one said cannot be taken back.
        """
        found: set[str] = set()
        for some in pieces(names, _AT_ONCE):
            family = {"$or": [{"_id": {"$in": some}}, {"credits": {"$in": some}}]}
            silent = {**family, "items": {"$exists": False}, "voids": {"$exists": False}}
            for document in self._documents.find(silent, {"credits": 1}):
                found |= {document["_id"], document.get("credits", "")}.intersection(some)
        return found

    def insert(self, sales: Iterable[Sale | Void], batch: int) -> Sums:
        """Store new invoices under the number `batch`, and what takes back those that are voided.

        Returns their sums, as `sums` would read them. Raises StaleReadError when one is there meanwhile; the
        others are stored.
        """
        stored = Sums()
        for some in pieces(sales, _AT_ONCE):
            documents = [_document(sale, batch) for sale in some]
            self._insert(documents)
            for document in documents:
                stored.add(document)
            # Once they are there: of an invoice and its void the one that comes later finds the other.
            for document in self._reverse(documents, batch):
                stored.add(document)
        return stored

    def reverse(self, batch: int) -> None:
        """Store, under the number `batch`, what takes back those invoices under it that are voided.

        What arrived late was moved there; or its process died before it came to this.
        """
        fields = {"credits": 1, "voids": 1, "reverses": 1}
        found = self._documents.find({"batch": batch}, fields)
        for some in pieces(found, _AT_ONCE):
            self._reverse(some, batch)

    def _reverse(self, documents: list[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
        made = [{**one, "batch": batch} for one in find_reversals(self._documents, documents)]
        if made:
            self._insert(made)
        return made

    def _insert(self, documents: list[dict[str, Any]]) -> None:
        try:
            self._documents.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            raise stale_or(error) from error

    def may_move(self) -> bool:
        """Whether the user has the right to `move`."""
        try:
            self._documents.update_one({"_id": _NOBODY}, {"$set": {"batch": 0}})
        except OperationFailure as error:
            if not is_unauthorized(error):
                raise
            return False
        return True

    def find_late(self, given_up: Iterable[int]) -> list[str]:
        """Returns ids of some invoices under the numbers `given_up`; empty when there are none."""
        numbers = sorted(given_up)
        if not numbers:
            return []
        found = self._documents.find({"batch": {"$in": numbers}}, {"_id": 1}).limit(_MOVED_AT_ONCE)
        return [document["_id"] for document in found]

    def move(self, invoice_ids: Iterable[str], given_up: Iterable[int], batch: int) -> None:
        """Give those of the invoices that have a number of `given_up` the number of `batch`."""
        numbers = sorted(given_up)
        for some in pieces(invoice_ids, _AT_ONCE):
            condition = {"_id": {"$in": some}, "batch": {"$in": numbers}}
            self._documents.update_many(condition, {"$set": {"batch": batch}})

    def sums(self, batch: int) -> Sums:
        """Returns the sums of the invoices under the number `batch`."""
        found = Sums()
        # What was retired is in the totals' past, also if a ledger is restored that does not know so.
        counted = {"batch": batch, "items": {"$exists": True}}
        for document in self._documents.find(counted, {"client_id": 1, "amount_cents": 1, "items": 1}):
            found.add(document)
        return found


def pieces(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """`values` in lists of at most `size`."""
    left = iter(values)
    while some := list(islice(left, size)):
        yield some


def stale_or(error: BulkWriteError) -> Exception:
    """Returns StaleReadError when another try from the present state will do, else `error` itself.

    Raises UnavailableError when writes are not confirmed.
    """
    if all(entry.get("code") == DUPLICATE_KEY or is_transient_write(entry) for entry in write_errors(error)):
        return StaleReadError("something was written meanwhile")
    return error


def _units(sale: Sale) -> Counter[str]:
    units: Counter[str] = Counter()
    for product_id, pieces_sold in sale.items:
        units[product_id] += pieces_sold
    return units


def _document(sale: Sale | Void, batch: int) -> dict[str, Any]:
    marks = {
        "_id": sale.invoice_id,
        "invoice_id": sale.invoice_id,
        "timestamp": sale.time,
        "digest": digest(sale),
        "batch": batch,
    }
    if isinstance(sale, Void):
        return {**marks, "correction": VOID, "voids": sale.voids}
    sign = -1 if sale.credits else 1
    return {
        **marks,
        "client_id": sale.client_id,
        "total_amount": Decimal128(f"{sign * sale.amount}E-2"),
        "items": [{"product_id": product, "quantity": sign * quantity} for product, quantity in sale.items],
        "amount_cents": sign * sale.amount,
        **({"correction": CREDIT, "credits": sale.credits} if sale.credits else {}),
    }

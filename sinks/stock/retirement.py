"""Takes out of old invoices what they say: their sums join the totals' own past, their ids stay.

An invoice that comes again is still known by its id and hash, and every total stays as it is. The ledger
notes the ids of some invoices and a number; then their sums go into the past, then their contents go. What a
crash left half done is done again from that note: a past that has the sums of a number takes them no second
time, and no content goes before every past has its sums. Nothing else counts invoices meanwhile, so `finish`
comes before a recount.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo import DESCENDING, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from sinks.stock.ledger import Settled, StaleReadError, StockLedger
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.sales import Sums, pieces
from sinks.stock.schema import ensure_times
from sinks.stock.totals import CLIENTS, TOTALS

PAST_UNITS, PAST_CENTS = "past_units", "past_cents"
# The number whose sums a past has last.
_PAST = "past_number"
_NOTE = "retiring"
_AT_ONCE: Final = 1_000
_CONTENT = ("invoice_id", "client_id", "timestamp", "total_amount", "items", "amount_cents")


@dataclass(frozen=True)
class Retirement:
    """By the process that holds the ledger, after it was settled. pymongo's errors pass through.

    Raises AlreadyRunningError when another process has taken over, StaleReadError when something was written
    meanwhile; it is then begun again.
    """

    database: Database[dict[str, Any]]
    ledger: StockLedger
    settled: Settled

    def finish(self) -> int:
        """Do what a process that ended has left half done; returns the last number."""
        note = self.settled.notes.get(_NOTE, {})
        number: int = note.get("number", 0)
        if note.get("ids"):
            self._retire(number, note["ids"])
        return number

    def run(self, before: datetime, at_most: int = 0) -> int:
        """Retire invoices whose time is before `before`, all of them or `at_most`; returns how many."""
        sales, count = self.database[SALES], 0
        # A ledger of a restored backup may be behind the pasts.
        number = max(self.finish(), *(self._last_of(self.database[name]) for name in (TOTALS, CLIENTS)))
        ensure_times(self.database)
        found = sales.find(old_sales(before, self.settled), {"_id": 1}).limit(at_most)
        noted = self.settled.notes.get(_NOTE, {}).get("number")
        for some in pieces((document["_id"] for document in found), _AT_ONCE):
            number += 1
            self.ledger.turn_note(_NOTE, noted, number, ids=some)
            self._retire(number, some)
            noted, count = number, count + len(some)
        return count

    def _last_of(self, totals: Collection[dict[str, Any]]) -> int:
        found = totals.find_one({}, {_PAST: 1}, sort=[(_PAST, DESCENDING)]) or {}
        return int(found.get(_PAST, 0))

    def _retire(self, number: int, ids: list[str]) -> None:
        sales, sums = self.database[SALES], Sums()
        # Of one whose content is gone the sums are in the past.
        for document in sales.find({"_id": {"$in": ids}, "items": {"$exists": True}}):
            sums.add(document)
        self._add(self.database[TOTALS], number, PAST_UNITS, sums.units)
        self._add(self.database[CLIENTS], number, PAST_CENTS, sums.amounts)
        self.ledger.require(self.settled)
        sales.update_many({"_id": {"$in": ids}}, {"$unset": dict.fromkeys(_CONTENT, "")})
        self.ledger.turn_note(_NOTE, number, number, ids=[])

    def _add(self, totals: Collection[dict[str, Any]], number: int, name: str, sums: Counter[str]) -> None:
        self.ledger.require(self.settled)
        changes = [
            UpdateOne(
                {"_id": key, _PAST: {"$not": {"$gte": number}}},
                {"$inc": {name: amount}, "$set": {_PAST: number}},
            )
            for key, amount in sums.items()
        ]
        if changes:
            totals.bulk_write(changes, ordered=False)
        done = {"_id": {"$in": [*sums]}, _PAST: {"$gte": number}}
        if totals.count_documents(done) != len(sums):
            # Somebody has removed one; the recount makes it again.
            raise StaleReadError(f"{totals.name} lacks some whose invoices are there")


def old_sales(before: datetime, settled: Settled | None = None) -> Mapping[str, Any]:
    """Which invoices have a content and a time before `before`; of a `settled` ledger, which are counted."""
    late = {"batch": {"$nin": sorted(settled.given_up)}} if settled else {}
    return {"timestamp": {"$lt": before}, **late}

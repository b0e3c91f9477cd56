"""Gives a client another name in the stock database: every amount stays, and nothing tells who it was.

By the process that holds the ledger. The ledger notes the client and the pseudonym before the first change,
and forgets them after the last, so that what a crash left half done is done to its end with the same
pseudonym. A recount afterwards shows that no total has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.database import Database

from contracts import ConfigurationError
from contracts.stock import Sale
from mongo_patience import while_it_answers
from sinks.stock.ledger import COLLECTION as LEDGER
from sinks.stock.ledger import Settled, StockLedger
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.sales import CREDIT, digest, pieces
from sinks.stock.totals import CLIENTS

_NOTE: Final = "forgetting"
_AT_ONCE: Final = 1_000
# What a client's document says of a person.
IDENTITY: Final = ("name", "email", "phone")


@dataclass(frozen=True)
class ClientForgetting:
    """One client of `database`. pymongo's errors pass through."""

    database: Database[dict[str, Any]]
    client_id: str

    def counts(self) -> Mapping[str, int]:
        """How many documents of each collection are about the client."""
        sales = partial(self.database[SALES].count_documents, {"client_id": self.client_id})
        return {
            SALES: int(while_it_answers(self.database, sales, f"the invoices of {SALES}")),
            CLIENTS: self.database[CLIENTS].count_documents({"_id": self.client_id}),
        }

    def texts(self) -> set[str]:
        """The name and addresses that are stored of the client, with the id."""
        found = self.database[CLIENTS].find_one({"_id": self.client_id}) or {}
        return {self.client_id, *(found[name] for name in IDENTITY if isinstance(found.get(name), str))}

    def begun(self) -> Mapping[str, Any]:
        """What the ledger notes of a forgetting that did not end; empty if there is none.

        Raises ConfigurationError when it is that of another client.
        """
        ledger = self.database[LEDGER].find_one({"_id": "ledger"}) or {}
        note: Mapping[str, Any] = (ledger.get("notes") or {}).get(_NOTE) or {}
        if note and note["client"] != self.client_id:
            raise ConfigurationError(
                f"Forgetting the client {note['client']!r} was begun and did not end: do that first."
            )
        return note

    def begin(self, ledger: StockLedger, pseudonym: str, texts: set[str]) -> None:
        """Note what is begun, in case this process dies."""
        ledger.note(**{_NOTE: {"client": self.client_id, "pseudonym": pseudonym, "texts": sorted(texts)}})

    def end(self, ledger: StockLedger) -> None:
        """Forget the note: all of it is done."""
        ledger.note(**{_NOTE: None})

    def rename(self, ledger: StockLedger, settled: Settled, pseudonym: str) -> Mapping[str, int]:
        """Put `pseudonym` in the client's place; returns how many documents of each collection changed.

        Raises AlreadyRunningError when another process has taken over, StaleReadError when something was
        written meanwhile.
        """
        clients = self.database[CLIENTS]
        before = clients.find_one({"_id": self.client_id})
        if before is not None:
            ledger.require(settled)
            kept = {**before, **dict.fromkeys(IDENTITY), "client_id": pseudonym}
            kept = {name: value for name, value in kept.items() if name in before and name != "_id"}
            clients.update_one({"_id": pseudonym}, {"$set": kept}, upsert=True)
        count = 0
        found = self.database[SALES].find({"client_id": self.client_id}, batch_size=_AT_ONCE)
        for some in pieces(found, _AT_ONCE):
            ledger.require(settled)
            changes = [UpdateOne({"_id": sale["_id"]}, {"$set": _renamed(sale, pseudonym)}) for sale in some]
            count += self.database[SALES].bulk_write(changes, ordered=False).modified_count
        ledger.require(settled)
        return {SALES: count, CLIENTS: clients.delete_one({"_id": self.client_id}).deleted_count}


def _renamed(sale: Mapping[str, Any], pseudonym: str) -> dict[str, Any]:
    """The fields that change. The hash would tell the client to who tries ids, so it is made anew."""
    changed: dict[str, Any] = {"client_id": pseudonym}
    if "digest" in sale:
        sign = -1 if sale.get("correction") == CREDIT else 1
        items = tuple((item["product_id"], sign * item["quantity"]) for item in sale["items"])
        amount = sign * sale["amount_cents"]
        same = Sale(sale["_id"], pseudonym, sale["timestamp"], amount, items, sale.get("credits"))
        changed["digest"] = digest(same)
    return changed

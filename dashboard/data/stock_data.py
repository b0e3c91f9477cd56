"""Reads the figures of the stock pages from MongoDB alone: rankings by their pointers, the rest bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from pymongo import DESCENDING

from contracts import UnavailableError
from dashboard.data.database import FAULTS, MongoDatabase, bounded, explain
from dashboard.data.remembered import Loaded, Remembered
from dashboard.data.values import amount, day, moment, text, whole
from sources.stock.published_ranking import read_published

# All open pages share an answer for this time.
_SECONDS: Final = 2.0
MAX_CLIENTS: Final = 100
MAX_FOUND: Final = 50
_MAX_WORDS: Final = 6


@dataclass(frozen=True, slots=True)
class Winner:
    """A row of `product_winners`."""

    rank: int
    product_id: str
    name: str
    profit: Decimal | None
    units: int
    revenue: Decimal | None


@dataclass(frozen=True, slots=True)
class Risk:
    """A row of `loss_risk_products`; `reasons` as the pipeline names them."""

    product_id: str
    name: str
    quantity: int
    expiry: date | None
    movement: date | None
    reasons: tuple[str, ...]
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class PromoClient:
    """A client who is offered promotions."""

    client_id: str
    name: str
    revenue: Decimal | None
    tier: str


@dataclass(frozen=True, slots=True)
class StockItem:
    """A product as everyone may see it, without the purchase price."""

    product_id: str
    name: str
    category: str
    price: Decimal | None
    quantity: int
    expiry: date | None


@dataclass(frozen=True, slots=True)
class Status:
    """Documents (estimated) by collection, and what the last batch with records did, if there was one."""

    documents: Mapping[str, int]
    last_batch: datetime | None
    records: int
    refused: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of the Administrator's page; `clients` are the MAX_CLIENTS of the greatest revenue."""

    winners: list[Winner]
    winners_at: datetime | None
    risks: list[Risk]
    risks_at: datetime | None
    clients: list[PromoClient]
    status: Status

    @property
    def is_empty(self) -> bool:
        """Whether the pipeline has not written anything yet."""
        return not any(self.status.documents.values())


class StockData:
    """Reads of the stock database, remembered for all sessions."""

    def __init__(self, database: MongoDatabase, make_memory: Callable[..., Remembered] = Remembered) -> None:
        self._database = database
        self._memory = make_memory(_explain, (*FAULTS, UnavailableError))

    def standing(self) -> Loaded[Standing]:
        """The figures of the Administrator's page."""
        return self._memory.get("standing", lambda: _read_standing(self._database), _SECONDS)

    def search(self, words: str) -> Loaded[list[StockItem]]:
        """Up to MAX_FOUND products that have each word in id, name or category, by name."""
        wanted = words.split()[:_MAX_WORDS]
        return self._memory.get(
            f"search {' '.join(wanted)}", lambda: _search(self._database, wanted), _SECONDS
        )


def _explain(error: Exception) -> str:
    if isinstance(error, UnavailableError):
        return str(error)
    return explain(error, "STOCK_DB_NAME")


def _read_standing(database: MongoDatabase) -> Standing:
    with bounded(database):
        return Standing(
            winners=[_winner(row) for row in read_published(database, "product_winners")],
            winners_at=_published_at(database, "product_winners"),
            risks=[_risk(row) for row in read_published(database, "loss_risk_products")],
            risks_at=_published_at(database, "loss_risk_products"),
            clients=_promo_clients(database),
            status=_status(database),
        )


def _published_at(database: MongoDatabase, name: str) -> datetime | None:
    pointer = database["publications"].find_one({"_id": name}, {"publishedAt": 1}) or {}
    return moment(pointer.get("publishedAt"))


def _promo_clients(database: MongoDatabase) -> list[PromoClient]:
    fields = {"name": 1, "total_revenue_generated": 1, "loyalty_tier": 1}
    found = database["clients"].find({"eligible_promo": True}, fields)
    return [
        PromoClient(
            text(document["_id"]),
            text(document.get("name")),
            amount(document.get("total_revenue_generated")),
            text(document.get("loyalty_tier")),
        )
        for document in found.sort("revenue_cents", DESCENDING).limit(MAX_CLIENTS)
    ]


def _status(database: MongoDatabase) -> Status:
    documents = {
        name: database[name].estimated_document_count() for name in ("inventory", "sales", "clients")
    }
    ledger = database["stock_ledger"].find_one({"_id": "ledger"}, {"outcome": 1}) or {}
    outcome = ledger.get("outcome") or {}
    refused = outcome.get("rejected") or {}
    return Status(
        documents=documents,
        last_batch=moment(outcome.get("started_at")),
        records=whole(outcome.get("records_in")),
        refused=sum(whole(count) for count in refused.values()),
    )


def _search(database: MongoDatabase, words: list[str]) -> list[StockItem]:
    # Case is ignored by the server; what was typed is never an expression.
    patterns = [{"$regex": re.escape(word[:100]), "$options": "i"} for word in words]
    fields = ("product_id", "name", "category")
    condition = {"$and": [{"$or": [{name: pattern} for name in fields]} for pattern in patterns]}
    shown = dict.fromkeys((*fields, "sell_price", "quantity", "expiry_date"), 1)
    with bounded(database):
        found = database["inventory"].find(condition if words else {}, shown).sort("name").limit(MAX_FOUND)
        return [
            StockItem(
                text(document.get("product_id")),
                text(document.get("name")),
                text(document.get("category")),
                amount(document.get("sell_price")),
                whole(document.get("quantity")),
                day(document.get("expiry_date")),
            )
            for document in found
        ]


def _winner(row: Mapping[str, Any]) -> Winner:
    return Winner(
        rank=whole(row.get("rank")),
        product_id=text(row.get("product_id")),
        name=text(row.get("name")),
        profit=amount(row.get("total_profit")),
        units=whole(row.get("units_sold")),
        revenue=amount(row.get("revenue")),
    )


def _risk(row: Mapping[str, Any]) -> Risk:
    reasons = row.get("reasons")
    return Risk(
        product_id=text(row.get("product_id")),
        name=text(row.get("name")),
        quantity=whole(row.get("quantity")),
        expiry=day(row.get("expiry_date")),
        movement=day(row.get("last_movement")),
        reasons=tuple(map(text, reasons)) if isinstance(reasons, list) else (),
        value=amount(row.get("value_at_risk")),
    )

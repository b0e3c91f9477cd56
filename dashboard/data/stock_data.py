"""Reads the figures of the stock pages from MongoDB alone: rankings by their pointers, the rest bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pymongo import DESCENDING

from contracts import UnavailableError
from dashboard.data.database import FAULTS, MongoDatabase, bounded, explain
from dashboard.data.remembered import Loaded, Remembered
from dashboard.data.stock_today import Today, read_today
from dashboard.data.values import amount, day, from_document, moment, text, whole
from sources.stock.published_ranking import read_ranking

# All open pages share an answer for this time.
_SECONDS: Final = 2.0
_TODAY_SECONDS: Final = 10.0
MAX_CLIENTS: Final = 100
MAX_RISKS: Final = 100
MAX_FOUND: Final = 50
_MAX_WORDS: Final = 6
_COUNTED: Final = 5_000
_CORRECTIONS: Final = ("credit", "void", "reversal")


def _reasons(value: Any) -> tuple[str, ...]:
    return tuple(map(text, value)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Winner:
    """A row of `product_winners`."""

    rank: Annotated[int, ("rank", whole)]
    product_id: Annotated[str, ("product_id", text)]
    name: Annotated[str, ("name", text)]
    profit: Annotated[Decimal | None, ("total_profit", amount)]
    units: Annotated[int, ("units_sold", whole)]
    revenue: Annotated[Decimal | None, ("revenue", amount)]


@dataclass(frozen=True, slots=True)
class Risk:
    """A row of `loss_risk_products`; `reasons` as the pipeline names them."""

    product_id: Annotated[str, ("product_id", text)]
    name: Annotated[str, ("name", text)]
    quantity: Annotated[int, ("quantity", whole)]
    expiry: Annotated[date | None, ("expiry_date", day)]
    movement: Annotated[date | None, ("last_movement", day)]
    reasons: Annotated[tuple[str, ...], ("reasons", _reasons)]
    value: Annotated[Decimal | None, ("value_at_risk", amount)]


@dataclass(frozen=True, slots=True)
class PromoClient:
    """A client who is offered promotions."""

    client_id: Annotated[str, ("_id", text)]
    name: Annotated[str, ("name", text)]
    revenue: Annotated[Decimal | None, ("total_revenue_generated", amount)]
    tier: Annotated[str, ("loyalty_tier", text)]


@dataclass(frozen=True, slots=True)
class StockItem:
    """A product as everyone may see it, without the purchase price."""

    product_id: Annotated[str, ("product_id", text)]
    name: Annotated[str, ("name", text)]
    category: Annotated[str, ("category", text)]
    price: Annotated[Decimal | None, ("sell_price", amount)]
    quantity: Annotated[int, ("quantity", whole)]
    expiry: Annotated[date | None, ("expiry_date", day)]


@dataclass(frozen=True, slots=True)
class Status:
    """Documents (estimated) by collection, and what the last batch with records did, if there was one.

    `corrections` counts those of `sales` that are no invoice, which `documents` leaves out: by `credit`,
    `void` and `reversal`, the last one for each invoice or credit note that is voided.
    """

    documents: Mapping[str, int]
    corrections: Mapping[str, int]
    last_batch: datetime | None
    records: int
    refused: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of the Administrator's page.

    `risks` are the MAX_RISKS of the greatest value of `risk_count`, and `at_risk` is the value of all of
    them; `clients` are the MAX_CLIENTS of the greatest revenue.
    """

    winners: list[Winner]
    winners_at: datetime | None
    risks: list[Risk]
    risks_at: datetime | None
    risk_count: int
    at_risk: Decimal | None
    clients: list[PromoClient]
    status: Status

    @property
    def is_empty(self) -> bool:
        """Whether the pipeline has not written anything yet."""
        return not any(self.status.documents.values())


class StockData:
    """Reads of the stock database, remembered for all sessions."""

    def __init__(
        self,
        database: MongoDatabase,
        currency: str = "EUR",
        promotion_above: Decimal = Decimal(10_000),
        logs: Path | None = None,
    ) -> None:
        """Amounts are in `currency`; who has more revenue than `promotion_above` gets promotions.

        `logs` is the folder of the pipeline's batch log.
        """
        self._database = database
        self._logs = logs
        self.currency = currency
        self.promotion_above = promotion_above
        self._memory = Remembered(_explain, (*FAULTS, UnavailableError))

    def standing(self) -> Loaded[Standing]:
        """The figures of the Administrator's page."""
        return self._memory.get("standing", lambda: _read_standing(self._database), _SECONDS)

    def today(self, now: datetime) -> Loaded[Today]:
        """What was sold on the day of `now`."""
        return self._memory.get(
            f"today {now:%Y-%m-%d}", lambda: read_today(self._database, self._logs, now), _TODAY_SECONDS
        )

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
        winners = read_ranking(database, "product_winners")
        risks = read_ranking(database, "loss_risk_products", MAX_RISKS)
        listed = [from_document(Risk, row) for row in risks.rows]
        listed.sort(key=lambda risk: (-(risk.value or Decimal(0)), risk.product_id))
        return Standing(
            winners=[from_document(Winner, row) for row in winners.rows],
            winners_at=moment(winners.published_at),
            risks=listed[:MAX_RISKS],
            risks_at=moment(risks.published_at),
            risk_count=risks.count,
            at_risk=amount(risks.sums.get("value_at_risk")) if risks.sums else _value_of(listed),
            clients=_promo_clients(database),
            status=_status(database),
        )


def _value_of(risks: list[Risk]) -> Decimal:
    """Of all rows, which a pipeline before this one had without their sum."""
    return sum((risk.value or Decimal(0) for risk in risks), Decimal(0))


def _promo_clients(database: MongoDatabase) -> list[PromoClient]:
    fields = {"name": 1, "total_revenue_generated": 1, "loyalty_tier": 1}
    found = database["clients"].find({"eligible_promo": True}, fields)
    dearest = found.sort("revenue_cents", DESCENDING).limit(MAX_CLIENTS)
    return [from_document(PromoClient, document) for document in dearest]


def _status(database: MongoDatabase) -> Status:
    documents = {
        name: database[name].estimated_document_count() for name in ("inventory", "sales", "clients")
    }
    corrections = {name: database["sales"].count_documents({"correction": name}) for name in _CORRECTIONS}
    # Few are counted: a server's estimate may be some seconds behind the corrections.
    invoices = database["sales"].count_documents({"correction": {"$exists": False}}, limit=_COUNTED)
    estimate = documents["sales"] - sum(corrections.values())
    documents["sales"] = invoices if invoices < _COUNTED else max(invoices, estimate)
    ledger = database["stock_ledger"].find_one({"_id": "ledger"}, {"outcome": 1}) or {}
    outcome = ledger.get("outcome") or {}
    refused = outcome.get("rejected") or {}
    return Status(
        documents=documents,
        corrections=corrections,
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
        return [from_document(StockItem, document) for document in found]

"""Entries as the JSON of the three topics; `updated_at` tells which of two records of a product is newer."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from accounting.entries import Entry
from contracts.stock import Client, Product, Sale, Void

# Which topic a message goes to, by the setting's name.
SALES, INVENTORY, CLIENTS = "sales", "inventory", "clients"
KINDS: Final = (SALES, INVENTORY, CLIENTS)
_AMOUNTS: Final = ("buy_price", "sell_price", "total_revenue_generated")


def kind_of(entry: Entry) -> str:
    """The kind of topic that an entry belongs to."""
    return SALES if isinstance(entry, Sale | Void) else INVENTORY if isinstance(entry, Product) else CLIENTS


def key_of(entry: Entry) -> str:
    """What makes two messages belong together, and Kafka keep their order."""
    if isinstance(entry, Sale | Void):
        return entry.invoice_id
    return entry.product_id if isinstance(entry, Product) else entry.client_id


def payload(entry: Entry, updated_at: str) -> str:
    """The message's JSON text; sales have no `updated_at`, for the first content of an invoice counts."""
    if isinstance(entry, Sale):
        message = {
            "invoice_id": entry.invoice_id,
            "client_id": entry.client_id,
            "timestamp": time_text(entry.time),
            "total_amount": _decimal(entry.amount),
            "items": [{"product_id": product, "quantity": pieces} for product, pieces in entry.items],
            **({"credits": entry.credits} if entry.credits else {}),
        }
    elif isinstance(entry, Void):
        message = {"invoice_id": entry.invoice_id, "voids": entry.voids, "timestamp": time_text(entry.time)}
    else:
        message = {**fields_of(entry), "updated_at": updated_at}
    return json.dumps(message, default=_json, ensure_ascii=False, separators=(",", ":"))


def fields_of(record: Product | Client) -> dict[str, Any]:
    """The fields of a record by the names of its message, without `updated_at`; amounts are decimals."""
    found = {
        ("total_revenue_generated" if name == "opening" else name): value
        for name, value in asdict(record).items()
    }
    del found["order"]
    return {name: _decimal(value) if name in _AMOUNTS else value for name, value in found.items()}


def money_of(cents: int) -> Decimal:
    """Cents as an amount."""
    return _decimal(cents)


def money_text(cents: int) -> str:
    """Cents as people read them: `12.50`."""
    return str(_decimal(cents))


def time_text(time: datetime) -> str:
    """ISO with milliseconds, which sorts as text; `time` is UTC."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _decimal(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _json(value: Decimal | date) -> float | str:
    # Only the text is used: up to 15 digits it is the decimal's own, and amounts have at most 12.
    return float(value) if isinstance(value, Decimal) else value.isoformat()

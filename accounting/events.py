"""Writes entries as JSON of the three topics; `updated_at` decides which of two records is newer."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from accounting.entries import Entry
from contracts.stock import Product, Sale

# Which topic an event goes to, by the setting's name.
SALES, INVENTORY, CLIENTS = "sales", "inventory", "clients"


def kind_of(entry: Entry) -> str:
    """The kind of topic that an entry belongs to."""
    return SALES if isinstance(entry, Sale) else INVENTORY if isinstance(entry, Product) else CLIENTS


def key_of(entry: Entry) -> str:
    """Returns the key of `entry`: Kafka keeps the order of events of one key."""
    if isinstance(entry, Sale):
        return entry.invoice_id
    return entry.product_id if isinstance(entry, Product) else entry.client_id


def payload(entry: Entry, updated_at: str) -> str:
    """The event's JSON text; sales have no `updated_at`, for the first content of an invoice counts."""
    return json.dumps(_event(entry, updated_at), ensure_ascii=False, separators=(",", ":"))


def money_text(cents: int) -> str:
    """Cents as people read them: `12.50`."""
    return str(Decimal(cents).scaleb(-2))


def time_text(time: datetime) -> str:
    """ISO with milliseconds, which sorts as text; `time` is UTC."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _event(entry: Entry, updated_at: str) -> dict[str, Any]:
    if isinstance(entry, Sale):
        return {
            "invoice_id": entry.invoice_id,
            "client_id": entry.client_id,
            "timestamp": time_text(entry.time),
            "total_amount": _number(entry.amount),
            "items": [{"product_id": product, "quantity": pieces} for product, pieces in entry.items],
        }
    if isinstance(entry, Product):
        return {
            "product_id": entry.product_id,
            "name": entry.name,
            "category": entry.category,
            "quantity": entry.quantity,
            "buy_price": _number(entry.buy_price),
            "sell_price": _number(entry.sell_price),
            "last_movement": _day(entry.last_movement),
            "expiry_date": _day(entry.expiry_date),
            "batch_no": entry.batch_no,
            "updated_at": updated_at,
        }
    return {
        "client_id": entry.client_id,
        "name": entry.name,
        "email": entry.email,
        "phone": entry.phone,
        "total_revenue_generated": _number(entry.opening),
        "updated_at": updated_at,
    }


def _number(cents: int) -> float:
    # Only the text is used: up to 15 digits it is the decimal's own, and amounts have at most 12.
    return float(Decimal(cents).scaleb(-2))


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()

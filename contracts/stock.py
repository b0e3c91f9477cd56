"""The values that the stock pipeline, the accountant's desk and the pages hand each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """An invoice of the stock pipeline: `amount` in cents, all of its items as (product id, pieces)."""

    invoice_id: str
    client_id: str
    time: datetime
    amount: int
    items: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Product:
    """A product as an inventory update describes it: prices in cents, days of UTC.

    Of two updates of a product the one with the greater `order` is newer.
    """

    product_id: str
    name: str
    category: str | None
    quantity: int
    buy_price: int
    sell_price: int
    last_movement: date | None
    expiry_date: date | None
    batch_no: str | None
    order: str


@dataclass(frozen=True, slots=True)
class Client:
    """A client's record: `opening` is the revenue in cents before the first invoice, `order` as above."""

    client_id: str
    name: str | None
    email: str | None
    phone: str | None
    opening: int
    order: str

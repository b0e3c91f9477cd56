"""The values that the stock pipeline, the accountant's desk and the pages hand each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """An invoice of the stock pipeline: `amount` in cents, all of its items as (product id, pieces).

    With `credits`, the number of an invoice, it is a credit note: what it says is taken back of that one.
    """

    invoice_id: str
    client_id: str
    time: datetime
    amount: int
    items: tuple[tuple[str, int], ...]
    credits: str | None = None


@dataclass(frozen=True, slots=True)
class Void:
    """Says, under a number of its own, that the invoice or credit note `voids` counts as if it never was.

    So do the credit notes of that invoice.
    """

    invoice_id: str
    voids: str
    time: datetime


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

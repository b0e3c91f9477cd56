"""The administrator's lists: the columns of each, with amounts in a currency."""

from __future__ import annotations

from typing import Any, Final

from dashboard.data.stock_data import PromoClient, Risk, Winner
from dashboard.listing import Column, Listing
from dashboard.text import day_text, figure, money

_REASONS: Final = {"expired": "✗\xa0expired", "expiring": "!\xa0expiring", "dead_stock": "▪\xa0dead stock"}


def winners(currency: str) -> Listing[Winner]:
    """The products that earn most."""
    return Listing(
        "winners",
        "Products that earn most",
        "products-that-earn-most.csv",
        "Rank",
        [
            Column("Product", lambda one: one.product_id, _text),
            Column("Name", lambda one: one.name, _text),
            Column(f"Profit, {currency}", lambda one: one.profit, money, is_number=True),
            Column("Units sold", lambda one: one.units, figure, is_number=True),
            Column(f"Revenue, {currency}", lambda one: one.revenue, money, is_number=True),
        ],
    )


def risks(currency: str) -> Listing[Risk]:
    """The products that may bring a loss."""
    return Listing(
        "risks",
        "Products that may bring a loss",
        "products-at-risk.csv",
        "Greatest value at risk",
        [
            Column("Product", lambda one: one.product_id, _text),
            Column("Name", lambda one: one.name, _text),
            Column("Why", lambda one: ", ".join(_REASONS.get(why, why) for why in one.reasons), _text),
            Column("Expires", lambda one: one.expiry, day_text),
            Column("Last moved", lambda one: one.movement, day_text),
            Column("Quantity", lambda one: one.quantity, figure, is_number=True),
            Column(f"Value at risk, {currency}", lambda one: one.value, money, is_number=True),
        ],
    )


def clients(currency: str) -> Listing[PromoClient]:
    """The clients with promotions."""
    return Listing(
        "promotions",
        "Clients with promotions",
        "clients-with-promotions.csv",
        "Greatest revenue",
        [
            Column("Client", lambda one: one.client_id, _text),
            Column("Name", lambda one: one.name, _text),
            Column(f"Revenue, {currency}", lambda one: one.revenue, money, is_number=True),
            Column("Tier", lambda one: one.tier, _text),
        ],
    )


def _text(value: Any) -> str:
    return str(value) or "–"

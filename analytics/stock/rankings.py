"""The two rankings of a stock: the products that earn most, and those that may bring a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

EXPIRED, EXPIRING, DEAD_STOCK = "expired", "expiring", "dead_stock"


def money(cents: int) -> Decimal:
    """Cents as the decimal that people read."""
    return Decimal(cents).scaleb(-2)


def profit(units: int, buy_price: int, sell_price: int) -> int:
    """Σ (sell − buy) · quantity over all sales, in cents, at the product's latest prices.

    At the latest prices the result does not depend on the order in which sales and prices arrive.
    """
    return (sell_price - buy_price) * units


def winner_rows(products: Iterable[Mapping[str, Any]], limit: int = 10) -> list[dict[str, Any]]:
    """Rank the best `limit` of the products sold by profit, which may be negative, then by id.

    Each has `_id, name, units, buy_cents, sell_cents`. Money in the rows is decimal.
    """

    def earned(product: Mapping[str, Any]) -> int:
        return profit(product["units"], product["buy_cents"], product["sell_cents"])

    ranked = sorted(products, key=lambda product: (-earned(product), product["_id"]))
    return [
        {
            "product_id": product["_id"],
            "name": product["name"],
            "total_profit": money(earned(product)),
            "units_sold": product["units"],
            "revenue": money(product["sell_cents"] * product["units"]),
            "rank": rank,
        }
        for rank, product in enumerate(ranked[:limit], start=1)
    ]


@dataclass(frozen=True, slots=True)
class RiskRules:
    """A product is expiring within `expiry_days`, and dead stock when it moved last over `dead_days` ago."""

    expiry_days: int = 7
    dead_days: int = 30

    def bounds(self, today: date) -> tuple[date, date]:
        """The last expiry date that is a risk, and the first movement that is none."""
        return today + timedelta(days=self.expiry_days), today - timedelta(days=self.dead_days)

    def reasons(self, expiry_date: date | None, last_movement: date | None, today: date) -> list[str]:
        """Why a product may bring a loss, by dates of UTC; empty when it does not."""
        last_expiry, first_movement = self.bounds(today)
        found = []
        if expiry_date is not None and expiry_date < today:
            found.append(EXPIRED)
        elif expiry_date is not None and expiry_date <= last_expiry:
            found.append(EXPIRING)
        if last_movement is not None and last_movement < first_movement:
            found.append(DEAD_STOCK)
        return found


def risk_rows(products: Iterable[Mapping[str, Any]], rules: RiskRules, today: date) -> list[dict[str, Any]]:
    """A row for each of `products` (documents of `inventory`) that may bring a loss.

    The greatest value at risk comes first, then by id.
    """
    rows = []
    for product in products:
        expiry, movement = product.get("expiry_date"), product.get("last_movement")
        reasons = rules.reasons(expiry and expiry.date(), movement and movement.date(), today)
        if reasons:
            rows.append(
                {
                    "product_id": product["product_id"],
                    "name": product["name"],
                    "quantity": product["quantity"],
                    "expiry_date": expiry,
                    "last_movement": movement,
                    "reasons": reasons,
                    "value_at_risk": money(product["quantity"] * product["buy_cents"]),
                }
            )
    rows.sort(key=lambda row: (-row["value_at_risk"], str(row["product_id"])))
    return [{**row, "rank": rank} for rank, row in enumerate(rows, start=1)]


@dataclass(frozen=True, slots=True)
class LoyaltyRules:
    """Thresholds of revenue in cents; each must be exceeded."""

    promo: int = 1_000_000
    silver: int = 1_000_000
    gold: int = 2_000_000

    def standing(self, revenue: int) -> dict[str, Any]:
        """The fields of a client that follow from `revenue` in cents: promotions and loyalty tier."""
        tier = "Gold" if revenue > self.gold else "Silver" if revenue > self.silver else "Standard"
        return {
            "total_revenue_generated": money(revenue),
            "eligible_promo": revenue > self.promo,
            "loyalty_tier": tier,
        }

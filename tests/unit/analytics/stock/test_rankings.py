"""Winners, risks and loyalty: the rules of the stock pipeline on plain values."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from analytics.stock.rankings import LoyaltyRules, RiskRules, risk_rows, winner_rows

_TODAY = date(2026, 3, 10)


def _sold(product_id: str, units: int, buy: int = 100, sell: int = 300) -> dict[str, Any]:
    name = f"Product {product_id}"
    return {"_id": product_id, "name": name, "units": units, "buy_cents": buy, "sell_cents": sell}


def test_winners_are_ranked_by_profit_then_by_id() -> None:
    """Ten at most; equal profits by id; a loss may be ranked when nothing better is there."""
    products = [_sold("B", 5), _sold("A", 5), _sold("C", 9), _sold("D", 4, 300, 100)]
    rows = winner_rows(products)
    assert [(row["rank"], row["product_id"], row["total_profit"]) for row in rows] == [
        (1, "C", Decimal("18.00")),
        (2, "A", Decimal("10.00")),
        (3, "B", Decimal("10.00")),
        (4, "D", Decimal("-8.00")),
    ]
    assert rows[0] == {
        "product_id": "C",
        "name": "Product C",
        "total_profit": Decimal("18.00"),
        "units_sold": 9,
        "revenue": Decimal("27.00"),
        "rank": 1,
    }
    assert len(winner_rows([_sold(f"{n:02d}", n) for n in range(1, 30)])) == 10


@pytest.mark.parametrize(
    ("expires_in", "moved_ago", "reasons"),
    [
        (-1, None, ["expired"]),
        (0, None, ["expiring"]),
        (7, None, ["expiring"]),
        (8, None, []),
        (None, 30, []),
        (None, 31, ["dead_stock"]),
        (-1, 31, ["expired", "dead_stock"]),
        (None, None, []),
        (3, -5, ["expiring"]),
    ],
)
def test_risk_goes_by_days(expires_in: int | None, moved_ago: int | None, reasons: list[str]) -> None:
    """Expired before today, expiring 0 to 7 days ahead, dead after more than 30 days without movement."""
    expiry = None if expires_in is None else _TODAY + timedelta(days=expires_in)
    movement = None if moved_ago is None else _TODAY - timedelta(days=moved_ago)
    assert RiskRules().reasons(expiry, movement, _TODAY) == reasons


def test_a_risk_row_tells_what_is_at_stake() -> None:
    """quantity · buy price; products that are no risk are left out; one row a product."""
    expired = datetime(2026, 3, 9, tzinfo=timezone.utc)
    product = {"product_id": "P1", "name": "Tea", "quantity": 7, "buy_cents": 150, "last_movement": None}
    rows = risk_rows(
        [{**product, "expiry_date": expired}, {**product, "product_id": "P2", "expiry_date": None}],
        RiskRules(),
        _TODAY,
    )
    assert rows == [
        {
            "product_id": "P1",
            "name": "Tea",
            "quantity": 7,
            "expiry_date": expired,
            "last_movement": None,
            "reasons": ["expired"],
            "value_at_risk": Decimal("10.50"),
            "rank": 1,
        }
    ]


@pytest.mark.parametrize(
    ("revenue", "tier", "promo"),
    [
        (0, "Standard", False),
        (1_000_000, "Standard", False),
        (1_000_001, "Silver", True),
        (2_000_000, "Silver", True),
        (2_000_001, "Gold", True),
    ],
)
def test_thresholds_must_be_exceeded(revenue: int, tier: str, promo: bool) -> None:
    """Silver and promotions above 10 000.00, Gold above 20 000.00."""
    found = LoyaltyRules().standing(revenue)
    assert (found["loyalty_tier"], found["eligible_promo"]) == (tier, promo)
    assert found["total_revenue_generated"] == Decimal(revenue) / 100

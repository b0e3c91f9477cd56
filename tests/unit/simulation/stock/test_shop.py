"""The invented shop of the stock pipeline."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from simulation.stock.shop import Shop

_NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)


def _invoices(opened: datetime) -> list[str]:
    shop = Shop(seed=1)
    assert list(shop.master(opened))
    return [shop.sale(opened + timedelta(seconds=number / 5)).key for number in range(600)]


def test_a_shop_that_opens_again_sells_under_other_numbers() -> None:
    """As a container that is restarted: other content under a known number would be a conflict."""
    first, second = _invoices(_NOW), _invoices(_NOW + timedelta(minutes=2))
    assert len({*first, *second}) == len(first) + len(second)
    assert _invoices(_NOW) == first

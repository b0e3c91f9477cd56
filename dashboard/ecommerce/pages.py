"""The page of the e-commerce system."""

from __future__ import annotations

from dashboard.data.shop import ShopData
from dashboard.ecommerce import shop
from dashboard.page import Page
from settings import Settings


def pages(settings: Settings) -> list[Page]:
    """That of an installation."""
    data = ShopData(settings.postgres_dsn.get_secret_value(), settings.currency)
    return [Page("Storefront", "shop", shop.render, data)]

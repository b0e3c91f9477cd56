"""The page of the e-commerce system, and the verdict on its data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dashboard.data.condition import Signs
from dashboard.data.events_today import EventsToday
from dashboard.data.service_files import ServiceFiles
from dashboard.data.shop import ShopData
from dashboard.ecommerce import shop
from dashboard.page import Page, Room, Verdict, is_set
from dashboard.text import counted
from settings import Settings

_OWN: Final = ("postgres_dsn", "ecommerce_input_path")


def pages(settings: Settings) -> Room:
    """That of an installation."""
    dsn = settings.postgres_dsn.get_secret_value()
    today = EventsToday(dsn)
    return Room(
        title="E-commerce",
        icon=":material/shopping_cart:",
        mark="🛒",
        pages=[Page("Storefront", "shop", shop.render, ShopData(dsn, settings.currency))],
        files=ServiceFiles(
            "ecommerce",
            settings.log_directory,
            settings.metrics_directory,
            settings.ecommerce_interval_seconds,
        ),
        verdict=lambda signs, _now: judge(today, signs),
        is_set=is_set(settings, _OWN),
    )


def judge(data: EventsToday, signs: Signs) -> Verdict:
    """What came today, and what became of it."""
    loaded = data.get()
    today = loaded.value
    found = signs.with_results(today.last_commit if today else None, loaded.fault)
    if today is None:
        return Verdict("", found, has_data=False)
    sentence = (
        f"**{counted(today.inserted, 'event')}** today, {counted(today.duplicates, 'duplicate')}, "
        f"{today.refused:,} refused."
    )
    return Verdict(sentence, found)


def demo_pages(folder: Path) -> Room:
    """That of simulated visitors who view and buy meanwhile, on a PostgreSQL of its own."""
    from dashboard.ecommerce.demo import visit

    return visit(folder, pages)

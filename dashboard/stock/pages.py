"""The pages of the stock system, the data that they show, and the verdict on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dashboard.data.condition import Signs
from dashboard.data.database import open_database
from dashboard.data.service_files import ServiceFiles
from dashboard.data.stock_data import StockData
from dashboard.data.stock_today import MOST
from dashboard.entrance import guarded, open_entrance
from dashboard.page import Page, Room, Verdict, is_set
from dashboard.stock import accountant, administrator, user
from dashboard.stock.accountant import AccountantData
from dashboard.text import counted
from settings import Settings

if TYPE_CHECKING:
    from accounting.sender import MakeProducer

# A sale must be seen within two batches of the pipeline.
_REFRESH_SECONDS: Final = 5
_OWN: Final = (
    *("stock_db_name", "kafka_topic_sales", "kafka_topic_inventory", "kafka_topic_clients"),
    *("accountant_password", "sqlite_db_path", "stock_cold_path"),
)


def open_data(settings: Settings) -> StockData:
    """What the dashboard's user of MongoDB may read."""
    uri = settings.dashboard_mongo_uri or settings.mongo_uri
    database = open_database(uri, settings.stock_db_name)
    return StockData(database, settings.currency, settings.revenue_threshold_promo, settings.log_directory)


def open_accountant(settings: Settings, make_producer: MakeProducer | None = None) -> AccountantData:
    """Open the desk; a fault of its books is told on its page, and the other pages do without.

    `make_producer` makes what stands in for Kafka's client, in a demo.
    """
    from accounting.database import BooksError
    from accounting.desk import Post, open_desk
    from accounting.messages import CLIENTS, INVENTORY, SALES

    topics = {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }
    post = Post(settings.kafka_bootstrap_servers, settings.kafka_options, topics)
    # In a demo nobody has an account.
    may = make_producer is None
    entrance = open_entrance(settings.passwords, settings.dashboard_roles, people_may_sign_in=may)
    if not entrance.can_be("accountant"):
        return AccountantData(entrance=entrance)
    try:
        desk = open_desk(settings.sqlite_db_path, post, make_producer)
        return AccountantData(desk, entrance=entrance, currency=settings.currency)
    except BooksError as error:
        return AccountantData(fault=str(error), entrance=entrance)


def pages(settings: Settings, make_producer: MakeProducer | None = None, note: str = "") -> Room:
    """Those of an installation; a page that nobody may see says how it is switched on.

    In a demo everybody is the administrator; `make_producer` makes what stands in for Kafka's client, and
    `note` is above the accountant's page.
    """
    data = open_data(settings)
    desk = open_accountant(settings, make_producer)
    shop: Callable[[StockData], None] = administrator.render
    if make_producer is None:
        shop = guarded(desk.entrance, "administrator", "Administrator", shop)
    return Room(
        title="Stock",
        icon=":material/inventory_2:",
        mark="📦",
        pages=[
            Page("Administrator", "administrator", shop, data, _REFRESH_SECONDS),
            # It refreshes only parts of itself, so that nothing moves while a person types.
            Page("Accountant", "accountant", accountant.render, desk, every=None, note=note),
            Page("User: products", "products", user.render, data, _REFRESH_SECONDS),
        ],
        files=ServiceFiles(
            "stock", settings.log_directory, settings.metrics_directory, settings.stock_interval_seconds
        ),
        verdict=lambda signs, now: judge(data, signs, now),
        is_set=is_set(settings, _OWN),
    )


def judge(data: StockData, signs: Signs, now: datetime) -> Verdict:
    """What was sold and refused today, and what may bring a loss."""
    loaded = data.standing()
    standing = loaded.value
    found = signs.with_results(standing.status.last_batch if standing else None, loaded.fault)
    if standing is None or standing.is_empty:
        return Verdict("", found, has_data=False)
    status = standing.status
    today = data.today(now).value
    if today is None or today.sales is None:
        sold = f"**{counted(status.documents['sales'], 'sale')}**"
    elif not today.sales:
        sold = "**No sale today**"
    else:
        more = "at least " if today.sales == MOST else ""
        sold = f"**{more}{counted(today.sales, 'sale')} today**"
    refused = "" if today is None or today.refused is None else f", {today.refused:,} refused"
    risky = f"{counted(standing.risk_count, 'product')} may bring a loss"
    return Verdict(f"{sold}{refused}; {risky if standing.risk_count else 'no product is at risk'}.", found)


def demo_pages(folder: Path) -> Room:
    """Those of a simulated shop that trades meanwhile; what the accountant enters reaches it."""
    from dashboard.stock.demo import PASSWORD, trade

    note = f"Of the simulated shop you are the accountant: the password is `{PASSWORD}`."
    return trade(folder, lambda settings, broker: pages(settings, broker.producer, note))

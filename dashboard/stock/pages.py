"""The pages of the stock system, and the data that they show."""

from __future__ import annotations

from typing import Final

from dashboard.data.database import open_database
from dashboard.data.stock_data import StockData
from dashboard.page import Page
from dashboard.stock import accountant, administrator, user
from dashboard.stock.accountant import AccountantData
from settings import Settings

# A sale must be seen within two batches of the pipeline.
_REFRESH_SECONDS: Final = 5


def open_data(settings: Settings) -> StockData:
    """What the dashboard's user of MongoDB may read."""
    uri = settings.dashboard_mongo_uri or settings.mongo_uri
    database = open_database(uri, settings.stock_db_name)
    return StockData(database, settings.currency, settings.revenue_threshold_promo)


def open_accountant(settings: Settings) -> AccountantData:
    """Open the desk; a fault of its books is told on its page, and the other pages do without."""
    from accounting.database import BooksError
    from accounting.desk import Post, open_desk
    from accounting.messages import CLIENTS, INVENTORY, SALES

    topics = {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }
    post = Post(settings.kafka_bootstrap_servers, settings.kafka_options, topics)
    password = settings.accountant_password.get_secret_value()
    try:
        return AccountantData(open_desk(password, settings.sqlite_db_path, post))
    except BooksError as error:
        return AccountantData(fault=str(error))


def pages(settings: Settings) -> list[Page]:
    """Those of an installation; the accountant's is off without a password, and says so."""
    return _pages(open_data(settings), open_accountant(settings))


def demo_pages() -> list[Page]:
    """Those of a simulated shop that trades meanwhile."""
    from dashboard.background import run_demo
    from dashboard.stock.demo import trade

    fault = "The demo has no Kafka to which this page could send."
    return _pages(open_data(run_demo(trade)), AccountantData(fault=fault))


def _pages(data: StockData, desk: AccountantData) -> list[Page]:
    return [
        Page("Administrator", "administrator", administrator.render, data, _REFRESH_SECONDS),
        # It refreshes only parts of itself, so that nothing moves while a person types.
        Page("Accountant", "accountant", accountant.render, desk, every=None),
        Page("User: products", "products", user.render, data, _REFRESH_SECONDS),
    ]

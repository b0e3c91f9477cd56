"""Makes the things that all sessions share, once a process: settings, logs, the connection."""

from __future__ import annotations

import streamlit as st

from contracts import ConfigurationError
from dashboard.data.database import MongoDatabase, open_database
from dashboard.data.esports_data import EsportsData
from dashboard.data.health_data import HealthData
from dashboard.data.shop import ShopData
from dashboard.data.stock_data import StockData
from dashboard.navigation import Data
from dashboard.stock.accountant import AccountantData
from monitoring import logs
from settings import Settings, load
from sources.mongo_client import for_reading


@st.cache_resource(show_spinner="Starting; a demo takes about half a minute")
def open_data(demo: str | None) -> Data:
    """The data to show: an installation's, or that of the `demo` of a pipeline (`health` or `stock`).

    Raises ConfigurationError when the settings are wrong.
    """
    if demo is not None:
        return _demo(demo)
    settings = load()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    return Data(
        _health(settings),
        ShopData(settings.postgres_dsn.get_secret_value()),
        EsportsData(settings.esports_output_path),
        _stock(settings),
        _accountant(settings),
    )


def _demo(pipeline: str) -> Data:
    from dashboard.demo import start_health_demo, start_stock_demo

    if pipeline == "health":
        return Data(_health(start_health_demo()))
    if pipeline == "stock":
        accountant = AccountantData(fault="The demo has no Kafka to which this page could send.")
        return Data(stock=_stock(start_stock_demo()), accountant=accountant)
    raise ConfigurationError(
        f"{pipeline} has no demo in the dashboard: docs/dashboard.md tells how to see it."
    )


def _health(settings: Settings) -> HealthData:
    return HealthData(
        for_reading(_database(settings, settings.mongo_db_name)[settings.analytics_collection]),
        settings.log_directory,
        settings.metrics_directory,
        settings.analytics_timezone,
    )


def _stock(settings: Settings) -> StockData:
    return StockData(_database(settings, settings.stock_db_name))


def _database(settings: Settings, name: str) -> MongoDatabase:
    uri = settings.dashboard_mongo_uri or settings.mongo_uri
    return open_database(uri.get_secret_value(), name)


def _accountant(settings: Settings) -> AccountantData:
    """Open the desk; a fault of its books is told on its page, and the other pages do without."""
    from accounting.database import BooksError
    from accounting.desk import Post, open_desk
    from accounting.events import CLIENTS, INVENTORY, SALES

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

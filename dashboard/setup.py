"""Makes the things that all sessions share, once a process: settings, logs, the connection."""

from __future__ import annotations

import streamlit as st

from contracts import ConfigurationError
from dashboard.data.esports_data import EsportsData
from dashboard.data.health_data import open_health_data
from dashboard.data.shop import open_shop_data
from dashboard.data.stock_data import open_stock_data
from dashboard.navigation import Data
from dashboard.stock.accountant import AccountantData
from monitoring import logs
from settings import Settings, load


@st.cache_resource(show_spinner="Starting; a demo takes about half a minute")
def open_data(demo: str | None) -> Data:
    """The data to show: an installation's, or that of the `demo` of a pipeline (`health` or `stock`).

    Raises ConfigurationError when the settings are wrong.
    """
    if demo is not None:
        return _demo(demo)
    settings = load()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    esports = EsportsData(settings.esports_output_path)
    return Data(
        open_health_data(settings),
        open_shop_data(settings),
        esports,
        open_stock_data(settings),
        _accountant(settings),
    )


def _demo(pipeline: str) -> Data:
    from dashboard.demo import start_health_demo, start_stock_demo

    if pipeline == "health":
        return Data(open_health_data(start_health_demo()))
    if pipeline == "stock":
        accountant = AccountantData(fault="The demo has no Kafka to which this page could send.")
        return Data(stock=open_stock_data(start_stock_demo()), accountant=accountant)
    raise ConfigurationError(
        f"{pipeline} has no demo in the dashboard: docs/dashboard.md tells how to see it."
    )


def _accountant(settings: Settings) -> AccountantData:
    """Open the desk; a fault of its books is told on its page, and the other pages do without."""
    from accounting.database import BooksError
    from accounting.desk import open_desk

    try:
        return AccountantData(open_desk(settings))
    except BooksError as error:
        return AccountantData(fault=str(error))

"""The pages by group: a pipeline that gets pages of its own adds a group here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard.data.esports_data import EsportsData
from dashboard.data.health_data import HealthData
from dashboard.data.shop import ShopData
from dashboard.data.stock_data import StockData
from dashboard.ecommerce import shop
from dashboard.esports import matches, players
from dashboard.health import anomalies, overview, pipeline, user
from dashboard.stock import accountant, administrator
from dashboard.stock import user as stock_user
from dashboard.stock.accountant import AccountantData

_REFRESH_SECONDS: Final = 30
# A sale must be seen within two batches of the stock pipeline.
_STOCK_REFRESH_SECONDS: Final = 5

# (title, address, page) of a pipeline whose data is of that type.
_Pages = Sequence[tuple[str, str, Callable[[Any], None]]]
_HEALTH: Final[_Pages] = (
    ("Overview", "overview", overview.render),
    ("User", "user", user.render),
    ("Anomalies", "anomalies", anomalies.render),
    ("Pipeline", "pipeline", pipeline.render),
)

_ECOMMERCE: Final[_Pages] = (("Storefront", "shop", shop.render),)
_ESPORTS: Final[_Pages] = (("Matches", "matches", matches.render), ("Players", "players", players.render))
_STOCK: Final[_Pages] = (
    ("Administrator", "administrator", administrator.render),
    ("User: products", "products", stock_user.render),
)
# It refreshes only parts of itself, so that nothing moves while a person types.
_ACCOUNTANT: Final[_Pages] = (("Accountant", "accountant", accountant.render),)


@dataclass(frozen=True)
class Data:
    """The data of the pages, by pipeline; a pipeline that is None has no pages."""

    health: HealthData | None = None
    shop: ShopData | None = None
    esports: EsportsData | None = None
    stock: StockData | None = None
    accountant: AccountantData | None = None


def run(data: Data) -> None:
    """Draw the navigation and the chosen page, which refreshes itself unless that is switched off."""
    page = st.navigation(_groups(data), expanded=True)
    st.sidebar.toggle("Refresh by itself", value=True, key="refresh")
    page.run()


def _groups(data: Data) -> Mapping[str, list[StreamlitPage]]:
    groups = {}
    if data.health is not None:
        groups["Health"] = _pages(_HEALTH, data.health)
    if data.shop is not None:
        groups["E-commerce"] = _pages(_ECOMMERCE, data.shop)
    if data.esports is not None:
        groups["Esports"] = _pages(_ESPORTS, data.esports)
    if data.stock is not None:
        groups["Stock"] = _pages(_STOCK, data.stock, _STOCK_REFRESH_SECONDS)
        groups["Stock"][1:1] = _pages(_ACCOUNTANT, data.accountant, None)
    return groups


def _pages(pages: _Pages, data: object, every: int | None = _REFRESH_SECONDS) -> list[StreamlitPage]:
    return [
        st.Page(
            partial(_refreshing, render, data, every) if every else partial(render, data),
            title=title,
            url_path=path,
            default=path == "overview",
        )
        for title, path, render in pages
    ]


def _refreshing(render: Callable[[Any], None], data: object, every: int) -> None:
    st.fragment(render, run_every=every if st.session_state.get("refresh", True) else None)(data)

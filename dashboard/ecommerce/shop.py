"""Storefront: what is viewed and bought, and how the stream that brings it is doing."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import streamlit as st

from dashboard import frame
from dashboard.data.shop import Shop, ShopData
from dashboard.ecommerce import business, stream
from dashboard.ecommerce.tiles import percent_change
from dashboard.text import NBSP, figure, plain
from told import told

_SPANS: Final = {
    "Last 15 minutes": timedelta(minutes=15),
    "Last hour": timedelta(hours=1),
    "Last 6 hours": timedelta(hours=6),
    "Last 24 hours": timedelta(hours=24),
}
_DEFAULT: Final = "Last hour"


def render(data: ShopData) -> None:
    """Draw the page."""
    # The widget that says it stands below the sentence that depends on it.
    span = st.session_state.get("span") or st.query_params.get("span", _DEFAULT)
    span = span if span in _SPANS else _DEFAULT
    loaded = data.shop(_SPANS[span])
    is_empty = loaded.value is None and loaded.fault is None
    told_first = "There is no data yet." if is_empty else verdict(loaded.value, span, data.currency)
    frame.heading("Storefront", told_first)
    shop = frame.age("Events from PostgreSQL", loaded)
    if is_empty:
        _empty()
        return
    st.selectbox("Span", list(_SPANS), index=1, width=180, key="span", bind="query-params")
    if shop is None:
        return
    st.markdown("Arrows compare with the span of the same length before.")
    sold, arrives = st.tabs(["Business", "Stream"])
    with sold:
        business.render(shop, data.currency)
    with arrives:
        stream.render(shop)


def verdict(shop: Shop | None, span: str, currency: str) -> str:
    """What was bought and whether events arrive, in one or two sentences of Markdown."""
    if shop is None:
        return "What is viewed and bought, and whether events arrive."
    sold, before = shop.business, shop.business_before
    purchases = "One purchase" if sold.purchases == 1 else f"{sold.purchases:,.0f} purchases"
    change = percent_change(sold.revenue, before.revenue if before else None)
    compared = ""
    if change is not None:
        size = f"{abs(change):,.0f}{NBSP}%"
        more = "as much as" if round(change) == 0 else f"{size} {'more' if change > 0 else 'less'} than"
        compared = f", {more} in the span before"
    arrives = (
        f"{figure(shop.figures.events_per_second, digits=1)} events arrive a second."
        if shop.figures.inserted
        else "No event has arrived for five minutes."
    )
    if not sold.purchases:
        return plain(f"{span}: no purchase. {arrives}")
    return plain(f"{span}: {purchases} for {figure(sold.revenue, currency, 2)}{compared}. {arrives}")


def _empty() -> None:
    frame.hint(
        f"Events appear here with the pipeline's first batch. Start it with `{told('ecommerce run')}` and "
        "put files into ECOMMERCE_INPUT_PATH, or invent some with "
        f"`{told('ecommerce simulate')}`. If it runs already, compare its POSTGRES_DSN with the dashboard's."
    )

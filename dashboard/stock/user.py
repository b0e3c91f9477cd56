"""User: a search in the products; nothing can be changed here."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.data.stock_data import MAX_FOUND, StockData
from dashboard.text import day_text, figure, money


def render(data: StockData) -> None:
    """Draw the page."""
    frame.heading("Products", "Which products there are, at which price, and how many of each.")
    words = st.text_input(
        "Search by name, category or product id",
        key="product_search",
        max_chars=100,
        placeholder="tea",
        bind="query-params",
    )
    found = frame.age("Products from MongoDB", data.search(words or ""))
    if found is None:
        return
    if not found:
        message = (
            "No product has all of these words in its name, category or id."
            if (words or "").strip()
            else "There are no products yet. The pipeline brings those that the accountant enters."
        )
        frame.hint(message)
        return
    frame.section(f"{len(found):,} found")
    if len(found) == MAX_FOUND:
        st.markdown(f"The first {MAX_FOUND} by name; search to see others.")
    shown = {
        "Product": [item.product_id for item in found],
        "Name": [item.name for item in found],
        "Category": [item.category or "–" for item in found],
        f"Price, {data.currency}": [money(item.price) for item in found],
        "In stock": [figure(item.quantity) for item in found],
        "Expires": [day_text(item.expiry) for item in found],
    }
    frame.download("Download as CSV", pd.DataFrame(shown), "products.csv")
    frame.table(shown, "Products found", numbers=(f"Price, {data.currency}", "In stock"))

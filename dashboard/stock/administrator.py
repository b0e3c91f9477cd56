"""Administrator: what earns, what may bring a loss, who is offered promotions, does the pipeline work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import charts, frame, listing
from dashboard.data.stock_data import MAX_CLIENTS, PromoClient, Standing, StockData, Winner
from dashboard.stock import listings
from dashboard.stock.activity import log, told_once
from dashboard.text import NBSP, ago, money, plain, printable
from told import told

_BARS: Final = 10
_LABEL: Final = 40


def render(data: StockData) -> None:
    """Draw the page."""
    loaded = data.standing()
    standing = loaded.value
    frame.heading("Administrator", verdict(standing, data.currency))
    frame.age("Results from MongoDB", loaded)
    # A click draws the page again, and so reads what is older than two seconds.
    if st.button("Refresh", key="administrator_refresh", icon=":material/refresh:"):
        log("🔄 User Interface: Manual refresh requested")
    if standing is None:
        return
    if standing.is_empty:
        if loaded.fault is None:
            told_once("📉 Admin Interface: No data found - showing placeholder")
        frame.hint(
            "Products, clients and sales appear here with the pipeline's first batch. Start it with "
            f"`{told('stock run')}` and enter a sale on the Accountant's page. If it runs "
            "already, compare its MONGO_URI and STOCK_DB_NAME with the dashboard's."
        )
        return
    documents = standing.status.documents
    told_once(
        f"📊 Admin Interface: System status - Products: {documents['inventory']}, "
        f"Loss Risk: {standing.risk_count}, Clients: {documents['clients']}"
    )
    _status(standing, data.currency)
    _winners(standing.winners, standing.winners_at, data.currency)
    _risks(standing, data.currency)
    _clients(standing.clients, data)


def verdict(standing: Standing | None, currency: str) -> str:
    """What earns and what may bring a loss, in one sentence of Markdown."""
    if standing is None:
        return "What earns, what may bring a loss, and which clients get promotions."
    if standing.is_empty:
        return "There is no data yet."
    best = next(iter(standing.winners), None)
    earns = "No product with a known price was sold yet"
    if best is not None:
        name = printable(best.name)[:_LABEL] or printable(best.product_id)[:_LABEL]
        earns = f"{name} earns most, {_amount(best.profit, currency)}"
    count = standing.risk_count
    loss = (
        f"{count:,} {'product' if count == 1 else 'products'} may bring a loss, "
        f"{_amount(standing.at_risk, currency)} at cost"
    )
    return plain(f"{earns}; {loss if count else 'no product is at risk'}.")


def _amount(value: Decimal | None, currency: str) -> str:
    return f"{money(value)}{NBSP}{currency}"


def _status(standing: Standing, currency: str) -> None:
    status, now = standing.status, datetime.now(timezone.utc)
    documents = {name: f"{count:,}" for name, count in status.documents.items()}
    frame.figures(
        {
            "Products": (documents["inventory"], "Different products in the inventory."),
            "Sales": (documents["sales"], f"Invoices, each counted once. {_corrected(status.corrections)}"),
            "Clients": (documents["clients"], "All clients, also those known from a sale alone."),
            "Value at risk": (
                _amount(standing.at_risk, currency),
                "Stock that may bring a loss, at purchase prices.",
            ),
            "Last batch": (
                ago(status.last_batch, now) if status.last_batch else "–",
                f"Of the last one with records, {status.records:,}, {status.refused:,} were refused.",
            ),
        }
    )


def _corrected(corrections: Mapping[str, int]) -> str:
    notes, reversals = corrections["credit"], corrections["reversal"]
    if not (notes or reversals):
        return "None was voided or credited."
    return (
        f"Voided, and so taken back from all figures: {reversals:,}. Credit notes: {notes:,}; what they say "
        "is taken back, too."
    )


def _since(at: datetime | None) -> None:
    if at is not None:
        st.markdown(f"Last changed {ago(at, datetime.now(timezone.utc))}.")


def _winners(winners: Sequence[Winner], at: datetime | None, currency: str) -> None:
    frame.section("Products that earn most")
    if not winners:
        st.markdown("No product with a known price was sold yet.")
        return
    _since(at)
    bars = [(_label(winner.name, winner.product_id), winner.profit) for winner in winners]
    _bars(bars, f"profit, {currency}", "Profit by product, the most first")
    listing.render(listings.winners(currency), winners)


def _risks(standing: Standing, currency: str) -> None:
    listed, count = standing.risks, standing.risk_count
    frame.section(f"Products that may bring a loss: {count:,}")
    if not listed:
        products = standing.status.documents["inventory"]
        st.markdown(
            f"None of the {products:,}: no product is past its date or near it, and all have moved lately."
            if products
            else "There are no products yet."
        )
        return
    _since(standing.risks_at)
    bars = [(_label(risk.name, risk.product_id), risk.value) for risk in listed[:_BARS]]
    _bars(bars, f"value at risk, {currency}", "Value at risk by product, the largest first")
    if count > len(listed):
        st.markdown(f"The {len(listed)} of the greatest value are listed.")
    listing.render(listings.risks(currency), listed)


def _clients(clients: Sequence[PromoClient], data: StockData) -> None:
    frame.section("Clients with promotions")
    above = f"{data.promotion_above:,.2f}".removesuffix(".00") + f"{NBSP}{data.currency}"
    if not clients:
        st.markdown(f"No client's revenue is above {above}.")
        return
    st.markdown(f"Those with a revenue above {above}.")
    bars = [(_label(client.name, client.client_id), client.revenue) for client in clients[:_BARS]]
    _bars(bars, f"revenue, {data.currency}", "Revenue by client, the most first")
    if len(clients) == MAX_CLIENTS:
        st.markdown(f"The {MAX_CLIENTS} of the greatest revenue are listed.")
    listing.render(listings.clients(data.currency), clients)


def _label(name: str, key: str) -> str:
    """Returns a short label for a bar; `key` in it keeps two products or clients apart."""
    shown = printable(name)[:_LABEL]
    return f"{shown} ({printable(key)[:_LABEL]})" if shown else printable(key)[:_LABEL]


def _bars(bars: Sequence[tuple[str, Decimal | None]], what: str, title: str) -> None:
    # Only the length of a bar is a float; the table below has the exact amounts.
    drawn = pd.DataFrame({"name": [name for name, _ in bars], what: [float(value or 0) for _, value in bars]})
    first = ", ".join(f"{name} {money(value)}" for name, value in bars[:3])
    frame.chart(charts.horizontal_bars(drawn, "name", what, what), f"{title}: {first}.", None)

"""Administrator: what earns, what may bring a loss, who is offered promotions, does the pipeline work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import charts, frame
from dashboard.data.stock_data import MAX_CLIENTS, PromoClient, Risk, Standing, StockData, Winner
from dashboard.text import ago, day_text, figure, money, printable
from told import told

_REASONS: Final = {"expired": "✗\xa0expired", "expiring": "!\xa0expiring", "dead_stock": "▪\xa0dead stock"}
_BARS: Final = 10
_LABEL: Final = 40


def render(data: StockData) -> None:
    """Draw the page."""
    frame.heading("Administrator", "What earns, what may bring a loss, and which clients get promotions.")
    standing = frame.age("Results from MongoDB", data.standing())
    if standing is None:
        return
    if standing.is_empty:
        frame.hint(
            "There is no data yet; the first batch fills this page. Start the pipeline with "
            f"`{told('stock run')}` and enter a sale on the Accountant's page. If it runs "
            "already, compare its MONGO_URI and STOCK_DB_NAME with the dashboard's."
        )
    _status(standing)
    if standing.is_empty:
        return
    _winners(standing.winners, standing.winners_at)
    _risks(standing.risks, standing.risk_count, standing.risks_at)
    _clients(standing.clients)


def _status(standing: Standing) -> None:
    status, now = standing.status, datetime.now(timezone.utc)
    documents = {name: f"{count:,}" for name, count in status.documents.items()}
    frame.figures(
        {
            "Products": (documents["inventory"], "Different products in the inventory."),
            "Sales": (documents["sales"], "Invoices, each counted once."),
            "Clients": (documents["clients"], "All clients, also those known from a sale alone."),
            "Value at risk": (money(standing.at_risk), "Stock that may bring a loss, at purchase prices."),
            "Last batch": (
                ago(status.last_batch, now) if status.last_batch else "–",
                f"Of the last one with records, {status.records:,}, {status.refused:,} were refused.",
            ),
        }
    )


def _since(at: datetime | None) -> None:
    if at is not None:
        st.markdown(f"Last changed {ago(at, datetime.now(timezone.utc))}.")


def _winners(winners: Sequence[Winner], at: datetime | None) -> None:
    frame.section("Products that earn most")
    if not winners:
        st.markdown("No product with a known price was sold yet.")
        return
    _since(at)
    shown = {
        "Rank": [str(winner.rank) for winner in winners],
        "Product": [winner.product_id for winner in winners],
        "Name": [winner.name for winner in winners],
        "Profit": [money(winner.profit) for winner in winners],
        "Units sold": [figure(winner.units) for winner in winners],
        "Revenue": [money(winner.revenue) for winner in winners],
    }
    bars = [(_label(winner.name, winner.product_id), winner.profit) for winner in winners]
    _bars(bars, "profit", "Profit by product, the most first")
    frame.table(shown, "Products that earn most")


def _risks(listed: Sequence[Risk], count: int, at: datetime | None) -> None:
    frame.section(f"Products that may bring a loss: {count:,}")
    if not listed:
        st.markdown("None: no product is past its date or near it, and all have moved lately.")
        return
    _since(at)
    shown = {
        "Product": [risk.product_id for risk in listed],
        "Name": [risk.name for risk in listed],
        "Why": [", ".join(_REASONS.get(why, why) for why in risk.reasons) for risk in listed],
        "Expires": [day_text(risk.expiry) for risk in listed],
        "Last moved": [day_text(risk.movement) for risk in listed],
        "Quantity": [figure(risk.quantity) for risk in listed],
        "Value at risk": [money(risk.value) for risk in listed],
    }
    bars = [(_label(risk.name, risk.product_id), risk.value) for risk in listed[:_BARS]]
    _bars(bars, "value at risk", "Value at risk by product, the largest first")
    if count > len(listed):
        st.markdown(f"The {len(listed)} of the greatest value are shown.")
    frame.table(shown, "Products that may bring a loss")


def _clients(clients: Sequence[PromoClient]) -> None:
    frame.section("Clients with promotions")
    if not clients:
        st.markdown("No client's revenue is above REVENUE_THRESHOLD_PROMO.")
        return
    shown = {
        "Client": [client.client_id for client in clients],
        "Name": [client.name or "–" for client in clients],
        "Revenue": [money(client.revenue) for client in clients],
        "Tier": [client.tier for client in clients],
    }
    bars = [(_label(client.name, client.client_id), client.revenue) for client in clients[:_BARS]]
    _bars(bars, "revenue", "Revenue by client, the most first")
    if len(clients) == MAX_CLIENTS:
        st.markdown(f"The {MAX_CLIENTS} of the greatest revenue are shown.")
    frame.table(shown, "Clients with promotions")


def _label(name: str, key: str) -> str:
    """Returns a short label for a bar; `key` in it keeps two products or clients apart."""
    shown = printable(name)[:_LABEL]
    return f"{shown} ({printable(key)[:_LABEL]})" if shown else printable(key)[:_LABEL]


def _bars(bars: Sequence[tuple[str, Decimal | None]], what: str, title: str) -> None:
    exact = {"Name": [name for name, _ in bars], what.capitalize(): [money(value) for _, value in bars]}
    # Only the length of a bar is a float.
    drawn = pd.DataFrame({"name": exact["Name"], what: [float(value or 0) for _, value in bars]})
    first = ", ".join(f"{name} {money(value)}" for name, value in bars[:3])
    frame.chart(charts.horizontal_bars(drawn, "name", what, what), f"{title}: {first}.", exact)

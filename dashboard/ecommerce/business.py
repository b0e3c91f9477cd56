"""The business of a span: what was bought, by whom, of which categories."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import charts, frame, time_charts
from dashboard.data.shop import Business, Shop
from dashboard.ecommerce import tiles
from dashboard.ecommerce.spans import readable, span_text
from dashboard.ecommerce.tiles import Tile
from dashboard.text import figure, printable

# The name of a category may be any text of a file.
_NAME: Final = 60
_STEP: Final = 64


def render(shop: Shop, currency: str) -> None:
    """Draw the tab; prices are in `currency`."""
    tiles.render(_tiles(shop.business, shop.business_before, currency))
    _funnel(shop.business)
    _revenue(shop, currency)
    _categories(shop.categories, currency)


def _tiles(now: Business, before: Business | None, currency: str) -> list[Tile]:
    by_time = "By the events' own times."
    conversion = None if now.conversion is None else now.conversion * 100
    figures: list[tuple[str, str, str]] = [
        ("revenue", "Revenue", figure(now.revenue, currency, 2)),
        ("purchases", "Purchases", figure(now.purchases)),
        ("per_purchase", "Per purchase", figure(now.per_purchase, currency, 2)),
        ("views", "Views", figure(now.views)),
        ("users", "Visitors", figure(now.users)),
        ("conversion", "Bought after a view", figure(conversion, "%", 1)),
    ]
    explained = {
        "revenue": f"Sum of the prices paid. {by_time}",
        "per_purchase": "The average price of a purchase.",
        "users": "Different users who did anything.",
        "conversion": "Of the users who viewed something, those who bought something afterwards.",
    }
    return [
        Tile(name, shown, explained.get(field, by_time), getattr(now, field), getattr(before, field, None))
        for field, name, shown in figures
    ]


def _funnel(business: Business) -> None:
    frame.section("From visit to purchase")
    if not business.users:
        st.markdown("No event in this span.")
        return
    counts = {
        "did anything": business.users,
        "viewed a product": business.viewers,
        "bought one afterwards": business.buyers,
    }
    steps = [*counts.values()]
    rates = [None, *(now / before if before else None for before, now in pairwise(steps))]
    shown = {
        "Users who": list(counts),
        "Users": [figure(count) for count in steps],
        "Of the step before": [figure(None if rate is None else rate * 100, "%", 1) for rate in rates],
        "Of all": [figure(count / business.users * 100, "%", 1) for count in steps],
    }
    drawn = pd.DataFrame(
        {
            "step": list(counts),
            "users": steps,
            "label": [
                f"{name}|{count}{'' if rate is None else f', {rate:.1%} of them'}"
                for name, count, rate in zip(counts, shown["Users"], rates, strict=True)
            ],
        }
    )
    frame.chart(
        funnel(drawn),
        f"Users of the span: {business.users:,} active, {business.viewers:,} viewed a product, "
        f"{business.buyers:,} bought one after their first view.",
        shown,
    )


def funnel(steps: pd.DataFrame) -> alt.Chart:
    """Draw `steps` (`step`, `users`, `label`) from top to bottom, each as wide as its number of users.

    A `|` in a label begins its second line.
    """
    labels = alt.Axis(
        title=None, labelLimit=220, labelOverlap=False, ticks=False, domain=False,
        labelExpr="split(datum.label, '|')",
    )  # fmt: skip
    halves = steps.assign(left=-steps["users"] / 2, right=steps["users"] / 2)
    chart: alt.Chart = (
        alt.Chart(halves, height=alt.Step(_STEP))
        .mark_bar(color=charts.BLUE, height={"band": 0.8}, cornerRadius=3)
        .encode(
            x=alt.X("left:Q", axis=None),
            x2="right:Q",
            y=alt.Y("label:N", sort=None, axis=labels),
            tooltip=[
                alt.Tooltip("step:N", title="Users who"),
                alt.Tooltip("users:Q", title="Users", format=","),
            ],
        )
    )
    return chart


def _revenue(shop: Shop, currency: str) -> None:
    frame.section("Revenue")
    if shop.sales.empty:
        st.markdown("No event in this span.")
        return
    names = {"revenue": f"revenue, {currency}"}
    alternative = f"Revenue over time, {span_text(shop.sales)}; in all {shop.sales['revenue'].sum():,.2f}."
    frame.chart(
        time_charts.stacked_bars(shop.sales, names, names["revenue"], shop.step_seconds),
        alternative,
        readable(shop.sales, names, 2),
    )


def _categories(categories: pd.DataFrame, currency: str) -> None:
    frame.section("Top categories")
    if categories.empty:
        st.markdown("No event in this span.")
        return
    categories = categories.assign(category=[printable(name)[:_NAME] for name in categories["category"]])
    parts = ", ".join(
        f"{row.category} {row.revenue:,.2f}" for row in categories.head(3).itertuples(index=False)
    )
    drawing = charts.horizontal_bars(categories, "category", "revenue", f"revenue, {currency}")
    frame.chart(drawing, f"Categories by revenue, the largest first: {parts}.", None)
    shown = {
        "Category": list(categories["category"]),
        "Views": [figure(value) for value in categories["views"]],
        "Purchases": [figure(value) for value in categories["purchases"]],
        "Per 100 views": [
            figure(100 * row.purchases / row.views if row.views else None, digits=1)
            for row in categories.itertuples(index=False)
        ],
        f"Revenue, {currency}": [figure(value, digits=2) for value in categories["revenue"]],
    }
    frame.table(shown, "Categories by revenue", numbers=[*shown][1:])

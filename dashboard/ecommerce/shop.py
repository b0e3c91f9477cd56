"""Storefront: whether events arrive and how old they are, what is viewed and bought, what is refused."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard import charts, frame, time_charts
from dashboard.data.shop import Funnel, Shop, ShopData
from dashboard.text import ago, figure, printable, utc
from sources.ecommerce.figures import EventFigures, Spread
from told import told

_SPANS = {
    "Last 15 minutes": timedelta(minutes=15),
    "Last hour": timedelta(hours=1),
    "Last 6 hours": timedelta(hours=6),
    "Last 24 hours": timedelta(hours=24),
}
# The name of a category may be any text of a file.
_NAME = 60
_OUTCOMES = {"inserted": "inserted", "duplicates": "duplicates", "rejected": "refused"}
_LATENCIES = {"latency_avg": "average", "latency_max": "maximum"}


def render(data: ShopData) -> None:
    """Draw the page."""
    frame.heading("Storefront", "Do events arrive, how old are they by then, and what is viewed and bought?")
    span = st.selectbox("Span", list(_SPANS), index=1, width=180, key="span", bind="query-params")
    loaded = data.shop(_SPANS[span])
    shop = frame.age("Events from PostgreSQL", loaded)
    if shop is None:
        if loaded.fault is None:
            _empty()
        return
    frame.section("Last five minutes")
    frame.figures(_stream_figures(shop.figures))
    frame.section(span)
    frame.figures(_sales_figures(shop.sales))
    _flow(shop)
    _revenue(shop)
    _categories(shop.categories)
    _funnel(shop.funnel)
    _latency(shop)
    _refused(shop)


def _empty() -> None:
    frame.hint(
        f"There are no batches yet. Start the pipeline with `{told('ecommerce run')}` and put files into "
        f"ECOMMERCE_INPUT_PATH, or invent some with `{told('ecommerce simulate')}`. If it runs already, "
        "compare its POSTGRES_DSN with the dashboard's."
    )


def _stream_figures(figures: EventFigures) -> dict[str, tuple[str, str | None]]:
    rate = figures.duplicate_rate
    last = figures.last_commit
    return {
        "Events per second": (figure(figures.events_per_second, digits=1), "Inserted, pauses included."),
        "Latency (95 %)": (
            figure(figures.latency.p95, "s", 1),
            f"95 of 100 are within it; from an event to its insertion. {_spread(figures.latency)}.",
        ),
        "Batch time (95 %)": (
            figure(figures.batch_seconds.p95, "s", 2),
            f"From a batch's start to its commit: {_spread(figures.batch_seconds)}.",
        ),
        "Duplicates": (
            figure(None if rate is None else rate * 100, "%", 1),
            f"{figures.duplicates:,} of {figures.inserted + figures.duplicates:,} valid records were there.",
        ),
        "Refused": (f"{sum(figures.rejected.values()):,}", f"Of {figures.records_in:,} records."),
        "Last batch": (ago(last, figures.now) if last else "–", "By PostgreSQL's clock."),
    }


def _spread(spread: Spread) -> str:
    return (
        f"average {figure(spread.avg, 's', 2)}, half within {figure(spread.p50, 's', 2)}, "
        f"maximum {figure(spread.max, 's', 2)}"
    )


def _sales_figures(sales: pd.DataFrame) -> dict[str, tuple[str, str | None]]:
    by_time = "Of events whose own time is in the span."
    return {
        "Revenue": (figure(float(sales["revenue"].sum()), digits=2), f"Sum of the prices paid. {by_time}"),
        "Purchases": (figure(float(sales["purchases"].sum())), by_time),
        "Views": (figure(float(sales["views"].sum())), by_time),
    }


def _flow(shop: Shop) -> None:
    frame.section("Records per second")
    if shop.flow.empty:
        st.markdown("No batch in this span.")
        return
    rates = shop.flow[["time"]].copy()
    for name in _OUTCOMES:
        rates[name] = shop.flow[name] / shop.step_seconds
    totals = ", ".join(f"{shop.flow[name].sum():,.0f} {shown}" for name, shown in _OUTCOMES.items())
    alternative = f"Records per second by what became of them, {_range(rates)}; in all {totals}."
    frame.chart(
        time_charts.stacked_bars(rates, _OUTCOMES, "records per second", shop.step_seconds),
        alternative,
        _readable(rates, _OUTCOMES, 2),
    )


def _revenue(shop: Shop) -> None:
    frame.section("Revenue")
    if shop.sales.empty:
        st.markdown("No event in this span.")
        return
    names = {"revenue": "revenue"}
    alternative = f"Revenue over time, {_range(shop.sales)}; in all {shop.sales['revenue'].sum():,.2f}."
    frame.chart(
        time_charts.stacked_bars(shop.sales, names, "revenue", shop.step_seconds),
        alternative,
        _readable(shop.sales, names, 2),
    )


def _categories(categories: pd.DataFrame) -> None:
    frame.section("Top categories")
    if categories.empty:
        st.markdown("No event in this span.")
        return
    categories = categories.assign(category=[printable(name)[:_NAME] for name in categories["category"]])
    parts = ", ".join(
        f"{row.category} {row.revenue:,.2f}" for row in categories.head(3).itertuples(index=False)
    )
    shown = {
        "Category": list(categories["category"]),
        "Views": [figure(value) for value in categories["views"]],
        "Purchases": [figure(value) for value in categories["purchases"]],
        "Per 100 views": [
            figure(100 * row.purchases / row.views if row.views else None, digits=1)
            for row in categories.itertuples(index=False)
        ],
        "Revenue": [figure(value, digits=2) for value in categories["revenue"]],
    }
    drawing = charts.horizontal_bars(categories, "category", "revenue", "revenue")
    frame.chart(drawing, f"Categories by revenue, the largest first: {parts}.", shown)


def _funnel(funnel: Funnel) -> None:
    frame.section("From view to purchase")
    if not funnel.viewers:
        st.markdown("Nobody viewed anything in this span.")
        return
    share = funnel.buyers / funnel.viewers
    steps = pd.DataFrame(
        {
            "step": ["active", "viewed a product", "then bought one"],
            "users": [funnel.users, funnel.viewers, funnel.buyers],
        }
    )
    st.markdown(f"Of the users who viewed something, **{share:.1%}** bought something afterwards.")
    alternative = (
        f"Users of the span: {funnel.users:,} active, {funnel.viewers:,} viewed a product, "
        f"{funnel.buyers:,} bought one after their first view."
    )
    frame.chart(charts.horizontal_bars(steps, "step", "users", "users"), alternative, steps)


def _latency(shop: Shop) -> None:
    frame.section("Latency")
    measured = shop.flow[shop.flow["inserted"] > 0]
    if measured.empty:
        st.markdown("Nothing was inserted in this span.")
        return
    alternative = (
        f"Seconds from an event to its insertion, {_range(measured)}: the maximum was "
        f"{measured['latency_max'].max():,.1f}, the last average {measured['latency_avg'].iloc[-1]:,.1f}."
    )
    frame.chart(
        time_charts.lines(measured, _LATENCIES, "seconds"), alternative, _readable(measured, _LATENCIES, 1)
    )


def _refused(shop: Shop) -> None:
    frame.section("Refused by rule")
    if not shop.rejected:
        st.markdown("Nothing, in this span.")
        return
    frame.table(
        pd.DataFrame(list(shop.rejected.items()), columns=["Rule", "Records"]), "Refused records by rule"
    )
    st.markdown(f"`{told('ecommerce dlq list')}` shows where they are kept.")


def _range(steps: pd.DataFrame) -> str:
    return f"from {utc(steps['time'].min())} to {utc(steps['time'].max())}"


def _readable(steps: pd.DataFrame, names: dict[str, str], digits: int) -> frame.Table:
    """Make a table of `steps`, the newest first."""
    newest_first = steps.iloc[::-1]
    columns: dict[str, list[str]] = {"From": [utc(moment) for moment in newest_first["time"]]}
    for column, shown in names.items():
        columns[shown.capitalize()] = [figure(value, digits=digits) for value in newest_first[column]]
    return columns

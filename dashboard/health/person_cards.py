"""Cards of one person: of each metric the week's figure, its trend, the last month's line, and a sentence."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd
import streamlit as st

from analytics.health.plain import baseline, mean, window
from analytics.health.words import amount, with_unit
from contracts.health_metrics import METRICS
from dashboard import frame
from dashboard.charts import GRAY, GREEN, RED
from dashboard.data.user import Result, UserResults, series_of
from dashboard.health.events import Least
from dashboard.health.names import metric_name
from dashboard.health.person_charts import sparkline
from dashboard.text import NBSP, day_text, plain, signed

Color = Literal["off", "green", "red"]
Arrow = Literal["off", "up", "down"]
_LINE_COLORS: Final = {"off": GRAY, "green": GREEN, "red": RED}
_LINE_DAYS = 30
_CARD_WIDTH = 240


def cards(results: UserResults, metrics: list[str], least: Least) -> None:
    """Draw a card for each of `metrics`; they wrap on narrow screens."""
    shown = [metric for metric in metrics if (metric, "7day") in results]
    with st.container(horizontal=True):
        for metric in shown:
            # Wide enough for a figure with its unit.
            with st.container(border=True, width=_CARD_WIDTH, height="stretch"):
                _card(results[metric, "7day"], results[metric, "90day"], least)


def sign(metric: str, trend: str) -> tuple[Color, Arrow]:
    """The colour and the arrow of a metric's `trend`: green is what is better, by the catalogue."""
    arrow: Arrow = "up" if trend == "up" else "down" if trend == "down" else "off"
    better = METRICS[metric].better
    if arrow == "off" or better == "neither":
        return "off", arrow
    return "green" if (arrow == "up") == (better == "more") else "red", arrow


def _card(week: Result, quarter: Result, least: Least) -> None:
    has_trend = week.trend in ("up", "down", "stable") and week.trend_percentage is not None
    color, arrow = sign(week.metric, week.trend)
    st.metric(
        metric_name(week.metric),
        plain("–" if week.average is None else with_unit(week.average, week.metric)),
        delta=signed(week.trend_percentage) if has_trend else None,
        # Its own way to tell a fall from a rise does not know a real minus sign.
        delta_color=color,
        delta_arrow=arrow,
        help="Mean of the last 7 days, against the 7 before; the line is of the last 30 days.",
    )
    line = quarter.history[
        quarter.history.index > quarter.history.index.max() - pd.Timedelta(days=_LINE_DAYS)
    ]
    if len(line) > 1:
        # The chart of st.metric has no name for screen readers.
        st.altair_chart(
            sparkline(line, _LINE_COLORS[color]), width="stretch", alt=_described(line, week.metric)
        )
    st.markdown(f":small[{plain(_sentence(quarter, least))}]")


def _described(line: pd.Series, metric: str) -> str:
    span = f"between {amount(line.min())} and {with_unit(line.max(), metric)}"
    end = day_text(line.index[-1].date())
    return (
        f"Line of {metric_name(metric)} in {len(line)} values up to {end}, {span}; they are listed under "
        "Day by day."
    )


def _sentence(quarter: Result, least: Least) -> str:
    """`Latest: 8,200 steps on 28 Nov, within the usual 6,830 to 10,200.`"""
    if quarter.history.empty:
        return "No values in the last 90 days."
    series = series_of(quarter.history)
    latest = baseline(series, max(series))
    day = f"{quarter.history.index[-1]:%d{NBSP}%b}"
    told = f"Latest: {with_unit(latest.value, quarter.metric)} on {day}"
    if latest.usual is None:
        return f"{told}; what is usual is not known yet."
    low, high = max(latest.usual[0], METRICS[quarter.metric].low), latest.usual[1]
    place = "within" if latest.severity is None else "above" if latest.value > high else "below"
    # What is too little to tell elsewhere is no matter here either.
    if place != "within" and not least[quarter.metric].reached(latest.value, latest.expected or 0.0):
        place = "close to"
    return f"{told}, {place} the usual {amount(low)} to {amount(high)}."


def week_against_week(results: UserResults, metrics: list[str]) -> None:
    """Draw what each of `metrics` was in the last 7 days and in the 7 before, and the difference."""
    frame.section("This week against the one before")
    columns: dict[str, list[str]] = {name: [] for name in ("Metric", "Last 7 days", "Before", "Change")}
    for metric in metrics:
        series = series_of(results[metric, "90day"].history)
        if not series:
            continue
        last = max(series)
        now, before = (mean(window(series, end, 7).values()) for end in (last, last - 7))
        columns["Metric"].append(metric_name(metric))
        columns["Last 7 days"].append("–" if now is None else with_unit(now, metric))
        columns["Before"].append("–" if before is None else with_unit(before, metric))
        columns["Change"].append("–" if now is None or before is None else _change(now, before, metric))
    frame.table(columns, "The last 7 days against the 7 before, by metric")


def _change(now: float, before: float, metric: str) -> str:
    """`+1,021 steps (+11.7 %)`; without a share of nothing."""
    sign = "+" if now > before else "−" if now < before else "±"
    share = f" ({signed(100 * (now - before) / before)})" if before else ""
    return f"{sign}{with_unit(abs(now - before), metric)}{share}"

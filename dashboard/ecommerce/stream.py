"""The stream of events: how many arrive, how old they are by then, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import frame, time_charts
from dashboard.data.shop import Shop
from dashboard.ecommerce import tiles
from dashboard.ecommerce.spans import readable, span_text
from dashboard.ecommerce.tiles import Good, Tile
from dashboard.text import ago, figure
from sources.ecommerce.figures import EventFigures, Spread
from told import told

_OUTCOMES: Final = {"inserted": "inserted", "duplicates": "duplicates", "rejected": "refused"}
_GOOD: Final[dict[str, Good]] = {"Events per second": "normal", "Duplicates": "off"}
_LATENCIES: Final = {"latency_avg": "average", "latency_max": "maximum"}


def render(shop: Shop) -> None:
    """Draw the tab."""
    frame.section("Last five minutes")
    tiles.render(_tiles(shop.figures, shop.figures_before))
    _flow(shop)
    _latency(shop)
    _refused(shop)


def _tiles(now: EventFigures, before: EventFigures | None) -> list[Tile]:
    def compared(name: str, shown: str, told_of: str, read: Callable[[EventFigures], float | None]) -> Tile:
        return Tile(
            name, shown, told_of, read(now), read(before) if before else None, _GOOD.get(name, "inverse")
        )

    valid, refused = now.inserted + now.duplicates, sum(now.rejected.values())
    rate = now.duplicate_rate
    return [
        compared(
            "Events per second",
            figure(now.events_per_second, digits=1),
            "Inserted, pauses included.",
            lambda one: one.events_per_second,
        ),
        compared(
            "Latency (95th percentile)",
            figure(now.latency.p95, "s", 1),
            f"95 of 100 are within it; from an event to its insertion: {_spread(now.latency)}.",
            lambda one: one.latency.p95,
        ),
        compared(
            "Batch time (95th percentile)",
            figure(now.batch_seconds.p95, "s", 2),
            f"From a batch's start to its commit: {_spread(now.batch_seconds)}.",
            lambda one: one.batch_seconds.p95,
        ),
        compared(
            "Duplicates",
            figure(None if rate is None else rate * 100, "%", 1),
            f"{now.duplicates:,} of {valid:,} valid records were there already.",
            lambda one: one.duplicate_rate,
        ),
        compared(
            "Refused",
            figure(refused),
            f"Of {now.records_in:,} records.",
            lambda one: sum(one.rejected.values()),
        ),
        Tile("Last batch", _ago(now.last_commit, now.now), "By PostgreSQL's clock."),
    ]


def _ago(last: datetime | None, now: datetime) -> str:
    return ago(last, now) if last else "–"


def _spread(spread: Spread) -> str:
    return (
        f"average {figure(spread.avg, 's', 2)}, half within {figure(spread.p50, 's', 2)}, "
        f"max {figure(spread.max, 's', 2)}"
    )


def _flow(shop: Shop) -> None:
    frame.section("Records per second")
    if shop.flow.empty:
        st.markdown("No batch in this span.")
        return
    rates = shop.flow[["time"]].copy()
    for name in _OUTCOMES:
        rates[name] = shop.flow[name] / shop.step_seconds
    totals = ", ".join(f"{shop.flow[name].sum():,.0f} {shown}" for name, shown in _OUTCOMES.items())
    alternative = f"Records per second by what became of them, {span_text(rates)}; in all {totals}."
    frame.chart(
        time_charts.stacked_bars(rates, _OUTCOMES, "records per second", shop.step_seconds),
        alternative,
        readable(rates, _OUTCOMES, 2),
    )


def _latency(shop: Shop) -> None:
    frame.section("Latency")
    measured = shop.flow[shop.flow["inserted"] > 0]
    if measured.empty:
        st.markdown("Nothing was inserted in this span.")
        return
    alternative = (
        f"Seconds from an event to its insertion, {span_text(measured)}: the maximum was "
        f"{measured['latency_max'].max():,.1f}, the last average {measured['latency_avg'].iloc[-1]:,.1f}."
    )
    frame.chart(
        time_charts.lines(measured, _LATENCIES, "seconds"), alternative, readable(measured, _LATENCIES, 1)
    )


def _refused(shop: Shop) -> None:
    frame.section("Refused by rule")
    if not shop.rejected:
        st.markdown("No record was refused in this span.")
        return
    frame.table(
        pd.DataFrame(list(shop.rejected.items()), columns=["Rule", "Records"]),
        "Refused records by rule",
        numbers=("Records",),
    )
    st.markdown(f"`{told('ecommerce dlq list')}` shows where they are kept.")

"""Every chart of the dashboard, as Altair specifications without data access.

Altair, not Plotly: Streamlit brings it along and draws it as SVG with roles and labels for screen readers, in
the colours of its light or dark theme. Plotly would add 4 MB of script for the same charts.

The colours have a contrast of at least 3:1 with both backgrounds (WCAG 1.4.11), and every distinction that a
colour makes is also made by shape, dash or text. Times are drawn in UTC wherever the browser is: the axes are
of that type, and tooltips show text made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import altair as alt
import pandas as pd

BLUE: Final = "#3b7de0"
ORANGE: Final = "#c2660c"
RED: Final = "#dc4040"
GRAY: Final = "#78808c"
GREEN: Final = "#0f8f63"
COLORS: Final = (BLUE, ORANGE, RED, GRAY, GREEN)

T = TypeVar("T")
Drawing = alt.Chart | alt.LayerChart

_LEGEND: Final = alt.Legend(orient="bottom", title=None, columns=2, labelLimit=200, symbolOpacity=1)
_LEGEND_OF_THREE: Final = alt.Legend(orient="bottom", title=None, columns=3, symbolOpacity=1)
_SEVERITY: Final = {"high": RED, "medium": ORANGE, "low": GRAY}
_STATUS: Final = {"✓\xa0completed": BLUE, "!\xa0completed with errors": ORANGE, "✗\xa0failed": RED}
_SHAPE: Final = dict(zip(_STATUS, ("circle", "triangle-up", "cross"), strict=True))


def coded(channel: Callable[..., T], field: str, codes: Mapping[str, Any], legend: alt.Legend | None) -> T:
    """Tell the values of `field` apart by `codes`: each has its own in the `channel` (color, shape, dash)."""
    return channel(
        f"{field}:N", scale=alt.Scale(domain=list(codes), range=list(codes.values())), legend=legend
    )


def readable(drawing: Drawing) -> Drawing:
    """Give `drawing` labels in the text colour of the page: Streamlit's own grey is too weak on white."""
    text = "currentColor"
    configured: Drawing = drawing.configure_axis(labelColor=text, titleColor=text).configure_legend(
        labelColor=text
    )
    return configured


def anomalies_by_day(frame: pd.DataFrame) -> alt.Chart:
    """Draw `frame` (`day`, `severity`, `count`) as stacked bars."""
    base = alt.Chart(with_days(frame), height=260).mark_bar()
    chart: alt.Chart = base.encode(
        x=day_axis().timeUnit("utcyearmonthdate"),
        y=alt.Y("count:Q", title="people", axis=alt.Axis(tickMinStep=1, tickCount=4)),
        color=coded(alt.Color, "severity", _SEVERITY, _LEGEND_OF_THREE),
        order=alt.Order("severity:N", sort="ascending"),
        tooltip=[
            alt.Tooltip("label:N", title="Day"),
            alt.Tooltip("severity:N", title="Severity"),
            alt.Tooltip("count:Q", title="People"),
        ],
    )
    return chart


def batch_durations(frame: pd.DataFrame) -> alt.Chart:
    """Draw each batch of `frame` at its end: `end` (aware), `seconds` (above 0), `status`, `changes`."""
    is_one_day = frame["end"].max() - frame["end"].min() < pd.Timedelta(days=1)
    ticks = "%H:%M" if is_one_day else "%d %b %H:%M"
    shown = frame.assign(label=frame["end"].dt.strftime("%Y-%m-%d %H:%M:%S UTC"))
    chart: alt.Chart = (
        alt.Chart(shown, height=320)
        .mark_point(filled=True, size=55, opacity=0.9)
        .encode(
            x=alt.X(
                "end:T",
                scale=alt.Scale(type="utc", nice=True),
                axis=alt.Axis(
                    title="end (UTC)", format=ticks, labelOverlap="greedy", tickCount=6, grid=False
                ),
            ),
            y=alt.Y(
                "seconds:Q",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(title="seconds", values=[0.01, 0.1, 1, 10, 100, 1000], format="~g"),
            ),
            color=coded(alt.Color, "status", _STATUS, _LEGEND),
            shape=coded(alt.Shape, "status", _SHAPE, _LEGEND),
            tooltip=[
                alt.Tooltip("label:N", title="End"),
                alt.Tooltip("seconds:Q", title="Seconds", format=".2f"),
                alt.Tooltip("changes:Q", title="Changes"),
                alt.Tooltip("status:N", title="Status"),
            ],
        )
    )
    return chart


def bars_height(bars: int) -> int:
    """Returns the height of a chart of `bars` horizontal bars with an axis and no legend."""
    return bars * 30 + 80


def horizontal_bars(frame: pd.DataFrame, name: str, value: str, title: str) -> alt.Chart:
    """Draw a bar for each row of `frame`, in its order: column `name` labels it, `value` is its length."""
    labels = alt.Axis(title=None, labelLimit=160, labelOverlap=False, ticks=False, domain=False)
    base = alt.Chart(frame, height=bars_height(len(frame))).mark_bar(color=BLUE)
    chart: alt.Chart = base.encode(
        x=alt.X(f"{value}:Q", title=title, axis=alt.Axis(tickCount=4)),
        y=alt.Y(f"{name}:N", sort=None, axis=labels),
        tooltip=[f"{name}:N", alt.Tooltip(f"{value}:Q", format=",.2~f")],
    )
    return chart


def with_days(frame: pd.DataFrame) -> pd.DataFrame:
    """`day` (dates, or midnights without a zone) as a moment in UTC, and `label` as its text."""
    days = pd.to_datetime(frame["day"])
    return frame.assign(day=days.dt.tz_localize("UTC"), label=days.dt.strftime("%Y-%m-%d"))


def day_axis() -> alt.X:
    """The axis of `day` (with_days)."""
    axis = alt.Axis(format="%d %b", title=None, labelOverlap="greedy", tickCount=6, grid=False)
    return alt.X("day:T", scale=alt.Scale(type="utc"), axis=axis)

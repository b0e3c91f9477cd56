"""The charts of one person, in the manner of charts.py: daily values and the calendar of the streak."""

from __future__ import annotations

from typing import Any, Final

import altair as alt
import pandas as pd

from dashboard.charts import BLUE, GRAY, GREEN, ORANGE, RED, day_axis, with_days

# Streamlit fits the axes into the height.
_HEIGHT: Final = 320
# Room above and below what is drawn, as a share of its height.
_ROOM: Final = 0.08
USUAL, VALUE, WEEK, MONTH, STORED, RECOMPUTED = (
    "usual range", "daily value", "7-day average", "30-day average", "anomaly", "earlier anomaly",
)  # fmt: skip
# How each series is drawn, in words of Streamlit's Markdown: a legend that looks like its marks.
_MARKS: Final = {
    USUAL: ":blue[▒]",
    VALUE: ":gray[●]",
    WEEK: ":blue[━]",
    MONTH: ":orange[╍]",
    STORED: ":red[◆]",
    RECOMPUTED: ":red[◇]",
}
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CELLS: Final = {"counts": GREEN, "does not": GRAY, "no value": "transparent"}
_SIGNS: Final = {"counts": "✓", "does not": "–", "no value": ""}
# By the column in which the cell lies.
_STREAK_LEGEND: Final = (
    (0, "counts", "counts"), (4, "does not", "does not count"), (10, "no value", "no value"),
)  # fmt: skip
_WEEKS: Final = 14


def drawn(frame: pd.DataFrame) -> list[str]:
    """The series of `frame` (data.user.daily_frame) that have something to draw, back to front."""
    there = {
        USUAL: int(frame["low"].notna().sum()) > 1,
        VALUE: len(frame) > 0,
        WEEK: int(frame["average_7"].notna().sum()) > 1,
        MONTH: int(frame["average_30"].notna().sum()) > 1,
        STORED: bool(frame["is_stored"].any()),
        RECOMPUTED: bool(frame["is_recomputed"].any()),
    }
    return [name for name, is_there in there.items() if is_there]


def legend(frame: pd.DataFrame) -> str:
    """One line of Markdown that names what `daily_values` draws."""
    return " \u2003 ".join(f"{_MARKS[name]}\xa0{name}" for name in drawn(frame))


def daily_values(frame: pd.DataFrame, unit: str, from_zero: bool) -> alt.LayerChart:
    """Draw `frame` (data.user.daily_frame): the usual range, values, averages, stored and other anomalies."""
    axis = alt.Y(
        "value:Q", title=unit, axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=_domain(frame, from_zero))
    )
    tooltip = [
        alt.Tooltip("label:N", title="Day"),
        alt.Tooltip("value:Q", title="Value", format=",.2~f"),
        alt.Tooltip("average_7:Q", title="7-day average", format=",.2~f"),
        alt.Tooltip("average_30:Q", title="30-day average", format=",.2~f"),
        alt.Tooltip("low:Q", title="Usual from", format=",.2~f"),
        alt.Tooltip("high:Q", title="Usual to", format=",.2~f"),
    ]
    base = alt.Chart(with_days(frame)).encode(x=day_axis())
    diamond: dict[str, Any] = {
        "shape": "diamond",
        "size": 190,
        "strokeWidth": 2.5,
        "color": RED,
        "opacity": 1,
    }
    layers = {
        USUAL: base.transform_filter("isValid(datum.low)")
        .mark_area(color=BLUE, opacity=0.16)
        .encode(y=axis.copy(), y2="high:Q"),
        VALUE: base.mark_point(filled=True, size=34, opacity=0.9, color=GRAY).encode(y=axis, tooltip=tooltip),
        WEEK: base.mark_line(strokeWidth=2.5, color=BLUE).encode(y="average_7:Q"),
        MONTH: base.mark_line(strokeWidth=2.5, strokeDash=[6, 4], color=ORANGE).encode(y="average_30:Q"),
        STORED: base.transform_filter("datum.is_stored")
        .mark_point(filled=True, **diamond)
        .encode(y="value:Q", tooltip=tooltip),
        RECOMPUTED: base.transform_filter("datum.is_recomputed")
        .mark_point(filled=False, **diamond)
        .encode(y="value:Q", tooltip=tooltip),
    }
    layers[USUAL].encoding.y.shorthand = "low:Q"
    # A layer without marks would be an image without a name to screen readers.
    return alt.LayerChart(layer=[layers[name] for name in drawn(frame)], height=_HEIGHT)


def _domain(frame: pd.DataFrame, from_zero: bool) -> list[float]:
    """From the lowest to the highest thing that is drawn, with room around it."""
    columns = ["value", "average_7", "average_30", "low", "high"]
    low, high = float(frame[columns].min().min()), float(frame[columns].max().max())
    room = _ROOM * (high - low) or max(1.0, 0.1 * abs(high))
    return [0.0 if from_zero or low >= 0 > low - room else low - room, high + room]


def sparkline(history: pd.Series, color: str) -> alt.LayerChart:
    """Draw `history` (values by day) as a line without axes, with a point at its end."""
    frame = with_days(pd.DataFrame({"day": history.index, "value": history.to_numpy()}))
    x = alt.X("day:T", axis=None, scale=alt.Scale(type="utc"))
    y = alt.Y("value:Q", axis=None, scale=alt.Scale(zero=False, padding=4))
    line = alt.Chart(frame).mark_line(color=color, strokeWidth=2).encode(x=x, y=y)
    end = alt.Chart(frame.tail(1)).mark_point(color=color, filled=True, size=40, opacity=1)
    layers = [line, end.encode(x=x, y=y)]
    chart: alt.LayerChart = alt.LayerChart(layer=layers, height=56).configure_view(strokeWidth=0)
    return chart


def streak_calendar(frame: pd.DataFrame, label: str) -> alt.LayerChart:
    """Draw `frame` (data.user.streak_calendar): a column a week of the last 90 days, months above them.

    Its values are those of `label`. Its legend is a row of its own cells.
    """
    mondays = frame["day"] - pd.to_timedelta(frame["day"].dt.weekday, unit="D")
    last = mondays.max()
    weeks = [f"{last - pd.Timedelta(weeks=back):%Y-%m-%d}" for back in reversed(range(_WEEKS))]
    days = frame.assign(
        week=mondays.dt.strftime("%Y-%m-%d"),
        weekday=frame["day"].dt.weekday.map(dict(enumerate(_WEEKDAYS))),
        mark=frame["kind"].map(_SIGNS),
        day=frame["day"].dt.strftime("%Y-%m-%d"),
    )
    days = days[days["week"].isin(weeks)]
    x, y = _calendar_axes(weeks)
    tooltip = [
        alt.Tooltip("day:N", title="Day"),
        alt.Tooltip("value:Q", title=label, format=",.0f"),
        alt.Tooltip("kind:N", title="Streak"),
    ]
    legend = pd.DataFrame(
        [(weeks[column], " ", kind, _SIGNS[kind], weeks[column + 1], text)
         for column, kind, text in _STREAK_LEGEND],
        columns=["week", "weekday", "kind", "mark", "beside", "text"],
    )  # fmt: skip
    layers = []
    for shown, base in (
        (days, alt.Chart(days).encode(x=x, y=y, tooltip=tooltip)),
        (legend, alt.Chart(legend).encode(x=x, y=y)),
    ):
        cells = alt.Scale(domain=list(_CELLS), range=list(_CELLS.values()))
        fill = alt.Fill("kind:N", scale=cells, legend=None)
        layers.append(base.mark_rect(stroke=GRAY, strokeWidth=1, cornerRadius=3).encode(fill=fill))
        # A layer without marks would be an image without a name to screen readers.
        if shown["mark"].any():
            layers.append(base.mark_text(color="white", fontWeight="bold").encode(text="mark:N"))
    words = alt.Chart(legend).mark_text(align="left", dx=-6, color="currentColor")
    layers.append(words.encode(x=alt.X("beside:O", scale=alt.Scale(domain=weeks)), y=y, text="text:N"))
    return alt.LayerChart(layer=layers, height=270)


def _calendar_axes(weeks: list[str]) -> tuple[alt.X, alt.Y]:
    """Months above the columns, weekdays before the rows, and below those the row of the legend."""
    x = alt.X(
        "week:O",
        scale=alt.Scale(domain=weeks),
        axis=alt.Axis(
            title=None,
            labelExpr=_month_labels(weeks),
            labelAngle=0,
            orient="top",
            labelOverlap=False,
            ticks=False,
            domain=False,
        ),
    )
    y = alt.Y(
        "weekday:N",
        scale=alt.Scale(domain=[*_WEEKDAYS, "", " "]),
        axis=alt.Axis(title=None, labelOverlap=False, ticks=False, domain=False),
    )
    return x, y


def _month_labels(weeks: list[str]) -> str:
    """The expression of an axis of `weeks` (Mondays): a month's name over the week in which it begins."""
    names, known = {}, ""
    for week in weeks:
        month = f"{pd.Timestamp(week) + pd.Timedelta(days=6):%b}"
        if month != known:
            names[week], known = month, month
    first, second = list(names)[:2]
    # The rest of a month at the left edge has no room for its name.
    if weeks.index(second) - weeks.index(first) < 2:
        del names[first]
    return " : ".join([f"datum.value == '{week}' ? '{name}'" for week, name in names.items()] + ["''"])

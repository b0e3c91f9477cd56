"""Charts of streams over time, in the manner of charts.py: steps of equal length, times in UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import altair as alt
import pandas as pd

from dashboard.charts import BLUE, GRAY, ORANGE, RED, coded

# Streamlit fits axes and legend into the height.
_HEIGHT: Final = 320
# The rest of a step is the gap to the next bar.
_BAR_SHARE: Final = 0.85
_COLORS: Final = (BLUE, ORANGE, RED, GRAY)
_DASHES: Final = ([1, 0], [6, 4], [2, 2], [8, 2])
_LEGEND: Final = alt.Legend(orient="bottom", title=None, columns=3, symbolOpacity=1)


def stacked_bars(frame: pd.DataFrame, names: Mapping[str, str], title: str, step_seconds: float) -> alt.Chart:
    """Draw a bar for each step of `frame`, from its `time` (aware UTC), stacked of the columns in `names`."""
    long = _long(frame, names)
    long["end"] = long["time"] + pd.to_timedelta(step_seconds * _BAR_SHARE, unit="s")
    # Vega does not stack marks that have a width in time.
    long["top"] = long.groupby("time")["value"].cumsum()
    long["bottom"] = long["top"] - long["value"]
    chart: alt.Chart = (
        alt.Chart(long, height=_HEIGHT)
        .mark_rect()
        .encode(
            x=_time_axis(),
            x2="end:T",
            y=alt.Y("bottom:Q", title=title, axis=alt.Axis(tickCount=4)),
            y2="top:Q",
            # The axis names a single series.
            color=coded(alt.Color, "series", _by_name(names, _COLORS), _LEGEND if len(names) > 1 else None),
            tooltip=_tooltip(title),
        )
    )
    return chart


def lines(frame: pd.DataFrame, names: Mapping[str, str], title: str) -> alt.Chart:
    """Draw a line for each column of `frame` in `names`, over its `time` (aware UTC)."""
    chart: alt.Chart = (
        alt.Chart(_long(frame, names).dropna(subset=["value"]), height=_HEIGHT)
        .mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=30))
        .encode(
            x=_time_axis(),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(tickCount=4)),
            color=coded(alt.Color, "series", _by_name(names, _COLORS), _LEGEND),
            strokeDash=coded(alt.StrokeDash, "series", _by_name(names, _DASHES), _LEGEND),
            tooltip=_tooltip(title),
        )
    )
    return chart


def _long(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Make a row of `frame` for each time and series."""
    parts = [
        pd.DataFrame({"time": frame["time"], "series": shown, "value": frame[column]})
        for column, shown in names.items()
    ]
    long = pd.concat(parts, ignore_index=True)
    return long.assign(label=long["time"].dt.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _by_name(names: Mapping[str, str], codes: Sequence[object]) -> dict[str, object]:
    return dict(zip(names.values(), codes, strict=False))


def _tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title="From"),
        alt.Tooltip("series:N", title="Of"),
        alt.Tooltip("value:Q", title=title, format=",.2~f"),
    ]


def _time_axis() -> alt.X:
    axis = alt.Axis(title="UTC", format="%H:%M", labelOverlap="greedy", tickCount=6, grid=False)
    return alt.X("time:T", scale=alt.Scale(type="utc"), axis=axis)

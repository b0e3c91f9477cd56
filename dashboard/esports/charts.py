"""The charts of the esports pages: who leads by how much, now and over a match.

The first team's lead is above zero and blue, the second's below and orange.
"""

from __future__ import annotations

from typing import Final

import altair as alt
import pandas as pd

from dashboard.charts import BLUE, GRAY, ORANGE, coded

FIRST, SECOND = "first team leads", "second team leads"
_BAR: Final = 34
_HEIGHT: Final = 360
# From the line outwards, in pixels.
_OFFSETS: Final = {"kills": 14, "towers": 30}
_SHAPES: Final = {"kills": "circle", "towers": "square"}
_SIDES: Final = {1: (BLUE, -1), 2: (ORANGE, 1)}


def leads(frame: pd.DataFrame, what: str) -> alt.Chart:
    """Draw a bar for each match of `frame`: `match`, first team's `lead`, `leader`; `what` names the axis."""
    labels = alt.Axis(title=None, labelLimit=250, labelOverlap=False, ticks=False, domain=False)
    chart: alt.Chart = (
        # By step: a bar keeps its room whatever axis and title take.
        alt.Chart(frame, height=alt.Step(_BAR))
        .mark_bar(height={"band": 0.6})
        .encode(
            x=alt.X("lead:Q", title=what, axis=_whole(4)),
            y=alt.Y("match:N", sort=None, axis=labels),
            color=coded(alt.Color, "leader", {FIRST: BLUE, SECOND: ORANGE}, None),
            tooltip=[
                alt.Tooltip("match:N", title="Match"),
                alt.Tooltip("leader:N", title="Who"),
                alt.Tooltip("lead:Q", title="Lead of the first team", format="+,"),
            ],
        )
    )
    return chart


def course(frame: pd.DataFrame, marks: pd.DataFrame, what: str) -> alt.LayerChart:
    """Draw the line of `lead` over `minute`, with the zero that divides the teams; `what` names the axis.

    `marks` are what happened on the way (`minute`, `lead`, `side`, `kind`, `series`, `count`): the first
    team's above the line, the second's below.
    """
    line = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.5, color=GRAY, point=alt.OverlayMarkDef(color=GRAY, size=20))
        .encode(
            x=_minutes(),
            y=alt.Y("lead:Q", title=what, axis=_whole(5), scale=alt.Scale(padding=36)),
            tooltip=[
                alt.Tooltip("minute:Q", title="Minute"),
                alt.Tooltip("lead:Q", title="Lead of the first team", format="+,"),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"lead": [0]})).mark_rule(color=GRAY, strokeDash=[4, 4]).encode(y="lead:Q")
    return alt.LayerChart(layer=[zero, line, *_marked(marks)], height=_HEIGHT)


def _marked(marks: pd.DataFrame) -> list[alt.Chart]:
    """A layer for each kind of mark of each team; they share a legend of those that are there."""
    names = marks.drop_duplicates("series")
    colors = {row.series: _SIDES[row.side][0] for row in names.itertuples()}
    shapes = {row.series: _SHAPES[row.kind] for row in names.itertuples()}
    legend = alt.Legend(orient="bottom", title=None, columns=2, labelLimit=320, symbolOpacity=1)
    return [
        alt.Chart(some)
        .mark_point(filled=True, size=70, opacity=1, yOffset=_SIDES[side][1] * _OFFSETS[kind])
        .encode(
            x=_minutes(),
            y="lead:Q",
            color=coded(alt.Color, "series", colors, legend),
            shape=coded(alt.Shape, "series", shapes, legend),
            tooltip=[
                alt.Tooltip("series:N", title="Of"),
                alt.Tooltip("minute:Q", title="Until minute"),
                alt.Tooltip("count:Q", title="How many"),
            ],
        )
        for (side, kind), some in marks.groupby(["side", "kind"])
    ]


def _whole(ticks: int) -> alt.Axis:
    """An axis of whole numbers with their sign, also for a single value or zero alone."""
    return alt.Axis(tickCount=ticks, tickMinStep=1, format="+,d")


def _minutes() -> alt.X:
    axis = alt.Axis(tickMinStep=1, format="d", grid=False)
    return alt.X("minute:Q", title="minute", axis=axis, scale=alt.Scale(domainMin=0))

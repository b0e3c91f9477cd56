"""The charts of the esports pages: who leads by how much, now and over a match.

The first team's lead is above zero and blue, the second's below and orange.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts import BLUE, GRAY, ORANGE, bars_height, coded

FIRST, SECOND = "first team leads", "second team leads"


def leads(frame: pd.DataFrame, what: str) -> alt.Chart:
    """Draw a bar for each match of `frame`: `match`, first team's `lead`, `leader`; `what` names the axis."""
    labels = alt.Axis(title=None, labelLimit=190, labelOverlap=False, ticks=False, domain=False)
    chart: alt.Chart = (
        alt.Chart(frame, height=bars_height(len(frame)))
        .mark_bar()
        .encode(
            x=alt.X("lead:Q", title=what, axis=alt.Axis(tickCount=4, format="+,.0f")),
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


def course(frame: pd.DataFrame, what: str) -> alt.LayerChart:
    """Draw the line of `lead` over `minute`, with the zero that divides the teams; `what` names the axis."""
    line = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.5, color=BLUE, point=alt.OverlayMarkDef(color=BLUE, size=30))
        .encode(
            x=alt.X("minute:Q", title="minute", axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
            y=alt.Y("lead:Q", title=what, axis=alt.Axis(tickCount=5, format="+,.0f")),
            tooltip=[
                alt.Tooltip("minute:Q", title="Minute"),
                alt.Tooltip("lead:Q", title="Lead of the first team", format="+,"),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"lead": [0]})).mark_rule(color=GRAY, strokeDash=[4, 4]).encode(y="lead:Q")
    return alt.LayerChart(layer=[line, zero], height=280)

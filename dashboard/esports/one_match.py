"""One match: the course of its score, with kills and towers, and how the two teams fared before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.data.esports_data import EsportsData
from dashboard.esports import charts
from dashboard.esports.standings import meetings
from dashboard.esports.states import STATUSES, ended, team, teams, text
from dashboard.text import figure, plain, signed

_OFFERED: Final = 40
_MEETINGS: Final = 5
_HAPPENED: Final = ("kills", "towers")


def render(upcoming: pd.DataFrame, finished: pd.DataFrame, what: str, data: EsportsData) -> None:
    """Draw a match chosen of `upcoming` (under way, then scheduled); `what` is gold or kills."""
    frame.section("One match")
    rows = {row["match_id"]: row for _, row in upcoming.head(_OFFERED).iterrows()}
    if not rows:
        st.markdown("No match is under way or scheduled.")
        return

    def named(key: str) -> str:
        row = rows.get(key)
        if row is None:
            return key
        return f"{teams(row)}, game {figure(row['game_number'])} ({STATUSES[row['status']]})"

    chosen = st.selectbox("Match", list(rows), format_func=named, key="match")
    if chosen not in rows:
        return
    _course(rows[chosen], what, data)
    _met(rows[chosen], finished)


def _course(row: Mapping[str, Any], what: str, data: EsportsData) -> None:
    found = frame.age("Course", data.course(row["match_id"]))
    if found is None:
        return
    course = found.assign(lead=found[what]).dropna(subset=["lead"])
    if course.empty:
        st.markdown("Its course is not known: it has not begun, or no score was received.")
        return
    marks = happened(course, row)
    last = course.iloc[-1]
    frame.chart(
        charts.course(course[["minute", "lead"]], marks, f"{what}, {team(row, 1)[:30]} ahead"),
        f"{what.capitalize()} lead of {team(row, 1)} over {team(row, 2)} in {int(last['minute'])} minutes, "
        f"between {signed(course['lead'].min(), '')} and {signed(course['lead'].max(), '')}; now "
        f"{signed(last['lead'], '')}.",
        {
            "Minute": [figure(minute) for minute in course["minute"]],
            f"Lead in {what}": [signed(lead, "") for lead in course["lead"]],
            **{
                f"{thing.capitalize()} of {team(row, side)}"[:60] + f" ({side})": [
                    figure(count) for count in course[f"{thing}_{side}"]
                ]
                for thing in _HAPPENED
                for side in (1, 2)
            },
        },
    )


def happened(course: pd.DataFrame, row: Mapping[str, Any]) -> pd.DataFrame:
    """The kills and towers of each team between one row of `course` and the next, where there were any.

    Columns as `charts.course` takes them; `minute` is that of the later row.
    """
    names = {side: team(row, side)[:40] for side in (1, 2)}
    if names[1] == names[2]:
        names = {side: f"{name} ({side})" for side, name in names.items()}
    parts = []
    for side, name in names.items():
        for kind in _HAPPENED:
            counts = course[f"{kind}_{side}"].astype(float)
            more = counts.diff().fillna(counts)
            part = course[["minute", "lead"]].assign(
                side=side, kind=kind, series=f"{name}: {kind}", count=more
            )
            parts.append(part[more > 0])
    return pd.concat(parts, ignore_index=True)


def _met(row: Mapping[str, Any], finished: pd.DataFrame) -> None:
    st.markdown("**Head to head**")
    met = meetings(finished, row["team_1_id"], row["team_2_id"])
    first, second = plain(team(row, 1)), plain(team(row, 2))
    if met.rows.empty:
        st.markdown(f"{first} and {second} did not meet in the days that are shown.")
        return
    times = "once" if len(met.rows) == 1 else f"{len(met.rows)} times"
    st.markdown(f"They met {times}: {first} **{met.first_won} : {met.second_won}** {second}.")
    shown = met.rows.head(_MEETINGS)
    frame.table(
        {
            "Ended (UTC)": [ended(moment) for moment in shown["finished_at"]],
            "Match": [teams(one) for _, one in shown.iterrows()],
            "Winner": [text(one["winner_name"], text(one["winner_id"])) for _, one in shown.iterrows()],
        },
        f"Matches of {team(row, 1)} and {team(row, 2)} against each other",
    )

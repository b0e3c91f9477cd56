"""Matches: what is being played, who is ahead, who wins."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.charts import horizontal_bars
from dashboard.data.esports_data import MATCH_DAYS, EsportsData
from dashboard.esports import charts
from dashboard.esports.states import has_rows, newest, teams, text
from dashboard.text import NBSP, figure, short_time, signed

_SHOWN_LIVE = 20
_SHOWN_RESULTS = 15
_SHOWN_TEAMS = 15
_LEADS = {"Gold": "gold", "Kills": "kills"}


def render(data: EsportsData) -> None:
    """Draw the page."""
    frame.heading("Matches", "What is being played, who is ahead, and who wins?")
    latest = frame.age("Matches from Parquet", data.matches())
    rows = latest.rows if latest else None
    frame.figures(
        {
            "Live": (_count(rows, "live"), "Matches whose newest message says so."),
            "Scheduled": (_count(rows, "scheduled"), "Announced and not begun."),
            f"Finished in {MATCH_DAYS} days": (_count(rows, "finished"), None),
            "Newest batch": newest(latest),
        }
    )
    if latest is None or rows is None or not has_rows(latest, data.output, MATCH_DAYS):
        return
    _live(rows[rows["status"] == "live"], data)
    finished = rows[rows["status"] == "finished"]
    _win_rates(finished)
    _results(finished)


def _count(rows: pd.DataFrame | None, status: str) -> str:
    return "–" if rows is None else f"{int((rows['status'] == status).sum()):,}"


def _live(live: pd.DataFrame, data: EsportsData) -> None:
    frame.section("Live")
    if live.empty:
        st.markdown("No match is under way.")
        return
    shown = live.head(_SHOWN_LIVE)
    if len(live) > len(shown):
        st.markdown(f"The {len(shown)} newest are shown, of {len(live):,}.")
    frame.table(
        {
            "Match": [teams(row) for _, row in shown.iterrows()],
            "Tournament": [text(name) for name in shown["tournament_name"]],
            "Game": [figure(number) for number in shown["game_number"]],
            "Minute": [figure(seconds // 60) for seconds in shown["match_duration"]],
            "Kills": _both(shown, "kills"),
            "Gold": _both(shown, "gold"),
            "Towers": _both(shown, "towers"),
        },
        "Live matches",
    )
    st.markdown("**Who leads**")
    name = st.segmented_control("By", list(_LEADS), default="Gold", required=True, key="lead") or "Gold"
    _leads(shown, name)
    _course(shown, name, data)


def _both(rows: pd.DataFrame, what: str) -> list[str]:
    pairs = zip(rows[f"team_1_{what}"], rows[f"team_2_{what}"], strict=True)
    return [f"{figure(first)}{NBSP}:{NBSP}{figure(second)}" for first, second in pairs]


def _leads(shown: pd.DataFrame, name: str) -> None:
    what = _LEADS[name]
    leads = pd.DataFrame(
        {
            "match": _unique([teams(row) for _, row in shown.iterrows()], shown["match_id"]),
            "lead": (shown[f"team_1_{what}"] - shown[f"team_2_{what}"]).tolist(),
        }
    ).dropna()
    if leads.empty:
        return
    leads["leader"] = [charts.FIRST if lead >= 0 else charts.SECOND for lead in leads["lead"]]
    leads = leads.sort_values("lead", ascending=False)
    parts = "; ".join(
        f"{match}: {signed(lead, what)}" for match, lead in zip(leads["match"], leads["lead"], strict=True)
    )
    frame.chart(charts.leads(leads, f"{what}, first team ahead"), f"Lead of the first team: {parts}.", leads)


def _unique(names: list[str], ids: pd.Series[str]) -> list[str]:
    """Returns `names`, each with the end of its id where two matches have the same name."""
    return [
        name if names.count(name) == 1 else f"…{key[-6:]}, {name}"
        for name, key in zip(names, ids, strict=True)
    ]


def _course(shown: pd.DataFrame, name: str, data: EsportsData) -> None:
    frame.section("One match")
    names = {
        row["match_id"]: f"{teams(row)}, game {figure(row['game_number'])}" for _, row in shown.iterrows()
    }
    chosen = st.selectbox("Match", list(names), format_func=lambda key: names.get(key, key), key="match")
    if chosen is None:
        return
    found = frame.age("Course", data.course(chosen))
    if found is None or found.empty:
        return
    what = _LEADS[name]
    course = found.rename(columns={what: "lead"})[["minute", "lead"]].dropna()
    if course.empty:
        return
    last = course.iloc[-1]
    frame.chart(
        charts.course(course, f"{what}, first team ahead"),
        f"{name} lead of the first team in {names[chosen]} over {int(last['minute'])} minutes, between "
        f"{signed(course['lead'].min(), '')} and {signed(course['lead'].max(), '')}; at the end "
        f"{signed(last['lead'], '')}.",
        course,
    )


def _win_rates(finished: pd.DataFrame) -> None:
    frame.section("Win rates")
    rates = win_rates(finished)
    if rates.empty:
        st.markdown(f"No match ended in the last {MATCH_DAYS} days.")
        return
    shown = rates.head(_SHOWN_TEAMS)
    if len(rates) > len(shown):
        st.markdown(f"The {len(shown)} teams with the most matches, of {len(rates):,}.")
    shown = shown.sort_values(["rate", "games"], ascending=False)
    labelled = pd.DataFrame(
        {
            "team": [f"{team} ({games})" for team, games in zip(shown["team"], shown["games"], strict=True)],
            "won": (shown["rate"] * 100).round(1).tolist(),
        }
    )
    parts = ", ".join(
        f"{team} {won:g} %" for team, won in zip(labelled["team"], labelled["won"], strict=True)
    )
    frame.chart(
        horizontal_bars(labelled, "team", "won", "matches won, %"),
        f"Share of matches won in {MATCH_DAYS} days, with the number of matches: {parts}.",
        shown.assign(rate=[f"{rate:.1%}" for rate in shown["rate"]]),
    )


def win_rates(finished: pd.DataFrame) -> pd.DataFrame:
    """`team`, `games`, `wins`, `rate` (0 to 1) of finished matches, those with the most games first."""
    sides = [
        pd.DataFrame(
            {
                "id": finished[f"team_{side}_id"],
                "team": finished[f"team_{side}_name"].fillna(finished[f"team_{side}_id"]),
                "won": finished["winner_id"] == finished[f"team_{side}_id"],
            }
        )
        for side in (1, 2)
    ]
    # A match without a winner says nothing about win rates.
    both = pd.concat([side[finished["winner_id"].notna()] for side in sides]).dropna(subset=["id"])
    grouped = both.groupby("id").agg(team=("team", "first"), games=("won", "size"), wins=("won", "sum"))
    grouped["rate"] = grouped["wins"] / grouped["games"]
    return grouped.sort_values(["games", "rate"], ascending=False).reset_index(drop=True)


def _results(finished: pd.DataFrame) -> None:
    if finished.empty:
        return
    frame.section("Latest results")
    shown = finished.sort_values("finished_at", ascending=False).head(_SHOWN_RESULTS)
    frame.table(
        {
            "Ended (UTC)": [_time(moment) for moment in shown["finished_at"]],
            "Match": [teams(row) for _, row in shown.iterrows()],
            "Winner": [text(row["winner_name"], text(row["winner_id"])) for _, row in shown.iterrows()],
            "Kills": _both(shown, "kills"),
            "Gold": _both(shown, "gold"),
            "Minutes": [figure(seconds // 60) for seconds in shown["match_duration"]],
        },
        "The latest results",
    )


def _time(moment: datetime | None) -> str:
    return "–" if moment is None or pd.isna(moment) else short_time(moment)

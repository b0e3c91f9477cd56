"""Matches: what is being played, who is ahead, who wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.charts import horizontal_bars
from dashboard.data.esports_data import MATCH_DAYS, EsportsData, Latest
from dashboard.esports import charts, one_match, scoreboard
from dashboard.esports.standings import forms, win_rates
from dashboard.esports.states import ended, has_rows, newest, team, teams, text
from dashboard.text import NBSP, figure, plain, signed

_SHOWN_LEADS: Final = 20
_SHOWN_RESULTS: Final = 15
_SHOWN_TEAMS: Final = 15
_LEADS: Final = {"Gold": "gold", "Kills": "kills"}


def render(data: EsportsData) -> None:
    """Draw the page."""
    loaded = data.matches()
    frame.heading("Matches", verdict(loaded.value))
    latest = frame.age("Matches from Parquet", loaded)
    if latest is None or not has_rows(latest, data.output, "No matches", MATCH_DAYS):
        return
    rows = latest.rows
    frame.figures(
        {
            "Live": (_count(rows, "live"), "Matches whose newest message says so."),
            "Scheduled": (_count(rows, "scheduled"), "Announced and not begun."),
            f"Finished in {MATCH_DAYS} days": (_count(rows, "finished"), None),
            "Newest batch": newest(latest),
        }
    )
    live, scheduled, finished = (rows[rows["status"] == name] for name in ("live", "scheduled", "finished"))
    form = forms(finished)
    frame.section("Live")
    if live.empty:
        st.markdown("No match is under way.")
    else:
        scoreboard.render(live, form)
    what = _who_leads(live)
    one_match.render(pd.concat([live, scheduled]), finished, what, data)
    _teams(finished, form)
    _results(finished)


def verdict(latest: Latest | None) -> str:
    """What is being played and who is ahead, in one sentence of Markdown."""
    if latest is None:
        return "What is being played, who is ahead, and who wins."
    if latest.newest is None:
        return "There is no data yet."
    live = latest.rows[latest.rows["status"] == "live"]
    if live.empty:
        finished = latest.rows[latest.rows["status"] == "finished"]
        if finished.empty:
            return "No match is under way, and none has ended lately."
        last = finished.sort_values("finished_at").iloc[-1]
        winner = text(last["winner_name"], text(last["winner_id"], ""))
        result = f"{winner} won the last one, " if winner else "The last one was "
        return f"No match is under way. {plain(result + teams(last))}."
    matches = "One match is live" if len(live) == 1 else f"{len(live):,} matches are live"
    leads = (live["team_1_gold"] - live["team_2_gold"]).dropna().astype(int)
    if leads.empty or not leads.abs().max():
        return f"**{matches}.**"
    greatest = leads.abs().idxmax()
    row, side = live.loc[greatest], 1 if leads[greatest] > 0 else 2
    clearest = "" if len(live) == 1 else " most clearly"
    return plain(
        f"{matches}; {team(row, side)} lead{clearest}, by {abs(leads[greatest]):,}{NBSP}gold against "
        f"{team(row, 3 - side)}."
    )


def _count(rows: pd.DataFrame, status: str) -> str:
    return f"{int((rows['status'] == status).sum()):,}"


def _who_leads(live: pd.DataFrame) -> str:
    """Draw the leads of all live matches; returns by what: gold or kills."""
    if live.empty:
        return "gold"
    st.markdown("**Who leads**")
    name = st.segmented_control("By", list(_LEADS), default="Gold", required=True, key="lead") or "Gold"
    what, shown = _LEADS[name], live.head(_SHOWN_LEADS)
    leads = pd.DataFrame(
        {
            "match": _unique([teams(row) for _, row in shown.iterrows()], shown["match_id"]),
            "lead": (shown[f"team_1_{what}"] - shown[f"team_2_{what}"]).tolist(),
        }
    ).dropna()
    if leads.empty:
        st.markdown("The score of no match is known.")
        return what
    leads["leader"] = [charts.FIRST if lead >= 0 else charts.SECOND for lead in leads["lead"]]
    leads = leads.sort_values("lead", ascending=False)
    pairs = list(zip(leads["match"], leads["lead"], strict=True))
    parts = "; ".join(f"{match}: {signed(lead, what)}" for match, lead in pairs)
    frame.chart(
        charts.leads(leads, f"{what}, first team ahead"),
        f"Lead of the first team: {parts}.",
        {"Match": [match for match, _ in pairs], f"Lead in {what}": [signed(lead, "") for _, lead in pairs]},
    )
    return what


def _unique(names: list[str], ids: pd.Series[str]) -> list[str]:
    """Returns `names`, each with the end of its id where two matches have the same name."""
    return [
        name if names.count(name) == 1 else f"…{key[-6:]}, {name}"
        for name, key in zip(names, ids, strict=True)
    ]


def _teams(finished: pd.DataFrame, form: Mapping[str, str]) -> None:
    frame.section("Teams")
    rates = win_rates(finished)
    if rates.empty:
        st.markdown(f"No match ended in the last {MATCH_DAYS} days.")
        return
    shown = rates.head(_SHOWN_TEAMS).sort_values(["rate", "games"], ascending=False)
    if len(rates) > len(shown):
        st.markdown(f"The {len(shown)} teams with the most matches, of {len(rates):,}.")
    names = _unique(list(shown["team"]), shown["id"])
    won = [round(rate * 100, 1) for rate in shown["rate"]]
    parts = ", ".join(f"{name} {share:g} %" for name, share in zip(names, won, strict=True))
    frame.chart(
        horizontal_bars(pd.DataFrame({"team": names, "won": won}), "team", "won", "matches won, %"),
        f"Share of matches won in {MATCH_DAYS} days: {parts}.",
        None,
    )
    frame.table(
        {
            "Team": names,
            "Last five": [form.get(team_id, "–") for team_id in shown["id"]],
            "Matches": [figure(games) for games in shown["games"]],
            "Won": [figure(wins) for wins in shown["wins"]],
            "Share": [figure(share, "%", 1) for share in won],
        },
        "Teams by share of matches won, with their form: W won, L lost, the newest last",
        numbers=("Matches", "Won", "Share"),
    )
    st.markdown("Last five: W won, L lost, the newest last.")


def _results(finished: pd.DataFrame) -> None:
    if finished.empty:
        return
    frame.section("Latest results")
    shown = finished.sort_values("finished_at", ascending=False).head(_SHOWN_RESULTS)
    frame.table(
        {
            "Ended (UTC)": [ended(moment) for moment in shown["finished_at"]],
            "Match": [teams(row) for _, row in shown.iterrows()],
            "Winner": [text(row["winner_name"], text(row["winner_id"])) for _, row in shown.iterrows()],
            "Kills": _both(shown, "kills"),
            "Gold": _both(shown, "gold"),
            "Minutes": [figure(seconds // 60) for seconds in shown["match_duration"]],
        },
        "The latest results",
        numbers=("Kills", "Gold", "Minutes"),
    )


def _both(rows: pd.DataFrame, what: str) -> list[str]:
    pairs = zip(rows[f"team_1_{what}"], rows[f"team_2_{what}"], strict=True)
    return [f"{figure(first)}{NBSP}:{NBSP}{figure(second)}" for first, second in pairs]

"""Players: the newest profile of each, with search."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.data.esports_data import PLAYER_DAYS, EsportsData, Latest
from dashboard.esports.states import STATUSES, has_rows, newest, text
from dashboard.text import figure, plain

_SHOWN = 50
_SORTS = {"Win rate": "win_rate", "KDA": "kda_ratio", "Games": "total_games"}
_SEARCHED = ("player_id", "nickname", "first_name", "last_name", "current_team_name")


def render(data: EsportsData) -> None:
    """Draw the page."""
    loaded = data.players()
    frame.heading("Players", verdict(loaded.value))
    latest = frame.age("Players from Parquet", loaded)
    if latest is None or not has_rows(latest, data.output, "No players", PLAYER_DAYS):
        return
    rows = latest.rows
    frame.figures(
        {
            "Players": (f"{len(rows):,}", f"Profiles of the last {PLAYER_DAYS} days."),
            "Active": (f"{int((rows['status'] == 'active').sum()):,}", None),
            "Newest batch": newest(latest),
        }
    )
    found = _filtered(rows)
    frame.section(f"{len(found):,} found")
    if found.empty:
        st.markdown("Nobody matches; search for less, or choose more roles.")
        return
    if len(found) > _SHOWN:
        st.markdown(f"The first {_SHOWN} are shown; the download holds all {len(found):,}.")
    _table(found.head(_SHOWN))
    frame.download("Download as CSV", found, "players.csv")


def verdict(latest: Latest | None) -> str:
    """Who plays how well, in one sentence of Markdown."""
    if latest is None:
        return "Who plays, for whom, and how well."
    if latest.newest is None:
        return "There is no data yet."
    active = latest.rows[latest.rows["status"] == "active"]
    if active.empty:
        return "No active player was seen lately."
    rates = active["win_rate"].dropna().astype(float)
    players = "One player is active" if len(active) == 1 else f"{len(active):,} players are active"
    if rates.empty:
        return f"{players}."
    best = active.loc[rates.idxmax()]
    name = text(best["nickname"], text(best["player_id"]))
    team = text(best["current_team_name"], "")
    of = f" of {team}" if team else ""
    return plain(
        f"{players}; {name}{of} wins most, {figure(rates.max() * 100, '%', 1)} of "
        f"{figure(best['total_games'])} games."
    )


def _filtered(rows: pd.DataFrame) -> pd.DataFrame:
    with st.container(horizontal=True):
        search = st.text_input("Name, team or id contains", width=260, key="search")
        roles = st.multiselect(
            "Role", sorted({text(role) for role in rows["role"]}), placeholder="All", width=260, key="role"
        )
        sort = st.selectbox("Best by", list(_SORTS), width=150, key="sort")
        all_players = st.checkbox("Also inactive", key="inactive")
    keep = pd.Series(data=True, index=rows.index)
    if not all_players:
        keep &= rows["status"] == "active"
    if roles:
        keep &= rows["role"].isin(roles)
    if search.strip():
        hits = [
            rows[name].fillna("").str.contains(search.strip(), case=False, regex=False) for name in _SEARCHED
        ]
        keep &= pd.concat(hits, axis=1).any(axis=1)
    return rows[keep].sort_values([_SORTS[sort], "player_id"], ascending=[False, True])


def _table(shown: pd.DataFrame) -> None:
    frame.table(
        {
            "Nickname": [text(name) for name in shown["nickname"]],
            "Name": [
                f"{text(first, '')} {text(last, '')}".strip() or "–"
                for first, last in zip(shown["first_name"], shown["last_name"], strict=True)
            ],
            "Team": [text(name) for name in shown["current_team_name"]],
            "Role": [text(role) for role in shown["role"]],
            "Status": [STATUSES.get(status, status) for status in shown["status"]],
            "Games": [figure(games) for games in shown["total_games"]],
            "Won": [figure(rate * 100, "%", 1) for rate in shown["win_rate"]],
            "KDA": [figure(ratio, digits=2) for ratio in shown["kda_ratio"]],
            "Form": [text(form) for form in shown["recent_form"]],
        },
        "Players, the best first",
        numbers=("Games", "Won", "KDA"),
    )

"""The live scoreboard: a card for each match with its two teams, and in words who leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.esports.states import team, teams, text
from dashboard.text import NBSP, figure, plain

_LIVE: Final = 12
_SIDE_BY_SIDE: Final = 2
_FIGURES: Final = {"Kills": "kills", "Gold": "gold", "Towers": "towers"}


def render(live: pd.DataFrame, forms: Mapping[str, str]) -> None:
    """Draw the newest of the `live` matches; `forms` are of `standings.forms`."""
    shown = live.head(_LIVE)
    if len(live) > len(shown):
        st.markdown(f"The {len(shown)} most recently updated are shown, of {len(live):,}.")
    rows = [row for _, row in shown.iterrows()]
    for first in range(0, len(rows), _SIDE_BY_SIDE):
        some = rows[first : first + _SIDE_BY_SIDE]
        for column, row in zip(st.columns(_SIDE_BY_SIDE), some, strict=False):
            with column, st.container(border=True):
                _card(row, forms)


def _card(row: Mapping[str, Any], forms: Mapping[str, str]) -> None:
    minute = row["match_duration"] // 60
    when = "just begun" if pd.isna(minute) else f"minute {figure(minute)}"
    game = "" if pd.isna(row["game_number"]) else f" · game {figure(row['game_number'])}"
    st.markdown(f"{plain(text(row['tournament_name'], 'No tournament'))}{game} · {when}")
    sides = (1, 2)
    frame.table(
        {
            "Team": [team(row, side) for side in sides],
            **{
                name: [figure(row[f"team_{side}_{what}"]) for side in sides]
                for name, what in _FIGURES.items()
            },
            "Last five": [forms.get(row[f"team_{side}_id"], "–") for side in sides],
        },
        f"Score of {teams(row)}",
        numbers=_FIGURES,
    )
    st.markdown(f"**{plain(lead(row))}**")


def lead(row: Mapping[str, Any]) -> str:
    """Who leads a match by gold and kills, as a sentence without Markdown."""
    gold, kills = (_difference(row, what) for what in ("gold", "kills"))
    ahead = gold or kills
    if gold is None and kills is None:
        return "The score is not known."
    if not ahead:
        return "Level."
    side = 1 if ahead > 0 else 2
    gold, kills = (None if more is None else more * (3 - 2 * side) for more in (gold, kills))
    told = f"{team(row, side)} lead by {_counted(gold or kills, 'gold' if gold else 'kill')}"
    if not gold or not kills:
        return f"{told}."
    more = _counted(kills, "kill")
    return f"{told} and by {more}." if kills > 0 else f"{told}, but are {more} behind."


def _counted(difference: int | None, what: str) -> str:
    """`4,310 gold`, or `1 kill`, without a sign."""
    size = abs(difference or 0)
    return f"{size:,}{NBSP}{what}{'s' if what == 'kill' and size != 1 else ''}"


def _difference(row: Mapping[str, Any], what: str) -> int | None:
    first, second = row[f"team_1_{what}"], row[f"team_2_{what}"]
    return None if pd.isna(first) or pd.isna(second) else int(first - second)

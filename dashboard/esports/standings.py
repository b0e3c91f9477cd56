"""What finished matches say of their teams: win rates, form, and how two of them fared against each other.

Each function takes finished matches with the columns of data.esports_data.MATCH_COLUMNS. A match without a
winner says nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

_FORM: Final = 5


def win_rates(finished: pd.DataFrame) -> pd.DataFrame:
    """`id`, `team`, `games`, `wins`, `rate` (0 to 1) of teams, those with the most games first."""
    both = _sides(finished)
    grouped = both.groupby("id").agg(team=("team", "first"), games=("won", "size"), wins=("won", "sum"))
    grouped["rate"] = grouped["wins"] / grouped["games"]
    return grouped.sort_values(["games", "rate"], ascending=False).reset_index()


def forms(finished: pd.DataFrame) -> Mapping[str, str]:
    """Returns W (won) or L (lost) for each of the last five matches of a team by its id, the newest last."""
    both = _sides(finished).sort_values("finished_at", kind="stable", na_position="first")
    return {
        str(team): "".join("W" if won else "L" for won in rows["won"].tail(_FORM))
        for team, rows in both.groupby("id", sort=False)
    }


@dataclass(frozen=True, slots=True)
class Meetings:
    """The matches of two teams against each other, the newest first, and how many each has won."""

    rows: pd.DataFrame
    first_won: int
    second_won: int


def meetings(finished: pd.DataFrame, first_id: str | None, second_id: str | None) -> Meetings:
    """Find the matches of two teams against each other, on whichever side each played."""
    # What is missing equals nothing here, not even what is missing.
    sides = [(first_id, second_id), (second_id, first_id)]
    met = pd.concat(
        [finished[(finished["team_1_id"] == one) & (finished["team_2_id"] == other)] for one, other in sides]
    )
    met = met[~met.index.duplicated()]
    decided = met[met["winner_id"].notna()].sort_values("finished_at", ascending=False)
    won = [int((decided["winner_id"] == team).sum()) for team in (first_id, second_id)]
    return Meetings(decided, *won)


def _sides(finished: pd.DataFrame) -> pd.DataFrame:
    """`id`, `team`, `won` and `finished_at` for each of the two teams of a match that has a winner."""
    decided = finished[finished["winner_id"].notna()]
    sides = [
        pd.DataFrame(
            {
                "id": decided[f"team_{side}_id"],
                "team": decided[f"team_{side}_name"].fillna(decided[f"team_{side}_id"]),
                "won": decided["winner_id"] == decided[f"team_{side}_id"],
                "finished_at": decided["finished_at"],
            }
        )
        for side in (1, 2)
    ]
    return pd.concat(sides).dropna(subset=["id"])

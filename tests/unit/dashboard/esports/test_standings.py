"""What finished matches say of teams, and how a score reads: small tables with the answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import altair as alt
import pandas as pd
import pytest

from dashboard.esports import charts
from dashboard.esports.one_match import happened
from dashboard.esports.scoreboard import lead
from dashboard.esports.standings import forms, meetings, win_rates

_COLUMNS = ["team_1_id", "team_1_name", "team_2_id", "team_2_name", "winner_id", "finished_at"]
_NOON = datetime(2026, 1, 29, 12, tzinfo=timezone.utc)


def _finished(*rows: tuple[str | None, str | None, str | None]) -> pd.DataFrame:
    """Matches as first team, second team and winner, an hour apart."""
    made = [
        [
            first,
            first and first.upper(),
            second,
            second and second.upper(),
            winner,
            _NOON + timedelta(hours=n),
        ]
        for n, (first, second, winner) in enumerate(rows)
    ]
    return pd.DataFrame(made, columns=_COLUMNS)


def test_win_rates_count_both_sides() -> None:
    """A match counts for both its teams; one without a winner for neither."""
    rates = win_rates(_finished(("a", "b", "a"), ("b", "a", "a"), ("a", "c", None))).set_index("id")
    assert rates.loc["a"].tolist() == ["A", 2, 2, 1.0]
    assert rates.loc["b"].tolist() == ["B", 2, 0, 0.0]
    assert "c" not in rates.index


def test_the_form_is_of_the_last_five_by_their_end() -> None:
    """In whatever order the matches come; the newest stands last."""
    rows = _finished(*[("a", "b", winner) for winner in ("b", "b", "a", "a", "b", "a")])
    for some in (rows, rows.iloc[::-1], rows.sample(frac=1, random_state=3)):
        assert forms(some) == {"a": "LWWLW", "b": "WLLWL"}


def test_meetings_count_whichever_side_a_team_had() -> None:
    """Not those against others, nor one without a winner."""
    rows = _finished(("a", "b", "a"), ("b", "a", "b"), ("a", "c", "a"), ("b", "a", "b"), ("a", "b", None))
    met = meetings(rows, "a", "b")
    assert (met.first_won, met.second_won, len(met.rows)) == (1, 2, 3)
    assert met.rows["finished_at"].is_monotonic_decreasing
    assert meetings(_finished((None, None, "a")), None, None).rows.empty
    for pair in (("a", None), ("a", "a"), ("a", "z")):
        assert meetings(rows, *pair).rows.empty
    assert meetings(_finished(), "a", "b").rows.empty


@pytest.mark.parametrize(
    ("gold", "kills", "told"),
    [
        ((5_000, 3_000), (4, 3), "A lead by 2,000\xa0gold and by 1\xa0kill."),
        ((5_000, 3_000), (3, 5), "A lead by 2,000\xa0gold, but are 2\xa0kills behind."),
        ((3_000, 5_000), (3, 5), "B lead by 2,000\xa0gold and by 2\xa0kills."),
        ((3_000, 5_000), (3, 3), "B lead by 2,000\xa0gold."),
        ((3_000, 3_000), (3, 5), "B lead by 2\xa0kills."),
        ((None, 3_000), (5, 4), "A lead by 1\xa0kill."),
        ((3_000, 3_000), (None, 4), "Level."),
        ((None, None), (None, None), "The score is not known."),
    ],
)
def test_a_lead_is_told_in_words(gold: Any, kills: Any, told: str) -> None:
    """By gold first; what is not known is not told."""
    row = {"team_1_name": "A", "team_2_name": None, "team_1_id": None, "team_2_id": "B"}
    row |= {f"team_{side}_gold": gold[side - 1] for side in (1, 2)}
    row |= {f"team_{side}_kills": kills[side - 1] for side in (1, 2)}
    assert lead(row) == told


def test_what_happened_stands_at_the_minute_by_which_it_had() -> None:
    """Each team's own, also where both have the same name; what was there at the first minute counts."""
    course = pd.DataFrame(
        {
            "minute": [3, 6, 9],
            "lead": [1, 2, 3],
            "kills_1": [1, 1, 4],
            "kills_2": [0, 2, 2],
            "towers_1": [0, 0, 1],
            "towers_2": [None, None, None],
        }
    )
    marks = happened(course, {"team_1_name": "A", "team_2_name": "A", "team_1_id": "a", "team_2_id": "b"})
    found = marks[["minute", "series", "count"]].to_numpy().tolist()
    assert found == [
        [3, "A (1): kills", 1],
        [9, "A (1): kills", 3],
        [9, "A (1): towers", 1],
        [6, "A (2): kills", 2],
    ]


@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_bar_has_its_room_however_many_there_are(count: int) -> None:
    """The height is given by the step of a bar, and the axis counts in whole numbers."""
    frame = pd.DataFrame({"match": map(str, range(count)), "lead": [0] * count, "leader": charts.FIRST})
    spec = charts.leads(frame, "gold").to_dict()
    assert spec["height"] == alt.Step(34).to_dict()
    axis = spec["encoding"]["x"]["axis"]
    assert (axis["format"], axis["tickMinStep"]) == ("+,d", 1)

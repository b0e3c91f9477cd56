"""The charts of one person: only what is there, room around it, a calendar that reads at a glance."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.health_metrics import StreakRule
from dashboard.data.user import daily_frame, streak_calendar
from dashboard.health import person_charts
from dashboard.health.person_charts import RECOMPUTED, STORED, USUAL, VALUE


def _layers(frame: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person_charts.daily_values(frame, "steps", True).to_dict()["layer"]
    return found


def _steps(values: list[float], start: str = "2026-01-01") -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values)))


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=90), st.sets(st.integers(0, 89)), st.booleans())
def test_the_legend_names_exactly_what_is_drawn(values: list[float], marked: set[int], zero: bool) -> None:
    """As many layers as names, and every drawn figure within the scale, with room unless it is zero."""
    history = _steps(values)
    stored = [day.date() for place, day in enumerate(history.index) if place in marked]
    frame = daily_frame(history, "steps", stored)
    chart = person_charts.daily_values(frame, "steps", zero).to_dict()
    names = person_charts.drawn(frame)
    assert len(chart["layer"]) == len(names)
    legend = person_charts.legend(frame)
    assert [name for name in (USUAL, VALUE, STORED, RECOMPUTED) if f"\xa0{name}" in legend] == [
        name for name in (USUAL, VALUE, STORED, RECOMPUTED) if name in names
    ]
    assert (STORED in names) == bool(stored)
    low, high = chart["layer"][names.index(VALUE)]["encoding"]["y"]["scale"]["domain"]
    shown = frame[["value", "low", "high", "average_7", "average_30"]]
    assert low <= shown.min().min()
    assert high > shown.max().max()


def test_stored_anomalies_are_solid_and_those_found_again_hollow() -> None:
    """In that the two differ; both lie on their values."""
    history = _steps([100.0 + number % 3 for number in range(80)] + [900.0] + [100.0] * 5 + [900.0])
    frame = daily_frame(history, "steps", [history.index[-1].date()])
    layers = dict(zip(person_charts.drawn(frame), _layers(frame), strict=True))
    assert layers[STORED]["mark"]["filled"] is True
    assert layers[RECOMPUTED]["mark"]["filled"] is False
    assert layers[STORED]["mark"]["shape"] == layers[RECOMPUTED]["mark"]["shape"] == "diamond"
    assert frame.loc[frame["is_recomputed"], "value"].tolist() == [900.0]


# The last begins one week before a month does.
@pytest.mark.parametrize(("start", "days"), [("2026-01-01", 1), ("2026-01-01", 15), ("2026-08-31", 90)])
def test_the_calendar_names_months_and_draws_its_legend_with_its_cells(start: str, days: int) -> None:
    """Two or more months without neighbours, and a legend of the same marks in the same colours."""
    values = [2000.0 if number % 3 else 5.0 for number in range(days)]
    chart = person_charts.streak_calendar(
        streak_calendar(_steps(values, start), StreakRule(">", 1000)), "Steps"
    ).to_dict()
    cells = [layer for layer in chart["layer"] if layer["mark"]["type"] == "rect"]
    assert len(cells) == 2
    assert cells[0]["encoding"]["fill"] == cells[1]["encoding"]["fill"]
    assert cells[0]["mark"] == cells[1]["mark"]
    weeks = cells[0]["encoding"]["x"]["scale"]["domain"]
    labels = cells[0]["encoding"]["x"]["axis"]["labelExpr"]
    named = [place for place, week in enumerate(weeks) if week in labels]
    assert len(weeks) == 14
    assert len(named) >= 3
    assert all(second - first >= 2 for first, second in pairwise(named))

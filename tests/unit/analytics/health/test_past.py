"""What older days leave for later results: with it recent days give the results of the whole history."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest
from bson import ObjectId
from pyspark.sql import SparkSession

from analytics.health.compute import compute
from analytics.health.history_table import HISTORY_SCHEMA
from analytics.health.past import NOTHING, Past, advanced, restored, resumed, uncovered
from analytics.health.results import CalculatedResults
from contracts.health import METRICS

_TODAY = 20_000
_DAYS = 700

# By user: by day: the values of the metrics.
_History = dict[int, dict[str, float]]


def _random_history(rng: random.Random) -> _History:
    """Streaks of any length, gaps, metrics that begin and end at any day, days without a value."""
    history: _History = {}
    spans = {name: sorted(rng.sample(range(-5, _DAYS + 5), 2)) for name in METRICS if rng.random() < 0.8}
    day, often = 0, rng.choice([0.02, 0.2, 1.0])
    while day < _DAYS:
        for _ in range(rng.choice([1, 5, 40, 90, 300])):
            if rng.random() < 0.97:
                inside = {name for name, (first, last) in spans.items() if first <= day <= last}
                found = {name: rng.uniform(1, 20) for name in inside if rng.random() < often}
                if "steps" in inside:
                    found["steps"] = float(rng.randrange(1_001 if rng.random() < 0.99 else 900, 9_000))
                history[_TODAY - _DAYS + day] = found
            day += 1
        day += rng.choice([1, 1, 3, 60])
    return {day: values for day, values in history.items() if day <= _TODAY}


def _edited(rng: random.Random, history: _History, first: int) -> _History:
    """Some days from `first` on changed, removed or added, and sometimes all of the last ones removed."""
    edited = dict(history)
    for day in range(max(first, _TODAY - _DAYS), _TODAY + 8):
        if rng.random() < 0.02:
            edited.pop(day, None)
        elif rng.random() < 0.05:
            edited[day] = {"steps": float(rng.choice([0, 1_000, 1_001, 12_000])), "weight": 70.0}
    for day in range(max(first, _TODAY - rng.choice([0, 0, 20, 100, 400])), _TODAY + 9):
        edited.pop(day, None)
    return edited


def _table(histories: Sequence[_History], pasts: Sequence[Past]) -> pa.Table:
    rows = [
        {"user": user, "day": day, **dict.fromkeys(METRICS), **values}
        for user, history in enumerate(histories)
        for day, values in sorted(history.items())
        if day >= pasts[user].before
    ]
    return pa.Table.from_pylist(rows, HISTORY_SCHEMA)


def _documents(result: pa.Table, users: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    owners = [ObjectId(f"{user:024x}") for user in range(users)]
    results = CalculatedResults(result, owners, datetime(2026, 1, 1, tzinfo=timezone.utc), {})
    made = results.documents(range(result.num_rows))
    return {(one["userId"], one["metricType"], one["timeRange"]): one for one in made}


@pytest.mark.parametrize("_turn", range(2))
def test_recent_days_and_the_past_give_the_results_of_the_whole_history(
    spark: SparkSession, _turn: int
) -> None:
    """Through edits, deletions and gaps around every horizon, over several generations."""
    # pytest-randomly seeds it; its number at the top of the run repeats this.
    rng = random.Random(random.randrange(10**9))
    histories = [_random_history(rng) for _ in range(60)]
    pasts = [NOTHING] * len(histories)
    for _ in range(4):
        whole = _table(histories, [NOTHING] * len(histories))
        for user in uncovered(_table(histories, pasts), pasts):
            pasts[user] = NOTHING
        recent = _table(histories, pasts)
        expected = compute(spark, whole, len(histories))
        found = resumed(compute(spark, recent, len(histories)), recent, pasts)
        made, wanted = (_documents(result, len(histories)) for result in (found, expected))
        assert made == wanted, next(
            (made.get(key), wanted[key]) for key in wanted if made.get(key) != wanted[key]
        )
        pasts = [restored(past.stored("x"), "x") for past in advanced(recent, pasts)]
        for user, past in enumerate(pasts):
            # A change of a day before it makes the whole history be read again.
            anywhere = rng.random() < 0.2
            histories[user] = _edited(rng, histories[user], _TODAY - _DAYS if anywhere else past.before)
            if anywhere:
                pasts[user] = NOTHING


def test_a_past_is_used() -> None:
    """Whoever has 300 days needs at most 242 of them the next time."""
    days = {_TODAY - age: {"steps": 5_000.0} for age in range(300)}
    (past,) = advanced(_table([days], [NOTHING]), [NOTHING])
    assert _TODAY - 242 < past.before <= _TODAY - 210
    assert (past.longest, past.running) == (past.before - (_TODAY - 299),) * 2
    assert uncovered(_table([days], [past]), [past]) == []


@pytest.mark.parametrize("change", [
    {"rules": "others"}, {"before": "2025-01-01"}, {"longest": -1}, {"running": None}, {"metrics": "steps"},
    {"metrics": [["steps"]]}, {"before": None},
])  # fmt: skip
def test_what_is_no_past_is_nothing(change: dict[str, Any]) -> None:
    """Other programs may have stored anything."""
    stored = Past(_TODAY, 5, 3, frozenset({"steps"})).stored("mine") or {}
    assert restored(stored, "mine") == Past(_TODAY, 5, 3, frozenset({"steps"}))
    assert restored({**stored, **change}, "mine") == NOTHING
    assert restored(None, "mine") == NOTHING

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
from analytics.health.history_table import history_schema
from analytics.health.past import NOTHING, Past, advanced, restored, resumed, uncovered
from analytics.health.results import CalculatedResults
from contracts.health_metrics import METRICS
from tests.support.catalogues import catalogue

_TODAY = 20_000
_DAYS = 700
# Streaks of another metric, and none of steps.
_OWN = "[weight]\nstreak = <= 79.95\n[steps]\nstreak = none\ntell_streaks = none\n"

# By user: by day: the values of the metrics.
_History = dict[int, dict[str, float]]


def _random_history(rng: random.Random) -> _History:
    """Streaks that break seldom or never, and a second metric: daily, now and then, no longer, or never."""
    breaks, weighed = rng.choice([0, 0.005, 0.1]), rng.choice([0, 0.03, 1])
    weighed_until = _TODAY - rng.choice([0, 0, 50, 170, 190, 400])
    history: _History = {}
    for day in range(_TODAY - rng.randrange(1, _DAYS), _TODAY):
        if rng.random() < breaks / 2:
            continue
        history[day] = {"steps": 900.0 if rng.random() < breaks / 2 else float(rng.randrange(1_001, 9_000))}
        if rng.random() < weighed and day <= weighed_until:
            history[day]["weight"] = rng.uniform(60, 80)
    return history


def _edited(rng: random.Random, history: _History, first: int, today: int) -> _History:
    """The same up to `today`, with some days from `first` on changed or removed, or all of the last ones."""
    often, last = rng.choice([0, 0, 0.01]), max([first, _TODAY - _DAYS, *history])
    edited = {**history, **{day: {"steps": 4_000.0} for day in range(last + 1, today)}}
    for day in range(max(first, _TODAY - _DAYS), today):
        if rng.random() < often / 2:
            edited.pop(day, None)
        elif rng.random() < often:
            edited[day] = {"steps": float(rng.choice([0, 1_000, 1_001, 12_000])), "weight": 70.0}
    for day in range(max(first, today - rng.choice([0, 0, 0, 20, 100, 400])), today):
        edited.pop(day, None)
    return edited


def _table(histories: Sequence[_History], pasts: Sequence[Past]) -> pa.Table:
    rows = [
        {"user": user, "day": day, **dict.fromkeys(METRICS), **values}
        for user, history in enumerate(histories)
        for day, values in sorted(history.items())
        if day >= pasts[user].before
    ]
    return pa.Table.from_pylist(rows, history_schema())


def _documents(result: pa.Table, users: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    owners = [ObjectId(f"{user:024x}") for user in range(users)]
    results = CalculatedResults(result, owners, datetime(2026, 1, 1, tzinfo=timezone.utc), {})
    made = results.documents(range(result.num_rows))
    return {(one["userId"], one["metricType"], one["timeRange"]): one for one in made}


def _first_difference(made: Any, wanted: Any, path: str = "") -> str:
    if isinstance(made, dict) and isinstance(wanted, dict):
        for name in wanted:
            if made.get(name) != wanted[name]:
                return _first_difference(made.get(name), wanted[name], f"{path}.{name}")
    return f"{path}: {made} in place of {wanted}"


@pytest.mark.parametrize("rules", ["", _OWN], ids=["shipped", "own"])
def test_recent_days_and_the_past_give_the_results_of_the_whole_history(
    spark: SparkSession, rules: str
) -> None:
    """Through edits, deletions and gaps around every horizon, over several generations."""
    with catalogue(rules):
        # pytest-randomly seeds it; its number at the top of the run repeats this.
        rng = random.Random(random.randrange(10**9))
        histories = [_random_history(rng) for _ in range(60)]
        pasts = [NOTHING] * len(histories)
        for turn in range(5):
            whole = _table(histories, [NOTHING] * len(histories))
            for user in uncovered(_table(histories, pasts), pasts):
                pasts[user] = NOTHING
            recent = _table(histories, pasts)
            expected = compute(spark, whole, len(histories))
            found = resumed(compute(spark, recent, len(histories)), recent, pasts)
            made, wanted = (_documents(result, len(histories)) for result in (found, expected))
            different = [name for name in wanted if made.get(name) != wanted[name]]
            assert not different, _first_difference(made.get(different[0]), wanted[different[0]])
            assert made.keys() == wanted.keys()
            pasts = [restored(past.stored("x"), "x") for past in advanced(recent, pasts)]
            for user, past in enumerate(pasts):
                # A change of a day before it makes the whole history be read again.
                anywhere = rng.random() < 0.1
                first = 0 if anywhere else past.before
                histories[user] = _edited(rng, histories[user], first, _TODAY + 40 * turn)
                if anywhere:
                    pasts[user] = NOTHING


def test_a_past_is_used() -> None:
    """Whoever has 300 days needs at most 242 of them the next time."""
    days = {_TODAY - age: {"steps": 5_000.0} for age in range(300)}
    (past,) = advanced(_table([days], [NOTHING]), [NOTHING])
    assert _TODAY - 242 < past.before <= _TODAY - 210
    assert past.longest == past.running == {"steps": past.before - (_TODAY - 299)}
    assert uncovered(_table([days], [past]), [past]) == []


def test_a_past_that_moves_keeps_what_it_knew() -> None:
    """Its longest streak, and a metric without a value between the two horizons."""
    before = Past(_TODAY - 300, {"steps": 90}, {}, frozenset({"weight"}))
    days = {_TODAY - age: {"steps": 5_000.0 * (age % 2)} for age in range(300)}
    days[_TODAY] = {"steps": 0.0, "weight": 70.0}
    (past,) = advanced(_table([days], [before]), [before])
    assert past.before > before.before
    assert (past.longest, sorted(past.metrics)) == ({"steps": 90}, ["steps", "weight"])


@pytest.mark.parametrize("change", [
    {"rules": "others"}, {"before": "2025-01-01"}, {"longest": 5}, {"running": None}, {"metrics": "steps"},
    {"metrics": [["steps"]]}, {"before": None}, {"longest": {"steps": -1}}, {"longest": {"steps": 2}},
    {"longest": {"steps": "many"}}, {"running": {"mood": 1}},
])  # fmt: skip
def test_what_is_no_past_is_nothing(change: dict[str, Any]) -> None:
    """Other programs may have stored anything."""
    stored = Past(_TODAY, {"steps": 5}, {"steps": 3}, frozenset({"steps"})).stored("mine") or {}
    assert restored(stored, "mine") == Past(_TODAY, {"steps": 5}, {"steps": 3}, frozenset({"steps"}))
    assert restored({**stored, **change}, "mine") == NOTHING
    assert restored(None, "mine") == NOTHING

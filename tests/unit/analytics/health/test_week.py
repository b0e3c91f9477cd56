"""A person's week: the means of the contract's values, and every day told once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.health.validation import DayRules
from analytics.health.week import MetricWeek, Run, Week, week_of
from contracts import effects
from contracts.health_metrics import METRICS
from tests.support import worked_example as example
from tests.support.reference import reference_analytics
from tests.support.strategies import histories

TODAY = date(2025, 6, 30)
_EPOCH = date(1970, 1, 1).toordinal()
_LEAST = effects.parse("", METRICS)


def _day(number: int) -> int:
    """Day `number` of the worked example."""
    return example.day(number).toordinal() - _EPOCH


def _week(documents: list[dict[str, Any]], last: int, today: date = example.TODAY) -> Week:
    return week_of(str(example.USER), documents, DayRules(today=today), last)


@settings(max_examples=30)
@given(histories(users=1), st.integers(0, 40))
def test_a_week_has_the_means_of_the_contract(documents: list[dict[str, Any]], back: int) -> None:
    """Of each metric the mean of both weeks, from the days that a batch counts, and none of later ones."""
    last = TODAY.toordinal() - _EPOCH - back
    user = ObjectId(bytes(12))
    mine = [one for one in documents if one["userId"] == user]
    week = _week(mine, last, TODAY)
    for metric, one in week.metrics.items():
        for end, found in ((last, one.now), (last - 7, one.before)):
            # The reference's weeks end with the latest value: what is outside of this one is taken away.
            first, after = (date.fromordinal(end + _EPOCH + days) for days in (-6, 1))
            within = [each for each in mine if first <= each["date"].date() < after]
            result = reference_analytics(within, "UTC", TODAY).get((user, metric, "7day"))
            expected = None if result is None else result["analytics"]["rollingAverage"]
            assert found == (None if expected is None else pytest.approx(expected, rel=1e-9))
        assert all(day <= last for day in one.series)
    has_value = {day for one in week.metrics.values() for day in one.values}
    assert set(week.empty_days) == set(week.days) - has_value
    assert set(METRICS) == set(week.metrics)


def test_the_example_has_one_day_that_stands_out_and_its_run() -> None:
    """18,000 steps on the 13th; seven days in a row, the longest so far."""
    week = _week(example.documents(), _day(15))
    assert [(one.metric, one.day, one.value) for one in week.unusual] == [
        ("steps", date(2025, 1, 13), 18_000.0)
    ]
    assert week.metrics["steps"].run == Run(7, _day(15))
    assert week.metrics["steps"].longest_run == 7
    assert week.metrics["weight"].run is None
    assert week.empty_days == []
    assert [one.metric for one in week.told] == ["steps"]


@pytest.mark.parametrize(
    ("last", "run", "empty"),
    [
        pytest.param(7, Run(7, 7), [], id="ends today"),
        pytest.param(8, Run(7, 7), [8], id="ended within"),
        pytest.param(22, None, [16, 17, 18, 19, 20, 21, 22], id="before the week"),
        pytest.param(21, Run(7, 15), [16, 17, 18, 19, 20, 21], id="on its first day"),
    ],
)
def test_a_run_is_told_that_reaches_into_the_week(last: int, run: Run | None, empty: list[int]) -> None:
    """Also one that has ended since; days without any data break it and are named."""
    week = _week(example.documents(), _day(last), example.TODAY + timedelta(days=30))
    assert week.metrics["steps"].run == (run and Run(run.length, _day(run.end)))
    assert week.empty_days == [_day(number) for number in empty]


@pytest.mark.parametrize(
    ("metric", "before", "now", "direction"),
    [
        ("steps", 8000, 8400, "the same"),
        ("steps", 8000, 8401, "more"),
        ("steps", 8000, 7599, "less"),
        ("steps", 0, 0, "the same"),
        ("steps", 0, 1, "more"),
        ("weight", 80, 81, "the same"),
        ("weight", 80, 81.1, "more"),
        ("weight", 80, 78.9, "less"),
        ("sleepHours", 6, 6.31, "more"),
        ("steps", None, 5, None),
        ("steps", 5, None, None),
    ],
    ids=str,
)
def test_a_little_is_about_the_same(
    metric: str, before: float | None, now: float | None, direction: str | None
) -> None:
    """Up to 5 %, and of weight no more than a kilogram."""
    values = {93: before, 100: now}
    series = {day: float(value) for day, value in values.items() if value is not None}
    assert MetricWeek(metric, 100, series).direction(_LEAST[metric]) == direction


def test_who_measures_now_and_then_is_not_a_daily_one() -> None:
    """Seven of fourteen days are enough; those before count no more."""
    assert MetricWeek("weight", 20, dict.fromkeys(range(7, 14), 1.0)).is_daily
    assert not MetricWeek("weight", 20, dict.fromkeys(range(13), 1.0)).is_daily


def test_refused_values_of_the_week_are_kept() -> None:
    """Of this metric alone, and of no earlier day."""
    documents = example.documents()
    documents[-1]["metrics"] = {"steps": 8200, "weight": 900}
    documents[0]["metrics"] = {"weight": 900}
    week = _week(documents, _day(15))
    assert [one.day for one in week.metrics["weight"].refused] == [_day(15)]
    assert week.metrics["steps"].refused == []

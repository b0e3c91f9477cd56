"""The robust baseline: by weekday, unmoved by what stands out, and equal to its formula."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.health.plain import baseline
from analytics.health.robust import robust_baseline

_LAST = 20_000
_VALUES = st.lists(st.floats(0, 1e5), min_size=5, max_size=12)


def _weeks(values: list[float]) -> dict[int, float]:
    """`values` on the same weekday, the last one on _LAST."""
    return {_LAST - 7 * age: value for age, value in enumerate(reversed(values))}


@given(_VALUES, st.floats(0, 1e5))
def test_the_score_is_that_of_iglewicz_and_hoaglin(before: list[float], value: float) -> None:
    """0.6745 · (x − median) / MAD, None where the MAD says nothing."""
    found = robust_baseline(_weeks([*before, value]), _LAST)
    middle = median(before)
    mad = median(abs(each - middle) for each in before)
    if not mad > 1e-9 * max(1.0, middle):
        assert (found.score, found.is_anomaly) == (None, None)
        return
    score = 0.6745 * (value - middle) / mad
    assert found.score == pytest.approx(score)
    assert found.is_anomaly is (abs(found.score or 0) > 3.5)


@given(_VALUES, st.lists(st.floats(0, 1e5), min_size=6, max_size=6))
def test_other_weekdays_do_not_count(before: list[float], others: list[float]) -> None:
    """Whatever they are."""
    series = _weeks([*before, 5.0])
    noisy = {**series, **{_LAST - 1 - n: value for n, value in enumerate(others)}}
    assert robust_baseline(noisy, _LAST) == robust_baseline(series, _LAST)


def test_one_wild_day_hides_no_other() -> None:
    """The contract's deviation has grown by the first, so that the second is usual to it."""
    series = {_LAST - age: 8_000.0 + 100 * (age % 5) for age in range(84)}
    series[_LAST - 7], series[_LAST] = 60_000.0, 16_000.0
    assert baseline(series, _LAST).severity is None
    assert robust_baseline(series, _LAST).is_anomaly


def test_a_weekly_run_is_no_anomaly() -> None:
    """Every seventh day is long; by the contract it stands out each time."""
    series = {_LAST - age: (30_000.0 if age % 7 == 0 else 6_000.0) + 50 * (age % 11) for age in range(84)}
    assert baseline(series, _LAST).severity is not None
    assert robust_baseline(series, _LAST).is_anomaly is False


@pytest.mark.parametrize("weeks", [0, 4, 5], ids=lambda weeks: f"{weeks} weeks")
def test_five_earlier_weeks_are_needed(weeks: int) -> None:
    """Within twelve; what is older is too old."""
    series = _weeks([float(n) for n in range(weeks + 1)])
    assert (robust_baseline(series, _LAST).score is None) == (weeks < 5)
    old = {_LAST - 7 * n: float(n) for n in range(13, 20)} | {_LAST: 1.0}
    assert robust_baseline(old, _LAST).count == 0

"""One series of values judged without Spark, for pages and commands that cannot wait for it.

A series is one user's values of one metric by day (days since 1970-01-01). Source of every formula: the
modules beside this one, which say the same in SQL. Sums and deviations are made in Spark's order (the sum
over ascending days, Welford's deviation), so that on one partition the figures are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

from analytics.health.anomaly import BASELINE_DAYS, FLAT, HIGH_ABOVE, MEDIUM_ABOVE, MINIMUM_VALUES, SIGMAS
from analytics.health.schemas import LONGEST_RANGE_DAYS, RANGES, RELATIVE_TOLERANCE
from analytics.health.trend import CHANGE_LIMITS, TREND_PERCENT
from contracts.health_metrics import METRICS, StreakRule

Series = Mapping[int, float]

_EXCEEDED: Final = 1 + RELATIVE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Baseline:
    """The `value` of a `day` beside the `count` values of the 30 days before it.

    `expected` is their mean, None without any; `sigma` their sample deviation, None for less than two.
    """

    day: int
    value: float
    count: int
    expected: float | None
    sigma: float | None

    @property
    def deviation(self) -> float | None:
        """How many `sigma` the value is above (+) or below (−) `expected`.

        None where nobody judges: fewer than 5 values before, or all of them alike.
        """
        if self.count < MINIMUM_VALUES or self.expected is None or self.sigma is None:
            return None
        if not self.sigma > FLAT * max(1.0, abs(self.expected)):
            return None
        return (self.value - self.expected) / self.sigma

    @property
    def usual(self) -> tuple[float, float] | None:
        """The least and the greatest value that is no anomaly, None where nobody judges."""
        if self.deviation is None or self.expected is None or self.sigma is None:
            return None
        return self.expected - SIGMAS * self.sigma, self.expected + SIGMAS * self.sigma

    @property
    def severity(self) -> str | None:
        """`low`, `medium` or `high`; None where the day is no anomaly."""
        z = self.deviation
        if z is None or self.expected is None or self.sigma is None:
            return None
        if not abs(self.value - self.expected) > SIGMAS * _EXCEEDED * self.sigma:
            return None
        if abs(z) > HIGH_ABOVE * _EXCEEDED:
            return "high"
        return "medium" if abs(z) > MEDIUM_ABOVE * _EXCEEDED else "low"


def mean(values: Iterable[float]) -> float | None:
    """Returns the mean of `values`, None without any."""
    found = list(values)
    # Python's own sum is exacter than Spark's from 3.12 on.
    return reduce(add, found, 0.0) / len(found) if found else None


def deviation(values: Iterable[float]) -> float | None:
    """Returns the sample standard deviation by Welford's method, None for less than two values."""
    count, average, squares = 0, 0.0, 0.0
    for value in values:
        count += 1
        delta = value - average
        share = delta / count
        average += share
        squares += delta * (delta - share)
    return math.sqrt(squares / (count - 1)) if count > 1 else None


def window(series: Series, last: int, days: int) -> dict[int, float]:
    """The values of the `days` calendar days that end with `last`, in their order."""
    return {day: series[day] for day in sorted(series) if last - days < day <= last}


def baseline(series: Series, day: int) -> Baseline:
    """What the value of `day`, one of the series', is compared with."""
    before = window(series, day - 1, BASELINE_DAYS).values()
    return Baseline(day, series[day], len(before), mean(before), deviation(before))


def baselines(series: Series, first: int) -> list[Baseline]:
    """Of each day of the series from `first` on, in their order."""
    return [baseline(series, day) for day in sorted(series) if day >= first]


def runs(series: Series, rule: StreakRule | None) -> list[tuple[int, int]]:
    """The first day and the length of each run of consecutive days that count by `rule`, in order."""
    found: list[tuple[int, int]] = []
    for day in sorted(series) if rule else ():
        if rule and rule.holds(series[day]):
            start, length = found[-1] if found else (day, 0)
            if start + length == day:
                found[-1:] = [(start, length + 1)]
            else:
                found.append((day, 1))
    return found


def result_row(metric: str, series: Series, time_range: str) -> dict[str, Any]:
    """The row of RESULT_SCHEMA, without `user` and the history, of a series with at least one value."""
    last, length = max(series), RANGES[time_range]
    values = list(window(series, last, length).values())
    return {
        "metric": metric,
        "range": time_range,
        "last_day": last,
        "mean": mean(values),
        **_change(metric, series, last, length),
        **_anomaly(series, last, length),
        **_streaks(metric, series, last),
        "percentile": _percentile(series, last),
        **_statistics(values),
    }


def _change(metric: str, series: Series, last: int, length: int) -> dict[str, Any]:
    now = mean(window(series, last, length).values()) or 0.0
    previous = mean(window(series, last - length, length).values())
    low, high = CHANGE_LIMITS
    # What is beyond the doubles becomes infinite, and then the limit.
    percentage = max(low, min(high, 100 * (now - previous) / previous)) if previous else 0.0
    change = 0.0 if previous is None else now - previous
    threshold = TREND_PERCENT * _EXCEEDED
    improved, better = None, METRICS[metric].better
    if previous is not None and better != "neither":
        improved = (change if better == "more" else -change) > RELATIVE_TOLERANCE * max(now, previous)
    return {
        "trend_percentage": percentage,
        "absolute_change": change,
        "trend": "up" if percentage > threshold else "down" if percentage < -threshold else "stable",
        "is_improvement": improved,
    }


def _anomaly(series: Series, last: int, length: int) -> dict[str, Any]:
    found = next((one for day in sorted(series, reverse=True) if day > last - length
                  and (one := baseline(series, day)).severity), None)  # fmt: skip
    return {
        "anomaly_day": found and found.day,
        "anomaly_value": None if found is None else found.value,
        "anomaly_expected": found and found.expected,
        "anomaly_deviation": found and found.deviation,
        "anomaly_severity": found and found.severity,
    }


def _streaks(metric: str, series: Series, last: int) -> dict[str, Any]:
    found = runs(series, METRICS[metric].streak)
    start, days = found[-1] if found and sum(found[-1]) == last + 1 else (None, 0)
    longest = max((length for _, length in found), default=0)
    return {"streak_days": days, "longest_streak": longest, "streak_start": start}


def _percentile(series: Series, last: int) -> float:
    values = window(series, last, LONGEST_RANGE_DAYS).values()
    if len(values) == 1:
        return 50.0
    return 100.0 * sum(value < series[last] for value in values) / (len(values) - 1)


def _statistics(values: list[float]) -> dict[str, Any]:
    ordered, count = sorted(values), len(values)
    return {
        "standard_deviation": deviation(values) or 0.0,
        "minimum": ordered[0],
        "maximum": ordered[-1],
        "median": (ordered[(count - 1) // 2] + ordered[count // 2]) / 2,
        "count": count,
    }

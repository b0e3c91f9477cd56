"""The health analytics written a second time: plain Python, exact fractions, straight from the contract.

It shares no code with the project and is meant to be read beside the contract page, not to be fast.
Means, variances and thresholds are exact; only the numbers put out are rounded, once, to a double.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from statistics import mean, median, variance
from typing import Any

from bson import ObjectId

from tests.support.reference_input import LIMITS, accepted_days, usable_value

Key = tuple[ObjectId, str, str]
Days = dict[date, Fraction]

RANGES = {"7day": (7, "week"), "30day": (30, "month"), "90day": (90, "quarter")}
# A threshold must be exceeded by more than this, relative (trap 26).
MARGIN = Fraction(1, 10**9)
# Decisions closer than this to the margin itself are nobody's fault: doubles cannot tell.
DOUBT = Fraction(1, 10**11)
LONGEST_STREAK_REPORTED = 3650


class Expected(dict[Key, dict[str, Any]]):
    """The expected documents, and the keys of those in which some decision is too close for doubles."""

    def __init__(self) -> None:
        super().__init__()
        self.borderline: set[Key] = set()


def reference_analytics(documents: list[dict[str, Any]], zone: str, today: date) -> Expected:
    """Every analytics document that the raw documents lead to, without the fields of the run itself."""
    expected = Expected()
    for user, days in accepted_days(documents, zone, today).items():
        for metric, limits in LIMITS.items():
            values = {}
            for day, metrics in days.items():
                value = usable_value(metrics.get(metric), limits)
                if value is not None:
                    values[day] = value
            if not values:
                continue
            for name, (length, period) in RANGES.items():
                key = (user, metric, name)
                analytics, close = analyse(metric, values, length)
                if close:
                    expected.borderline.add(key)
                expected[key] = {
                    "userId": user,
                    "metricType": metric,
                    "timeRange": name,
                    "period": period,
                    "analytics": analytics,
                    "historicalData": [
                        {"date": midnight(day), "value": float(value)}
                        for day, value in sorted(within(values, max(values), length).items())
                    ],
                }
    return expected


def within(values: Days, last: date, length: int) -> Days:
    """The values of the calendar days (last − length, last]."""
    first = last.toordinal() - length + 1
    return {day: value for day, value in values.items() if first <= day.toordinal() <= last.toordinal()}


def analyse(metric: str, values: Days, length: int) -> tuple[dict[str, Any], bool]:
    """The `analytics` object, and whether some decision in it is too close for doubles."""
    last = max(values)
    span = within(values, last, length)
    decisions = Decisions()
    comparison = compare(metric, values, last, length, decisions)
    anomalies = [
        found for day in sorted(span) if (found := anomaly_of(metric, values, day, decisions)) is not None
    ]
    numbers = list(span.values())
    body = {
        "rollingAverage": float(mean(numbers)),
        **comparison,
        "anomalyDetected": bool(anomalies),
        "anomalyDetails": anomalies[-1] if anomalies else None,
        **streaks(metric, values, last),
        "percentile": percentile(values, last),
        "statistics": {
            "standardDeviation": root(variance(numbers)) if len(numbers) > 1 else 0.0,
            "minValue": float(min(numbers)),
            "maxValue": float(max(numbers)),
            "medianValue": float(median(numbers)),
            "dataPointsCount": len(numbers),
            "completenessPercentage": float(Fraction(100 * len(numbers), length)),
        },
    }
    return body, decisions.close


class Decisions:
    """Judges thresholds exactly and remembers whether one was too close for doubles."""

    def __init__(self) -> None:
        self.close = False

    def exceeds(self, value: Fraction, threshold: Fraction, power: int = 1) -> bool:
        """value > threshold by more than MARGIN relative; both may be given as `power`-th powers."""
        limit = threshold * (1 + MARGIN) ** power
        if threshold and abs(value - limit) <= DOUBT * limit:
            self.close = True
        return value > limit


def compare(metric: str, values: Days, last: date, length: int, decisions: Decisions) -> dict[str, Any]:
    # Of the means as they are stored: below 1e-308 a double has few digits, and the least one is 5e-324.
    now = stored_mean(within(values, last, length).values())
    previous = list(within(values, last - timedelta(days=length), length).values())
    before = stored_mean(previous) if previous else Fraction(0)
    change = now - before if previous else Fraction(0)
    percentage = 100 * change / before if before else Fraction(0)
    trend = "stable"
    if decisions.exceeds(abs(percentage), Fraction(5)):
        trend = "up" if percentage > 0 else "down"
    improved = None
    if previous and metric != "weight":
        improved = decisions.exceeds(now, before)
    return {
        "trend": trend,
        "trendPercentage": float(min(max(percentage, Fraction(-100)), Fraction(1000))),
        "comparisonToPrevious": {
            "absoluteChange": float(change),
            "percentageChange": float(min(max(percentage, Fraction(-100)), Fraction(1_000_000))),
            "isImprovement": improved,
        },
    }


def stored_mean(numbers: Collection[Fraction]) -> Fraction:
    return Fraction(float(mean(numbers)))


def anomaly_of(metric: str, values: Days, day: date, decisions: Decisions) -> dict[str, Any] | None:
    """The details of the day's anomaly, or None when the day is not anomalous."""
    baseline = list(within(values, day - timedelta(days=1), 30).values())
    if len(baseline) < 5:
        return None
    expected, squared = mean(baseline), variance(baseline)
    # sigma > 1e-9 * max(1, |mu|), squared. A baseline that differs only in rounding is constant.
    if not squared > (MARGIN * max(Fraction(1), abs(expected))) ** 2:
        return None
    distance = (values[day] - expected) ** 2
    if not decisions.exceeds(distance, 4 * squared, power=2):
        return None
    severity = "low"
    if decisions.exceeds(distance, 16 * squared, power=2):
        severity = "high"
    elif decisions.exceeds(distance, 9 * squared, power=2):
        severity = "medium"
    size = root(distance / squared)
    return {
        "actualValue": float(values[day]),
        "expectedValue": float(expected),
        "deviation": size if values[day] > expected else -size,
        "severity": severity,
        "detectedAt": midnight(day),
        "message": metric,
    }


def streaks(metric: str, values: Days, last: date) -> dict[str, Any]:
    if metric != "steps":
        return {"streakDays": 0, "longestStreak": 0, "streakStartDate": None}
    runs: dict[date, int] = {}  # by its latest day the length of the run that ends there
    for day in sorted(values):
        if values[day] > 1000:
            runs[day] = runs.get(day - timedelta(days=1), 0) + 1
    current = runs.get(last, 0)
    return {
        "streakDays": min(current, LONGEST_STREAK_REPORTED),
        "longestStreak": min(max(runs.values(), default=0), LONGEST_STREAK_REPORTED),
        "streakStartDate": midnight(last - timedelta(days=current - 1)) if current else None,
    }


def percentile(values: Days, last: date) -> float:
    numbers = list(within(values, last, 90).values())
    if len(numbers) == 1:
        return 50.0
    return float(Fraction(100 * sum(number < values[last] for number in numbers), len(numbers) - 1))


def root(square: Fraction) -> float:
    """The square root, to the last digits of a double even for tiny or huge fractions."""
    scale = 10**60
    return float(Fraction(math.isqrt(int(square * scale * scale)), scale))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)

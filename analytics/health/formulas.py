"""The formula of each figure of a result with the numbers in it, as a person would write it down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from analytics.health.anomaly import BASELINE_DAYS, HIGH_ABOVE, MEDIUM_ABOVE, MINIMUM_VALUES, SIGMAS
from analytics.health.documents import midnight
from analytics.health.explanation import Explanation
from analytics.health.plain import Baseline, Series, baseline, mean, runs, window
from analytics.health.robust import CONSISTENCY, OUTLIER_ABOVE, WEEKS, robust_baselines
from analytics.health.robust import MINIMUM_VALUES as LEAST_ALIKE
from analytics.health.schemas import LONGEST_RANGE_DAYS, RANGES
from analytics.health.trend import TREND_PERCENT
from analytics.health.words import plural
from contracts.health_metrics import METRICS

# A longer sum is told by its total.
_WRITTEN_OUT: Final = 7
_ROBUST: Final = "Anomaly, robust"


@dataclass(frozen=True, slots=True)
class Formula:
    """A `figure` of the result, and how its `value` (as text) comes about."""

    figure: str
    working: str
    value: str


def formulas(explanation: Explanation) -> list[Formula]:
    """Each figure of the explained result; empty without a value."""
    if explanation.computed is None:
        return []
    analytics = explanation.computed["analytics"]
    values, last = explanation.entered, explanation.last
    length = RANGES[explanation.time_range]
    return [
        Formula("Rolling average", _sum_of(values), exact(analytics["rollingAverage"])),
        _trend(explanation.series, last, length, analytics),
        _anomaly(explanation.series, last, length),
        _robust(explanation.series, last, length),
        *_streak(explanation.metric, explanation.series, analytics),
        _percentile(explanation.series, last, analytics),
        *_statistics(values, length, analytics["statistics"]),
    ]


def exact(value: float | None) -> str:
    """A figure with ten significant digits: `9,771.428571`."""
    return "none" if value is None else f"{value:,.10g}".replace("-", "−")


def short(value: float) -> str:
    """A figure with six significant digits, for a place within a formula."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 1000 else f"{value:,.6g}"


def day_name(day: int) -> str:
    """`2026-01-31`."""
    return f"{midnight(day):%Y-%m-%d}"


def _sum_of(values: Series) -> str:
    numbers = [short(value) for value in values.values()]
    if len(numbers) == 1:
        return f"the only value is {numbers[0]}"
    if len(numbers) <= _WRITTEN_OUT:
        return f"({' + '.join(numbers)}) / {len(numbers)}"
    return f"{short(sum(values.values()))} / {len(numbers)}: the sum of {len(numbers)} values by their number"


def _trend(series: Series, last: int, length: int, analytics: Mapping[str, Any]) -> Formula:
    now = mean(window(series, last, length).values()) or 0.0
    earlier = window(series, last - length, length)
    before = mean(earlier.values())
    span = f"{day_name(last - 2 * length + 1)} to {day_name(last - length)}"
    if before is None:
        working = f"0, because {span}, the {length} days before, have no value"
    elif before == 0:
        working = f"0, because the mean of {span} is 0"
    else:
        working = (
            f"100 × ({short(now)} − {short(before)}) / {short(before)}; {short(before)} is the mean of "
            f"{plural(len(earlier), 'value')} from {span}; above {TREND_PERCENT} is up, below "
            f"−{TREND_PERCENT} down"
        )
    return Formula("Trend", working, f"{exact(analytics['trendPercentage'])} %, {analytics['trend']}")


def _anomaly(series: Series, last: int, length: int) -> Formula:
    judged = [baseline(series, day) for day in window(series, last, length)]
    found = [one for one in judged if one.severity]
    if found:
        latest = found[-1]
        working = (
            f"{_told(latest)}; more than {SIGMAS} is low, {MEDIUM_ABOVE} medium, {HIGH_ABOVE} high; "
            f"{plural(len(found), 'day')} of the range {'is' if len(found) == 1 else 'are'} unusual, "
            "the latest is told"
        )
        return Formula("Anomaly", working, f"{day_name(latest.day)}, {latest.severity}")
    far = max((one for one in judged if one.deviation is not None), key=_distance, default=None)
    if far is None:
        least = f"at least {MINIMUM_VALUES} values, not all alike, in the {BASELINE_DAYS} days before it"
        return Formula("Anomaly", f"no day of the range has {least}", "none")
    return Formula(
        "Anomaly", f"the day farthest from its usual: {_told(far)}; not more than {SIGMAS}", "none"
    )


def _robust(series: Series, last: int, length: int) -> Formula:
    """Beside the contract's: no day of the stored result follows it."""
    judged = robust_baselines(series, [*window(series, last, length)])
    scored = [one for one in judged if one.score is not None]
    found = [one for one in scored if one.is_anomaly]
    told = found[-1] if found else max(scored, key=lambda one: abs(one.score or 0.0), default=None)
    if told is None:
        least = f"at least {LEAST_ALIKE} earlier values of its weekday, not mostly alike, in {WEEKS} weeks"
        return Formula(_ROBUST, f"no day of the range has {least}", "none")
    working = (
        f"{day_name(told.day)}: {CONSISTENCY} × ({short(told.value)} − {short(told.expected or 0.0)}) / "
        f"{short(told.mad or 0.0)} = {short(told.score or 0.0)}; median of {told.count} values of its "
        f"weekday, and of their distances from it; beyond {OUTLIER_ABOVE} is unusual"
    )
    if not found:
        return Formula(_ROBUST, f"the day farthest from its usual: {working}", "none")
    days = f"{plural(len(found), 'day')} of the range {'is' if len(found) == 1 else 'are'} unusual"
    return Formula(_ROBUST, f"{working}; {days}, the latest is told", day_name(told.day))


def _told(one: Baseline) -> str:
    expected, sigma = one.expected or 0.0, one.sigma or 0.0
    return (
        f"{day_name(one.day)}: ({short(one.value)} − {short(expected)}) / {short(sigma)} = "
        f"{short(one.deviation or 0.0)}; mean and deviation of {one.count} values in the "
        f"{BASELINE_DAYS} days before"
    )


def _distance(one: Baseline) -> float:
    return abs(one.deviation or 0.0)


def _streak(metric: str, series: Series, analytics: Mapping[str, Any]) -> Iterator[Formula]:
    counts = METRICS[metric].streak
    if counts is None:
        yield Formula("Streak", "this metric has no streaks", "0")
        return
    rule = counts.words(METRICS[metric].unit)
    days, last = analytics["streakDays"], max(series)
    since = f"each day from {day_name(last - days + 1)} to {day_name(last)} has {rule}"
    working = since if days else f"{day_name(last)}, the latest day with a value, has not {rule}"
    yield Formula("Streak", working, plural(days, "day"))
    found = runs(series, counts)
    longest = max(found, key=lambda run: run[1], default=None)
    working = f"no day has {rule}"
    if longest:
        first, end = day_name(longest[0]), day_name(sum(longest) - 1)
        working = f"from {first} to {end}, of {plural(len(found), 'run')} in all days"
    yield Formula("Longest streak", working, plural(analytics["longestStreak"], "day"))


def _percentile(series: Series, last: int, analytics: Mapping[str, Any]) -> Formula:
    values = list(window(series, last, LONGEST_RANGE_DAYS).values())
    lower, others = sum(value < series[last] for value in values), len(values) - 1
    working = f"50, because {LONGEST_RANGE_DAYS} days have one value"
    if others:
        working = (
            f"100 × {lower} / {others}: {lower} of the other {others} values of {LONGEST_RANGE_DAYS} days "
            f"are below {short(series[last])}, the value of {day_name(last)}"
        )
    return Formula("Percentile", working, exact(analytics["percentile"]))


def _statistics(values: Series, length: int, found: Mapping[str, Any]) -> Iterator[Formula]:
    ordered = sorted(values.values())
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    days = {value: day for day, value in values.items()}
    yield Formula("Lowest", f"of {day_name(days[ordered[0]])}", exact(found["minValue"]))
    yield Formula("Highest", f"of {day_name(days[ordered[-1]])}", exact(found["maxValue"]))
    working = (
        f"({short(middle[0])} + {short(middle[1])}) / 2, the middle two of {len(ordered)}"
        if len(ordered) % 2 == 0
        else f"the middle one of {len(ordered)}"
    )
    yield Formula("Median", working, exact(found["medianValue"]))
    working = (
        f"√(the squared distances from the average, summed, / {len(ordered) - 1})"
        if len(ordered) > 1
        else "0, because there is one value"
    )
    yield Formula("Standard deviation", working, exact(found["standardDeviation"]))
    completeness = exact(found["completenessPercentage"])
    yield Formula("Days with data", f"100 × {len(ordered)} / {length}", f"{completeness} %")

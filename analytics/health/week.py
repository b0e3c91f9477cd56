"""One person's week against the week before: means, what stood out, runs of days, what is missing.

Pure, from the values that count. Days are counted from 1970-01-01; a week is the 7 days that end with its
`last` day, so that all metrics are of the same days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.health.documents import midnight
from analytics.health.explanation import Judged, check_all, judge
from analytics.health.plain import Series, baseline, mean, runs, window
from analytics.health.trend import TREND_PERCENT
from analytics.health.unusual import Unusual
from analytics.health.validation import DayRules
from contracts import Document
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS

WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Run:
    """A run of `length` days that count for a streak; it ends with the day `end`."""

    length: int
    end: int


@dataclass(frozen=True, slots=True)
class MetricWeek:
    """The `series` of a `metric` up to the week's `last` day; `refused` of the week are not."""

    metric: str
    last: int
    series: Series
    refused: Sequence[Judged] = ()

    @property
    def values(self) -> Series:
        """Those of the week."""
        return window(self.series, self.last, WEEK_DAYS)

    @property
    def now(self) -> float | None:
        """The week's mean, None without a value."""
        return mean(self.values.values())

    @property
    def before(self) -> float | None:
        """The mean of the week before, None without a value."""
        return mean(window(self.series, self.last - WEEK_DAYS, WEEK_DAYS).values())

    @property
    def is_daily(self) -> bool:
        """Whether at least half of the fourteen days have a value."""
        return len(window(self.series, self.last, 2 * WEEK_DAYS)) >= WEEK_DAYS

    def direction(self, least: LeastEffect) -> str | None:
        """`more` or `less` than the week before, or `the same`; None where one of them has no value.

        They are the same up to 5 % of the week before, and up to a `least` effect in the metric's unit.
        """
        if self.now is None or self.before is None:
            return None
        most = TREND_PERCENT / 100 * self.before
        difference = self.now - self.before
        if abs(difference) <= (most if least.is_share else min(most, least.least)):
            return "the same"
        return "more" if difference > 0 else "less"

    @property
    def run(self) -> Run | None:
        """The latest streak, None where there is none that reaches into the week."""
        found = runs(self.series, METRICS[self.metric].streak)
        if not found or sum(found[-1]) - 1 <= self.last - WEEK_DAYS:
            return None
        first, length = found[-1]
        return Run(length, first + length - 1)

    @property
    def longest_run(self) -> int:
        """The length of the longest streak up to the week's end."""
        return max((length for _, length in runs(self.series, METRICS[self.metric].streak)), default=0)


@dataclass(frozen=True, slots=True)
class Week:
    """The week of a `user` that ends with the day `last`, by metric."""

    user: str
    last: int
    metrics: Mapping[str, MetricWeek]

    @property
    def days(self) -> range:
        """The seven days."""
        return range(self.last - WEEK_DAYS + 1, self.last + 1)

    @property
    def told(self) -> list[MetricWeek]:
        """The metrics with a value in this week or the one before."""
        return [one for one in self.metrics.values() if one.now is not None or one.before is not None]

    @property
    def newest(self) -> int | None:
        """The latest day with any value, None without one."""
        return max((max(one.series) for one in self.metrics.values() if one.series), default=None)

    @property
    def empty_days(self) -> list[int]:
        """The days of the week without any value."""
        return [day for day in self.days if not any(day in one.series for one in self.metrics.values())]

    @property
    def unusual(self) -> list[Unusual]:
        """The anomalies of the week's days."""
        return [
            Unusual(self.user, midnight(day).date(), one.metric, each.value, each.expected, z, each.severity)
            for one in self.metrics.values()
            for day in one.values
            if (each := baseline(one.series, day)).severity
            and each.expected is not None
            and (z := each.deviation) is not None
        ]

    @property
    def is_judged(self) -> bool:
        """Whether of any value of the week it is known what is usual."""
        return any(
            baseline(one.series, day).deviation is not None
            for one in self.metrics.values()
            for day in one.values
        )


def week_of(user: str, documents: Iterable[Document], rules: DayRules, last: int) -> Week:
    """The week of `user` that ends with the day `last`, from all raw `documents`."""
    checked, metrics = check_all(documents, rules), {}
    for metric in METRICS:
        judged = judge(checked, metric)
        series = {
            one.day: one.value
            for one in judged
            if one.value is not None and one.day is not None and one.day <= last
        }
        refused = [
            one
            for one in judged
            if one.end == "refused" and one.day is not None and last - WEEK_DAYS < one.day <= last
        ]
        metrics[metric] = MetricWeek(metric, last, dict(sorted(series.items())), refused)
    return Week(user, last, metrics)

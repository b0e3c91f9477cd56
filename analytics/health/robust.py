"""What is usual by median and by day of the week, beside the contract's mean of thirty days.

A mean and a standard deviation are moved by the very day that stands out, and by a weekly habit: of a person
who runs on Sundays every Sunday is an anomaly. A median and the median of the distances from it are not. The
stored results do not have this: their fields are the backend's contract. Pages, `explain` and `export` show
both, so that a team can choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

Series = Mapping[int, float]

WEEK: Final = 7
# Twelve weeks: as many days, about, as the longest range of a result.
WEEKS: Final = 12
MINIMUM_VALUES: Final = 5
# The MAD of a normal distribution is 0.6745 of its standard deviation, and above 3.5 is an outlier:
# B. Iglewicz and D. C. Hoaglin, How to Detect and Handle Outliers (ASQC Quality Press, 1993), page 11.
CONSISTENCY: Final = 0.6745
OUTLIER_ABOVE: Final = 3.5
# A baseline flatter than this share of its median is constant: what differs is rounding.
_FLAT: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RobustBaseline:
    """The `value` of a `day` (since 1970-01-01) beside `count` values of the same day of the week before it.

    `expected` is their median, `mad` the median of their distances from it; both None without any value.
    """

    day: int
    value: float
    count: int
    expected: float | None
    mad: float | None

    @property
    def score(self) -> float | None:
        """The modified z-score 0.6745 · (value − median) / MAD.

        None where nobody judges: fewer than 5 values before, or more than half of them alike.
        """
        if self.count < MINIMUM_VALUES or self.expected is None or self.mad is None:
            return None
        if not self.mad > _FLAT * max(1.0, abs(self.expected)):
            return None
        return CONSISTENCY * (self.value - self.expected) / self.mad

    @property
    def is_anomaly(self) -> bool | None:
        """Whether the score is beyond ±3.5; None where nobody judges."""
        score = self.score
        return None if score is None else abs(score) > OUTLIER_ABOVE


def robust_baseline(series: Series, day: int) -> RobustBaseline:
    """What the value of `day`, one of the series', is compared with: that weekday in the 12 weeks before."""
    days = range(day - WEEK * WEEKS, day, WEEK)
    before = [series[each] for each in days if each in series]
    if not before:
        return RobustBaseline(day, series[day], 0, None, None)
    middle = median(before)
    return RobustBaseline(
        day, series[day], len(before), middle, median(abs(value - middle) for value in before)
    )


def robust_baselines(series: Series, days: Sequence[int]) -> list[RobustBaseline]:
    """Of each of `days` that has a value, in their order."""
    return [robust_baseline(series, day) for day in days if day in series]

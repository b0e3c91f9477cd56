"""Trend: the mean of the range against the mean of the range before it."""

from __future__ import annotations

from typing import Final

from analytics.health.days import WHOLE
from analytics.health.schemas import RELATIVE_TOLERANCE
from contracts.health_metrics import METRICS

TREND_PERCENT: Final = 5
# A share of a mean of 1e-305 is beyond the doubles; the backend's model takes nothing below -100.
CHANGE_LIMITS: Final = (-100.0, 1_000_000.0)

_THRESHOLD: Final = TREND_PERCENT * (1 + RELATIVE_TOLERANCE)


def previous_mean(range_days: int) -> str:
    """`previous_N` of rows (`day`, `value`, `last_day` = D): the mean over (D-2N, D-N], null without a value.

    Every row of a series has the same.
    """
    inside = f"last_day - day >= {range_days} AND last_day - day < {2 * range_days}"
    return f"avg(if({inside}, value, null)) OVER {WHOLE} AS previous_{range_days}"


def change_columns() -> list[str]:
    """`trend_percentage` (within CHANGE_LIMITS) and `absolute_change` from `mean` and `previous` (nullable).

    The percentage is 0 where there is no previous mean or it is 0; the change is 0 where there is none.
    """
    low, high = CHANGE_LIMITS
    percentage = f"greatest({low!r}D, least({high!r}D, 100 * (mean - previous) / previous))"
    return [
        f"if(previous > 0, {percentage}, 0.0D) AS trend_percentage",
        "coalesce(mean - previous, 0.0D) AS absolute_change",
    ]


def direction_columns() -> list[str]:
    """`trend` and `is_improvement` from `trend_percentage`, `absolute_change`, `mean`, `previous`, `metric`.

    Both need their threshold (5 % and 0) to be exceeded by more than RELATIVE_TOLERANCE, which for a
    change is relative to the greater of the two means.
    """
    rounding = f"{RELATIVE_TOLERANCE:e} * greatest(mean, previous)"
    direction = (
        f"CASE WHEN trend_percentage > {_THRESHOLD!r}D THEN 'up'"
        f" WHEN trend_percentage < {-_THRESHOLD!r}D THEN 'down' ELSE 'stable' END"
    )
    # More weight is no improvement, less is none either: what is good depends on the person.
    cases = [
        f"WHEN previous IS NOT NULL AND metric IN ({names}) THEN {change} > {rounding}"
        for better, change in (("more", "absolute_change"), ("less", "-absolute_change"))
        if (names := ", ".join(f"'{name}'" for name, one in METRICS.items() if one.better == better))
    ]
    improved = f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS BOOLEAN)"
    return [f"{direction} AS trend", f"{improved} AS is_improvement"]

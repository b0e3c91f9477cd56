"""Trend: the mean of the range against the mean of the range before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from analytics.schemas import RELATIVE_TOLERANCE

TREND_PERCENT: Final = 5
# More weight is no improvement, less is none either: what is good depends on the person.
NEUTRAL_METRICS: Final[Sequence[str]] = ("weight",)

_THRESHOLD: Final = TREND_PERCENT * (1 + RELATIVE_TOLERANCE)


def previous_mean(range_days: int) -> Column:
    """Aggregate `previous_N` of rows (`age`, `value`): the mean over (D-2N, D-N], null without a value."""
    inside = f"age >= {range_days} AND age < {2 * range_days}"
    return F.expr(f"avg(if({inside}, value, null))").alias(f"previous_{range_days}")


def change_columns() -> list[Column]:
    """`trend_percentage` (not clamped) and `absolute_change` from `mean` and `previous` (nullable).

    The percentage is 0 where there is no previous mean or it is 0; the change is 0 where there is none.
    """
    percent = "if(previous > 0, 100 * (mean - previous) / previous, 0.0D)"
    return [
        F.expr(percent).alias("trend_percentage"),
        F.expr("coalesce(mean - previous, 0.0D)").alias("absolute_change"),
    ]


def direction_columns() -> list[Column]:
    """`trend` and `is_improvement` from `trend_percentage`, `absolute_change`, `mean`, `previous`, `metric`.

    Both need their threshold (5 % and 0) to be exceeded by more than RELATIVE_TOLERANCE, which for a
    change is relative to the greater of the two means.
    """
    names = ", ".join(f"'{name}'" for name in NEUTRAL_METRICS)
    rounding = f"{RELATIVE_TOLERANCE:e} * greatest(mean, previous)"
    return [
        F.expr(
            f"CASE WHEN trend_percentage > {_THRESHOLD!r}D THEN 'up'"
            f" WHEN trend_percentage < {-_THRESHOLD!r}D THEN 'down' ELSE 'stable' END"
        ).alias("trend"),
        F.expr(
            f"CASE WHEN previous IS NOT NULL AND metric NOT IN ({names})"
            f" THEN absolute_change > {rounding} END"
        ).alias("is_improvement"),
    ]

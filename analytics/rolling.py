"""Rolling statistics over calendar-day ranges: mean, sample deviation, minimum, maximum, exact median."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def in_range(range_days: int, what: str) -> str:
    """SQL text: `what` where the row's `age` (days before D, 0 at D) lies in the range, else null."""
    return f"if(age < {range_days}, {what}, null)"


def range_aggregates(range_days: int) -> list[Column]:
    """Aggregates of rows (`age`, `day`, `value`; no nulls) over the range (D-N, D]:

    `mean_N`, `sd_N` (sample deviation; null for one value), `days_N`, `values_N` (aligned arrays).
    """
    value = in_range(range_days, "value")
    return [
        F.expr(f"avg({value})").alias(f"mean_{range_days}"),
        F.expr(f"stddev_samp({value})").alias(f"sd_{range_days}"),
        F.expr(f"collect_list({in_range(range_days, 'day')})").alias(f"days_{range_days}"),
        F.expr(f"collect_list({value})").alias(f"values_{range_days}"),
    ]


def statistics_columns() -> list[Column]:
    """`standard_deviation`, `minimum`, `maximum`, `median`, `count` from `sd` and `sorted` (the range's
    values in ascending order, at least one)."""
    return [
        F.expr("coalesce(sd, 0.0D)").alias("standard_deviation"),
        F.expr("sorted[0]").alias("minimum"),
        F.expr("sorted[size(sorted) - 1]").alias("maximum"),
        F.expr("(sorted[int((size(sorted) - 1) div 2)] + sorted[int(size(sorted) div 2)]) / 2").alias(
            "median"
        ),
        F.expr("size(sorted)").alias("count"),
    ]

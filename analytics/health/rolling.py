"""Rolling statistics over calendar-day ranges: mean, sample deviation, minimum, maximum, exact median."""

from __future__ import annotations


def in_range(range_days: int, what: str) -> str:
    """SQL text: `what` where the row's `age` (days before D, 0 at D) lies in the range, else null."""
    return f"if(age < {range_days}, {what}, null)"


def range_aggregates(range_days: int) -> list[str]:
    """Aggregates of rows (`age`, `day`, `value`; no nulls) over the range (D-N, D]:

    `mean_N`, `sd_N` (sample deviation; null for one value), `days_N`, `values_N` (aligned arrays).
    """
    value = in_range(range_days, "value")
    return [
        f"avg({value}) AS mean_{range_days}",
        f"stddev_samp({value}) AS sd_{range_days}",
        f"collect_list({in_range(range_days, 'day')}) AS days_{range_days}",
        f"collect_list({value}) AS values_{range_days}",
    ]


def statistics_columns() -> list[str]:
    """`standard_deviation`, `minimum`, `maximum`, `median`, `count` from `sd` and `sorted` (the range's
    values in ascending order, at least one)."""
    middle_two = "sorted[int((size(sorted) - 1) div 2)] + sorted[int(size(sorted) div 2)]"
    return [
        "coalesce(sd, 0.0D) AS standard_deviation",
        "sorted[0] AS minimum",
        "sorted[size(sorted) - 1] AS maximum",
        f"({middle_two}) / 2 AS median",
        "size(sorted) AS count",
    ]

"""Anomalies: a day more than two standard deviations away from the 30 days before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from analytics.schemas import RELATIVE_TOLERANCE

BASELINE_DAYS: Final = 30
MINIMUM_VALUES: Final = 5
SIGMAS: Final = 2
MEDIUM_ABOVE: Final = 3
HIGH_ABOVE: Final = 4
# A baseline flatter than this share of its mean is constant: its deviation is rounding.
FLAT: Final = 1e-9

_EXCEEDED: Final = 1 + RELATIVE_TOLERANCE
_BASELINE: Final = f"(PARTITION BY user ORDER BY day RANGE BETWEEN {BASELINE_DAYS} PRECEDING AND 1 PRECEDING)"


def with_baselines(days: DataFrame, metrics: Sequence[str]) -> DataFrame:
    """Add `<metric>_n`, `<metric>_sum`, `<metric>_sd` to one row per (user, day): count, sum and sample
    standard deviation of the metric's values in the 30 calendar days before the row's day.

    `_sd` is Welford's (never a difference of sums of squares, which cancels); `_sum` and `_sd` are null
    where there are too few values.
    """
    columns = []
    for name in metrics:
        columns.append(f"count({name}) OVER {_BASELINE} AS {name}_n")
        columns.append(f"sum({name}) OVER {_BASELINE} AS {name}_sum")
        columns.append(f"stddev_samp({name}) OVER {_BASELINE} AS {name}_sd")
    return days.selectExpr("*", *columns)


def anomaly() -> Column:
    """struct(day, value, expected, sigma) of a row that is anomalous, else null.

    Reads `day`, `value` and the baseline's `n`, `expected` (its mean) and `sigma`. The comparison needs
    the threshold to be exceeded by more than RELATIVE_TOLERANCE.
    """
    return F.expr(
        f"if(n >= {MINIMUM_VALUES} AND sigma > {FLAT:e} * greatest(1.0D, abs(expected))"
        f" AND abs(value - expected) > {SIGMAS * _EXCEEDED!r}D * sigma,"
        " named_struct('day', day, 'value', value, 'expected', expected, 'sigma', sigma), null)"
    ).alias("anomaly")


def anomaly_columns() -> list[Column]:
    """`anomaly_day`, `_value`, `_expected`, `_deviation` (z) and `_severity` of the struct `anomaly`.

    All are null where it is null.
    """
    z = "(anomaly.value - anomaly.expected) / anomaly.sigma"
    return [
        F.expr("anomaly.day").alias("anomaly_day"),
        F.expr("anomaly.value").alias("anomaly_value"),
        F.expr("anomaly.expected").alias("anomaly_expected"),
        F.expr(z).alias("anomaly_deviation"),
        F.expr(
            f"CASE WHEN abs({z}) > {HIGH_ABOVE * _EXCEEDED!r}D THEN 'high'"
            f" WHEN abs({z}) > {MEDIUM_ABOVE * _EXCEEDED!r}D THEN 'medium'"
            " WHEN anomaly IS NOT NULL THEN 'low' END"
        ).alias("anomaly_severity"),
    ]

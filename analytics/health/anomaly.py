"""Anomalies: a day more than two standard deviations away from the 30 days before it."""

from __future__ import annotations

from typing import Final

from analytics.health.days import days_before, earlier
from analytics.health.schemas import RELATIVE_TOLERANCE

BASELINE_DAYS: Final = 30
MINIMUM_VALUES: Final = 5
SIGMAS: Final = 2
MEDIUM_ABOVE: Final = 3
HIGH_ABOVE: Final = 4
# A baseline flatter than this share of its mean is constant: its deviation is rounding.
FLAT: Final = 1e-9

_EXCEEDED: Final = 1 + RELATIVE_TOLERANCE


def has_baseline() -> str:
    """`has_baseline`: at least 5 values in the 30 days before, so the fifth value back lies within them."""
    return f"coalesce({earlier('day', MINIMUM_VALUES)} >= day - {BASELINE_DAYS}, false) AS has_baseline"


def baseline_columns() -> list[str]:
    """`expected` and `sigma`: mean and sample standard deviation over the 30 calendar days before the row's.

    Spark's stddev_samp is Welford's: it never subtracts sums of squares, which cancels.
    """
    frame = days_before(BASELINE_DAYS)
    return [f"avg(value) OVER {frame} AS expected", f"stddev_samp(value) OVER {frame} AS sigma"]


def anomaly() -> str:
    """`anomaly`: struct(day, value, expected, sigma) of a row that is anomalous, else null.

    Reads `day`, `value`, `has_baseline`, `expected` and `sigma`. The comparison needs the threshold to be
    exceeded by more than RELATIVE_TOLERANCE.
    """
    return (
        f"if(has_baseline AND sigma > {FLAT:e} * greatest(1.0D, abs(expected))"
        f" AND abs(value - expected) > {SIGMAS * _EXCEEDED!r}D * sigma,"
        " named_struct('day', day, 'value', value, 'expected', expected, 'sigma', sigma), null)"
    )


def anomaly_columns() -> list[str]:
    """`anomaly_day`, `_value`, `_expected`, `_deviation` (z) and `_severity` of the struct `anomaly`.

    All are null where it is null.
    """
    z = "(anomaly.value - anomaly.expected) / anomaly.sigma"
    severity = (
        f"CASE WHEN abs({z}) > {HIGH_ABOVE * _EXCEEDED!r}D THEN 'high'"
        f" WHEN abs({z}) > {MEDIUM_ABOVE * _EXCEEDED!r}D THEN 'medium'"
        " WHEN anomaly IS NOT NULL THEN 'low' END"
    )
    return [
        "anomaly.day AS anomaly_day",
        "anomaly.value AS anomaly_value",
        "anomaly.expected AS anomaly_expected",
        f"{z} AS anomaly_deviation",
        f"{severity} AS anomaly_severity",
    ]

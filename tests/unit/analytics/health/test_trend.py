"""Trend and change on literal rows."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from analytics.health.trend import change_columns, direction_columns, previous_mean
from tests.support.sql_rows import SERIES, select, series


def _judged(spark: SparkSession, mean: float, previous: float | None, metric: str = "steps") -> Any:
    frame = spark.createDataFrame([(mean, previous, metric)], "mean DOUBLE, previous DOUBLE, metric STRING")
    return frame.selectExpr("*", *change_columns()).selectExpr("*", *direction_columns()).collect()[0]


def test_the_previous_range_is_the_days_before_the_range(spark: SparkSession) -> None:
    """(D-14, D-7] for 7 days: its first and last day count, the days around it do not."""
    rows = [(*row, 14) for row in series({14: 1, 8: 2, 7: 10, 1: 20, 0: 999})]
    found = select(spark, rows, f"{SERIES}, last_day INT", previous_mean(7))
    assert [row["previous_7"] for row in found] == [15.0] * 5


def test_without_values_before_there_is_no_previous(spark: SparkSession) -> None:
    """Null, not 0."""
    rows = [(*row, 14) for row in series({14: 1, 8: 2})]
    assert select(spark, rows, f"{SERIES}, last_day INT", previous_mean(7))[0]["previous_7"] is None


@pytest.mark.parametrize(
    ("mean", "previous", "percent", "direction"),
    [
        (110.0, 100.0, 10.0, "up"),
        (90.0, 100.0, -10.0, "down"),
        (105.0, 100.0, 5.0, "stable"),
        (95.0, 100.0, -5.0, "stable"),
        (5_000.0, 1.0, 499_900.0, "up"),
        (5e6, 1.0, 1_000_000.0, "up"),
        (7.0, 1e-305, 1_000_000.0, "up"),
        (100_000.0, 5e-324, 1_000_000.0, "up"),
        (5e-324, 1e-323, -50.0, "down"),
        (0.0, 5e-324, -100.0, "down"),
        (1.7e308, 1.0, 1_000_000.0, "up"),
        (7.0, 0.0, 0.0, "stable"),
        (7.0, None, 0.0, "stable"),
    ],
)
def test_percentage_and_direction(
    spark: SparkSession, mean: float, previous: float | None, percent: float, direction: str
) -> None:
    """More than 5 % either way; without a previous mean, or with one of 0, there is none.

    A hundred times a share of 1e-305 is no double any more: it ends at a million, and is never infinite.
    """
    row = _judged(spark, mean, previous)
    assert row["trend_percentage"] == pytest.approx(percent)
    assert row["trend"] == direction
    assert row["absolute_change"] == (0.0 if previous is None else mean - previous)


def test_five_percent_up_to_rounding_is_stable(spark: SparkSession) -> None:
    """2.0 to 2.1 is 5.000000000000004 % in floating point."""
    row = _judged(spark, 2.1, 2.0)
    assert row["trend_percentage"] > 5
    assert row["trend"] == "stable"


@pytest.mark.parametrize(
    ("mean", "previous", "metric", "better"),
    [
        (2.0, 1.0, "steps", True),
        (1.0, 2.0, "steps", False),
        (1.0, 1.0, "steps", False),
        (0.1 + 0.2, 0.3, "steps", False),
        (2.0, 1.0, "weight", None),
        (2.0, None, "steps", None),
        (2.0, 0.0, "steps", True),
    ],
)
def test_improvement(
    spark: SparkSession, mean: float, previous: float | None, metric: str, better: bool | None
) -> None:
    """More is better, by more than rounding; nobody can say for weight or without a previous mean."""
    assert _judged(spark, mean, previous, metric)["is_improvement"] is better

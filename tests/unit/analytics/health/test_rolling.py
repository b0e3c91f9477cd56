"""Rolling statistics on literal rows."""

from __future__ import annotations

import math
import statistics

import pytest
from pyspark.sql import SparkSession

from analytics.health.rolling import in_range, range_aggregates, statistics_columns
from tests.support.sql_rows import select


def test_the_range_is_calendar_days_before_the_last(spark: SparkSession) -> None:
    """Age 6 is the last day inside of 7 days, age 7 the first outside; days without a row shorten nothing."""
    rows = [(0, 20, 1.0), (6, 14, 2.0), (7, 13, 100.0)]
    (row,) = select(spark, rows, "age INT, day INT, value DOUBLE", *range_aggregates(7))
    assert row["mean_7"] == 1.5
    assert sorted(zip(row["days_7"], row["values_7"], strict=True)) == [(14, 2.0), (20, 1.0)]
    assert row["sd_7"] == pytest.approx(statistics.stdev([1.0, 2.0]))


def test_one_value_has_no_sample_deviation(spark: SparkSession) -> None:
    """Null rather than NaN, which statistics_columns turns into 0."""
    (row,) = select(spark, [(0, 20, 4.0)], "age INT, day INT, value DOUBLE", *range_aggregates(30))
    assert row["sd_30"] is None
    (row,) = select(spark, [(None, [4.0])], "sd DOUBLE, sorted ARRAY<DOUBLE>", *statistics_columns())
    assert row == {"standard_deviation": 0.0, "minimum": 4.0, "maximum": 4.0, "median": 4.0, "count": 1}


@pytest.mark.parametrize("values", [[1.0, 9.0], [1.0, 2.0, 9.0], [1.0, 2.0, 3.0, 9.0], [5.0] * 6])
def test_the_median_is_exact(spark: SparkSession, values: list[float]) -> None:
    """The middle value, or the mean of the middle two."""
    (row,) = select(spark, [(1.0, values)], "sd DOUBLE, sorted ARRAY<DOUBLE>", *statistics_columns())
    assert row["median"] == statistics.median(values)
    assert (row["minimum"], row["maximum"], row["count"]) == (values[0], values[-1], len(values))


def test_deviation_of_large_close_values_does_not_cancel(spark: SparkSession) -> None:
    """A difference of sums of squares would be far off here."""
    rows = [(age, age, 90_000.0 + age * 1e-4) for age in range(30)]
    (row,) = select(spark, rows, "age INT, day INT, value DOUBLE", *range_aggregates(30))
    expected = statistics.stdev(value for _, _, value in rows)
    assert math.isclose(row["sd_30"], expected, rel_tol=1e-6)


def test_in_range_is_null_outside(spark: SparkSession) -> None:
    """So that aggregates pass it over."""
    rows = select(spark, [(6,), (7,)], "age INT", "age", f"{in_range(7, 'age * 10')} AS inside")
    assert {row["age"]: row["inside"] for row in rows} == {6: 60, 7: None}

"""Baselines and anomalies on literal rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pytest
from pyspark.sql import SparkSession

from analytics.health.anomaly import anomaly, anomaly_columns, baseline_columns, has_baseline
from tests.support.sql_rows import SERIES, select, series
from tests.support.worked_example import STEPS


def _by_day(spark: SparkSession, values: Mapping[int, float]) -> dict[int, Any]:
    """The baseline and the anomaly of each day of one series."""
    frame = spark.createDataFrame(series(values), SERIES)
    judged = frame.selectExpr("*", *baseline_columns(), has_baseline()).selectExpr(
        "*", f"{anomaly()} AS anomaly"
    )
    return {row["day"]: row for row in judged.selectExpr("*", *anomaly_columns()).collect()}


def test_the_worked_examples_spike(spark: SparkSession) -> None:
    """Day 13: eleven values before it, mean 8500, deviation 836.66, z 11.35, high; no other day is odd."""
    days = _by_day(spark, STEPS)
    spike = days[13]
    assert spike["expected"] == 8500
    assert spike["sigma"] == pytest.approx(836.66, abs=0.005)
    assert spike["anomaly_deviation"] == pytest.approx(11.35, abs=0.005)
    assert spike["anomaly_severity"] == "high"
    assert [day for day, row in days.items() if row["anomaly_day"] is not None] == [13]


def test_the_baseline_is_the_thirty_days_before_and_not_the_day_itself(spark: SparkSession) -> None:
    """Day d-30 is inside, d-31 outside."""
    values = {0: 1_000.0, 1: 10.0, 10: 12.0, 31: 50.0}
    assert _by_day(spark, values)[31]["expected"] == 11.0
    assert _by_day(spark, values)[31]["sigma"] == pytest.approx(statistics.stdev([10.0, 12.0]))


@pytest.mark.parametrize(("first", "enough"), [(1, True), (0, False)])
def test_five_values_in_thirty_days_are_needed(spark: SparkSession, first: int, enough: bool) -> None:
    """The fifth value back lies 30 days before, or 31, which is outside."""
    values = {first: 9.0, 10: 11.0, 20: 9.0, 25: 11.0, 30: 10.0, 31: 1_000.0}
    row = _by_day(spark, values)[31]
    assert row["has_baseline"] is enough
    assert (row["anomaly_day"] == 31) is enough


def test_a_constant_baseline_has_no_anomaly(spark: SparkSession) -> None:
    """0.1 + 0.2 thirty times over has a deviation that is rounding only."""
    values = {day: 0.1 + 0.2 if day % 2 else 0.3 for day in range(20)}
    row = _by_day(spark, {**values, 20: 5.0})[20]
    assert row["has_baseline"] is True
    assert row["anomaly_day"] is None


@pytest.mark.parametrize(
    ("sigmas", "severity"),
    [
        (2.0, None),
        (-2.0, None),
        (2.01, "low"),
        (-3.0, "low"),
        (3.01, "medium"),
        (4.0, "medium"),
        (-4.01, "high"),
    ],
)
def test_severity(spark: SparkSession, sigmas: float, severity: str | None) -> None:
    """More than 2, 3 and 4 deviations, either way."""
    baseline = {1: 96.0, 2: 98.0, 3: 100.0, 4: 102.0, 5: 104.0}
    sigma = statistics.stdev(baseline.values())
    row = _by_day(spark, {**baseline, 6: 100.0 + sigmas * sigma})[6]
    assert row["anomaly_severity"] == severity
    if severity:
        assert row["anomaly_deviation"] == pytest.approx(sigmas)
        assert row["anomaly_value"] == pytest.approx(100.0 + sigmas * sigma)


def test_columns_are_null_without_an_anomaly(spark: SparkSession) -> None:
    """All five, so that a document has no half of an anomaly."""
    schema = "anomaly STRUCT<day: INT, value: DOUBLE, expected: DOUBLE, sigma: DOUBLE>"
    (row,) = select(spark, [(None,)], schema, *anomaly_columns())
    assert set(row.values()) == {None}
    assert len(row) == 5

"""Streaks on literal rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pyspark.sql import SparkSession

from analytics.health.streak import previous_day, run_aggregates, run_start, streak_columns
from tests.support.sql_rows import SERIES, select, series
from tests.support.worked_example import STEPS

QUALIFIES = "(metric = 0 AND value > 1000)"


def _streak(spark: SparkSession, values: Mapping[int, float], metric: int = 0) -> Any:
    """streak_days, longest_streak and streak_start of one series."""
    last = max(values)
    rows = [(*row, last) for row in series(values, metric=metric)]
    frame = spark.createDataFrame(rows, f"{SERIES}, last_day INT")
    runs = frame.selectExpr("*", "last_day - day AS age", previous_day(QUALIFIES))
    total = runs.selectExpr("*", run_start(QUALIFIES)).selectExpr(
        "max(last_day) AS last_day", *run_aggregates()
    )
    row = total.selectExpr(*streak_columns()).collect()[0]
    return row["streak_days"], row["longest_streak"], row["streak_start"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (STEPS, (7, 7, 9)),
        ({1: 2000}, (1, 1, 1)),
        ({1: 2000, 2: 2000, 4: 2000}, (1, 2, 4)),
        ({1: 2000, 2: 500, 3: 2000}, (1, 1, 3)),
        ({1: 2000, 2: 2000, 3: 1000}, (0, 2, None)),
        ({1: 1000, 2: 0}, (0, 0, None)),
        ({1: 1000.5}, (1, 1, 1)),
        (dict.fromkeys(range(1000), 1500), (1000, 1000, 0)),
        (dict.fromkeys(range(-5, 6), 1500), (11, 11, -5)),
    ],
)
def test_runs_are_consecutive_calendar_days_above_the_threshold(
    spark: SparkSession, values: Mapping[int, float], expected: tuple[int, int, int | None]
) -> None:
    """A missing day and a day with too few steps both end a run; exactly 1000 steps do not qualify."""
    assert _streak(spark, values) == expected


def test_other_metrics_have_none(spark: SparkSession) -> None:
    """However large their values are."""
    assert _streak(spark, {1: 9_000, 2: 9_000}, metric=2) == (0, 0, None)


def test_each_series_has_its_own_runs(spark: SparkSession) -> None:
    """Another user's days between do not join or break a run."""
    rows = series({1: 2000, 2: 2000}) + series({3: 2000}, user=2)
    frame = spark.createDataFrame(rows, SERIES).selectExpr("*", previous_day(QUALIFIES))
    starts = {
        (row["user"], row["day"]): row["run_start"]
        for row in frame.selectExpr("*", run_start(QUALIFIES)).collect()
    }
    assert starts == {(1, 1): 1, (1, 2): 1, (2, 3): 3}


def test_no_run_is_zero_and_null(spark: SparkSession) -> None:
    """As the contract has it for metrics without streaks."""
    schema = "last_day INT, run_start INT, longest_run INT"
    (row,) = select(spark, [(5, None, None)], schema, *streak_columns())
    assert row == {"streak_days": 0, "longest_streak": 0, "streak_start": None}

"""The percentile on literal rows."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from analytics.health.percentile import percentile
from tests.support.sql_rows import select
from tests.support.worked_example import STEPS


@pytest.mark.parametrize(
    ("values", "latest", "expected"),
    [
        ([5.0], 5.0, 50.0),
        ([1.0, 2.0], 1.0, 0.0),
        ([1.0, 2.0], 2.0, 100.0),
        ([3.0, 3.0, 3.0], 3.0, 0.0),
        ([1.0, 2.0, 2.0, 9.0], 2.0, 100 / 3),
        (list(STEPS.values()), 8200, 100 * 3 / 13),
        ([0.0, 1.0], 0.0, 0.0),
    ],
)
def test_the_rank_of_the_latest_value(
    spark: SparkSession, values: list[float], latest: float, expected: float
) -> None:
    """100 * (values lower) / (n - 1), 50 when it is alone; equals do not count as lower."""
    row = ([float(value) for value in sorted(values)], float(latest))
    (found,) = select(spark, [row], "ordered ARRAY<DOUBLE>, latest DOUBLE", percentile("ordered", "latest"))
    assert found["percentile"] == pytest.approx(expected)

"""Evaluates the formulas' SQL text on literal rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession


def select(
    spark: SparkSession, rows: Sequence[Sequence[Any]], schema: str, *columns: str
) -> list[Mapping[str, Any]]:
    """`columns` of `rows` (in the order of `schema`, a DDL), as dicts in any order."""
    frame = spark.createDataFrame([tuple(row) for row in rows], schema)
    return [row.asDict(recursive=True) for row in frame.selectExpr(*columns).collect()]


def series(values: Mapping[int, float], user: int = 1, metric: int = 0) -> list[tuple[int, int, int, float]]:
    """Rows (user, metric, day, value) of one series, `values` by day."""
    return [(user, metric, day, float(value)) for day, value in values.items()]


SERIES = "user INT, metric TINYINT, day INT, value DOUBLE"

"""The health analytics of many users in one Spark job: composes the formulas, one module each.

Wide rows (one per user and day) for what runs over days, then long rows (one per metric value) that are
aggregated once per user and metric. One shuffle, by user, or none when one partition is enough.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from analytics import anomaly, percentile, rolling, streak, trend
from analytics.schemas import LONGEST_RANGE_DAYS, RANGES, RESULT_SCHEMA
from analytics.validation import METRICS

# Up to here one task is faster than a shuffle (measured on two cores).
ONE_PARTITION_USERS: Final = 100
# The longest range and the one before it.
_KEPT_DAYS: Final = 2 * LONGEST_RANGE_DAYS
_WHOLE: Final = "(PARTITION BY user ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"


def compute(spark: SparkSession, history: pa.Table, users_count: int) -> pa.Table:
    """The analytics of every user of `history`, as RESULT_SCHEMA, in any order.

    `history` has `user:int32`, `day:int32` (days since 1970-01-01) and the metrics of METRICS as nullable
    float64, at most one row per user and day, and is each user's whole history. `users_count` only
    chooses the plan. A metric without a value gives no row. Spark's errors pass unchanged.
    """
    if history.num_rows == 0:
        return RESULT_SCHEMA.empty_table()
    rows = spark.createDataFrame(history)
    days = rows.coalesce(1) if users_count <= ONE_PARTITION_USERS else rows.repartition("user")
    return analytics_of(days).toArrow().select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA)


def analytics_of(days: DataFrame) -> DataFrame:
    """The columns of RESULT_SCHEMA from one row per (user, day)."""
    return _finish(_per_range(_aggregate(_values(_recent(days)))))


def _recent(days: DataFrame) -> DataFrame:
    """Each row with `<metric>_last` (the metric's D) and the runs; without rows no metric needs any more."""
    last = [f"max(if({name} IS NULL, null, day)) OVER {_WHOLE} AS {name}_last" for name in METRICS]
    dated = days.select("*", *map(F.expr, last), streak.previous_qualifying_day())
    # Streaks look at the whole history, so they come before the filter.
    oldest = ", ".join(f"{name}_last" for name in METRICS)
    return streak.with_runs(dated).where(f"day > least({oldest}) - {_KEPT_DAYS}")


def _values(days: DataFrame) -> DataFrame:
    """One row per value: user, metric, day, value, age (days before D), runs (steps only), anomaly."""
    items = []
    for name in METRICS:
        run = (
            "run_start, longest_run"
            if name == "steps"
            else "int(null) AS run_start, int(null) AS longest_run"
        )
        items.append(
            f"struct('{name}' AS metric, {name} AS value, {name}_last - day AS age, {name}_n AS n,"
            f" {name}_sum / nullif({name}_n, 0) AS expected, {name}_sd AS sigma, {run})"
        )
    wide = anomaly.with_baselines(days, list(METRICS))
    values = wide.selectExpr("user", "day", f"inline(array({', '.join(items)}))")
    kept = values.where(f"value IS NOT NULL AND age < {_KEPT_DAYS}")
    return kept.select("user", "metric", "day", "value", "age", "run_start", "longest_run", anomaly.anomaly())


def _aggregate(values: DataFrame) -> DataFrame:
    """One row per (user, metric), with the aggregates of every range."""
    ranges = [
        column
        for length in RANGES.values()
        for column in (*rolling.range_aggregates(length), trend.previous_mean(length))
    ]
    return values.groupBy("user", "metric").agg(
        F.expr("max(day)").alias("last_day"),
        F.expr("max(if(age = 0, value, null))").alias("latest"),
        F.expr("max(if(age = 0, run_start, null))").alias("run_start"),
        F.expr("max(longest_run)").alias("longest_run"),
        # The latest anomaly of a range is the latest of all when that lies inside, else there is none.
        F.expr(f"max({rolling.in_range(LONGEST_RANGE_DAYS, 'anomaly')})").alias("anomaly"),
        *ranges,
    )


def _per_range(metrics: DataFrame) -> DataFrame:
    """One row per (user, metric, range), the aggregates under names without the range."""
    longest = f"sorted_{LONGEST_RANGE_DAYS}"
    ordered = [f"sort_array(values_{n}) AS sorted_{n}" for n in RANGES.values()]
    ranked = metrics.selectExpr("*", *ordered).select("*", percentile.percentile(longest, "latest"))
    items = [
        f"struct('{name}' AS range, mean_{n} AS mean, sd_{n} AS sd, previous_{n} AS previous,"
        f" days_{n} AS history_days, values_{n} AS history_values, sorted_{n} AS sorted,"
        f" if(anomaly.day > last_day - {n}, anomaly, null) AS anomaly)"
        for name, n in RANGES.items()
    ]
    return ranked.selectExpr(
        "user", "metric", "last_day", "run_start", "longest_run", "percentile",
        f"inline(array({', '.join(items)}))",
    )  # fmt: skip


def _finish(ranges: DataFrame) -> DataFrame:
    """The columns of RESULT_SCHEMA from the rows of `_per_range`."""
    changed = ranges.select("*", *trend.change_columns())
    return changed.select(
        "user", "metric", "range", "last_day", "mean", "trend_percentage", "absolute_change", "percentile",
        "history_days", "history_values",
        *trend.direction_columns(), *anomaly.anomaly_columns(), *streak.streak_columns(),
        *rolling.statistics_columns(),
    )  # fmt: skip

"""The health analytics of many users in one Spark job: composes the formulas, one module each.

One SQL query, because each DataFrame call would analyse the growing plan again; where Spark is local a batch
runs the plans of the one before it. Its steps: one row per value, windows over each series of values, one row
per series, one per range. On a cluster one shuffle, by user, or none when one partition is enough.
"""

from __future__ import annotations

import uuid
from typing import Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from analytics.health import anomaly, percentile, rolling, streak, trend
from analytics.health.days import WHOLE
from analytics.health.history_table import history_schema
from analytics.health.kept_plan import KeptPlans
from analytics.health.schemas import LONGEST_RANGE_DAYS, RANGES, RESULT_SCHEMA
from contracts.health_metrics import METRICS, OfMetrics

# Up to here one task is faster than a shuffle (measured on two cores).
ONE_PARTITION_USERS: Final = 100
# What an anomaly of the longest range can depend on; older days count for streaks and previous means only.
_BASELINE_AGE: Final = LONGEST_RANGE_DAYS + anomaly.BASELINE_DAYS


@OfMetrics
def _codes() -> dict[str, str]:
    """Metrics travel as small numbers: strings made sorting slower."""
    return {name: f"{code}Y" for code, name in enumerate(METRICS)}


def compute(spark: SparkSession, history: pa.Table, users_count: int) -> pa.Table:
    """The analytics of every user of `history`, as RESULT_SCHEMA, in any order.

    `history` has `user:int32`, `day:int32` (days since 1970-01-01) and the metrics of METRICS as nullable
    float64, at most one row per user and day, and is each user's whole history. `users_count` only
    chooses the plan on a cluster. A metric without a value gives no row. Spark's errors pass unchanged.
    """
    if history.num_rows == 0:
        return RESULT_SCHEMA.empty_table()
    result = _plans().run(spark, history)
    if result is None:
        rows = spark.createDataFrame(history)
        days = rows.coalesce(1) if users_count <= ONE_PARTITION_USERS else rows.repartition("user")
        result = analytics_of(days).toArrow()
    return result.select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA)


def analytics_of(days: DataFrame) -> DataFrame:
    """The columns of RESULT_SCHEMA from one row per (user, day)."""
    # A name of its own, because batches may run at the same time; the result does not need it any more.
    view = f"days_{uuid.uuid4().hex}"
    days.createOrReplaceTempView(view)
    try:
        return days.sparkSession.sql(_query(view))
    finally:
        days.sparkSession.catalog.dropTempView(view)


def _query(days: str) -> str:
    return _finish(_per_range(_aggregate(_with_baselines(_with_runs(_dated(_values(days)))))))


def _select(source: str, *columns: str, end: str = "") -> str:
    return f"SELECT {', '.join(columns)} FROM {source} {end}"


def _values(days: str) -> str:
    """One row per value: user, day, metric (its code), value."""
    pairs = ", ".join(f"{code}, `{name}`" for name, code in _codes().items())
    rows = _select(days, "user", "day", f"stack({len(_codes())}, {pairs}) AS (metric, value)")
    return _select(f"({rows})", "*", end="WHERE value IS NOT NULL")


def _dated(values: str) -> str:
    """Adds last_day (the series' D), previous_day, has_baseline."""
    last_day = f"max(day) OVER {WHOLE} AS last_day"
    before = streak.previous_day(streak.qualifies(_codes()))
    return _select(f"({values})", "*", last_day, before, anomaly.has_baseline())


def _with_runs(values: str) -> str:
    """Adds age (days before D), run_start, previous_N; drops the old days that nothing later looks at."""
    previous = [trend.previous_mean(length) for length in RANGES.values()]
    start = streak.run_start(streak.qualifies(_codes()))
    rows = _select(f"({values})", "*", "last_day - day AS age", start, *previous)
    return _select(f"({rows})", "*", end=f"WHERE age < {_BASELINE_AGE} OR run_start IS NOT NULL")


def _with_baselines(values: str) -> str:
    """Adds expected, sigma."""
    return _select(f"({values})", "*", *anomaly.baseline_columns())


def _aggregate(values: str) -> str:
    """One row per (user, metric), with the aggregates of every range."""
    columns = [column for length in RANGES.values() for column in rolling.range_aggregates(length)]
    columns += [f"max(previous_{length}) AS previous_{length}" for length in RANGES.values()]
    # The latest anomaly of a range is the latest of all when that lies inside, else there is none.
    latest_anomaly = f"max({rolling.in_range(LONGEST_RANGE_DAYS, anomaly.anomaly())}) AS anomaly"
    latest = "max(if(age = 0, value, null)) AS latest"
    return _select(
        f"({values})", "user", "metric", "max(day) AS last_day", latest, latest_anomaly,
        *streak.run_aggregates(), *columns, end="GROUP BY user, metric",
    )  # fmt: skip


def _per_range(series: str) -> str:
    """One row per (user, metric, range), the aggregates under names without the range."""
    name = f"elt(metric + 1, {', '.join(repr(name) for name in _codes())}) AS metric"
    ordered = [f"sort_array(values_{n}) AS sorted_{n}" for n in RANGES.values()]
    sorted_series = _select(f"({series})", "* EXCEPT (metric)", name, *ordered)
    items = [
        f"struct('{label}' AS range, mean_{n} AS mean, sd_{n} AS sd, previous_{n} AS previous,"
        f" days_{n} AS history_days, values_{n} AS history_values, sorted_{n} AS sorted,"
        f" if(anomaly.day > last_day - {n}, anomaly, null) AS anomaly)"
        for label, n in RANGES.items()
    ]
    rank = percentile.percentile(f"sorted_{LONGEST_RANGE_DAYS}", "latest")
    ranges = f"inline(array({', '.join(items)}))"
    return _select(
        f"({sorted_series})", "user", "metric", "last_day", "run_start", "longest_run", rank, ranges
    )


def _finish(ranges: str) -> str:
    """The columns of RESULT_SCHEMA."""
    changed = _select(f"({ranges})", "*", *trend.change_columns())
    return _select(
        f"({changed})",
        "user", "metric", "range", "last_day", "mean", "trend_percentage", "absolute_change", "percentile",
        "history_days", "history_values",
        *trend.direction_columns(), *anomaly.anomaly_columns(), *streak.streak_columns(),
        *rolling.statistics_columns(),
    )  # fmt: skip


@OfMetrics
def _plans() -> KeptPlans:
    return KeptPlans(_query, history_schema())

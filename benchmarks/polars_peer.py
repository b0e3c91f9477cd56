"""Computes the same analytics with polars, in this process, as a measure for Spark's part.

Its results are compared with Spark's in every run. Its moving deviation is not safe for constant baselines,
which the measured population does not have.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from analytics.health import anomaly, streak, trend
from analytics.health.schemas import LONGEST_RANGE_DAYS, RANGES, RELATIVE_TOLERANCE, RESULT_SCHEMA
from contracts.health import METRICS

_KEY = ["user", "metric"]
_ABOVE = 1 + RELATIVE_TOLERANCE


def compute(history: pa.Table) -> pa.Table:
    """Returns the same as `analytics.health.compute.compute`, from the same table."""
    wide = pl.DataFrame(history)
    values = _values(wide)
    groups = values.group_by(_KEY, maintain_order=True)
    metrics = groups.agg(
        last_day=pl.col("day").last(),
        latest=pl.col("value").last(),
        **{name: column for n in RANGES.values() for name, column in _aggregates(n).items()},
    ).join(_runs(wide), on=_KEY, how="left")
    ranges = pl.concat([_one_range(metrics, name, n) for name, n in RANGES.items()])
    return _finish(ranges).select(RESULT_SCHEMA.names).to_arrow().cast(RESULT_SCHEMA)


def _values(wide: pl.DataFrame) -> pl.DataFrame:
    """One row per value, with its age and its 30-day baseline."""
    names = list(METRICS)
    long = wide.unpivot(on=names, index=["user", "day"], variable_name="metric", value_name="value")
    values = long.drop_nulls("value").sort([*_KEY, "day"])
    values = values.with_columns(age=pl.col("day").max().over(_KEY) - pl.col("day"))
    values = values.filter(pl.col("age") < 2 * LONGEST_RANGE_DAYS)
    window: dict[str, Any] = {"window_size": f"{anomaly.BASELINE_DAYS}i", "closed": "left"}
    value, minimum = pl.col("value"), anomaly.MINIMUM_VALUES
    values = values.with_columns(
        expected=value.rolling_mean_by("day", **window, min_samples=minimum).over(_KEY),
        sigma=value.rolling_std_by("day", **window, min_samples=minimum).over(_KEY),
    )
    gap = (value - pl.col("expected")).abs()
    flat = anomaly.FLAT * pl.max_horizontal(pl.lit(1.0), pl.col("expected").abs())
    found = (pl.col("sigma") > flat) & (gap > anomaly.SIGMAS * _ABOVE * pl.col("sigma"))
    return values.with_columns(anomalous=found.fill_null(value=False))


def _aggregates(n: int) -> dict[str, pl.Expr]:
    inside = pl.col("age") < n
    before = (pl.col("age") >= n) & (pl.col("age") < 2 * n)
    value = pl.col("value").filter(inside)
    odd = inside & pl.col("anomalous")
    return {
        f"mean_{n}": value.mean(),
        f"standard_deviation_{n}": value.std().fill_null(0.0),
        f"minimum_{n}": value.min(),
        f"maximum_{n}": value.max(),
        f"median_{n}": value.median(),
        f"count_{n}": value.len(),
        f"lower_{n}": (value < pl.col("value").last()).sum(),
        f"history_days_{n}": pl.col("day").filter(inside),
        f"history_values_{n}": value,
        f"previous_{n}": pl.col("value").filter(before).mean(),
        f"anomaly_day_{n}": pl.col("day").filter(odd).last(),
        f"anomaly_value_{n}": pl.col("value").filter(odd).last(),
        f"anomaly_expected_{n}": pl.col("expected").filter(odd).last(),
        f"sigma_{n}": pl.col("sigma").filter(odd).last(),
    }


def _runs(wide: pl.DataFrame) -> pl.DataFrame:
    """Longest and latest run of each user's qualifying days, from the whole history."""
    good = wide.filter(pl.col("steps") > streak.STEPS_THRESHOLD).select("user", "day").sort("user", "day")
    # Within a run the day grows as the row number does.
    numbered = good.with_columns(run=pl.col("day") - pl.int_range(pl.len()).over("user"))
    runs = numbered.group_by("user", "run").agg(start=pl.col("day").min(), end=pl.col("day").max())
    return (
        runs.sort("end")
        .group_by("user")
        .agg(
            longest_streak=(pl.col("end") - pl.col("start") + 1).max(),
            start=pl.col("start").last(),
            end=pl.col("end").last(),
        )
        .with_columns(metric=pl.lit("steps"))
    )


def _one_range(metrics: pl.DataFrame, name: str, n: int) -> pl.DataFrame:
    longest = LONGEST_RANGE_DAYS
    others = [pl.col(c).alias(c.removesuffix(f"_{n}")) for c in metrics.columns if c.endswith(f"_{n}")]
    rank = 100.0 * pl.col(f"lower_{longest}") / (pl.col(f"count_{longest}") - 1)
    return metrics.select(
        *_KEY,
        "last_day",
        "longest_streak",
        "start",
        "end",
        *others,
        range=pl.lit(name),
        percentile=pl.when(pl.col(f"count_{longest}") == 1).then(50.0).otherwise(rank),
    )


def _finish(ranges: pl.DataFrame) -> pl.DataFrame:
    mean, previous = pl.col("mean"), pl.col("previous")
    percent = (
        pl.when(previous > 0)
        .then((100 * (mean - previous) / previous).clip(*trend.CHANGE_LIMITS))
        .otherwise(0.0)
    )
    changed = ranges.with_columns(
        trend_percentage=percent,
        absolute_change=(mean - previous).fill_null(0.0),
        anomaly_deviation=(pl.col("anomaly_value") - pl.col("anomaly_expected")) / pl.col("sigma"),
    )
    limit = trend.TREND_PERCENT * _ABOVE
    up, down = pl.col("trend_percentage") > limit, pl.col("trend_percentage") < -limit
    judged = previous.is_not_null() & ~pl.col("metric").is_in(list(trend.NEUTRAL_METRICS))
    rounding = RELATIVE_TOLERANCE * pl.max_horizontal(mean, previous)
    z = pl.col("anomaly_deviation").abs()
    high, medium = z > anomaly.HIGH_ABOVE * _ABOVE, z > anomaly.MEDIUM_ABOVE * _ABOVE
    low = pl.when(z.is_not_null()).then(pl.lit("low"))
    runs_now = pl.col("end") == pl.col("last_day")
    start = pl.when(runs_now).then(pl.col("start"))
    return changed.with_columns(
        trend=pl.when(up).then(pl.lit("up")).when(down).then(pl.lit("down")).otherwise(pl.lit("stable")),
        is_improvement=pl.when(judged).then(pl.col("absolute_change") > rounding),
        anomaly_severity=pl.when(high)
        .then(pl.lit("high"))
        .when(medium)
        .then(pl.lit("medium"))
        .otherwise(low),
        streak_days=(pl.col("last_day") - start + 1).fill_null(0),
        streak_start=start,
        longest_streak=pl.col("longest_streak").fill_null(0),
    )

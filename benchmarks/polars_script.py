"""What a good engineer writes in an afternoon instead of this service: pymongo reads, polars computes.

Frozen, and it shares nothing with the service: it imports none of it, and does not change when that does. Run
by cron it would be `python polars_script.py mongodb://… DATABASE`. It has every formula and the whole result,
and none of the rest: no order of writers, no late commits, no dead letters, no second try, no odd documents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from pymongo import MongoClient, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

RANGES = {"7day": ("week", 7), "30day": ("month", 30), "90day": ("quarter", 90)}
LIMITS = {
    "steps": (0, 100_000), "distance": (0, 500), "calories": (0, 10_000), "activeMinutes": (0, 1_440),
    "weight": (30, 300), "sleepHours": (0, 24), "heartPoints": (0, 500), "hydration": (0, 10),
}  # fmt: skip
LABELS = {name: name.capitalize() for name in LIMITS} | {
    "activeMinutes": "Active minutes", "sleepHours": "Sleep", "heartPoints": "Heart points",
}  # fmt: skip
ODD = ("odd_day", "odd_value", "odd_mean", "odd_sd")
PARTS = ("mean", "sd", "least", "most", "median", "days", "values", "before", *ODD)
WEARABLE = ("heartRate", "oxygenSaturation", "bloodOxygen")
COUNTED = {
    "source": {"$in": ["googlefit", "manual"]},
    **{f"{where}{name}": None for name in WEARABLE for where in ("metrics.", "")},
}
EPOCH, DAY = datetime(1970, 1, 1), timedelta(days=1)  # noqa: DTZ001 - pymongo's dates are naive UTC
KEY = ["user", "metric"]
# A threshold must be exceeded by more than rounding.
ABOVE = 1 + 1e-9
Store = Collection[dict[str, Any]]


def run(source: Store, target: Store, cursor: Path) -> int:
    """Process what changed since the time in the file `cursor`; returns the number of results written."""
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    since = datetime.fromisoformat(cursor.read_text()) if cursor.exists() else EPOCH
    changed = source.distinct("userId", {"updatedAt": {"$gt": since, "$lte": now}})
    written = 0
    for start in range(0, len(changed), 1_000):
        users = changed[start : start + 1_000]
        found = source.find({"userId": {"$in": users}, **COUNTED}, batch_size=20_000)
        days = read(found, {user: number for number, user in enumerate(users)})
        rows = compute(days).iter_rows(named=True)
        updates = [each for row in rows for each in updates_of(row, users, now)]
        if updates:
            target.bulk_write(updates, ordered=False)
        written += len(updates)
    cursor.write_text(now.isoformat())
    return written


def read(found: Iterable[dict[str, Any]], numbers: dict[Any, int]) -> pl.DataFrame:
    """One row per user and day."""
    documents = list(found)
    metrics = [document["metrics"] for document in documents]
    days = pl.DataFrame(
        {
            "user": pl.Series([numbers[document["userId"]] for document in documents], dtype=pl.Int32),
            "date": pl.Series([document["date"] for document in documents], dtype=pl.Datetime),
            **{name: pl.Series([each.get(name) for each in metrics], dtype=pl.Float64) for name in LIMITS},
        }
    )
    usable = [pl.when(pl.col(name).is_between(*LIMITS[name])).then(pl.col(name)) for name in LIMITS]
    return days.select("user", pl.col("date").dt.epoch("d").alias("day"), *usable).sort("user", "day")


def compute(days: pl.DataFrame) -> pl.DataFrame:
    """One row per user, metric and range."""
    values = days.unpivot(list(LIMITS), index=["user", "day"], variable_name="metric").drop_nulls("value")
    values = values.sort("metric", "user", "day").with_columns(last=pl.col("day").max().over(KEY))
    values = values.with_columns(age=pl.col("last") - pl.col("day")).filter(pl.col("age") < 180)
    value = pl.col("value")
    values = values.with_columns(
        expected=value.rolling_mean_by("day", "30i", min_samples=5, closed="left").over(KEY),
        sigma=value.rolling_std_by("day", "30i", min_samples=5, closed="left").over(KEY),
    )
    mean, sigma = pl.col("expected"), pl.col("sigma")
    flat = 1e-9 * pl.max_horizontal(pl.lit(1.0), mean.abs())
    odd = (sigma > flat) & ((value - mean).abs() > 2 * ABOVE * sigma)
    values = values.with_columns(odd=odd.fill_null(value=False))
    series = values.group_by(KEY, maintain_order=True).agg(
        pl.col("last").first(), rank(), *(each for name in RANGES for each in aggregates(name))
    )
    return series.join(runs(days), on="user", how="left")


def rank() -> pl.Expr:
    """Where the latest value stands among those of 90 days."""
    value = pl.col("value").filter(pl.col("age") < 90)
    share = 100.0 * (value < value.last()).sum() / (value.len() - 1)
    return pl.when(value.len() == 1).then(50.0).otherwise(share).alias("rank")


def aggregates(name: str) -> list[pl.Expr]:
    """What is known of the range `name`, under the names of PARTS."""
    n, age, value = RANGES[name][1], pl.col("age"), pl.col("value")
    inside, odd = value.filter(age < n), pl.col("odd") & (age < n)
    parts = [
        inside.mean(), inside.std(), inside.min(), inside.max(), inside.median(),
        pl.col("day").filter(age < n), inside, value.filter((age >= n) & (age < 2 * n)).mean(),
        *(pl.col(column).filter(odd).last() for column in ("day", "value", "expected", "sigma")),
    ]  # fmt: skip
    return [part.alias(f"{what}_{name}") for what, part in zip(PARTS, parts, strict=True)]


def runs(days: pl.DataFrame) -> pl.DataFrame:
    """Each user's longest and latest run of days with more than 1 000 steps."""
    good = days.filter(pl.col("steps") > 1_000)
    run = pl.col("day") - pl.int_range(pl.len(), dtype=pl.Int32).over("user")
    found = good.group_by("user", run.alias("run"), maintain_order=True).agg(
        start=pl.col("day").first(), end=pl.col("day").last()
    )
    longest = (pl.col("end") - pl.col("start") + 1).max()
    return found.group_by("user", maintain_order=True).agg(
        longest=longest, start=pl.col("start").last(), end=pl.col("end").last()
    )


def updates_of(row: dict[str, Any], users: list[Any], now: datetime) -> Iterator[UpdateOne]:
    """The upserts of one series, a range each."""
    steps = row["metric"] == "steps"
    current = steps and row["end"] == row["last"]
    for name, (period, n) in RANGES.items():
        one = {what: row[f"{what}_{name}"] for what in PARTS}
        mean, before = one["mean"], one["before"]
        percent = 100 * (mean - before) / before if before else 0.0
        trend = "up" if percent > 5 * ABOVE else "down" if percent < -5 * ABOVE else "stable"
        better = None
        if before is not None and row["metric"] != "weight":
            better = mean - before > 1e-9 * max(mean, before)
        values = {
            "rollingAverage": mean,
            "trend": trend,
            "trendPercentage": min(max(percent, -100.0), 1_000.0),
            "anomalyDetected": one["odd_day"] is not None,
            "anomalyDetails": anomaly(row["metric"], one),
            "streakDays": min(row["last"] - row["start"] + 1, 3_650) if current else 0,
            "longestStreak": min(row["longest"] or 0, 3_650) if steps else 0,
            "streakStartDate": midnight(row["start"]) if current else None,
            "percentile": row["rank"],
            "comparisonToPrevious": {
                "absoluteChange": 0.0 if before is None else mean - before,
                "percentageChange": min(max(percent, -100.0), 1e6),
                "isImprovement": better,
            },
            "statistics": {
                "standardDeviation": one["sd"] or 0.0,
                "minValue": one["least"],
                "maxValue": one["most"],
                "medianValue": one["median"],
                "dataPointsCount": len(one["days"]),
                "completenessPercentage": 100.0 * len(one["days"]) / n,
            },
        }
        history = [
            {"date": midnight(day), "value": value}
            for day, value in zip(one["days"], one["values"], strict=True)
        ]
        key = {"userId": users[row["user"]], "timeRange": name, "metricType": row["metric"]}
        result = {"period": period, "analytics": values, "historicalData": history}
        times = {"calculatedAt": now, "expiresAt": now + 90 * DAY, "updatedAt": now}
        yield UpdateOne(key, {"$set": {**result, **times}, "$setOnInsert": {"createdAt": now}}, upsert=True)


def anomaly(metric: str, one: dict[str, Any]) -> dict[str, Any] | None:
    """The latest anomalous day of a range."""
    if one["odd_day"] is None:
        return None
    value, mean, date = one["odd_value"], one["odd_mean"], midnight(one["odd_day"])
    z = (value - mean) / one["odd_sd"]
    way = "above" if z > 0 else "below"
    return {
        "severity": "high" if abs(z) > 4 * ABOVE else "medium" if abs(z) > 3 * ABOVE else "low",
        "actualValue": value,
        "expectedValue": mean,
        "deviation": z,
        "detectedAt": date,
        "message": f"{LABELS[metric]} of {value:,.10g} on {date:%Y-%m-%d}: {abs(z):.1f} standard deviations "
        f"{way} the usual {mean:,.5g}",
    }


@cache
def midnight(day: int) -> datetime:
    """The date of a day counted from 1970."""
    return EPOCH + day * DAY


def ensure_index(target: Store) -> None:
    """One result of a user, metric and range."""
    target.create_index([("userId", 1), ("timeRange", 1), ("metricType", 1)], unique=True)


def main(uri: str, database: str) -> None:
    """Process what changed, once."""
    store: Database[dict[str, Any]] = MongoClient(uri)[database]
    ensure_index(store["analytics"])
    written = run(store["healthmetrics"], store["analytics"], Path("polars_script.cursor"))
    sys.stdout.write(f"{written} results\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

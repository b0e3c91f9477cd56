"""The documents of the `analytics` collection, from the rows of `health.compute`.

Source of the shape and of every limit: the contract of the existing backend's Mongoose model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from bson.objectid import ObjectId

from analytics.health.schemas import RANGES
from contracts.health_metrics import METRICS

# Raise it when the same row gives another document: equal hashes of rows mean that what is stored is equal.
CONTENT_VERSION: Final = 1
LIFETIME: Final = timedelta(days=90)
MAX_STREAK_DAYS: Final = 3650
_PERIODS: Final = {"7day": "week", "30day": "month", "90day": "quarter"}
_TREND_LIMITS: Final = (-100.0, 1000.0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_Row = Mapping[str, Any]


def is_result(document: _Row) -> bool:
    """Whether `document` can be one of these; those of another program may hold anything."""
    metric, time_range = document.get("metricType"), document.get("timeRange")
    return (
        isinstance(document.get("userId"), ObjectId)
        and isinstance(document.get("analytics"), Mapping)
        # In lists, because a stored value may have no hash.
        and metric in list(METRICS)
        and time_range in list(RANGES)
    )


def build_document(
    row: _Row,
    user: ObjectId,
    history: Iterable[tuple[int, float]],
    calculated_at: datetime,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of one `row` (RESULT_SCHEMA) of `user`, without createdAt and updatedAt.

    `history` has the row's days and values, oldest first. Dates are aware UTC midnights.
    """
    return {
        "userId": user,
        "metricType": row["metric"],
        "timeRange": row["range"],
        "period": _PERIODS[row["range"]],
        "analytics": _analytics(row),
        "historicalData": [{"date": midnight(day), "value": value} for day, value in history],
        "calculatedAt": calculated_at,
        "expiresAt": calculated_at + LIFETIME,
        "metadata": metadata,
    }


def _analytics(row: _Row) -> dict[str, Any]:
    low, high = _TREND_LIMITS
    start = row["streak_start"]
    return {
        "rollingAverage": row["mean"],
        "trend": row["trend"],
        "trendPercentage": min(max(row["trend_percentage"], low), high),
        "anomalyDetected": row["anomaly_day"] is not None,
        "anomalyDetails": _anomaly(row) if row["anomaly_day"] is not None else None,
        "streakDays": min(row["streak_days"], MAX_STREAK_DAYS),
        "longestStreak": min(row["longest_streak"], MAX_STREAK_DAYS),
        "streakStartDate": None if start is None else midnight(start),
        "percentile": row["percentile"],
        "comparisonToPrevious": {
            "absoluteChange": row["absolute_change"],
            "percentageChange": row["trend_percentage"],
            "isImprovement": row["is_improvement"],
        },
        "statistics": {
            "standardDeviation": row["standard_deviation"],
            "minValue": row["minimum"],
            "maxValue": row["maximum"],
            "medianValue": row["median"],
            "dataPointsCount": row["count"],
            "completenessPercentage": 100.0 * row["count"] / RANGES[row["range"]],
        },
    }


def _anomaly(row: _Row) -> dict[str, Any]:
    value, expected, deviation = row["anomaly_value"], row["anomaly_expected"], row["anomaly_deviation"]
    direction = "above" if deviation > 0 else "below"
    return {
        "severity": row["anomaly_severity"],
        "actualValue": value,
        "expectedValue": expected,
        "deviation": deviation,
        "detectedAt": midnight(row["anomaly_day"]),
        "message": (
            f"{METRICS[row['metric']].label} of {value:,.10g} on {midnight(row['anomaly_day']):%Y-%m-%d}: "
            f"{abs(deviation):.1f} standard deviations {direction} the usual {expected:,.5g}"
        ),
    }


def beside_its_day(message: str, day: datetime) -> str:
    """The message of an anomaly for a line that names its `day` anyway."""
    return message.replace(f" on {day:%Y-%m-%d}:", ":", 1)


@lru_cache(maxsize=100_000)
def midnight(day: int) -> datetime:
    """The UTC midnight of a day counted from 1970-01-01."""
    return _EPOCH + timedelta(days=day)

"""The documents' shape and limits, as the backend's Mongoose model demands them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pyarrow as pa
from bson.objectid import ObjectId

from analytics.health.results import CalculatedResults
from analytics.health.schemas import RESULT_SCHEMA

USER = ObjectId()
CALCULATED_AT = datetime(2025, 7, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)
ROW: dict[str, Any] = {
    "user": 0, "metric": "activeMinutes", "range": "30day", "last_day": 20_000, "mean": 42.5,
    "trend_percentage": 12.0, "trend": "up", "absolute_change": 4.5, "is_improvement": True,
    "anomaly_day": 19_999, "anomaly_value": 120.0, "anomaly_expected": 40.0, "anomaly_deviation": 3.25,
    "anomaly_severity": "medium", "streak_days": 0, "longest_streak": 0, "streak_start": None,
    "percentile": 75.0, "standard_deviation": 3.0, "minimum": 30.0, "maximum": 120.0, "median": 41.0,
    "count": 3,
    "history_days": [20_000, 19_998, 19_999], "history_values": [3.0, 1.0, 2.0],
}  # fmt: skip


def _document(**changes: Any) -> dict[str, Any]:
    table = pa.Table.from_pylist([{**ROW, **changes}], RESULT_SCHEMA)
    results = CalculatedResults(table, [USER], CALCULATED_AT, {"sparkJobId": "app:batch_1"})
    (document,) = results.documents([0])
    return document


def _day(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(days=number)


def test_keys_dates_and_period() -> None:
    """The top level, with types as BSON stores them."""
    document = _document()
    assert document["userId"] == USER
    assert (document["metricType"], document["timeRange"], document["period"]) == (
        "activeMinutes",
        "30day",
        "month",
    )
    assert document["calculatedAt"] == CALCULATED_AT
    assert document["expiresAt"] == CALCULATED_AT + timedelta(days=90)
    assert document["metadata"]["sparkJobId"] == "app:batch_1"
    assert bson.decode(bson.encode(document))["analytics"]["statistics"]["dataPointsCount"] == 3


def test_history_is_oldest_first() -> None:
    """Spark collects in any order; the sparkline needs this one."""
    points = _document()["historicalData"]
    assert points == [{"date": _day(19_997 + value), "value": float(value)} for value in (1, 2, 3)]


def test_the_anomaly_has_all_six_fields() -> None:
    """The model requires them when anomalyDetected is true; the message is a sentence of at most 500."""
    details = _document()["analytics"]["anomalyDetails"]
    assert set(details) == {"severity", "actualValue", "expectedValue", "deviation", "detectedAt", "message"}
    assert details["detectedAt"] == _day(19_999)
    assert details["message"] == (
        f"Active minutes of 120 on {_day(19_999):%Y-%m-%d}: 3.2 standard deviations above the usual 40"
    )

"""What a one-shot run shows at its end, on the real server."""

from __future__ import annotations

import io
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from rich.console import Console

from analytics.health.documents import LIFETIME
from analytics.health.schemas import RANGES
from commands.batch_results import print_results, results_since
from contracts.health_metrics import METRICS
from sinks.health.indexes import ensure_indexes

BEGAN = datetime(2026, 11, 28, 8, tzinfo=timezone.utc)
USERS = 61


def _results(calculated: datetime) -> list[dict[str, Any]]:
    """All results of a new user, with an anomaly in each metric."""
    user = ObjectId()
    return [
        {
            "userId": user,
            "metricType": metric,
            "timeRange": time_range,
            "calculatedAt": calculated,
            "expiresAt": calculated + LIFETIME,
            "analytics": {
                "anomalyDetected": time_range == "90day",
                "rollingAverage": 1.0,
                "anomalyDetails": {"detectedAt": BEGAN, "message": "Steps of 1 on 2026-11-28: 9.0 σ above"},
            },
        }
        for metric in METRICS
        for time_range in RANGES
    ]


def test_a_one_shot_run_shows_whole_users_and_totals_of_all(database: Database[dict[str, Any]]) -> None:
    """All of one moment, as a piece is, and stored in any order; what older runs wrote is left out."""
    target, out = database["analytics"], io.StringIO()
    ensure_indexes(target)
    now = BEGAN + timedelta(seconds=9)
    groups = [
        *(_results(now) for _ in range(USERS)),
        *(_results(BEGAN - timedelta(days=1)) for _ in range(9)),
    ]
    target.insert_many([document for row in zip(*groups, strict=True) for document in row])
    found = results_since(target, BEGAN)
    shown = Counter(document["userId"] for document in found.shown)
    assert list(shown.values()) == [len(METRICS) * len(RANGES)] * 5
    assert (found.users, found.anomalies) == (USERS, USERS * len(METRICS))
    print_results(found, Console(file=out, width=200))
    assert "Shown: 5 of 61 users" in out.getvalue()
    assert f"Detected anomalies: {USERS * len(METRICS)}, {5 * len(METRICS)} of them" in out.getvalue()
    lines = [line for line in out.getvalue().splitlines() if "Steps of 1" in line]
    assert len(lines) == 5 * len(METRICS)
    assert all(line.endswith(" 2026-11-28 Steps of 1: 9.0 σ above") for line in lines)
    target.delete_many({})
    assert results_since(target, BEGAN) == type(found)([], 0, 0)

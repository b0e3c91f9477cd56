"""Event bodies: what the client reads, both limits, and nothing that is no JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise, product
from typing import Any

import pytest
from bson import ObjectId
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from sinks.health.backend_payloads import MAX_BYTES, MAX_ITEMS, PayloadError, batch_updates
from tests.support.client_page import ClientPage
from tests.support.fake_backend import METRICS, PERIODS, FakeBackend, violations
from tests.support.reference import reference_analytics
from tests.support.strategies import histories

USER = ObjectId("507f1f77bcf86cd799439011")
CALCULATED = datetime(2025, 7, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
NOW = datetime(2025, 7, 1, 12, 0, 1, tzinfo=timezone.utc)


def document(metric: str = "steps", days: str = "7day", **extra: Any) -> dict[str, Any]:
    """An analytics document as it is stored."""
    return {
        "metricType": metric,
        "timeRange": days,
        "period": PERIODS[days],
        "historicalData": [
            {"date": datetime(2025, 6, 28, tzinfo=timezone.utc), "value": 8000.0},
            {"date": datetime(2025, 6, 29, tzinfo=timezone.utc), "value": 18000.0},
        ],
        "analytics": {
            "rollingAverage": 100.0, "trend": "up", "trendPercentage": 11.67, "streakDays": Int64(7),
            "longestStreak": 7, "streakStartDate": datetime(2025, 6, 25, tzinfo=timezone.utc),
            "percentile": 23.08, "anomalyDetected": True,
            "anomalyDetails": {
                "severity": "high", "actualValue": 18000.0, "expectedValue": 8500.0, "deviation": 11.35,
                "detectedAt": datetime(2025, 6, 29, tzinfo=timezone.utc), "message": "Steps of 18,000 · ±",
            },
            "comparisonToPrevious": {"absoluteChange": 1.0, "percentageChange": 11.67, "isImprovement": True},
            "statistics": {"completenessPercentage": 100.0, "standardDeviation": 0.0},
        },
        "calculatedAt": CALCULATED,
        "createdAt": CALCULATED - timedelta(days=1),
        **extra,
    }  # fmt: skip


def events(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bodies, decoded."""
    return [json.loads(body) for body in batch_updates(USER, documents, CALCULATED, NOW)]


def test_a_users_documents_are_one_event_with_what_the_client_reads() -> None:
    """24 documents in one body, dates as ISO text in UTC with a Z."""
    (event,) = events([document(metric, days) for metric, days in product(sorted(METRICS), sorted(PERIODS))])
    assert event["userId"] == str(USER)
    assert event["eventType"] == "analytics:batch_update"
    data = event["data"]
    assert (data["count"], data["totalCount"], data["batchIndex"], data["totalBatches"]) == (24, 24, 1, 1)
    assert data["isBatch"] is True
    assert data["userId"] == str(USER)
    assert data["timestamp"] == "2025-07-01T12:00:01.000Z"
    item = data["analytics"][0]
    assert item["calculatedAt"] == "2025-07-01T12:00:00.250Z"
    assert item["analytics"]["streakStartDate"] == "2025-06-25T00:00:00.000Z"
    assert item["analytics"]["anomalyDetails"]["message"] == "Steps of 18,000 · ±"


def test_the_strict_backend_finds_nothing_to_complain_about() -> None:
    """And it does complain about a body with faults, or its silence would prove nothing."""
    backend = FakeBackend()
    good = batch_updates(USER, [document(), document("weight", "90day")], CALCULATED, NOW)[0]
    bad = json.loads(good)
    bad["data"].update(count=7, timestamp="2025-07-01 12:00")
    bad["data"]["analytics"][0].update(metricType="Steps", calculatedAt=1, anomalyDetected=True)
    for name in ("period", "rollingAverage", "historicalData"):
        del bad["data"]["analytics"][0][name]
    backend.down()
    assert backend.judge("/api/events/emit", f"Bearer {backend.token}", good)[0] == 200
    assert backend.violations == []
    backend.judge("/api/events/emit", f"Bearer {backend.token}", json.dumps(bad).encode())
    faults = [
        *("metricType", "period", "calculatedAt"),
        *("top-level rollingAverage", "top-level anomalyDetected", "historicalData"),
    ]
    assert backend.violations == ["count", "timestamp", *(f"Steps 7day: {fault}" for fault in faults)]


def served(value: Any) -> Any:
    """A stored value as the backend serves it."""
    return json.loads(
        json.dumps(value, default=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.{moment:%f}"[:23] + "Z")
    )


@given(documents=histories(), old=st.lists(st.booleans(), min_size=24, max_size=24))
def test_a_card_shows_the_same_live_as_after_a_reload(
    documents: list[dict[str, Any]], old: list[bool]
) -> None:
    """The client replaces its whole entry by the item: whatever the results are, nothing goes away."""
    results: dict[ObjectId, list[dict[str, Any]]] = {}
    for key, result in reference_analytics(documents, "UTC", NOW.date()).items():
        created = NOW if old[len(results.get(key[0], []))] else CALCULATED
        stored = {**result, "calculatedAt": CALCULATED, "createdAt": created, "metadata": {}}
        results.setdefault(key[0], []).append(stored)
    for user, stored_documents in results.items():
        reloaded = ClientPage(served([{**one, "userId": None} for one in stored_documents]))
        live = ClientPage([])
        for event in map(json.loads, batch_updates(user, stored_documents, CALCULATED, NOW)):
            assert violations(event) == []
            live.hear(event)
        assert live.entries.keys() == reloaded.entries.keys()
        for metric in {one["metricType"] for one in stored_documents}:
            assert live.card(metric) == reloaded.card(metric)
        assert live.anomalies == reloaded.anomalies
        assert live.is_active


def test_only_a_history_that_no_body_can_hold_is_left_out() -> None:
    """Stored by another program, perhaps. The rest of the card comes; what fits brings its sparkline."""
    point = document()["historicalData"][0]
    long, huge = [{**point, "value": float(number)} for number in range(1_000)], [point] * 2_000
    found = [
        item
        for event in events(
            [document(historicalData=long), document("weight", historicalData=huge), document("calories"),
             document("distance", historicalData=long), document("hydration", "30day")]
        )
        for item in event["data"]["analytics"]
    ]  # fmt: skip
    kept = {item["metricType"]: len(item.get("historicalData", [])) for item in found}
    assert kept == {"steps": 1_000, "weight": 0, "calories": 2, "distance": 1_000, "hydration": 0}
    assert all(item["rollingAverage"] == 100.0 for item in found)


def test_a_day_of_the_first_centuries_is_a_date_too() -> None:
    """ISO 8601 has four digits of the year; a phone whose clock is wrong may send any."""
    day = datetime(33, 4, 3, tzinfo=timezone.utc)
    (event,) = events([document(historicalData=[{"date": day, "value": 1.0}])])
    assert violations(event) == []
    assert event["data"]["analytics"][0]["historicalData"][0]["date"] == "0033-04-03T00:00:00.000Z"


def test_the_operation_is_what_happened_to_the_document() -> None:
    """Created by this calculation: insert; else update."""
    (event,) = events([document(createdAt=CALCULATED), document(days="30day"), document(days="90day")])
    assert [item["operationType"] for item in event["data"]["analytics"]] == ["insert", "update", "update"]


def test_two_bodies_of_one_user_have_different_ids() -> None:
    """The client would take the second of one second for a repetition and drop it."""
    found = events([document() for _ in range(MAX_ITEMS + 1)])
    later = batch_updates(USER, [document()], CALCULATED + timedelta(milliseconds=1), NOW)
    ids = [event["data"]["documentId"] for event in [*found, *map(json.loads, later)]]
    assert len(set(ids)) == 3


@given(sizes=st.lists(st.integers(0, 60_000), max_size=130))
def test_any_documents_fit_both_limits_and_none_is_lost(sizes: list[int]) -> None:
    """At most 50 items and 100 000 bytes each, numbered from 1, in order, as few as a greedy cut gives."""
    documents = [document(note=index) for index, _ in enumerate(sizes)]
    for item, size in zip(documents, sizes, strict=True):
        item["analytics"] = {"index": item["note"], "text": "ä" * (size // 2)}
    bodies = batch_updates(USER, documents, CALCULATED, NOW)
    found = [json.loads(body)["data"] for body in bodies]
    assert all(len(body) <= MAX_BYTES for body in bodies)
    assert [data["batchIndex"] for data in found] == list(range(1, len(bodies) + 1))
    assert {data["totalBatches"] for data in found} <= {len(bodies)}
    assert {data["totalCount"] for data in found} <= {len(sizes)}
    assert all(1 <= data["count"] == len(data["analytics"]) <= MAX_ITEMS for data in found)
    indexes = [item["analytics"]["index"] for data in found for item in data["analytics"]]
    assert indexes == list(range(len(sizes)))
    for earlier, later in pairwise(bodies):
        first_of_later = json.dumps(json.loads(later)["data"]["analytics"][0], ensure_ascii=False).encode()
        full = json.loads(earlier)["data"]["count"] == MAX_ITEMS
        assert full or len(earlier) + len(first_of_later) > MAX_BYTES - 1_000


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), ObjectId(), b"bytes", "\ud800", "x" * MAX_BYTES, {1: 2, (3,): 4}]
)
def test_what_cannot_be_sent_is_one_clear_error(value: Any) -> None:
    """Stored by somebody else, perhaps; never half a body and never invalid JSON."""
    with pytest.raises(PayloadError):
        batch_updates(USER, [document(), document(analytics={"rollingAverage": value})], CALCULATED, NOW)

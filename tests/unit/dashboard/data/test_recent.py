"""What the newest analytics tell about everybody."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId

from dashboard.data import recent
from dashboard.data.recent import Recent, read_recent
from sources.mongo_client import connect


def _store(documents: list[dict[str, Any]]) -> Any:
    collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
    if documents:
        collection.insert_many([dict(document) for document in documents])
    return collection


def _now() -> datetime:
    return datetime.now(timezone.utc)


def test_everybody_is_counted_and_listed(documents: list[dict[str, Any]]) -> None:
    """Users exactly, the latest calculated first, and the documents by age."""
    found = read_recent(_store(documents))
    users = [str(user) for user in dict.fromkeys(document["userId"] for document in documents)]
    assert found.users() == users
    assert found.user_count() == 4
    assert found.documents == len(documents)
    assert set(found.windows.values()) == {len(documents)}
    assert found.newest == max(document["calculatedAt"] for document in documents)
    assert found.complete_since("UTC") is None


def test_each_anomaly_is_there_once_the_latest_day_first(documents: list[dict[str, Any]]) -> None:
    """One row per user and metric that has one, from the longest range, which holds them all."""
    found = read_recent(_store(documents)).anomalies
    expected = {
        (str(d["userId"]), d["metricType"], d["analytics"]["anomalyDetails"]["detectedAt"].date())
        for d in documents
        if d["analytics"]["anomalyDetected"]
    }
    assert len(found) == len(expected) > 3
    assert set(zip(found["user"], found["metric"], found["day"], strict=True)) == expected
    order = [(day, abs(z)) for day, z in zip(found["day"], found["deviation"], strict=True)]
    assert order == sorted(order, reverse=True)


def test_an_empty_collection_is_empty() -> None:
    """No documents, no users, no anomalies, no newest: and no error."""
    found = read_recent(_store([]))
    assert (found.documents, found.user_count(), len(found.anomalies), found.newest) == (0, 0, 0, None)


def test_above_the_limit_users_are_estimated(
    documents: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest documents are read; the others count by the documents that a user has."""
    monkeypatch.setattr(recent, "LOOK_AT", 48)
    store = _store(documents)
    full = list(dict.fromkeys(d["userId"] for d in documents))[:2]
    found = read_recent(store)
    assert not found.is_whole
    assert found.users() == [str(user) for user in full]
    assert found.user_count() == round(len(documents) / 24)
    assert found.windows["last hour"] == 48


def test_from_which_day_on_nothing_is_missing() -> None:
    """A value may be of tomorrow, so what was calculated on the 20th can hold an anomaly of the 21st."""
    oldest = datetime(2026, 11, 20, 20, tzinfo=timezone.utc)
    rows = read_recent(_store([_document(calculatedAt=oldest)])).rows
    seen = Recent(_now(), 99_999, {}, rows, rows, is_whole=False)
    assert seen.complete_since("UTC") == date(2026, 11, 22)
    # In Tokyo it is the 21st already.
    assert seen.complete_since("Asia/Tokyo") == date(2026, 11, 23)


def _document(**fields: Any) -> dict[str, Any]:
    at = _now()
    return {
        "userId": ObjectId(),
        "metricType": "steps",
        "timeRange": "90day",
        "calculatedAt": at,
        "expiresAt": at + timedelta(days=90),
        "analytics": {"anomalyDetails": None},
        **fields,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"userId": "<b>someone</b>"},
        {"calculatedAt": "2026-11-25"},
        {"analytics": None},
        {"analytics": {"anomalyDetails": {"detectedAt": "today", "deviation": "much"}}},
        {"analytics": {"anomalyDetails": {"detectedAt": _now(), "deviation": None, "message": {"a": 1}}}},
        {"metricType": 7},
    ],
)
def test_documents_of_other_programs_do_no_harm(fields: dict[str, Any]) -> None:
    """Wrong types count as missing, and the right documents beside them are shown."""
    good = _document()
    found = read_recent(_store([_document(**fields), good]))
    assert str(good["userId"]) in found.users()
    assert len(found.rows) == 2

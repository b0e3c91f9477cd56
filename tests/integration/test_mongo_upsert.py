"""Newer wins on the real server: counts, racing writers, wrong stored dates, obsolete documents."""

from __future__ import annotations

import random
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from contracts import ConfigurationError, WriteResult
from sinks.mongo_indexes import ensure_indexes
from sinks.mongo_upsert import upsert_newer

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW = T + timedelta(days=1)
_USERS = [ObjectId() for _ in range(100)]


@pytest.fixture
def analytics(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """An empty analytics collection with its indexes."""
    ensure_indexes(database["analytics"])
    return database["analytics"]


def _document(user: ObjectId, at: datetime, metric: str = "steps", **more: Any) -> dict[str, Any]:
    return {"userId": user, "metricType": metric, "timeRange": "7day", "calculatedAt": at, **more}


def _write(collection: Collection[dict[str, Any]], at: datetime, *documents: dict[str, Any]) -> WriteResult:
    users = sorted({document["userId"] for document in documents})
    return upsert_newer(collection, list(documents), users, at, NOW)


def test_insert_then_update_then_skip(analytics: Collection[dict[str, Any]]) -> None:
    """The three outcomes, counted from the server's answers; an older write changes nothing."""
    user, later = ObjectId(), T + timedelta(seconds=1)
    assert _write(analytics, T, _document(user, T, n=1)) == WriteResult(inserted=1)
    assert _write(analytics, later, _document(user, later, n=2)) == WriteResult(updated=1)
    assert _write(analytics, T, _document(user, T, n=3)) == WriteResult(skipped=1)
    assert _write(analytics, later, _document(user, later, n=4)) == WriteResult(skipped=1)
    stored = analytics.find_one({"userId": user})
    assert stored
    assert (stored["n"], stored["calculatedAt"]) == (2, later)
    assert stored["createdAt"] == T
    assert stored["updatedAt"] == later


@pytest.mark.parametrize("stored", ["2026-01-01T00:00:00", None, NOW + timedelta(days=400)])
def test_a_stored_date_that_cannot_be_is_overwritten(
    analytics: Collection[dict[str, Any]], stored: Any
) -> None:
    """Strings and nulls (earlier programs wrote them) and dates in the future never win."""
    user = ObjectId()
    analytics.insert_one(_document(user, stored))
    assert _write(analytics, T, _document(user, T)) == WriteResult(updated=1)


def test_keys_that_are_no_longer_produced_are_deleted(analytics: Collection[dict[str, Any]]) -> None:
    """Only older documents of the users that were recomputed."""
    user, other, later = ObjectId(), ObjectId(), T + timedelta(seconds=1)
    _write(analytics, T, _document(user, T, "weight"), _document(user, T), _document(other, T))
    result = _write(analytics, later, _document(user, later))
    assert (result.updated, result.deleted) == (1, 1)
    assert analytics.count_documents({"userId": other}) == 1


def test_a_document_that_cannot_be_encoded_fails_alone_and_keeps_its_old_version(
    analytics: Collection[dict[str, Any]],
) -> None:
    """The others of its bulk are written."""
    later = T + timedelta(seconds=1)
    _write(analytics, T, *[_document(user, T) for user in _USERS])
    documents = [_document(user, later) for user in _USERS]
    documents[40]["n"] = object()
    result = _write(analytics, later, *documents)
    assert [failure.document["userId"] for failure in result.failed] == [_USERS[40]]
    assert result.updated == len(_USERS) - 1
    assert analytics.count_documents({}) == len(_USERS)


def test_racing_writers_leave_the_newest_everywhere(analytics: Collection[dict[str, Any]]) -> None:
    """Two writers insert and update the same keys in different orders; nothing fails, the newest stands."""
    metrics = [f"metric{number}" for number in range(10)]
    failures: list[Any] = []

    def writer(seed: int) -> None:
        rng = random.Random(seed)
        for round_number in range(4):
            at = T + timedelta(seconds=round_number * 2 + seed)
            documents = [_document(user, at, metric) for user in _USERS for metric in metrics]
            rng.shuffle(documents)
            failures.extend(upsert_newer(analytics, documents, _USERS, at, NOW).failed)

    threads = [threading.Thread(target=writer, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = T + timedelta(seconds=7)
    assert not failures
    assert analytics.count_documents({"calculatedAt": newest}) == len(_USERS) * len(metrics)
    assert analytics.count_documents({}) == len(_USERS) * len(metrics)


def test_duplicates_in_the_way_of_the_unique_index_are_named(database: Database[dict[str, Any]]) -> None:
    """The error names some of them and the remedy."""
    user = ObjectId()
    database["analytics"].insert_many([_document(user, T), _document(user, T)])
    with pytest.raises(ConfigurationError, match=str(user)):
        ensure_indexes(database["analytics"])


def test_indexes_are_made_once_under_any_name(database: Database[dict[str, Any]]) -> None:
    """The backend's own TTL index serves; a second start makes nothing."""
    database["analytics"].create_index([("expiresAt", 1)], name="analytics_ttl", expireAfterSeconds=0)
    ensure_indexes(database["analytics"])
    first = database["analytics"].index_information()
    ensure_indexes(database["analytics"])
    assert database["analytics"].index_information() == first
    assert first["analytics_unique_key"]["unique"]

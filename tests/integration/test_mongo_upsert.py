"""Newer wins on the real server: counts, racing writers, wrong stored dates, obsolete documents."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from contracts import WriteResult
from sinks.health.indexes import ensure_indexes
from sinks.health.mongo_upsert import upsert_newer
from sources.mongo_client import ServerClock

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW = T + timedelta(days=1)
CLOCK = SimpleNamespace(now=lambda: NOW)
_FAR = NOW + timedelta(days=4_000)
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
    return upsert_newer(collection, list(documents), users, at, CLOCK)


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


class _Watcher(threading.Thread):
    """Looks at all results again and again, and notes each that went back to an older calculation."""

    def __init__(self, analytics: Collection[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.gone_back: list[Any] = []
        self._analytics = analytics
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        highest: dict[Any, datetime] = {}
        while not self._ended.wait(0.01):
            for document in self._analytics.find({"calculatedAt": {"$ne": _FAR}}, {"calculatedAt": 1}):
                date = document["calculatedAt"]
                if highest.setdefault(document["_id"], date) > date:
                    self.gone_back.append((document["_id"], highest[document["_id"]], date))
                highest[document["_id"]] = date


def test_racing_writers_leave_the_newest_everywhere(
    analytics: Collection[dict[str, Any]], database: Database[dict[str, Any]]
) -> None:
    """A writer of long bulks beside one of short ones, both by the server's clock: no result goes back.

    Some of what they find is dated in the future, so that they have to judge what may be overwritten.
    """
    clock = ServerClock(database.client)
    metrics = [f"metric{number}" for number in range(10)]
    analytics.insert_many([_document(user, _FAR, metrics[0]) for user in _USERS])
    times: list[datetime] = []

    def write(users: list[ObjectId], rounds: int) -> None:
        for _ in range(rounds):
            at = clock.now()
            times.append(at)
            documents = [_document(user, at, metric) for user in users for metric in metrics]
            random.Random(rounds).shuffle(documents)
            assert not upsert_newer(analytics, documents, users, at, clock).failed

    watcher = _Watcher(analytics)
    watcher.start()
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(write, _USERS, 3), pool.submit(write, _USERS[40:60], 9)]
    watcher.end()
    for future in done:
        future.result()
    assert not watcher.gone_back
    assert analytics.count_documents({}) == len(_USERS) * len(metrics)
    assert analytics.distinct("calculatedAt", {"userId": {"$in": _USERS[40:60]}}) == [max(times)]
    assert len(analytics.distinct("calculatedAt")) <= 2


def test_indexes_are_made_once_under_any_name(database: Database[dict[str, Any]]) -> None:
    """The backend's own TTL index serves; a second start makes nothing."""
    database["analytics"].create_index([("expiresAt", 1)], name="analytics_ttl", expireAfterSeconds=0)
    ensure_indexes(database["analytics"])
    first = database["analytics"].index_information()
    ensure_indexes(database["analytics"])
    assert database["analytics"].index_information() == first
    assert first["analytics_unique_key"]["unique"]

"""Newer wins on the real server: counts, racing writers, wrong stored dates, obsolete documents."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from contracts import WriteResult
from sinks.health.indexes import ensure_indexes
from sources.mongo_client import ServerClock, for_reading
from tests.support.results import write_documents

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
    return write_documents(collection, list(documents), users, at, CLOCK)


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


# What may stand at a key before: nothing, a result of a date, one of an older program, a document that
# answers to the key with an array in that field.
_HOUR = timedelta(hours=1)
_TWINS = {"rollingAverage": 9, "trend": "up", "anomalyDetected": True}
_BEFORE: dict[str, dict[str, Any]] = {
    "older": {"calculatedAt": T - _HOUR, "createdAt": T - 2 * _HOUR},
    "newer": {"calculatedAt": T + _HOUR},
    "ahead": {"calculatedAt": _FAR, "createdAt": None},
    "odd": {"calculatedAt": "2025-01-01", "createdAt": "2025-01-01", **_TWINS},
    "document": {"calculatedAt": {"$oid": 1}, "createdAt": {"$date": 1}},
    "userId": {"calculatedAt": T - _HOUR},
    "metricType": {"calculatedAt": T + _HOUR, "createdAt": 7},
    "timeRange": {"calculatedAt": _FAR},
}
_KEYS = [
    {"userId": user, "metricType": metric, "timeRange": span}
    for user in _USERS[:2]
    for metric in ("steps", "weight")
    for span in ("7day", "30day")
]


def _store(analytics: Collection[dict[str, Any]], before: list[str]) -> set[int]:
    """Returns the numbers of the keys at which something stands now; an index may refuse some."""
    stored = set()
    for number, (key, kind) in enumerate(zip(_KEYS, before, strict=True)):
        if kind != "nothing":
            array = {kind: [key[kind]]} if kind in key else {}
            with suppress(DuplicateKeyError):
                analytics.insert_one(RawBSONDocument(bson.encode({**key, **array, **_BEFORE[kind]})))
                stored.add(number)
    return stored


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.sampled_from(["nothing", *_BEFORE]), min_size=len(_KEYS), max_size=len(_KEYS)),
    refuses=st.booleans(),
)
def test_each_result_is_stored_under_its_key_or_told_as_failed_whatever_stood_there(
    analytics: Collection[dict[str, Any]], before: list[str], refuses: bool
) -> None:
    """Also where a unique index of another program `refuses` some; counts and examples are true."""
    analytics.delete_many({})
    analytics.drop_indexes()
    ensure_indexes(analytics)
    if refuses:
        analytics.create_index([("userId", 1), ("metricType", 1)], unique=True)
    stored = _store(analytics, before)
    figures = dict.fromkeys(_TWINS, 0)
    documents = [{**key, "calculatedAt": T, "analytics": figures} for key in _KEYS]
    result = _write(analytics, T, *documents)
    kinds = [kind if number in stored else "nothing" for number, kind in enumerate(before)]
    assert result.skipped == kinds.count("newer")
    assert result.updated == sum(kinds.count(kind) for kind in ("older", "ahead", "odd", "document"))
    failed = [{name: failure.document[name] for name in _KEYS[0]} for failure in result.failed]
    assert result.inserted == len(_KEYS) - result.skipped - result.updated - len(failed)
    assert refuses or not failed
    assert {failure.reason for failure in result.failed} <= {"another unique index refuses it (code 11000)"}
    after = list(for_reading(analytics).find())
    for key, kind in zip(_KEYS, kinds, strict=True):
        found = [one for one in after if all(one[name] == key[name] for name in key)]
        assert len(found) == (key not in failed)
        for one in found:
            assert one["calculatedAt"] == (T + _HOUR if kind == "newer" else T)
            assert kind == "newer" or (
                isinstance(one["createdAt"], datetime) and not _TWINS.keys() & one.keys()
            )
            assert kind != "older" or one["createdAt"] == T - 2 * _HOUR
    for outcome, shown in result.examples.items():
        shown_keys = [{name: one[name] for name in _KEYS[0]} for one in shown]
        assert set(analytics.distinct("calculatedAt", {"$or": shown_keys})) == {
            T + _HOUR if outcome == "skip" else T
        }
    assert refuses or not any(isinstance(value, list) for one in after for value in one.values())


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
            assert not write_documents(analytics, documents, users, at, clock).failed

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

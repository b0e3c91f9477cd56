"""Results are inserted, touched, updated or upserted: all ways leave the same, whatever comes between."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from pymongo.database import Database

from contracts import WriteResult
from sinks.health.indexes import ensure_indexes
from sinks.health.newer_wins import NewerWins
from sources.mongo_client import for_reading
from tests.support.results import ReadyResults, write_documents

# Of late, because the server removes results when they expire.
T = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=2)
NOW, HOUR = T + timedelta(days=1), timedelta(hours=1)
CLOCK = SimpleNamespace(now=lambda: NOW)
METADATA = {"sparkJobId": "app:batch_2", "dataPointsProcessed": 7}
OLD_METADATA = {"sparkJobId": "app:batch_1", "dataPointsProcessed": 5}
# What may stand under a key: its date, whether its content is that which is written, if it has a hash.
STATES: dict[str, tuple[Any, bool, bool]] = {
    "same": (T - HOUR, True, True),
    "other": (T - HOUR, False, True),
    "same, without a hash": (T - HOUR, True, False),
    "other, without a hash": (T - HOUR, False, False),
    "newer": (T + HOUR, False, True),
    "newer, same": (T + HOUR, True, True),
    "ahead": (NOW + HOUR, True, True),
    "text": ("2026-01-01", True, True),
    "made at no date": (T - HOUR, True, True),
}
NEWER = ("newer", "newer, same")
NOTHING = "nothing"
Pair = tuple[str, str, bool]
_STATES = [NOTHING, *STATES]
# What was read, what is there when it is written, and whether that has another `_id`.
EVERY_PAIR = list(itertools.product(_STATES, _STATES, (False, True)))


class Between:
    """A collection in which something happens just before the first command that writes."""

    def __init__(self, real: Collection[dict[str, Any]], action: Callable[[], None]) -> None:
        self._real, self._action = real, action
        self.sent: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name in {"bulk_write", "find", "delete_many"}:
            return lambda *arguments, **options: self._command(name, found, arguments, options)
        return found

    def _command(self, name: str, command: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        kinds = {type(each).__name__ for each in arguments[0]} if name == "bulk_write" else {name}
        self.sent += kinds
        if name == "bulk_write":
            self._action()
            self._action = lambda: None
        return command(*arguments, **options)


@pytest.fixture
def analytics(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """An empty analytics collection with its indexes."""
    ensure_indexes(database["analytics"])
    return for_reading(database["analytics"])


def _keys(many: int) -> list[dict[str, Any]]:
    """Three of a user."""
    users = [ObjectId() for _ in range(-(-many // 3))]
    keys = [
        {"userId": user, "metricType": "steps", "timeRange": span}
        for user in users
        for span in ("7day", "30day", "90day")
    ]
    return keys[:many]


def _document(key: dict[str, Any], date: Any = T, same: bool = True) -> dict[str, Any]:
    """A result of that date."""
    expires = (date if isinstance(date, datetime) else T) + timedelta(days=90)
    value = 1.0 if same else 2.0
    metadata = dict(METADATA if date == T else OLD_METADATA)
    return {
        **key, "analytics": {"rollingAverage": value}, "historicalData": [{"date": T, "value": value}],
        "calculatedAt": date, "expiresAt": expires, "metadata": metadata,
    }  # fmt: skip


def _stored(key: dict[str, Any], state: str) -> dict[str, Any]:
    """What stands there in `state`, without `_id`."""
    date, same, hashed = STATES[state]
    document = _document(key, date, same)
    if hashed:
        (document,) = ReadyResults([document]).documents([0])
    created: Any = "2025-01-01" if state == "made at no date" else T - 9 * HOUR
    return {**document, "createdAt": created, "updatedAt": date}


def _put(analytics: Collection[dict[str, Any]], key: dict[str, Any], state: str, anew: bool = False) -> None:
    if anew or state == NOTHING:
        analytics.delete_one(key)
    if state != NOTHING:
        analytics.replace_one(key, _stored(key, state), upsert=True)


def _written(
    analytics: Collection[dict[str, Any]], pairs: Sequence[Pair]
) -> tuple[list[dict[str, Any]], WriteResult]:
    """Write a result for each of `pairs`; what it says happens between reading and writing."""
    analytics.delete_many({})
    keys = _keys(len(pairs))
    for key, (before, _, _) in zip(keys, pairs, strict=True):
        _put(analytics, key, before)

    def between() -> None:
        for key, (before, then, anew) in zip(keys, pairs, strict=True):
            if before != then or anew:
                _put(analytics, key, then, anew)

    door = cast("Collection[dict[str, Any]]", Between(analytics, between))
    users = sorted({key["userId"] for key in keys})
    documents = [_document(key) for key in keys]
    return keys, write_documents(door, documents, users, T, CLOCK, threads=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.sampled_from(EVERY_PAIR), min_size=1, max_size=6))
@example(pairs=EVERY_PAIR)
def test_whatever_happens_between_reading_and_writing_the_latest_calculation_stays(
    analytics: Collection[dict[str, Any]], pairs: list[Pair]
) -> None:
    """Each key has what it would have without the reading, to the last field; and the counts are true."""
    keys, result = _written(analytics, pairs)
    now = Counter(then for _, then, _ in pairs)
    skipped, inserted = sum(now[state] for state in NEWER), now[NOTHING]
    assert (result.skipped, result.inserted, result.failed) == (skipped, inserted, ())
    assert result.updated == len(pairs) - skipped - inserted
    for key, (before, then, _) in zip(keys, pairs, strict=True):
        (found,) = analytics.find(key)
        made = found.pop("_id").generation_time
        if then in NEWER:
            assert found == _stored(key, then), (before, then)
        else:
            (document,) = ReadyResults([_document(key)]).documents([0])
            created = {NOTHING: T, "made at no date": made}.get(then, T - 9 * HOUR)
            assert found == {**document, "createdAt": created, "updatedAt": T}, (before, then)


@pytest.mark.parametrize("state", [NOTHING, "same", "other"])
def test_what_cannot_be_encoded_is_told_for_each_and_what_stands_stays(
    analytics: Collection[dict[str, Any]], state: str
) -> None:
    """Also where it is the metadata alone, which many share."""
    keys = _keys(6)
    for key in keys:
        _put(analytics, key, state)
    before = list(analytics.find())
    documents = [{**_document(key), "metadata": {"dataPointsProcessed": 2**70}} for key in keys]
    written = write_documents(analytics, documents, [keys[0]["userId"]], T, CLOCK)
    assert {failed.reason for failed in written.failed} == {"cannot be encoded (OverflowError)"}
    assert len(written.failed) == len(keys)
    assert list(analytics.find()) == before


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (NOTHING, ["find", "InsertOne"]),
        ("same", ["find", "UpdateMany"]),
        ("other", ["find", "UpdateOne"]),
        ("same, without a hash", ["find", "UpdateOne"]),
    ],
)
def test_what_is_stored_decides_the_way(
    analytics: Collection[dict[str, Any]], state: str, commands: list[str]
) -> None:
    """One look, one bulk; where nothing else was found nothing is asked to be removed."""
    keys = _keys(24)
    for key in keys:
        _put(analytics, key, state)
    door = Between(analytics, lambda: None)
    users = sorted({key["userId"] for key in keys})
    written = write_documents(cast("Any", door), map(_document, keys), users, T, CLOCK, threads=1)
    assert written.written == len(keys)
    assert door.sent == commands


def test_content_that_others_changed_under_its_hash_is_left_by_a_batch_and_mended_by_a_full_pass(
    analytics: Collection[dict[str, Any]],
) -> None:
    """A batch has no way to see it; a full pass writes anew."""
    (key,) = _keys(1)
    _put(analytics, key, "same")
    analytics.update_one(key, {"$set": {"analytics.rollingAverage": 9.0}})
    for at, anew, value in ((T, False, 9.0), (T + HOUR, True, 1.0)):
        document = {**_document(key), "calculatedAt": at}
        write_documents(analytics, [document], [key["userId"]], at, CLOCK, anew=anew)
        found = analytics.find_one(key)
        assert found
        assert (found["calculatedAt"], found["analytics"]["rollingAverage"]) == (at, value)


def test_of_two_results_under_one_key_one_is_replaced_and_the_other_goes(
    analytics: Collection[dict[str, Any]],
) -> None:
    """The unique index may be gone for two minutes: then others insert what is there."""
    analytics.drop_indexes()
    (key,) = _keys(1)
    analytics.insert_many([_stored(key, "other"), _stored(key, "same")])
    written = write_documents(analytics, [_document(key)], [key["userId"]], T, CLOCK)
    assert (written.updated, written.deleted) == (1, 1)
    (found,) = analytics.find(key)
    assert (found["calculatedAt"], found["analytics"]["rollingAverage"]) == (T, 1.0)


@pytest.mark.parametrize(
    "other",
    [
        {"metricType": "weight"},
        {"metricType": "weight", "calculatedAt": "2026-01-01"},
        {"metricType": "weight", "calculatedAt": NOW + HOUR},
        {"metricType": ["weight"]},
        {"metricType": 7},
        {"metricType": {"a": 1}},
    ],
)
def test_what_else_a_user_has_is_removed_in_whichever_call_his_results_came(
    analytics: Collection[dict[str, Any]], other: dict[str, Any]
) -> None:
    """The executors hand on results in any order: a user's may come in several calls."""
    keys = _keys(6)
    for key in keys:
        _put(analytics, key, "same")
    analytics.insert_one({**_stored(keys[0], "same"), "timeRange": "7day", **other})
    users = [keys[0]["userId"], keys[3]["userId"]]
    writer = NewerWins(analytics, T, CLOCK)
    for part in (keys[::2], keys[1::2]):
        writer.write(ReadyResults(map(_document, part)))
    assert writer.remove_others(users) == 1
    assert analytics.count_documents({"calculatedAt": T}) == len(keys)
    assert analytics.count_documents({}) == len(keys)

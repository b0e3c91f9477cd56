"""The census of what the poll cannot see, on a real server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import mongomock
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from sources.mongo_census import KINDS, take_census
from sources.mongo_poll import MongoPoll

NOW = datetime.now(timezone.utc).replace(microsecond=0)
SEEN = [NOW, NOW - timedelta(days=4000), NOW + timedelta(hours=23), datetime(1, 1, 2, tzinfo=timezone.utc)]
WRONG: list[Any] = [
    "2026-01-01", 5, Int64(7), 1.5, float("nan"), Decimal128("1"), True, {"a": NOW}, b"x", ObjectId(),
    Timestamp(1, 1), Regex("a"), MinKey(), MaxKey(), [], [NOW], ["x", NOW], [float("nan")],
]  # fmt: skip
FUTURE = [NOW + timedelta(days=2), datetime(2099, 1, 1, tzinfo=timezone.utc), DatetimeMS(2**55)]


def _insert(collection: Any, values: list[Any]) -> None:
    collection.insert_many([{"userId": ObjectId(), "updatedAt": value} for value in values])


def test_every_kind_is_counted_and_nothing_else(database: Database[dict[str, Any]]) -> None:
    """Missing, null, any wrong type, before year 1, far ahead; what the poll can deliver is not counted."""
    source = database["healthmetrics"]
    MongoPoll(source, 60, 100).ensure_index()
    _insert(source, [*SEEN, *WRONG, *FUTURE, None, DatetimeMS(-(2**55))])
    source.insert_one({"_id": "no date", "userId": ObjectId()})
    census = take_census(source, NOW)
    assert [entry.kind for entry in census] == list(KINDS)
    assert [entry.count for entry in census] == [2, len(WRONG), 1, len(FUTURE)]
    assert all(entry.complete and len(entry.examples) == min(3, entry.count) for entry in census)
    assert "'no date'" in census[0].examples


def test_the_number_is_bounded_and_says_so(database: Database[dict[str, Any]]) -> None:
    """A collection in which everything is wrong costs no more than the limit."""
    _insert(database["healthmetrics"], ["x"] * 7)
    database["healthmetrics"].create_index([("updatedAt", 1), ("_id", 1)])
    (wrong,) = [entry for entry in take_census(database["healthmetrics"], NOW, limit=5) if entry.count]
    assert (wrong.kind, wrong.count, wrong.complete) == ("wrong_type", 5, False)


def test_a_slow_question_is_given_up_not_waited_for(database: Database[dict[str, Any]]) -> None:
    """The server itself ends it; the answer is then marked as incomplete."""
    for _ in range(5):
        _insert(database["healthmetrics"], ["x"] * 4_000)
    assert not all(entry.complete for entry in take_census(database["healthmetrics"], NOW, seconds=0.001))


def test_the_embedded_store_is_counted_too() -> None:
    """For the demo and for trying out."""
    source: Any = mongomock.MongoClient(tz_aware=True)["x"]["healthmetrics"]
    _insert(source, [NOW, "x", [NOW], None, NOW + timedelta(days=3)])
    assert [entry.count for entry in take_census(source, NOW)] == [1, 2, 0, 1]

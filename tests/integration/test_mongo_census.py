"""The census of what the poll cannot see, on a real server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import mongomock
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from sources.health.census import KINDS, Ahead, look_ahead, take_census
from sources.health.owners import odd_owners
from sources.health.poll import MongoPoll

NOW = datetime.now(timezone.utc).replace(microsecond=0)
SEEN = [NOW, NOW - timedelta(hours=23), NOW + timedelta(hours=23)]
# Of documents that are made now; the first four are the zeros of clocks and of libraries.
EARLY = [
    datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(1, 1, 1, tzinfo=timezone.utc),
    datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(2001, 1, 1, tzinfo=timezone.utc),
    NOW - timedelta(days=4000), NOW - timedelta(days=2),
]  # fmt: skip
WRONG: list[Any] = [
    "2026-01-01", 5, Int64(7), 1.5, float("nan"), Decimal128("1"), True, {"a": NOW}, b"x", ObjectId(),
    Timestamp(1, 1), Regex("a"), MinKey(), MaxKey(), [], [NOW], ["x", NOW], [float("nan")],
]  # fmt: skip
FUTURE = [NOW + timedelta(days=2), datetime(2099, 1, 1, tzinfo=timezone.utc), DatetimeMS(2**55)]


def _insert(collection: Any, values: list[Any]) -> None:
    collection.insert_many([{"userId": ObjectId(), "updatedAt": value} for value in values])


def test_every_kind_is_counted_and_nothing_else(database: Database[dict[str, Any]]) -> None:
    """Missing, null, any wrong type, too early, far ahead; what the poll can deliver is not counted."""
    source = database["healthmetrics"]
    MongoPoll(source, 60, 100).ensure_index()
    _insert(source, [*SEEN, *WRONG, *FUTURE, *EARLY, None, DatetimeMS(-(2**55))])
    source.insert_one({"_id": "no date", "userId": ObjectId()})
    census = take_census(source, NOW)
    assert [entry.kind for entry in census] == list(KINDS)
    assert [entry.count for entry in census] == [2, len(WRONG), 1, len(EARLY), len(FUTURE)]
    assert all(entry.complete and len(entry.examples) == min(3, entry.count) for entry in census)
    assert "'no date'" in census[0].examples


def test_what_is_dated_before_it_was_made_is_told_by_its_id(database: Database[dict[str, Any]]) -> None:
    """A restored backup keeps ids and dates: they fit. Without an ObjectId what MongoDB cannot have is odd.

    Where a full pass has computed the user since, nothing is missing, unless the date can be nobody's.
    """
    source, target = database["healthmetrics"], database["analytics"]
    old = datetime(2015, 5, 5, tzinfo=timezone.utc)
    fits = {"_id": ObjectId.from_datetime(old), "updatedAt": old + timedelta(hours=1)}
    named = [{"_id": "old", "updatedAt": old}, {"_id": "zero", "updatedAt": EARLY[0]}]
    made = ObjectId()
    behind = {"_id": made, "userId": ObjectId(), "updatedAt": old}
    source.insert_many([fits, *named, behind])

    def found() -> set[str]:
        census = take_census(source, NOW, target=target)
        return next(set(entry.examples) for entry in census if entry.kind == "too_early")

    assert found() == {"'zero'", str(behind["_id"])}
    later = made.generation_time + timedelta(minutes=1)
    target.insert_one({"userId": behind["userId"], "timeRange": "7day", "calculatedAt": later})
    assert found() == {"'zero'"}


def test_an_id_that_no_clock_made_tells_nothing(database: Database[dict[str, Any]]) -> None:
    """Ids that are hashes of something are of any time; of documents from the future nobody can say more."""
    source = database["healthmetrics"]
    ids = [ObjectId.from_datetime(NOW + timedelta(days=days)) for days in (2, 9_000)]
    source.insert_many({"_id": each, "updatedAt": NOW - timedelta(days=9)} for each in ids)
    zero = {"_id": ObjectId("f" * 24), "updatedAt": EARLY[0]}
    source.insert_one(zero)
    assert [entry.examples for entry in take_census(source, NOW) if entry.count] == [(str(zero["_id"]),)]


def test_what_waits_for_its_time_is_counted_with_the_farthest(database: Database[dict[str, Any]]) -> None:
    """What is dated beyond a day is another matter, and would hide how far a clock is off."""
    source = database["healthmetrics"]
    assert look_ahead(source, NOW) == Ahead(0, True, 0.0)
    hours = (-1, 0, 0.5, 5.5, 5.4, 48)
    _insert(source, [NOW + timedelta(hours=each) for each in hours] + ["x", [NOW + timedelta(hours=3)]])
    assert look_ahead(source, NOW) == Ahead(3, True, 5.5 * 3600)
    assert look_ahead(source, NOW, limit=2) == Ahead(2, False, 5.5 * 3600)


def test_every_type_of_user_id_but_the_right_one_is_counted(database: Database[dict[str, Any]]) -> None:
    """Also where an ObjectId was exported as text, as a document with `$oid`, or lies in a list."""
    source = database["healthmetrics"]
    source.create_index([("userId", 1), ("date", 1)])
    values: list[Any] = [
        "a" * 24,
        "b",
        UUID(int=5),
        7,
        Int64(8),
        1.5,
        {"oid": "a" * 24},
        [ObjectId()],
        NOW,
        True,
        None,
        [None],
        *(Regex("a"), Timestamp(1, 1), MinKey(), MaxKey(), Code("x")),
    ]
    source.insert_many([*({"userId": value} for value in values), {"userId": ObjectId()}, {"no": "owner"}])
    found = {each.what: (each.count, each.examples) for each in odd_owners(source)}
    assert {what: count for what, (count, _) in found.items()} == {
        "text": 2, "a UUID or other binary": 1, "an integer": 2, "a number": 1, "a nested document": 1,
        "a list": 2, "a date": 1, "true or false": 1, "missing or null": 2, "of another type": 5,
    }  # fmt: skip
    assert "'b'" in found["text"][1]
    assert odd_owners(source, limit=1)[0].complete is False


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
    _insert(source, [NOW, "x", [NOW], None, NOW + timedelta(days=3), EARLY[0]])
    assert [entry.count for entry in take_census(source, NOW)] == [1, 2, 0, 1, 1]

"""A census of the documents that the poll cannot see, or not yet: their number and a few of their ids.

A range on dates passes by whatever has no date in `updatedAt`; a document dated ahead waits for its time, and
one that is dated before it was made lies behind the cursor from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.cursor import Cursor

from mongo_patience import TOOK_TOO_LONG
from sources.health.inspection import newest_calculations
from sources.mongo_client import for_reading, is_mongomock

# The kinds, each with its sentence for people.
KINDS: Mapping[str, str] = {
    "missing": "updatedAt is missing or null",
    "wrong_type": "updatedAt is not a date",
    "unreadable_date": "updatedAt lies before the year 1",
    "too_early": "updatedAt lies before the document can have been made",
    "far_future": "updatedAt lies more than a day ahead",
}
# No document is older than MongoDB. The zeros of all clocks lie before it (the years 1, 1900, 1970, 2001).
_MONGODB_BEGAN = datetime(2009, 1, 1, tzinfo=timezone.utc)
# An ObjectId has the time of the machine that made it. Clocks may differ, or documents be late, by this much.
_DELAY = timedelta(days=1)
_RECENT = 2_000
AHEAD = timedelta(days=1)
_YEAR_1 = datetime.min.replace(tzinfo=timezone.utc)
# All of BSON's types but array, date and null; a server answers a type of its index's key by a range of it.
_OTHER_TYPES = [
    *("minKey", "double", "string", "object", "binData", "undefined", "objectId", "bool", "regex"),
    *("dbPointer", "javascript", "symbol", "javascriptWithScope", "int", "timestamp", "long", "decimal"),
    "maxKey",
]  # fmt: skip
EXAMPLES = 3
EXAMPLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Unseen:
    """Documents of one kind (a key of KINDS). `complete` is false where there may be more than `count`."""

    kind: str
    count: int
    complete: bool
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many documents wait because they are dated up to a day ahead, and how far the farthest is."""

    count: int
    complete: bool
    seconds: float


def look_ahead(collection: Collection[dict[str, Any]], now: datetime, limit: int = 10_000) -> Ahead:
    """Count up to `limit` documents that wait because the clock of their writer is fast.

    Two reads by the poll's index; pymongo's errors pass through.
    """
    condition = {"updatedAt": {"$gt": now, "$lte": now + AHEAD, "$not": {"$type": "array"}}}
    count = collection.count_documents(condition, limit=limit)
    if not count:
        return Ahead(0, True, 0.0)
    query = for_reading(collection).find(condition, {"_id": 0, "updatedAt": 1}).sort("updatedAt", -1)
    farthest = max((each["updatedAt"] for each in query.limit(1)), default=now)
    return Ahead(count, count < limit, max(0.0, (farthest - now).total_seconds()))


def take_census(
    collection: Collection[dict[str, Any]],
    now: datetime,
    limit: int = 10_000,
    seconds: float = 5.0,
    target: Collection[dict[str, Any]] | None = None,
) -> list[Unseen]:
    """Returns an entry for each kind of KINDS, in that order; `now` is the server's time.

    A document that is dated too early is not counted when `target` has results of its user that were
    calculated since it was made: a full pass has seen it. Of those dated since 2009 the newest are looked at.

    Cost: six queries for ids, at most `limit` each and bounded to `seconds` by the server, and one for the
    newest documents. All but one, for arrays, are ranges of the index on `updatedAt`, so they cost what they
    find. pymongo's errors pass.
    """
    if is_mongomock(collection):
        return _embedded(collection, now)
    source = for_reading(collection)
    no_array = {"$not": {"$type": "array"}}
    # DocumentDB's index does not count NaN among the doubles.
    other: Mapping[str, Any] = {
        "$or": [
            {"updatedAt": {"$type": _OTHER_TYPES, **no_array}},
            {"updatedAt": {"$eq": float("nan"), **no_array}},
        ]
    }
    conditions: list[tuple[str, Mapping[str, Any]]] = [
        ("missing", {"updatedAt": {"$eq": None, **no_array}}),
        ("wrong_type", other),
        ("wrong_type", {"updatedAt": {"$type": "array"}}),
        ("unreadable_date", {"updatedAt": {"$lt": _YEAR_1, **no_array}}),
        ("far_future", {"updatedAt": {"$gt": now + AHEAD, **no_array}}),
    ]
    found = [(kind, *_ids(source, condition, limit, seconds)) for kind, condition in conditions]
    ancient = {"updatedAt": {"$gte": _YEAR_1, "$lt": _MONGODB_BEGAN, **no_array}}
    early, complete = read_bounded(source.find(ancient, {"updatedAt": 1}, limit=limit + 1), limit, seconds)
    ids = [each["_id"] for each in early if _is_too_early(each, now)]
    found.append(("too_early", [*ids, *_recent_too_early(source, target, now, seconds)], complete))
    return [
        _unseen(kind, [each for name, ids, _ in found if name == kind for each in ids],
                all(complete for name, _, complete in found if name == kind))
        for kind in KINDS
    ]  # fmt: skip


def _ids(
    source: Collection[dict[str, Any]], condition: Mapping[str, Any], limit: int, seconds: float
) -> tuple[list[Any], bool]:
    """Returns at most `limit` ids of the documents that meet `condition`, and whether these are all."""
    found, complete = read_bounded(source.find(condition, {"_id": 1}, limit=limit + 1), limit, seconds)
    return [document["_id"] for document in found], complete


def read_bounded(
    query: Cursor[dict[str, Any]], limit: int, seconds: float
) -> tuple[list[dict[str, Any]], bool]:
    """Returns at most `limit` documents of `query` and whether these are all; none after `seconds`."""
    try:
        with pymongo.timeout(seconds):
            found = list(query)
    except TOOK_TOO_LONG:
        return [], False
    return found[:limit], len(found) <= limit


def _is_too_early(document: Mapping[str, Any], now: datetime) -> bool:
    """Whether `document` is dated before it was made, as its `_id` tells, or before MongoDB was.

    An id of the future was not made by a clock (it is a hash, say) and tells nothing.
    """
    made, updated = document["_id"], document.get("updatedAt")
    if not isinstance(updated, datetime):
        return False
    if isinstance(made, ObjectId) and made.generation_time <= now + _DELAY:
        return updated < made.generation_time - _DELAY
    return updated < _MONGODB_BEGAN


def _recent_too_early(
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]] | None,
    now: datetime,
    seconds: float,
) -> list[Any]:
    """Find those of the documents made last that are dated too early, unless a full pass has seen them."""
    query = source.find({"_id": {"$type": "objectId"}}, {"updatedAt": 1, "userId": 1}).sort("_id", -1)
    recent, _ = read_bounded(query.limit(_RECENT), _RECENT, seconds)
    early = [each for each in recent if _is_too_early(each, now) and each["updatedAt"] >= _MONGODB_BEGAN]
    owners = [owner if isinstance(owner := each.get("userId"), ObjectId) else None for each in early]
    users = sorted({owner for owner in owners if owner is not None})
    calculated = newest_calculations(target, users) if target is not None else {}
    return [
        each["_id"]
        for each, owner in zip(early, owners, strict=True)
        if owner is None or owner not in calculated or calculated[owner] < each["_id"].generation_time
    ]


def _unseen(kind: str, ids: list[Any], complete: bool) -> Unseen:
    return Unseen(kind, len(ids), complete, tuple(_shown(each) for each in ids[:EXAMPLES]))


def _shown(document_id: Any) -> str:
    return (str(document_id) if isinstance(document_id, ObjectId) else repr(document_id))[:EXAMPLE_LENGTH]


def _embedded(collection: Collection[dict[str, Any]], now: datetime) -> list[Unseen]:
    """Take the census of an embedded store: mongomock knows few types, but can be looked through."""
    ids: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for document in for_reading(collection).find({}, {"updatedAt": 1}):
        updated = document.get("updatedAt")
        if updated is None:
            ids["missing"].append(document["_id"])
        elif not isinstance(updated, datetime):
            ids["wrong_type"].append(document["_id"])
        elif updated > now + AHEAD:
            ids["far_future"].append(document["_id"])
        elif updated < _MONGODB_BEGAN and _is_too_early(document, now):
            ids["too_early"].append(document["_id"])
    return [_unseen(kind, found, True) for kind, found in ids.items()]

"""A census of the documents that the poll cannot see, or not yet: their number and a few of their ids.

A range on dates passes by whatever has no date in `updatedAt`; a document dated far ahead waits for its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout

from sources.mongo_client import for_reading, is_mongomock

# What each kind means, for people.
KINDS: Mapping[str, str] = {
    "missing": "updatedAt is missing or null",
    "wrong_type": "updatedAt is not a date",
    "unreadable_date": "updatedAt lies before the year 1",
    "far_future": "updatedAt lies more than a day ahead",
}
AHEAD = timedelta(days=1)
_YEAR_1 = datetime.min.replace(tzinfo=timezone.utc)
# All of BSON's types but array, date and null; a server answers a type of its index's key by a range of it.
_OTHER_TYPES = [
    *("minKey", "double", "string", "object", "binData", "undefined", "objectId", "bool", "regex"),
    *("dbPointer", "javascript", "symbol", "javascriptWithScope", "int", "timestamp", "long", "decimal"),
    "maxKey",
]  # fmt: skip
_EXAMPLES = 3
_EXAMPLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Unseen:
    """Documents of one kind (a key of KINDS). `complete` is false where there may be more than `count`."""

    kind: str
    count: int
    complete: bool
    examples: tuple[str, ...]


def take_census(
    collection: Collection[dict[str, Any]], now: datetime, limit: int = 10_000, seconds: float = 5.0
) -> list[Unseen]:
    """One entry for each kind of KINDS, in that order; `now` is the server's time.

    Cost: five queries for ids, at most `limit` each and bounded to `seconds` by the server. All but one, for
    arrays, are ranges of the index on `updatedAt`, so they cost what they find. pymongo's errors pass.
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
    return [
        _unseen(kind, [each for name, ids, _ in found if name == kind for each in ids],
                all(complete for name, _, complete in found if name == kind))
        for kind in KINDS
    ]  # fmt: skip


def _ids(
    source: Collection[dict[str, Any]], condition: Mapping[str, Any], limit: int, seconds: float
) -> tuple[list[Any], bool]:
    """At most `limit` ids of the documents that are so, and whether these are all."""
    query = source.find(condition, {"_id": 1}, limit=limit + 1)
    try:
        ids = [document["_id"] for document in query.max_time_ms(round(seconds * 1000))]
    except ExecutionTimeout:
        return [], False
    return ids[:limit], len(ids) <= limit


def _unseen(kind: str, ids: list[Any], complete: bool) -> Unseen:
    return Unseen(kind, len(ids), complete, tuple(_shown(each) for each in ids[:_EXAMPLES]))


def _shown(document_id: Any) -> str:
    return (str(document_id) if isinstance(document_id, ObjectId) else repr(document_id))[:_EXAMPLE_LENGTH]


def _embedded(collection: Collection[dict[str, Any]], now: datetime) -> list[Unseen]:
    """mongomock knows few types; it is small enough to be looked through."""
    ids: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for document in for_reading(collection).find({}, {"updatedAt": 1}):
        updated = document.get("updatedAt")
        if updated is None:
            ids["missing"].append(document["_id"])
        elif not isinstance(updated, datetime):
            ids["wrong_type"].append(document["_id"])
        elif updated > now + AHEAD:
            ids["far_future"].append(document["_id"])
    return [_unseen(kind, found, True) for kind, found in ids.items()]

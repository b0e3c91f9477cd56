"""Looks into the collections at bounded cost: counts, ranges, newest documents, users not yet recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.collection import Collection

from mongo_patience import TOOK_TOO_LONG
from sources.mongo_client import for_reading

_SECONDS = 5
_USERS_PER_QUERY = 500
_EXAMPLES = 3
_NO_ARRAY = {"$not": {"$type": "array"}}

_Documents = Collection[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FieldRange:
    """The earliest and latest date in `field` of `collection`, and about how many documents there are.

    Both dates are None when no document has one or no index begins with the field.
    """

    collection: str
    documents: int
    field: str
    earliest: datetime | None
    latest: datetime | None
    indexed: bool


@dataclass(frozen=True, slots=True)
class Staleness:
    """Those of the `users` changed last whose newest change is not computed yet.

    The cursor has not reached the changes of those who are `waiting`, the oldest at `waiting_since`. It is
    past those of the others: `stale` ones (since `stale_since`, a few as `examples`) have older results,
    `without` counts those who have none, as those whose documents do not count must be. `complete` says that
    all users were looked at.
    """

    users: int
    waiting: int
    waiting_since: datetime | None
    stale: int
    stale_since: datetime | None
    examples: tuple[ObjectId, ...]
    without: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """The documents that changed in a span of time, and their users; `complete` is false at a limit.

    `oldest` is the first change in the span.
    """

    documents: int
    users: int
    complete: bool
    oldest: datetime | None


def count_changes(
    source: _Documents, after: datetime, until: datetime, limit: int = 100_000, look_at: int = 10_000
) -> Changes:
    """Changes later than `after` up to `until`: at most `limit` are counted, by the index alone.

    Their users come from the `look_at` newest of them, for which the documents themselves must be read.
    pymongo's errors pass through.
    """
    condition = {"updatedAt": {"$gt": after, "$lte": until, **_NO_ARRAY}}
    documents = source.count_documents(condition, limit=limit + 1)
    query = for_reading(source).find(condition, {"_id": 0, "userId": 1}, batch_size=look_at)
    owners = (each.get("userId") for each in query.sort("updatedAt", -1).limit(look_at))
    users = {owner for owner in owners if isinstance(owner, ObjectId)}
    first = for_reading(source).find(condition, {"_id": 0, "updatedAt": 1}).sort("updatedAt", 1).limit(1)
    oldest = next((each["updatedAt"] for each in first), None)
    return Changes(min(documents, limit), len(users), documents <= min(limit, look_at), oldest)


def field_range(collection: _Documents, field: str) -> FieldRange:
    """Read the range of `field` by two index reads and a count. pymongo's errors pass through."""
    source = for_reading(collection)
    count = source.estimated_document_count()
    indexed = has_index_on(collection, field)
    ends = [_end(source, field, direction) for direction in (1, -1)] if indexed else [None, None]
    return FieldRange(collection.name, count, field, ends[0], ends[1], indexed)


def has_index_on(collection: _Documents, field: str) -> bool:
    """Whether an index of all documents begins with `field`."""
    indexes = collection.index_information().values()
    return any(one["key"][0][0] == field and "partialFilterExpression" not in one for one in indexes)


def _end(source: _Documents, field: str, direction: int) -> datetime | None:
    found = newest(source, field, 1, direction)
    return found[0][field] if found else None


def newest(collection: _Documents, field: str, number: int, direction: int = -1) -> list[dict[str, Any]]:
    """The documents with the latest dates in `field`, read by its index; none after five seconds."""
    query = for_reading(collection).find({field: {"$type": "date", **_NO_ARRAY}}).sort(field, direction)
    try:
        with pymongo.timeout(_SECONDS):
            # A date beyond Python's years comes as another type.
            return [document for document in query.limit(number) if isinstance(document[field], datetime)]
    except TOOK_TOO_LONG:
        return []


def find_stale(
    source: _Documents, target: _Documents, now: datetime, cursor: datetime, limit: int = 5_000
) -> Staleness:
    """Judge the users of the `limit` newest changes up to `now`, found by the poll's index."""
    condition = {"updatedAt": {"$lte": now, **_NO_ARRAY}}
    query = for_reading(source).find(condition, {"userId": 1, "updatedAt": 1}, batch_size=limit)
    changed: dict[ObjectId, datetime] = {}
    read = 0
    # Not by `_id` too: of changes at one moment any will do, and not every server walks an index of two
    # fields backwards for a sort.
    for document in query.sort("updatedAt", -1).limit(limit):
        read += 1
        if isinstance(document.get("userId"), ObjectId) and isinstance(document["updatedAt"], datetime):
            changed.setdefault(document["userId"], document["updatedAt"])
    return _judge(changed, newest_calculations(target, list(changed)), cursor, complete=read < limit)


def _judge(
    changed: Mapping[ObjectId, datetime],
    calculated: Mapping[ObjectId, datetime],
    cursor: datetime,
    complete: bool,
) -> Staleness:
    users: dict[str, list[ObjectId]] = {standing: [] for standing in STANDINGS}
    for user, updated in changed.items():
        users[standing(updated, calculated.get(user), cursor)].append(user)

    def since(name: str) -> datetime | None:
        return min((changed[user] for user in users[name]), default=None)

    return Staleness(
        users=len(changed),
        waiting=len(users[WAITING]),
        waiting_since=since(WAITING),
        stale=len(users[STALE]),
        stale_since=since(STALE),
        examples=tuple(users[STALE][:_EXAMPLES]),
        without=len(users[WITHOUT]),
        complete=complete,
    )


STANDINGS = CURRENT, WAITING, STALE, WITHOUT = "current", "waiting", "stale", "without"


def standing(changed: datetime | None, calculated: datetime | None, cursor: datetime) -> str:
    """Returns which of STANDINGS a user has whose newest change and newest calculation these are."""
    if changed is None or (calculated is not None and calculated >= changed):
        return CURRENT
    if changed > cursor:
        return WAITING
    return WITHOUT if calculated is None else STALE


def newest_calculations(target: _Documents, users: Sequence[ObjectId]) -> dict[ObjectId, datetime]:
    """The newest `calculatedAt` of each user's 7-day results, by the unique index."""
    found: dict[ObjectId, datetime] = {}
    for start in range(0, len(users), _USERS_PER_QUERY):
        chunk = list(users[start : start + _USERS_PER_QUERY])
        pipeline: list[dict[str, Any]] = [
            {"$match": {"userId": {"$in": chunk}, "timeRange": "7day"}},
            {"$group": {"_id": "$userId", "newest": {"$max": "$calculatedAt"}}},
        ]
        for group in for_reading(target).aggregate(pipeline):
            # An array with the id in it is found, too.
            if isinstance(group["newest"], datetime) and isinstance(group["_id"], ObjectId):
                found[group["_id"]] = group["newest"]
    return found

"""Reads a few documents by an index, as a sample of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from sources.health.census import read_bounded
from sources.mongo_client import for_reading

# The fields that decide whether a document counts, without its values.
_WEARABLES = ["heartRate", "oxygenSaturation", "bloodOxygen"]
_MARKS = dict.fromkeys(
    ["userId", "date", "source", *_WEARABLES, *(f"metrics.{name}" for name in _WEARABLES)], 1
)


def newest_changes(
    collection: Collection[dict[str, Any]], now: datetime, number: int = 2_000, seconds: float = 2.0
) -> list[dict[str, Any]]:
    """Read owner, date, source and wearables' fields of the `number` documents changed last.

    Returns None when the server needs more than `seconds`. Needs the poll's index. pymongo's errors pass.
    """
    condition = {"updatedAt": {"$lte": now, "$not": {"$type": "array"}}}
    query = for_reading(collection).find(condition, _MARKS, batch_size=number)
    return read_bounded(query.sort("updatedAt", -1).limit(number), number, seconds)[0]


def dates_of(
    collection: Collection[dict[str, Any]], users: Sequence[ObjectId], each: int = 400, seconds: float = 0.3
) -> list[datetime]:
    """The `each` latest dates of every one of `users`, by the index on userId and date.

    They cover a year and more, because a zone with summer time is known by both halves of it.
    """
    found: list[datetime] = []
    for user in users:
        query = for_reading(collection).find({"userId": user}, {"_id": 0, "date": 1}, batch_size=each)
        documents, _ = read_bounded(query.sort("date", -1).limit(each), each, seconds)
        found += [one["date"] for one in documents if isinstance(one.get("date"), datetime)]
    return found

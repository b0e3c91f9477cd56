"""Reads a few documents by an index, as a sample of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts.health import WEARABLE_FIELDS
from sources.health.census import read_bounded
from sources.mongo_client import for_reading

_NEWEST, _NEWEST_SECONDS = 2_000, 2.0
# Of one user.
_DATES, _DATES_SECONDS = 400, 0.3
# What says whether a document counts, without its values.
_MARKS = dict.fromkeys(
    ["userId", "date", "source", *WEARABLE_FIELDS, *(f"metrics.{name}" for name in WEARABLE_FIELDS)], 1
)


def newest_changes(collection: Collection[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Owner, date, source and wearables' fields of the documents changed last.

    None when the server needs longer than two seconds. Needs the poll's index. pymongo's errors pass.
    """
    condition = {"updatedAt": {"$lte": now, "$not": {"$type": "array"}}}
    query = for_reading(collection).find(condition, _MARKS, batch_size=_NEWEST)
    return read_bounded(query.sort("updatedAt", -1).limit(_NEWEST), _NEWEST, _NEWEST_SECONDS)[0]


def dates_of(collection: Collection[dict[str, Any]], users: Sequence[ObjectId]) -> list[datetime]:
    """The latest dates of every one of `users`, of a year and more, by the index on userId and date.

    A zone with summer time is known by both halves of the year.
    """
    found: list[datetime] = []
    for user in users:
        query = for_reading(collection).find({"userId": user}, {"_id": 0, "date": 1}, batch_size=_DATES)
        documents, _ = read_bounded(query.sort("date", -1).limit(_DATES), _DATES, _DATES_SECONDS)
        found += [one["date"] for one in documents if isinstance(one.get("date"), datetime)]
    return found

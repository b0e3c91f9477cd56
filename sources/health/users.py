"""Each user of the source with the newest change, and of the results with the oldest calculation.

Both come sorted by user, so that they can be compared side by side without holding either in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.collection import Collection

from sources.mongo_client import for_reading

_OF_A_USER = {"$match": {"userId": {"$type": "objectId"}}}


@dataclass(frozen=True, slots=True)
class UserChanges:
    """`settled` is the newest updatedAt up to the given moment, `newest` of all; None without a date.

    `from_phone`: some document has a phone's source, without which there can be no analytics.
    """

    user_id: ObjectId
    newest: datetime | None
    settled: datetime | None
    from_phone: bool


@dataclass(frozen=True, slots=True)
class UserResults:
    """`oldest` is the oldest calculatedAt of the user's analytics; None where that is not a date."""

    user_id: ObjectId
    oldest: datetime | None


def user_changes(
    collection: Collection[dict[str, Any]],
    until: datetime,
    seconds: float,
    phones: Sequence[str],
) -> Iterator[UserChanges]:
    """Every user of the source, sorted; documents of `phones` are from a phone.

    The server gives up after `seconds`. pymongo's errors pass.
    """
    settled = {"$cond": [{"$lte": ["$updatedAt", until]}, "$updatedAt", None]}
    # Literal, because a name may begin with $.
    phone = {"$cond": [{"$in": ["$source", {"$literal": list(phones)}]}, 1, 0]}
    group = {
        "_id": "$userId",
        "newest": {"$max": "$updatedAt"},
        "settled": {"$max": settled},
        "phone": {"$max": phone},
    }
    for found in _aggregate(collection, group, seconds):
        yield UserChanges(
            found["_id"], _date(found.get("newest")), _date(found.get("settled")), found.get("phone") == 1
        )


def user_results(collection: Collection[dict[str, Any]], seconds: float) -> Iterator[UserResults]:
    """Every user with analytics, sorted; the server gives up after `seconds`. pymongo's errors pass."""
    group = {"_id": "$userId", "oldest": {"$min": "$calculatedAt"}}
    for found in _aggregate(collection, group, seconds):
        yield UserResults(found["_id"], _date(found.get("oldest")))


def _aggregate(
    collection: Collection[dict[str, Any]], group: dict[str, Any], seconds: float
) -> Iterator[dict[str, Any]]:
    pipeline: list[dict[str, Any]] = [_OF_A_USER, {"$group": group}, {"$sort": {"_id": 1}}]
    # The server answers once it has seen every document; what follows comes quickly.
    with pymongo.timeout(seconds):
        groups = for_reading(collection).aggregate(pipeline, allowDiskUse=True)
    with groups as found:
        # `$type` also finds an array of ids, which is no user's id.
        yield from (each for each in found if isinstance(each["_id"], ObjectId))


def _date(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None

"""What documents and results say of their versions, without their figures: days and times, by user.

A condition on `userId` is a range of ids or a list; both use the indexes that begin with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection

from contracts.plain_documents import Rows
from sources.health.layouts import Layouts
from sources.health.replies import decoded, read_rows
from sources.mongo_client import for_reading

_VERSION: Final = {"userId": 1, "date": 1, "updatedAt": 1}
_KEY: Final = ("timeRange", "metricType")
_RESULT: Final = {"_id": 0, "userId": 1, "calculatedAt": 1, "metadata.basis": 1}
_PER_REPLY: Final = 50_000


def between(after: ObjectId | None, upto: ObjectId | None) -> dict[str, Any]:
    """The condition that finds the users after `after` up to `upto`; None is no bound."""
    bounds: dict[str, Any] = {"$type": "objectId"} if after is None and upto is None else {}
    if after is not None:
        bounds["$gt"] = after
    if upto is not None:
        bounds["$lte"] = upto
    return {"userId": bounds}


def among(users: Sequence[ObjectId]) -> dict[str, Any]:
    """The condition that finds `users`."""
    return {"userId": {"$in": list(users)}}


def read_versions(
    collection: Collection[dict[str, Any]], condition: Mapping[str, Any]
) -> Iterator[Rows | dict[str, Any]]:
    """Owner, day and `updatedAt` of the documents that meet `condition`; pymongo's errors pass through."""
    layouts = Layouts(decoded)
    yield from read_rows(collection, condition, layouts, fields=_VERSION, batch_size=_PER_REPLY)


@dataclass(slots=True)
class StoredResults:
    """Of one user's results their number, the first and last `calculatedAt`, and what they say of a basis.

    `undated`: one of them has no date there.
    """

    number: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    undated: bool = False
    basis: Any = None

    @property
    def is_of_one_time(self) -> bool:
        """Whether all of them have the same date."""
        return not self.undated and self.newest is not None and self.oldest == self.newest


def stored_results(
    collection: Collection[dict[str, Any]], condition: Mapping[str, Any]
) -> dict[ObjectId, StoredResults]:
    """By user what the results that meet `condition` say; pymongo's errors pass through.

    Documents that lack a part of the key are no results.
    """
    found: dict[ObjectId, StoredResults] = {}
    whole = {**condition, **{name: {"$ne": None} for name in _KEY}}
    with for_reading(collection).find(whole, _RESULT, batch_size=_PER_REPLY) as results:
        for one in results:
            user, date, metadata = one.get("userId"), one.get("calculatedAt"), one.get("metadata")
            if not isinstance(user, ObjectId):
                continue  # an array with an id in it
            mine = found.setdefault(user, StoredResults())
            mine.number += 1
            if isinstance(date, datetime):
                mine.oldest = date if mine.oldest is None else min(date, mine.oldest)
                mine.newest = date if mine.newest is None else max(date, mine.newest)
            else:
                mine.undated = True
            if isinstance(metadata, dict) and "basis" in metadata:
                # Where several tell of one, they differ, and so do their dates.
                mine.basis = metadata["basis"]
    return found

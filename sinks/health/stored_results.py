"""Results that are stored already: which of them a calculation replaces or removes, and which must stay.

What is older goes, and what has no date. A date after the server's now is wrong too, but another writer may
have calculated since that now was asked for. So a date is from the future only if it was read *before* the
server was asked for the time, and it is replaced only where it still stands. (`$$NOW` in a filter would be
the time at which a whole bulk began, and DocumentDB takes it in few places only.)

Collections come from sources.mongo_client: no stored date or text stops a read, and the primary answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo.collection import Collection

from contracts import Clock, Document

KEY = ("userId", "timeRange", "metricType")
# Comparisons need the key and the date alone.
KEY_AND_DATE = dict.fromkeys((*KEY, "calculatedAt"), 1)
_USERS_AT_ONCE = 500


def outdated(calculated_at: datetime) -> list[dict[str, Any]]:
    """Returns conditions; a stored result that meets one of them gives way to one of `calculated_at`."""
    return [{"calculatedAt": {"$lt": calculated_at}}, {"calculatedAt": {"$not": {"$type": "date"}}}]


def key_of(document: Document) -> str:
    """The key of any document, as something that can be compared: a stored one may hold any types."""
    return repr([document.get(name) for name in KEY])


def wrong_dates(
    collection: Collection[dict[str, Any]],
    documents: Sequence[Document],
    calculated_at: datetime,
    clock: Clock,
) -> dict[str, Any]:
    """Returns by key the stored dates of the users of `documents` that lie after the now of `clock`."""
    users = sorted({document["userId"] for document in documents})
    later = {"userId": {"$in": users}, "calculatedAt": {"$gt": calculated_at}}
    stored = collection.find(later, KEY_AND_DATE)
    return {key_of(one): one["calculatedAt"] for one in _wrong(stored, calculated_at, clock)}


def delete_obsolete(
    collection: Collection[dict[str, Any]],
    user_ids: Sequence[ObjectId],
    calculated_at: datetime,
    kept: Sequence[Document],
    clock: Clock,
) -> int:
    """Remove results of `user_ids` older than `calculated_at` or dated after now; returns how many.

    The documents `kept` could not be written, so their old version stays.
    """
    keep = {"$nor": [{name: document[name] for name in KEY} for document in kept]} if kept else {}
    deleted = 0
    for start in range(0, len(user_ids), _USERS_AT_ONCE):
        mine = {"userId": {"$in": list(user_ids[start : start + _USERS_AT_ONCE])}, **keep}
        deleted += collection.delete_many({**mine, "$or": outdated(calculated_at)}).deleted_count
        later = collection.find({**mine, "calculatedAt": {"$gt": calculated_at}}, KEY_AND_DATE)
        wrong = _wrong(later, calculated_at, clock)
        if wrong:
            ids, dates = [one["_id"] for one in wrong], [one["calculatedAt"] for one in wrong]
            still = {"_id": {"$in": ids}, "calculatedAt": {"$in": dates}}
            deleted += collection.delete_many(still).deleted_count
    return deleted


def stored_of(
    collection: Collection[dict[str, Any]], user_ids: Sequence[ObjectId], calculated_at: datetime
) -> tuple[int, int]:
    """Returns how many documents of `user_ids` the calculation of `calculated_at` has inserted and updated.

    A write that is repeated finds its own documents, so that its answers count them as skipped.
    """
    mine: dict[str, Any] = {"userId": {"$in": list(user_ids)}, "calculatedAt": calculated_at}
    inserted = collection.count_documents({**mine, "createdAt": calculated_at})
    return inserted, collection.count_documents(mine) - inserted


def _wrong(stored: Iterable[Document], calculated_at: datetime, clock: Clock) -> list[Document]:
    """Returns those of `stored` without a date or with one after now; asks `clock` after they were read."""
    later = [one for one in stored if not _is_before(one.get("calculatedAt"), calculated_at)]
    if not later:
        return []
    now = clock.now()
    return [one for one in later if not _is_before(one.get("calculatedAt"), now)]


def _is_before(date: Any, moment: datetime) -> bool:
    """Whether `date` is a date up to `moment`; Python lacks those before the year 1 and after 9999."""
    if isinstance(date, DatetimeMS):
        return int(date) < 0
    return isinstance(date, datetime) and date <= moment

"""Results that are stored already: which of them a calculation replaces or removes, and which must stay.

What is older goes, and what has no date. A date after the server's now is wrong too, but another writer may
have calculated since that now was asked for. So a date is from the future only if it was read *before* the
server was asked for the time, and it is replaced only where it still stands. (`$$NOW` in a filter would be
the time at which a whole bulk began, and DocumentDB takes it in few places only.)

Collections come from sources.mongo_client: no stored date or text stops a read, and the primary answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo.collection import Collection

from contracts import Clock, Document
from contracts.bson_order import SortKey, sort_key
from mongo_patience import while_it_answers

KEY = ("userId", "timeRange", "metricType")
# Comparisons need the key and the date alone.
KEY_AND_DATE = dict.fromkeys((*KEY, "calculatedAt"), 1)
# A document that lacks a part of the key (null is absent to an index) is no result: it is never removed.
HAS_KEY: Mapping[str, Any] = {name: {"$ne": None} for name in KEY}
# No result has an array there, yet the document answers to each value of it, in a filter and in an index.
ARRAYS_IN_KEY = [{name: {"$type": "array"}} for name in KEY]
# A `createdAt` that only an update of its own can mend.
CREATED_AT_NO_DATE = {"createdAt": {"$exists": True, "$not": {"$type": "date"}}}
_USERS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands under a key: its `calculatedAt`, and whether that is older or wrong and so gives way.

    `created` is set if `createdAt` is there and no date: the time at which the document was made.
    """

    date: Any
    gives_way: bool
    created: datetime | None


def outdated(calculated_at: datetime) -> list[dict[str, Any]]:
    """Returns conditions; a stored result that meets one of them gives way to one of `calculated_at`."""
    return [{"calculatedAt": {"$lt": calculated_at}}, {"calculatedAt": {"$not": {"$type": "date"}}}]


def key_of(document: Document) -> SortKey:
    """The key of any document, equal to another's where the server takes them for equal (1 and 1.0)."""
    return tuple(sort_key(document.get(name)) for name in KEY)


def stored_under(
    collection: Collection[dict[str, Any]],
    documents: Sequence[Document],
    calculated_at: datetime,
    clock: Clock,
) -> dict[SortKey, Stored]:
    """Returns by key what is stored under the keys of `documents`."""
    keys = {key_of(document) for document in documents}
    found = collection.find(_near(documents), {**KEY_AND_DATE, "createdAt": 1})
    stored = {key: one for one in found if (key := key_of(one)) in keys}
    wrong = {key_of(one) for one in _wrong(stored.values(), calculated_at, clock)}
    return {
        key: Stored(date, key in wrong or _is_older(date, calculated_at), _created(one, calculated_at))
        for key, one in stored.items()
        for date in [one.get("calculatedAt")]
    }


def may_be_replaced(stored: Document, calculated_at: datetime) -> bool:
    """Whether `stored` is older than `calculated_at`, with an `_id` of the type that this service writes."""
    return isinstance(stored["_id"], ObjectId) and _is_older(stored.get("calculatedAt"), calculated_at)


def delete_arrays(collection: Collection[dict[str, Any]], documents: Sequence[Document]) -> int:
    """Remove what answers to the keys of `documents` with an array; returns how many."""
    return collection.delete_many({**_near(documents), "$or": ARRAYS_IN_KEY}).deleted_count


def delete_strangers(collection: Collection[dict[str, Any]]) -> int:
    """Remove results of what is no user id, and those with an array in their key; returns how many."""
    no_user = {"userId": {"$not": {"$type": "objectId"}}}
    delete = partial(collection.delete_many, {**HAS_KEY, "$or": [no_user, *ARRAYS_IN_KEY]})
    what = f"the results of nobody in {collection.name}"
    return while_it_answers(collection.database, delete, what).deleted_count


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
        mine = {**HAS_KEY, "userId": {"$in": list(user_ids[start : start + _USERS_AT_ONCE])}, **keep}
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


def _near(documents: Sequence[Document]) -> dict[str, Any]:
    """A filter that finds the keys of `documents`, and others of the same users, ranges and metrics."""
    return {name: {"$in": sorted({document[name] for document in documents})} for name in KEY}


def _created(stored: Document, calculated_at: datetime) -> datetime | None:
    if isinstance(stored.get("createdAt", calculated_at), datetime | DatetimeMS):
        return None
    identity = stored["_id"]
    return identity.generation_time if isinstance(identity, ObjectId) else calculated_at


def _wrong(stored: Iterable[Document], calculated_at: datetime, clock: Clock) -> list[Document]:
    """Returns those of `stored` without a date or with one after now; asks `clock` after they were read."""
    later = [one for one in stored if not _is_before(one.get("calculatedAt"), calculated_at)]
    if not later:
        return []
    now = clock.now()
    return [one for one in later if not _is_before(one.get("calculatedAt"), now)]


def _is_older(date: Any, moment: datetime) -> bool:
    return _is_before(date, moment) and date != moment


def _is_before(date: Any, moment: datetime) -> bool:
    """Whether `date` is a date up to `moment`; Python lacks those before the year 1 and after 9999."""
    if isinstance(date, DatetimeMS):
        return int(date) < 0
    return isinstance(date, datetime) and date <= moment

"""The indexes of the analytics collection: created or verified; duplicates in their way are removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DeleteOne
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from contracts import ConfigurationError, Document, UnavailableError
from sinks.health.stored_results import KEY, KEY_AND_DATE, key_of
from sinks.mongo_errors import is_unauthorized

# In this order because the backend owns a non-unique index on {userId, metricType, timeRange}, and a server
# refuses two indexes with the same keys and other options.
UNIQUE_KEY = [(name, ASCENDING) for name in KEY]
TTL_KEY = [("expiresAt", ASCENDING)]
UNIQUE_NAME, TTL_NAME = "analytics_unique_key", "analytics_ttl"
_SHOWN = 5
_AT_ONCE, _ROUNDS = 1_000, 5
# Far above the client's bound for a command: an index over a large collection takes its time.
_BUILD_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Mended:
    """The indexes that were made, and the number of results removed because a newer one had their key."""

    made: tuple[str, ...] = ()
    duplicates: int = 0


def ensure_indexes(collection: Collection[dict[str, Any]]) -> Mended:
    """Create `analytics_unique_key` and `analytics_ttl` unless equal ones exist under any name.

    Of results that share a key only the newest stays, or the unique index could not be built. Raises
    ConfigurationError that names an index in the way; pymongo's errors pass through.
    """
    missing = missing_indexes(collection)
    duplicates = 0
    with pymongo.timeout(_BUILD_SECONDS):
        if UNIQUE_NAME in missing:
            duplicates = _create_unique(collection)
        if TTL_NAME in missing:
            _create(collection, TTL_KEY, name=TTL_NAME, expireAfterSeconds=0)
    return Mended(tuple(missing), duplicates)


def missing_indexes(collection: Collection[dict[str, Any]]) -> list[str]:
    """Returns the names of the indexes that `ensure_indexes` would create; pymongo's errors pass through."""
    present = [(list(index["key"]), index) for index in collection.index_information().values()]
    missing = []
    if not any(key == UNIQUE_KEY and index.get("unique") for key, index in present):
        missing.append(UNIQUE_NAME)
    if not any(key == TTL_KEY and "expireAfterSeconds" in index for key, index in present):
        missing.append(TTL_NAME)
    return missing


def _create_unique(collection: Collection[dict[str, Any]]) -> int:
    """Create the unique index; returns how many duplicates it removed for that.

    Other writers may make new duplicates until the index is there.
    """
    removed = 0
    for _ in range(_ROUNDS):
        found = _clear_or_create(collection)
        if not found:
            return removed
        removed += found
    raise UnavailableError(
        f"{collection.name} gets new duplicates as fast as they are removed, so its unique index cannot be "
        "built yet; it is tried again. Does something else write results there?"
    )


def _clear_or_create(collection: Collection[dict[str, Any]]) -> int:
    """Remove duplicates in the way of the unique index, or create it; returns how many were removed."""

    def create() -> None:
        _create(collection, UNIQUE_KEY, name=UNIQUE_NAME, unique=True)

    try:
        create()
    except OperationFailure as error:
        # Servers name this failure differently (mongod 11000, DocumentDB 1), so the data decide.
        if is_unauthorized(error):
            raise
        removed = remove_duplicates(collection)
        if not removed:
            # Another instance may just have done it.
            create()
        return removed
    return 0


def remove_duplicates(collection: Collection[dict[str, Any]]) -> int:
    """Of results that share a key leave the one with the newest `calculatedAt`; how many went.

    Among equals the greatest `_id` stays, and any date goes before what is none. The server sorts, on its
    disk if need be, so that memory here is that of one bulk. A result that changed since it was read is left
    alone. An array in a key, which no result has, would block the index as well: such documents go too.
    """
    arrays = {"$or": [{name: {"$type": "array"}} for name in KEY]}
    removed = collection.delete_many(arrays).deleted_count
    losers: list[DeleteOne] = []
    for loser in _losers(collection):
        unchanged = {"_id": loser["_id"], "calculatedAt": {"$eq": loser.get("calculatedAt")}}
        losers.append(DeleteOne(unchanged))
        if len(losers) >= _AT_ONCE:
            removed += collection.bulk_write(losers, ordered=False).deleted_count
            losers = []
    if losers:
        removed += collection.bulk_write(losers, ordered=False).deleted_count
    return removed


def _losers(collection: Collection[dict[str, Any]]) -> Iterator[Document]:
    order = dict.fromkeys((*KEY, "calculatedAt", "_id"), ASCENDING)
    pipeline: list[dict[str, Any]] = [{"$project": KEY_AND_DATE}, {"$sort": order}]
    best: Document | None = None
    for document in collection.aggregate(pipeline, allowDiskUse=True, batchSize=_AT_ONCE):
        if best is None or key_of(best) != key_of(document):
            best = document
        elif _is_dated(document) or not _is_dated(best):
            yield best
            best = document
        else:
            yield document


def _is_dated(document: Document) -> bool:
    return isinstance(document.get("calculatedAt"), datetime | DatetimeMS)


def _create(collection: Collection[dict[str, Any]], keys: list[tuple[str, int]], **options: Any) -> None:
    try:
        collection.create_index(keys, **options)
    except OperationFailure as error:
        # IndexOptionsConflict and IndexKeySpecsConflict.
        if error.code not in (85, 86):
            raise
        fields = ", ".join(name for name, _ in keys)
        raise ConfigurationError(
            f"{collection.name} has another index on {{{fields}}} with other options or under the name "
            f"{options['name']}: drop it, so that {options['name']} can be created."
        ) from None


def duplicate_keys(collection: Collection[dict[str, Any]]) -> list[str]:
    """Some keys (user/range/metric) that several documents share; a scan of the whole collection."""
    key = {name: f"${name}" for name, _ in UNIQUE_KEY}
    groups = collection.aggregate(
        [
            {"$group": {"_id": key, "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": 1}}},
            {"$limit": _SHOWN},
        ],
        allowDiskUse=True,
    )
    return [
        f"{group['_id'].get('userId')}/{group['_id'].get('timeRange')}/{group['_id'].get('metricType')}"
        for group in groups
    ]

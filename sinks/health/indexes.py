"""The indexes of the analytics collection: created or verified; duplicates in their way are removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from pymongo import ASCENDING, DeleteOne
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from contracts import ConfigurationError, Document, UnavailableError
from mongo_patience import while_it_answers
from sinks.health.stored_results import ARRAYS_IN_KEY, HAS_KEY, KEY, KEY_AND_DATE, key_of
from sinks.mongo_errors import is_transient_mongo, is_unauthorized

# In this order because the backend owns a non-unique index on {userId, metricType, timeRange}, and a server
# refuses two indexes with the same keys and other options.
UNIQUE_KEY = [(name, ASCENDING) for name in KEY]
TTL_KEY = [("expiresAt", ASCENDING)]
_PARTIAL = "partialFilterExpression"
UNIQUE_NAME, TTL_NAME = "analytics_unique_key", "analytics_ttl"
_SHOWN = 5
_AT_ONCE, _ROUNDS = 1_000, 5


@dataclass(frozen=True, slots=True)
class Mended:
    """The indexes that were made, and the number of results removed because a newer one had their key."""

    made: tuple[str, ...] = ()
    duplicates: int = 0


def ensure_indexes(collection: Collection[dict[str, Any]]) -> Mended:
    """Create `analytics_unique_key` and `analytics_ttl` unless equal ones exist under any name.

    Of results that share a key only the newest stays, or the unique index could not be built. Raises
    ConfigurationError that names what is in the way; pymongo's other errors pass through.
    """
    present = collection.index_information()
    missing = _missing(present)
    if taken := _taken(collection, present):
        raise ConfigurationError(" ".join(taken))
    duplicates = _create_unique(collection) if UNIQUE_NAME in missing else 0
    if TTL_NAME in missing:
        _create(collection, TTL_KEY, name=TTL_NAME, expireAfterSeconds=0)
    return Mended(tuple(missing), duplicates)


def missing_indexes(collection: Collection[dict[str, Any]]) -> list[str]:
    """Returns the names of the indexes that `ensure_indexes` would create; pymongo's errors pass through."""
    return _missing(collection.index_information())


def _missing(present: Mapping[str, Any]) -> list[str]:
    whole = [(list(index["key"]), index) for index in present.values() if not index.get(_PARTIAL)]
    missing = []
    if not any(
        key == UNIQUE_KEY and index.get("unique") and not index.get("sparse") and not index.get("collation")
        for key, index in whole
    ):
        missing.append(UNIQUE_NAME)
    if not any(key == TTL_KEY and "expireAfterSeconds" in index for key, index in whole):
        missing.append(TTL_NAME)
    return missing


def _create_unique(collection: Collection[dict[str, Any]]) -> int:
    """Create the unique index; returns how many duplicates it removed for that.

    Other writers may make new duplicates until the index is there.
    """
    removed = in_vain = 0
    for _ in range(_ROUNDS):
        refusal = _unique_refusal(collection)
        if refusal is None:
            return removed
        found = remove_duplicates(collection)
        removed += found
        in_vain = 0 if found else in_vain + 1
        # Once is no sign: another instance may just have removed them.
        if in_vain > 1:
            raise ConfigurationError(_cause(collection, refusal))
    raise UnavailableError(
        f"{collection.name} gets new duplicates as fast as they are removed, so its unique index cannot be "
        "built yet; it is tried again. Does something else write results there?"
    )


def _unique_refusal(collection: Collection[dict[str, Any]]) -> OperationFailure | None:
    """Create the unique index; returns the server's error if the data may be its cause."""
    try:
        _create(collection, UNIQUE_KEY, name=UNIQUE_NAME, unique=True)
    except OperationFailure as error:
        # Servers name this failure differently (mongod 11000, DocumentDB 1), so the data decide.
        if is_unauthorized(error) or is_transient_mongo(error):
            raise
        return error
    return None


def _cause(collection: Collection[dict[str, Any]], refusal: OperationFailure) -> str:
    if found := obstacle(collection):
        return " ".join(found)
    return (
        f"MongoDB refuses the unique index {UNIQUE_NAME} of {collection.name} (code {refusal.code}), and no "
        "duplicates are left that can be removed. Create it by hand, or choose another ANALYTICS_COLLECTION."
    )


def obstacle(collection: Collection[dict[str, Any]]) -> tuple[str, str] | None:
    """What keeps a missing index from being made, and the remedy; a scan of the whole collection."""
    present = collection.index_information()
    if taken := _taken(collection, present):
        return taken
    if UNIQUE_NAME not in _missing(present) or not _lack_equal_parts(collection):
        return None
    detail = (
        f"{collection.name} (ANALYTICS_COLLECTION) holds documents that are no results, and they keep its "
        "unique index from being made."
    )
    return detail, "Choose another collection, or remove them."


def _taken(collection: Collection[dict[str, Any]], present: Mapping[str, Any]) -> tuple[str, str] | None:
    taken = [name for name in _missing(present) if name in present]
    if not taken:
        return None
    detail = (
        f"{collection.name} has an index {taken[0]} that does not hold for all results: it has other fields, "
        "or is partial, sparse, not unique, or of a collation."
    )
    return detail, f"Drop it (mongosh: db.{collection.name}.dropIndex('{taken[0]}')), and start again."


def _lack_equal_parts(collection: Collection[dict[str, Any]]) -> bool:
    """Whether documents that lack a part of the key, so that they are no results, share the rest of it."""
    key = {name: {"$ifNull": [f"${name}", None]} for name in KEY}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"$or": [{name: None} for name in KEY]}},
        {"$group": {"_id": key, "count": {"$sum": 1}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$limit": 1},
    ]
    return any(collection.aggregate(pipeline, allowDiskUse=True))


def remove_duplicates(collection: Collection[dict[str, Any]]) -> int:
    """Of results that share a key leave the one with the newest `calculatedAt`; how many went.

    Among equals the greatest `_id` stays, and any date goes before what is none. The server sorts, on its
    disk if need be, so that memory here is that of one bulk. A result that changed since it was read is left
    alone. An array in a key, which no result has, would block the index as well: such documents go too. What
    lacks a part of the key is no result and stays.
    """
    patient = partial(while_it_answers, collection.database, what=f"the duplicates of {collection.name}")
    removed = patient(lambda: collection.delete_many({**HAS_KEY, "$or": ARRAYS_IN_KEY})).deleted_count
    losers: list[DeleteOne] = []
    for loser in filter(_can_be_named, _losers(_exact(collection))):
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
    pipeline: list[dict[str, Any]] = [{"$match": HAS_KEY}, {"$project": KEY_AND_DATE}, {"$sort": order}]
    best: Document | None = None
    sort = partial(collection.aggregate, pipeline, allowDiskUse=True, batchSize=_AT_ONCE)
    for document in while_it_answers(collection.database, sort, f"the duplicates of {collection.name}"):
        if best is None or key_of(best) != key_of(document):
            best = document
        elif _is_dated(document) or not _is_dated(best):
            yield best
            best = document
        else:
            yield document


def _exact(collection: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The same collection, read so that texts which differ in broken bytes alone differ."""
    options: Any = collection.codec_options
    if not isinstance(options, CodecOptions):  # the embedded store, whose texts are whole
        return collection
    return collection.with_options(options.with_options(unicode_decode_error_handler="surrogateescape"))


def _can_be_named(document: Document) -> bool:
    """Whether a filter can name the document: one with broken text in its `_id` or date it cannot."""
    try:
        bson.encode({name: document.get(name) for name in ("_id", "calculatedAt")})
    except (BSONError, UnicodeError):
        return False
    return True


def _is_dated(document: Document) -> bool:
    return isinstance(document.get("calculatedAt"), datetime | DatetimeMS)


def _create(collection: Collection[dict[str, Any]], keys: list[tuple[str, int]], **options: Any) -> None:
    build = partial(collection.create_index, keys, **options)
    try:
        while_it_answers(collection.database, build, f"the index {options['name']} of {collection.name}")
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
            {"$match": HAS_KEY},
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

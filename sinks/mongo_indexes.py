"""The indexes of the analytics collection: created, or verified where they are."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from contracts import ConfigurationError

# In this order because the backend owns a non-unique index on {userId, metricType, timeRange}, and a server
# refuses two indexes with the same keys and other options.
UNIQUE_KEY = [("userId", ASCENDING), ("timeRange", ASCENDING), ("metricType", ASCENDING)]
TTL_KEY = [("expiresAt", ASCENDING)]
UNIQUE_NAME, TTL_NAME = "analytics_unique_key", "analytics_ttl"
_SHOWN = 5
# Far above the client's bound for a command: an index over a large collection takes its time.
_BUILD_SECONDS = 3_600.0


def ensure_indexes(collection: Collection[dict[str, Any]]) -> None:
    """Create `analytics_unique_key` and `analytics_ttl` unless equal ones exist under any name.

    Raises ConfigurationError that names duplicates which block the unique index, or an index in the way.
    """
    missing = missing_indexes(collection)
    with pymongo.timeout(_BUILD_SECONDS):
        if UNIQUE_NAME in missing:
            _create_unique(collection)
        if TTL_NAME in missing:
            _create(collection, TTL_KEY, name=TTL_NAME, expireAfterSeconds=0)


def missing_indexes(collection: Collection[dict[str, Any]]) -> list[str]:
    """Which of the two `ensure_indexes` would create; pymongo's errors pass through."""
    present = [(list(index["key"]), index) for index in collection.index_information().values()]
    missing = []
    if not any(key == UNIQUE_KEY and index.get("unique") for key, index in present):
        missing.append(UNIQUE_NAME)
    if not any(key == TTL_KEY and "expireAfterSeconds" in index for key, index in present):
        missing.append(TTL_NAME)
    return missing


def _create_unique(collection: Collection[dict[str, Any]]) -> None:
    try:
        _create(collection, UNIQUE_KEY, name=UNIQUE_NAME, unique=True)
    except OperationFailure:
        # Servers name this failure differently (mongod 11000, DocumentDB 1), so the data decides.
        names = ", ".join(duplicate_keys(collection))
        if not names:
            raise
        raise ConfigurationError(
            f"{collection.name} holds several documents for the same user, range and metric, so the unique "
            f"index cannot be built. Some of them: {names}. Everything there is computed from healthmetrics, "
            f"so drop the collection (mongosh: db.{collection.name}.drop()) and run "
            "`python process_batch.py --full`."
        ) from None


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

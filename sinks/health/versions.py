"""The version of the results: each one tells by which it was written, from version 2 on.

A result of an older version is written anew when its user is computed, so nothing has to be migrated.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pymongo
from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from contracts.health import RESULTS_VERSION, VERSION
from contracts.versions import require_known
from sinks.health.indexes import TTL_NAME, missing_indexes

# Where the index is not used for it, a start goes on.
_SECONDS = 2.0


def require_known_results(collection: Collection[dict[str, Any]]) -> None:
    """Raise ConfigurationError when the newest result was written by a newer program."""
    newest = None
    with suppress(PyMongoError), pymongo.timeout(_SECONDS):
        if TTL_NAME not in missing_indexes(collection):
            newest = collection.find_one({}, {VERSION: 1}, sort=[("expiresAt", DESCENDING)])
    metadata = (newest or {}).get("metadata")
    found = metadata.get(VERSION.partition(".")[2]) if isinstance(metadata, dict) else None
    require_known(found, RESULTS_VERSION, f"The collection {collection.name}", "ANALYTICS_COLLECTION")

"""The version of the results: each one tells by which it was written, from version 2 on.

A result of an older version is written anew when its user is computed, so nothing has to be migrated.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout

from contracts.health import RESULTS_VERSION, VERSION
from contracts.versions import require_known
from sinks.health.indexes import TTL_NAME, missing_indexes

# Where the server does not use the index for it, a start goes on.
_PATIENCE_MS = 2_000


def require_known_results(collection: Collection[dict[str, Any]]) -> None:
    """Raise ConfigurationError when the newest result is of a newer program; pymongo's errors pass."""
    newest = None
    if TTL_NAME not in missing_indexes(collection):
        with suppress(ExecutionTimeout):
            order = [("expiresAt", DESCENDING)]
            newest = collection.find_one({}, {VERSION: 1}, sort=order, max_time_ms=_PATIENCE_MS)
    metadata = (newest or {}).get("metadata")
    found = metadata.get(VERSION.partition(".")[2]) if isinstance(metadata, dict) else None
    require_known(found, RESULTS_VERSION, f"The collection {collection.name}", "ANALYTICS_COLLECTION")

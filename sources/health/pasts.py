"""What is stored of users' older days beside their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts.health_metrics import METRICS
from sources.mongo_client import for_reading

_USERS_AT_ONCE = 500
_FIELDS = {"userId": 1, "metadata.past": 1}


def stored_pasts(results: Collection[dict[str, Any]], users: Sequence[ObjectId]) -> dict[ObjectId, Any]:
    """Returns by user what the newest of these results has as `metadata.past`, whatever it is.

    All results of a calculation have the same, so those of the first metric are asked, which most users
    have; of who has none, any other.
    pymongo's errors pass through.
    """
    found: dict[ObjectId, Any] = {}
    for kind in ({"metricType": next(iter(METRICS))}, {}):
        left = [user for user in users if user not in found]
        for start in range(0, len(left), _USERS_AT_ONCE):
            mine = {"userId": {"$in": left[start : start + _USERS_AT_ONCE]}, "timeRange": "90day", **kind}
            for one in for_reading(results).find(mine, _FIELDS, sort=[("calculatedAt", 1)]):
                metadata = one.get("metadata")
                found[one["userId"]] = metadata.get("past") if isinstance(metadata, dict) else None
    return found

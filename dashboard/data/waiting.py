"""What healthmetrics tells, where the dashboard may read it: who waits, and what a result comes of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import OperationFailure

from dashboard.data.database import AnalyticsCollection, bounded, explain, server_now
from sources.health.history import read_history
from sources.health.inspection import find_stale, has_index_on
from sources.mongo_client import is_mongomock

# A change waits for the next poll and its batch; only then it is late.
_PATIENCE: Final = timedelta(minutes=5)
# The newest changes that are looked at, by the poll's index.
_LOOK_AT: Final = 2_000
_UNAUTHORIZED: Final = 13


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of the `users` changed last: how many are `late`, since when, some of them, and how many are `next`.

    `complete` says that nobody else can wait.
    """

    users: int
    late: int
    since: datetime | None
    examples: tuple[str, ...]
    next: int
    complete: bool


def read_waiting(source: AnalyticsCollection, target: AnalyticsCollection) -> Waiting | None:
    """Look for people who wait, by indexes alone: None where the poll's index is missing.

    Raises pymongo's errors.
    """
    with bounded(source):
        if not _is_indexed(source, "updatedAt"):
            return None
        now = server_now(source)
        found = find_stale(source, target, now, now - _PATIENCE, _LOOK_AT)
    examples = tuple(map(str, found.examples))
    return Waiting(found.users, found.stale, found.stale_since, examples, found.waiting, found.complete)


def _is_indexed(source: AnalyticsCollection, field: str) -> bool:
    """Whether a read by `field` looks at few documents: rather no answer than a scan of millions."""
    return is_mongomock(source) or has_index_on(source, field)


def explain_source(error: Exception) -> str:
    """Returns a sentence for `error` of a read of healthmetrics, which a dashboard may have no right to."""
    # No warning in the log: to have no right here is one of two ways to install it.
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return "The dashboard's user of MongoDB may not read healthmetrics."
    return explain(error)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All raw `documents` of a user, the `stored` result that they led to, if any, and the server's `now`."""

    documents: tuple[dict[str, Any], ...]
    stored: dict[str, Any] | None
    now: datetime


def read_evidence(
    source: AnalyticsCollection, target: AnalyticsCollection, user: ObjectId, metric: str, time_range: str
) -> Evidence | None:
    """What a result of `user` is explained by: None where healthmetrics has no index on userId.

    Raises pymongo's errors.
    """
    with bounded(source):
        if not _is_indexed(source, "userId"):
            return None
        now = server_now(target)
        key = {"userId": user, "timeRange": time_range, "metricType": metric}
        # The result first: a change that comes between the two reads is then told as late.
        stored = target.find_one(key)
        return Evidence(tuple(read_history(source, [user])), stored, now)

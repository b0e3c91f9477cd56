"""Whether a user's results fit the documents of the source, by keys and times alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.basis import Fingerprint, fingerprint_of
from analytics.health.documents import LIFETIME
from analytics.health.validation import DayRules
from analytics.health.versions_read import VersionsRead
from sources.health.versions import StoredResults, read_versions, stored_results

# The kinds of drift, each with its words for people.
DRIFT: Final[Mapping[str, str]] = {
    "missing": "have documents that count, and analytics were missing",
    "behind": "had analytics older than a change",
    "orphaned": "have no documents any more",
    "deleted": "have fewer documents than their analytics were computed from",
    "late": "have documents that were committed too late for the poll",
    "unknown": "had analytics that do not tell from which documents they are",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One user at one look: the kind of `drift` (None without any), and the versions of the documents."""

    drift: str | None
    fingerprint: Fingerprint | None
    newest: datetime | None
    has_results: bool


def look(
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    condition: Mapping[str, Any],
    rules: DayRules,
    now: datetime,
) -> dict[ObjectId, Seen]:
    """Every user of either side whom `condition` finds; pymongo's errors pass through."""
    # First the results: what is computed meanwhile is newer than they are.
    stored = stored_results(target, condition)
    read = VersionsRead(rules)
    for found in read_versions(source, condition):
        read.note(found)
    versions = zip(read.users, read.fingerprints(), read.newest(), strict=True)
    seen = {}
    for user, fingerprint, newest in versions:
        # A user may have documents none of which has a day.
        if newest is not None:
            mine = stored.pop(user, None)
            seen[user] = Seen(_drift(fingerprint, newest, mine, now), fingerprint, newest, mine is not None)
    return seen | {user: Seen("orphaned", None, None, True) for user in stored}


def _drift(read: Fingerprint, newest: datetime, stored: StoredResults | None, now: datetime) -> str | None:
    if stored is None:
        # Results that are not refreshed expire.
        return None if newest < now - LIFETIME else "missing"
    basis = fingerprint_of(stored.basis)
    if basis is None:
        return "unknown"
    results = stored.basis.get("results")
    if not isinstance(results, int) or stored.number < results:
        return "missing"
    if stored.number > results or not stored.is_of_one_time:
        return "behind"
    return None if read == basis else _kind(read, basis, newest, stored)


def _kind(read: Fingerprint, basis: Fingerprint, newest: datetime, stored: StoredResults) -> str:
    if stored.newest is None or newest > stored.newest:
        return "behind"
    return "deleted" if read.documents < basis.documents else "late"

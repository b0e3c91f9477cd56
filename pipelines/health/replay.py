"""Replays a past batch in memory: what it wrote, computed anew from the documents that are there now.

It reads results by the index on their date, and the documents of a few users at a time by the index on their
user, and writes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.comparison import differences
from analytics.health.documents import LIFETIME, is_result
from analytics.health.explanation import Explanation, check_all, explain_ranges
from analytics.health.validation import DayRules
from contracts import ConfigurationError
from contracts.health import RANGE_NAMES
from contracts.health_metrics import METRICS
from sources.health.history import read_history
from sources.health.inspection import has_index_on
from sources.mongo_client import for_reading
from told import told

# Users whose documents are all held at once.
USERS_AT_ONCE: Final = 10
# Later results that are looked at for what replaced those of the batch.
LOOKED_AT: Final = 20_000
UNKNOWN: Final = "another program"

_Documents = Collection[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PastBatch:
    """The results calculated from `first` to `last` whose sparkJobId is `job` or ends with it.

    An empty `job` means all of that time. `written` is how many there were, None where no log tells.
    """

    name: str
    first: datetime
    last: datetime
    job: str = ""
    written: int | None = None

    def has(self, result: Mapping[str, Any]) -> bool:
        """Whether the batch wrote `result`, as it stands."""
        calculated = result.get("calculatedAt")
        if not isinstance(calculated, datetime) or not self.first <= calculated <= self.last:
            return False
        name = job_of(result)
        return not self.job or name == self.job or name.endswith(f":{self.job}")


@dataclass
class Tally:
    """Counts of a replay; results are a user's of one metric and range.

    Of the `results` that the batch wrote and that still stand, `equal` come out the same and `different` do
    not; `missing` ones of the same users are not stored, and would be now. `replaced` counts those of the
    same users that a later batch wrote, by that batch.
    """

    users: int = 0
    results: int = 0
    equal: int = 0
    different: int = 0
    missing: int = 0
    figures: int = 0
    jobs: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)


def job_of(result: Mapping[str, Any]) -> str:
    """The sparkJobId of a result, UNKNOWN without one."""
    metadata = result.get("metadata")
    name = metadata.get("sparkJobId") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else UNKNOWN


def users_of(target: _Documents, batch: PastBatch) -> list[ObjectId]:
    """The users with a result of `batch` that still stands, sorted.

    Raises ConfigurationError where no index finds results by their date; pymongo's errors pass through.
    """
    fields = {"userId": 1, "calculatedAt": 1, "metadata.sparkJobId": 1}
    found = for_reading(target).find(_dated(target, batch.first, batch.last), fields)
    owners = {each.get("userId") for each in found if batch.has(each)}
    return sorted(owner for owner in owners if isinstance(owner, ObjectId))


def replay(
    source: _Documents,
    target: _Documents,
    batch: PastBatch,
    users: Sequence[ObjectId],
    rules: DayRules,
    tally: Tally,
) -> Iterator[tuple[ObjectId, Explanation]]:
    """Compute anew what `batch` wrote of `users`, and yield each result that differs with its user.

    `tally` counts as it goes. pymongo's errors pass through.
    """
    for start in range(0, len(users), USERS_AT_ONCE):
        some = users[start : start + USERS_AT_ONCE]
        # The results first: a change that comes between the two reads is then told as late.
        results = _results(target, some)
        documents = defaultdict(list)
        for document in read_history(source, some):
            documents[document["userId"]].append(document)
        for user in some:
            tally.users += 1
            for explanation in _replayed(documents[user], results[user], batch, rules, tally):
                yield user, explanation


def replaced_since(target: _Documents, batch: PastBatch) -> tuple[Counter[str], bool]:
    """The batches whose results stand now in place of ones that were there when `batch` ended.

    They may be of other users. Of the results calculated later the first LOOKED_AT are looked at; the flag
    says that there were no more.
    """
    fields = {"createdAt": 1, "calculatedAt": 1, "metadata.sparkJobId": 1}
    name = _date_field(target)
    later = {name: {"$gt": batch.last + (LIFETIME if name == "expiresAt" else LIFETIME * 0)}}
    found: Counter[str] = Counter()
    read = 0
    for each in for_reading(target).find(later, fields).sort(name, 1).limit(LOOKED_AT):
        read += 1
        created, calculated = each.get("createdAt"), each.get("calculatedAt")
        if not isinstance(created, datetime) or not isinstance(calculated, datetime):
            continue
        if created <= batch.last < calculated:
            found[job_of(each)] += 1
    return found, read < LOOKED_AT


def _replayed(
    documents: Sequence[Mapping[str, Any]],
    results: Mapping[tuple[str, str], Mapping[str, Any]],
    batch: PastBatch,
    rules: DayRules,
    tally: Tally,
) -> Iterator[Explanation]:
    checked = check_all(documents, rules)
    for metric in METRICS:
        stored = {name: results.get((metric, name)) for name in RANGE_NAMES}
        for name, result in list(stored.items()):
            if result is not None and not batch.has(result):
                tally.replaced[job_of(result)] += 1
                del stored[name]
        for explanation in explain_ranges(checked, metric, rules, stored) if stored else ():
            found = differences(explanation.stored, explanation.computed)
            tally.figures += len(found)
            if explanation.stored is None:
                tally.missing += bool(found)
            else:
                tally.results += 1
                tally.jobs[job_of(explanation.stored)] += 1
                tally.different += bool(found)
                tally.equal += not found
            if found:
                yield explanation


def _results(
    target: _Documents, users: Sequence[ObjectId]
) -> Mapping[ObjectId, dict[tuple[str, str], dict[str, Any]]]:
    found: dict[ObjectId, dict[tuple[str, str], dict[str, Any]]] = {user: {} for user in users}
    for each in for_reading(target).find({"userId": {"$in": list(users)}}):
        if is_result(each) and each["userId"] in found:
            found[each["userId"]][each["metricType"], each["timeRange"]] = each
    return found


def _dated(target: _Documents, first: datetime, last: datetime) -> dict[str, Any]:
    name = _date_field(target)
    more = LIFETIME if name == "expiresAt" else LIFETIME * 0
    return {name: {"$gte": first + more, "$lte": last + more}}


def _date_field(target: _Documents) -> str:
    """The date by which results are found: the service's own index lets them expire."""
    for name in ("expiresAt", "calculatedAt"):
        if has_index_on(target, name):
            return name
    raise ConfigurationError(
        f"{target.full_name} has no index on expiresAt, by which the results of a batch are found: "
        f"`{told('run')}` makes it."
    )

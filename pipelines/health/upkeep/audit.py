"""Audits the data once in a while: a census of documents that the poll cannot see, and a comparison of source
and analytics. It only reads and measures; `process_batch.py --full` mends what it finds.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.documents import LIFETIME
from analytics.health.history_table import history_table
from analytics.health.validation import DayRules
from contracts.health_metrics import METRICS
from monitoring.health.audit_metrics import AuditMetrics
from monitoring.logs import get_logger
from sources.health.census import take_census
from sources.health.history import read_history_rows
from sources.health.users import UserChanges, UserResults, user_changes, user_results

logger = get_logger(__name__)

_SERVER_SECONDS = 60.0
_AGAIN_SECONDS = 3_600.0
# Users who seem to lack analytics have their histories read, to see whether they should have any.
_VERIFIED = 1_000
_SAMPLED = 100
_EXAMPLES = 3
_RANGE_DAYS = 90
_EPOCH_DAY = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a calendar day

DRIFT = {
    "missing": "have documents that count but no analytics",
    "behind": "have analytics older than their newest change",
    "orphaned": "have analytics but no documents",
    "different": "have analytics of other days than their documents (of a sample)",
}


@dataclass
class _Findings:
    """Users by kind of drift, and how many there are on either side."""

    drift: dict[str, list[ObjectId]] = field(default_factory=lambda: {kind: [] for kind in DRIFT})
    counts: Counter[str] = field(default_factory=Counter)
    suspects: list[ObjectId] = field(default_factory=list)
    sample: list[ObjectId] = field(default_factory=list)
    seen: int = 0

    def add(self, kind: str, user: ObjectId) -> None:
        """Count a user of this kind, and keep the first as examples."""
        self.counts[kind] += 1
        if len(self.drift[kind]) < _EXAMPLES:
            self.drift[kind].append(user)


@dataclass
class Audit:
    """Compares source and analytics every `every_seconds` (0: never), counted over restarts."""

    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    metrics: AuditMetrics
    timezone: str
    every_seconds: float
    sources: tuple[str, ...]
    _not_before: float = field(default_factory=time.monotonic)

    def run_due(self, settled: datetime) -> None:
        """Audit if the time has come; `settled` is the moment up to which every change was processed.

        The thread that processes batches calls it after a whole poll: analytics in work would look like
        drift. A server that fails or takes too long gets a warning, and is asked again in an hour.
        """
        age = settled.timestamp() - self.metrics.last
        if not self.every_seconds or 0 <= age < self.every_seconds or time.monotonic() < self._not_before:
            return
        try:
            self.run(settled)
        except Exception as error:  # noqa: BLE001 - the boundary: measuring must not stop the work
            self._not_before = time.monotonic() + _AGAIN_SECONDS
            logger.warning("The comparison of source and analytics failed", reason=type(error).__name__)

    def run(self, settled: datetime) -> None:
        """Audit now. pymongo's errors pass through."""
        for unseen in take_census(self.source, settled, target=self.target):
            # Out of time without a find proves nothing.
            if unseen.complete or unseen.count:
                self.metrics.unseen(unseen.kind, unseen.count)
        found, rules = _Findings(), DayRules.at(settled, self.timezone, self.sources)
        for changes, results in self._side_by_side(settled):
            self._compare(found, changes, results, settled)
        for user in self._with_values(found.suspects, rules):
            found.add("missing", user)
        days = self._compare_days(found, rules)
        users = {side: found.counts[side] for side in ("source", "analytics")}
        self.metrics.reconciled(users, {kind: found.counts[kind] for kind in DRIFT}, days, settled)
        for kind, examples in found.drift.items():
            if examples:
                shown = ", ".join(str(user) for user in examples)
                logger.warning(f"{found.counts[kind]} users {DRIFT[kind]}, for example {shown}")

    def _side_by_side(self, settled: datetime) -> Iterator[tuple[UserChanges | None, UserResults | None]]:
        """Every user of either side with what each says: both come sorted by user."""
        rows: Iterator[UserChanges | UserResults] = heapq.merge(
            user_changes(self.source, settled, _SERVER_SECONDS, self.sources),
            user_results(self.target, _SERVER_SECONDS),
            key=_user_of,
        )
        for _, group in groupby(rows, key=_user_of):
            sides = list(group)
            changes = next((one for one in sides if isinstance(one, UserChanges)), None)
            yield changes, next((one for one in sides if isinstance(one, UserResults)), None)

    def _compare(
        self, found: _Findings, changes: UserChanges | None, results: UserResults | None, settled: datetime
    ) -> None:
        found.counts["source"] += changes is not None
        found.counts["analytics"] += results is not None
        if changes is None:
            if results is not None:
                found.add("orphaned", results.user_id)
        elif changes.settled is None:
            return  # nothing of it was processed yet
        elif results is None:
            # Analytics that are not refreshed expire.
            expired = changes.settled < settled - LIFETIME
            if changes.from_phone and not expired and len(found.suspects) < _VERIFIED:
                found.suspects.append(changes.user_id)
        elif results.oldest is not None and results.oldest < changes.settled:
            found.add("behind", changes.user_id)
        elif changes.newest == changes.settled:
            self._consider(found, changes.user_id)

    def _consider(self, found: _Findings, user: ObjectId) -> None:
        """Take `user` into the sample with the same chance as all (Vitter, 1985, algorithm R).

        Another sample each time, so that every user has a turn in the long run.
        """
        found.seen += 1
        if len(found.sample) < _SAMPLED:
            found.sample.append(user)
        elif (place := random.randrange(found.seen)) < _SAMPLED:
            found.sample[place] = user

    def _with_values(self, users: Sequence[ObjectId], rules: DayRules) -> Iterator[ObjectId]:
        """Those of `users` who have a value that counts."""
        days = self._source_days(users, rules)
        return (user for user in users if any(days[user].values()))

    def _compare_days(self, found: _Findings, rules: DayRules) -> dict[str, int]:
        expected = self._source_days(found.sample, rules)
        stored = self._stored_days(found.sample)
        for user in found.sample:
            if expected[user] != stored[user]:
                found.add("different", user)
        return {"source": _total(expected), "analytics": _total(stored)}

    def _source_days(
        self, users: Sequence[ObjectId], rules: DayRules
    ) -> dict[ObjectId, dict[str, frozenset[int]]]:
        """Returns by user and metric the days with a value, of the 90 that end with the last such day."""
        result: dict[ObjectId, dict[str, frozenset[int]]] = {}
        for start in range(0, len(users), _SAMPLED):
            piece = users[start : start + _SAMPLED]
            table = history_table(read_history_rows(self.source, piece), piece, rules)
            result.update((user, dict.fromkeys(METRICS, frozenset())) for user in piece)
            days: dict[tuple[int, str], set[int]] = {}
            for row in table.to_pylist():
                for metric in METRICS:
                    if row[metric] is not None:
                        days.setdefault((row["user"], metric), set()).add(row["day"])
            for (number, metric), found in days.items():
                first = max(found) - _RANGE_DAYS
                result[piece[number]][metric] = frozenset(day for day in found if day > first)
        return result

    def _stored_days(self, users: Sequence[ObjectId]) -> dict[ObjectId, dict[str, frozenset[int]]]:
        result = {user: dict.fromkeys(METRICS, frozenset[int]()) for user in users}
        wanted = {"userId": {"$in": list(users)}, "timeRange": "90day"}
        fields = {"userId": 1, "metricType": 1, "historicalData.date": 1}
        for document in self.target.find(wanted, fields):
            if not isinstance(document["userId"], ObjectId):
                continue  # an array with the id in it
            points = document.get("historicalData")
            found = points if isinstance(points, list) else []
            dates = [point.get("date") for point in found if isinstance(point, dict)]
            days = frozenset(date.toordinal() - _EPOCH_DAY for date in dates if isinstance(date, datetime))
            result[document["userId"]][str(document.get("metricType"))] = days
        return result


def _user_of(row: UserChanges | UserResults) -> ObjectId:
    return row.user_id


def _total(days: dict[ObjectId, dict[str, frozenset[int]]]) -> int:
    return sum(len(found) for metrics in days.values() for found in metrics.values())

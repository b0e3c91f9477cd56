"""Recompute users from their history and write the result: read, compute, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
from bson import ObjectId
from pymongo.collection import Collection
from pyspark.sql import SparkSession

from analytics.health.basis import Basis
from analytics.health.compute import compute
from analytics.health.history_table import history_table
from analytics.health.past import (
    EVER,
    NOTHING,
    Past,
    advanced,
    measured,
    name_of,
    recent,
    restored,
    resumed,
    uncovered,
)
from analytics.health.results import CalculatedResults
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules
from analytics.health.versions_read import VersionsRead, whole, with_fingerprints
from contracts import FailedWrite, WriteResult
from contracts.health import PHONE_SOURCES, RESULTS_VERSION, VERSION
from monitoring.logs import get_logger
from sinks.health.newer_wins import write_newer
from sources.health.history import read_history_rows
from sources.health.pasts import stored_pasts
from sources.mongo_client import MonotonicClock

logger = get_logger(__name__)

_MARKS = {"insert": "🆕 INSERT", "update": "🔄 UPDATE", "skip": "⏭️  SKIP (the stored one is newer)"}

Step = Callable[[str], None]
# By user, in days since 1970-01-01.
FirstDays = Mapping[ObjectId, int]
EVERYTHING: FirstDays = {}
Written = Callable[[Sequence[ObjectId], datetime], None]
Compute = Callable[[SparkSession, pa.Table, int], pa.Table]


@dataclass(frozen=True)
class Recomputed:
    """What one recomputation read and wrote; `computed` documents were handed to the writer.

    `calculated_at` was taken from the server's clock before the history was read.
    """

    calculated_at: datetime
    computed: int
    writes: WriteResult
    history_rows: int


class Recompute(Protocol):
    """Recomputes users; UserRecompute, or what stands before it."""

    def rules(self, now: datetime) -> DayRules:
        """The calendar by which documents are judged at `now`."""
        ...

    def run(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays = EVERYTHING
    ) -> Recomputed:
        """Read, compute and write `users`; repeating it is safe.

        `changed` has the first day that changed of those whose older days are as they were the last time.
        """
        ...


def combined(parts: Sequence[Recomputed], failed: Sequence[FailedWrite], now: datetime) -> Recomputed:
    """Join `parts` and add `failed` to the failed writes; `now` is the time when there is no part."""
    return Recomputed(
        min((part.calculated_at for part in parts), default=now),
        sum(part.computed for part in parts),
        sum((part.writes for part in parts), WriteResult(failed=tuple(failed))),
        sum(part.history_rows for part in parts),
    )


def _log_examples(writes: WriteResult) -> None:
    """Log a few written documents with their values, at LOG_LEVEL=DEBUG."""
    for kind, documents in writes.examples.items():
        for document in documents:
            values = document["analytics"]
            logger.debug(
                f"{_MARKS[kind]}: userId={document['userId']}, metric={document['metricType']},"
                f" range={document['timeRange']}, rollingAvg={values['rollingAverage']:.1f},"
                f" trend={values['trend']}, anomaly={values['anomalyDetected']}"
            )


def run_metadata(spark: SparkSession, batch_id: str, started: float, rows: int) -> dict[str, Any]:
    """What a result tells of its making, which began at `started` (of the monotonic clock) with `rows`."""
    return {
        "sparkJobId": f"{spark.sparkContext.applicationId}:{batch_id}"[:200],
        "sparkVersion": spark.version[:50],
        "processingDurationMs": round((time.monotonic() - started) * 1000),
        "dataPointsProcessed": rows,
        # What is new in the metadata makes every result be written anew, so version 1 has none.
        **({VERSION.partition(".")[2]: RESULTS_VERSION} if RESULTS_VERSION > 1 else {}),
    }


@dataclass(frozen=True)
class UserRecompute:
    """Recomputes the analytics of any users, whoever asks: a batch, a full pass or a dead letter.

    It calls `on_written` with the users and the time of each calculation whose analytics are written.
    Documents of `sources` count; those that lost their day are added to `superseded`. With `anew` results are
    written also where the same content is stored.
    """

    spark: SparkSession
    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    clock: MonotonicClock
    timezone: str
    compute: Compute = compute
    on_written: Written = lambda _users, _calculated_at: None
    _: KW_ONLY
    sources: tuple[str, ...] = PHONE_SOURCES
    superseded: Superseded = field(default_factory=Superseded)
    anew: bool = False

    def rules(self, now: datetime) -> DayRules:
        """The calendar by which documents are judged at `now`."""
        return DayRules.at(now, self.timezone, self.sources)

    def run(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays = EVERYTHING
    ) -> Recomputed:
        """Read, compute and write `users`; call `step` with the name of each step that is done.

        Raises pymongo's and Spark's errors unchanged; repeating it is safe, because writes are newer-wins.
        """
        # Before the read: a change made afterwards is polled later and must win.
        calculated_at = self.clock.next()
        started = time.monotonic()
        ordered = sorted(users)
        rules = self.rules(calculated_at)
        name = name_of(rules)
        history, pasts, read = self._read(ordered, rules, self._pasts(ordered, name, changed))
        step("read")
        result = resumed(self.compute(self.spark, history, len(ordered)), history, pasts)
        metadata = run_metadata(self.spark, batch_id, started, history.num_rows)
        left = [past.stored(name) for past in with_fingerprints(advanced(history, pasts), pasts, read)]
        bases = dict(zip(ordered, map(Basis, whole(pasts, read), measured(history, pasts)), strict=True))
        analytics = CalculatedResults(result, ordered, calculated_at, metadata, left, bases)
        step("compute")
        writes = write_newer(self.target, analytics, ordered, calculated_at, self.clock, self.anew)
        _log_examples(writes)
        self.on_written(ordered, calculated_at)
        step("write")
        return Recomputed(calculated_at, len(analytics.keys), writes, history.num_rows)

    def _pasts(self, users: Sequence[ObjectId], rules: str, changed: FirstDays) -> list[Past]:
        """What is known of older days; NOTHING where one of them may have changed."""
        stored = stored_pasts(self.target, [user for user in users if user in changed])
        pasts = [restored(stored.get(user), rules) for user in users]
        return [
            past if past.before <= changed.get(user, EVER) else NOTHING
            for user, past in zip(users, pasts, strict=True)
        ]

    def _read(
        self, users: Sequence[ObjectId], rules: DayRules, pasts: list[Past]
    ) -> tuple[pa.Table, list[Past], VersionsRead]:
        """The days after the pasts, the pasts, and what was read.

        A past is NOTHING where more days are needed.
        """
        while True:
            read = VersionsRead(rules, users)
            documents = read.watch(read_history_rows(self.source, users, [past.since for past in pasts]))
            history = recent(history_table(documents, users, rules, self.superseded), pasts)
            lacking = uncovered(history, pasts)
            if not lacking:
                return history, pasts, read
            for user in lacking:
                pasts[user] = NOTHING

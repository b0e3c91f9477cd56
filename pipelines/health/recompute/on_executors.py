"""Recompute many users on the executors: the driver holds their ids and the counts, and no document.

read (a task a partition of users) → the same windows → write (in the partitions the windows left).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId
from py4j.protocol import Py4JJavaError
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, PyMongoError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from analytics.health.compute import analytics_of
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules
from contracts import AccessDeniedError, FailedWrite, ServiceError, WriteResult
from monitoring.logs import get_logger
from pipelines.engine.executors import send_code
from pipelines.engine.local_rows import local_rows
from pipelines.health.recompute.brake import most_set_aside, too_many_refused
from pipelines.health.recompute.executor_tasks import (
    BASES,
    OUTCOME_DDL,
    SUPERSEDED,
    Calculation,
    failed_writes,
    read_partitions,
    unpacked_bases,
    write_partition,
)
from pipelines.health.recompute.on_driver import (
    EVERYTHING,
    FirstDays,
    Recomputed,
    Step,
    Written,
    run_metadata,
)
from pipelines.health.recompute.task_plan import TaskPlan
from sinks.health.stored_results import delete_obsolete
from sources.mongo_client import MonotonicClock

logger = get_logger(__name__)

# Whatever the brake says, the driver holds the refused results of this many users: a retry asks for a few.
_REFUSED_USERS = 1_000
_TASK_ERROR = re.compile(r"TaskError: \[(\w+)\] (.*)")


@dataclass
class ExecutorRecompute:
    """Recomputes users like UserRecompute, with the same result."""

    spark: SparkSession
    plan: TaskPlan
    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    clock: MonotonicClock
    on_written: Written = lambda _users, _calculated_at: None
    superseded: Superseded = field(default_factory=Superseded)
    _code_sent: bool = False

    def rules(self, now: datetime) -> DayRules:
        """The calendar by which documents are judged at `now`."""
        return DayRules.at(now, self.plan.timezone, self.plan.sources)

    def run(
        self,
        users: Sequence[ObjectId],
        batch_id: str,
        step: Step,
        changed: FirstDays = EVERYTHING,  # noqa: ARG002
    ) -> Recomputed:
        """Read, compute and write `users`; call `step` with the name of each step that is done.

        Their whole histories are read, whatever changed.
        Raises pymongo's errors and ServiceError as the tasks met them, and Spark's; repeating it is safe.
        """
        if not self._code_sent:
            send_code(self.spark)
            self._code_sent = True
        work = self._calculation(sorted(users), batch_id)
        started = time.monotonic()
        partitions = -(-len(work.users) // work.plan.partition_users)
        logger.info(f"🛰️ {len(users)} users on the executors, in {partitions} partitions", batch=batch_id)
        numbers = self.spark.range(0, partitions, 1, partitions)
        read = partial(read_partitions, work)
        # On disk: a large batch is larger than memory. Read once, so that what is counted is computed.
        history = numbers.mapInArrow(read, work.history_ddl).persist(StorageLevel.DISK_ONLY)
        try:
            with _errors_of_tasks():
                rows, work = self._count(history, work)
                step("read")
                metadata = run_metadata(self.spark, batch_id, started, rows)
                outcome = self._write(history, partitions, work, metadata)
        finally:
            history.unpersist()
        self.on_written(work.users, work.calculated_at)
        step("write")
        return Recomputed(work.calculated_at, outcome[0], outcome[1], rows)

    def _count(self, history: DataFrame, work: Calculation) -> tuple[int, Calculation]:
        """Count the rows of `history`; collect in the same pass the documents that lost their day.

        Returns the number, and `work` with the bases of its users.
        """
        asked = [F.count(F.lit(1)).alias("rows"), F.collect_list(BASES).alias("bases")]
        if work.since is not None:
            asked.append(F.collect_list(SUPERSEDED).alias("lost"))
        found = history.agg(*asked).first()
        if found is None:
            return 0, work
        for packed in found.lost if work.since is not None else ():
            self.superseded.unpack(bytes(packed))
        bases: dict[int, bytes] = {}
        for packed in found.bases:
            bases |= unpacked_bases(bytes(packed))
        return int(found.rows), replace(work, bases=bases)

    def _calculation(self, users: Sequence[ObjectId], batch_id: str) -> Calculation:
        return Calculation(
            plan=self.plan,
            database=self.source.database.name,
            source=self.source.name,
            target=self.target.name,
            batch_id=batch_id,
            # Before the read: a change made afterwards is polled later and must win.
            calculated_at=self.clock.next(),
            users=users,
            since=self.superseded.since,
        )

    def _write(
        self, history: DataFrame, partitions: int, work: Calculation, metadata: dict[str, Any]
    ) -> tuple[int, WriteResult]:
        """Write the results of `history`; returns how many were computed, and the result of their writes."""
        results = analytics_of(history.drop(BASES, SUPERSEDED).repartition(partitions, "user"))
        outcome = results.mapInArrow(partial(write_partition, work, metadata), OUTCOME_DDL)
        # On disk, so that what was refused is fetched only where the driver can hold it.
        outcome.persist(StorageLevel.DISK_ONLY)
        try:
            rows = outcome.drop("failed").collect()
            failed = _refused(outcome, sum(row.refused for row in rows), len(work.users))
        finally:
            outcome.unpersist()
        computed, total, served = 0, WriteResult(failed=failed), set[int]()
        for row in rows:
            computed += row.computed
            served.update(row.users)
            total += WriteResult(row.inserted, row.updated, row.skipped, row.deleted)
        # A user without any usable document has no row either, and no result of theirs may be left.
        without = [user for number, user in enumerate(work.users) if number not in served]
        deleted = delete_obsolete(self.target, without, work.calculated_at, (), self.clock)
        return computed, total + WriteResult(deleted=deleted)


def _refused(outcome: DataFrame, refused: int, users: int) -> tuple[FailedWrite, ...]:
    """The refused results, which are of `refused` users. Raises ServiceError when those are too many."""
    if not refused:
        return ()
    found = outcome.select("failed").where(F.size("failed") > 0)
    if refused > max(most_set_aside(users), _REFUSED_USERS):
        (example,) = failed_writes([bytes(row.failed[0]) for row in found.take(1)])
        raise too_many_refused(refused, users, example.reason)
    rows = local_rows(found)
    return tuple(write for row in rows for write in failed_writes([bytes(item) for item in row.failed]))


@contextmanager
def _errors_of_tasks() -> Iterator[None]:
    """Raise a server's or folder's fault that a task met as if the driver had met it."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        found = _TASK_ERROR.search(str(error))
        if found is None:
            raise
        raise _as_here(found[1], found[2]) from None


def _as_here(kind: str, text: str) -> Exception:
    match kind:
        case "denied":
            return AccessDeniedError(text)
        case "transient":
            return AutoReconnect(f"an executor met {text}")
        case "mongo":
            return PyMongoError(f"an executor met {text}")
    return ServiceError(text)

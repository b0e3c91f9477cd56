"""Chooses by the number of users who recomputes them: the driver, or the executors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pyspark.sql import SparkSession

from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules
from executor_wait import explained
from pipelines.health.recompute.on_driver import (
    EVERYTHING,
    FirstDays,
    Recompute,
    Recomputed,
    Step,
    UserRecompute,
    Written,
)
from pipelines.health.recompute.on_executors import ExecutorRecompute
from pipelines.health.recompute.task_plan import TaskPlan
from sources.mongo_client import MonotonicClock, is_mongomock

# Small, because a full pass works beside the stream.
_DRIVER_PIECE = 500


@dataclass(frozen=True)
class BySize:
    """Chooses for each call: many users on the executors, few on the driver, which is faster for them."""

    driver: Recompute
    executors: Recompute
    from_users: int

    def rules(self, now: datetime) -> DayRules:
        """The calendar at `now`, which is the same on driver and executors."""
        return self.driver.rules(now)

    def run(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays = EVERYTHING
    ) -> Recomputed:
        """Recompute `users` on the executors when they are many enough, else on the driver."""
        chosen = self.executors if len(users) >= self.from_users else self.driver
        # A cluster that gives no executors is no fault of the data, nor of the users.
        with explained():
            return chosen.run(users, batch_id, step, changed)


def by_size(
    plan: TaskPlan,
    from_users: int,
    spark: SparkSession,
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    clock: MonotonicClock,
    superseded: Superseded,
    on_written: Written = lambda _users, _calculated_at: None,
) -> Recompute:
    """A BySize; `superseded` and `on_written` are those of UserRecompute."""
    stores, sources = (source, target, clock), plan.sources
    driver = UserRecompute(
        spark, *stores, plan.timezone, on_written=on_written, sources=sources, superseded=superseded,
        anew=plan.anew,
    )  # fmt: skip
    return BySize(driver, ExecutorRecompute(spark, plan, *stores, on_written, superseded), from_users)


def executors_from(users: int, source: Collection[dict[str, Any]]) -> int:
    """`users`; never as many for the embedded store, which exists in the driver alone."""
    return sys.maxsize if is_mongomock(source) else users


def piece_size(from_users: int, at_most: int, page: int, users: int) -> int:
    """How many of `users` a full pass recomputes at once.

    The driver takes at most `at_most`. From `from_users` on the executors take as many as a page of the poll
    can bring, which is `page`.
    """
    if users < from_users:
        return min(_DRIVER_PIECE, at_most)
    return max(from_users, page)

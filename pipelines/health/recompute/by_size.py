"""Who recomputes a batch: the driver or the executors, chosen by the number of its users."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pyspark.sql import SparkSession

from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules
from executor_wait import explained
from pipelines.health.recompute.on_driver import Recompute, Recomputed, Step, UserRecompute, Written
from pipelines.health.recompute.on_executors import ExecutorRecompute
from settings import Settings
from sources.mongo_client import MonotonicClock, is_mongomock

# Small, because a full pass works beside the stream.
_DRIVER_PIECE = 500


class BySize:
    """Chooses for each call: many users on the executors, few on the driver, which is faster for them."""

    def __init__(self, driver: Recompute, executors: Recompute, from_users: int) -> None:
        self._driver, self._executors, self._from_users = driver, executors, from_users

    def rules(self, now: datetime) -> DayRules:
        """The same for both."""
        return self._driver.rules(now)

    def run(self, users: Sequence[ObjectId], batch_id: str, step: Step) -> Recomputed:
        """As the chosen one does it."""
        chosen = self._executors if len(users) >= self._from_users else self._driver
        # What a cluster does not give is no fault of the data, nor of the users.
        with explained():
            return chosen.run(users, batch_id, step)


def users_recompute(
    settings: Settings,
    spark: SparkSession,
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    clock: MonotonicClock,
    on_written: Written = lambda _users, _calculated_at: None,
    superseded: Superseded | None = None,
) -> Recompute:
    """By size as the settings say."""
    driver = UserRecompute(
        spark, source, target, clock, settings.analytics_timezone,
        on_written=on_written, sources=settings.sources_of_phones, superseded=superseded,
    )  # fmt: skip
    executors = ExecutorRecompute(spark, settings, source, target, clock, on_written, superseded)
    return BySize(driver, executors, executors_from(settings, source))


def executors_from(settings: Settings, source: Collection[dict[str, Any]]) -> int:
    """From so many users on; never for the embedded store, which exists in the driver alone."""
    return sys.maxsize if is_mongomock(source) else settings.executors_from_users


def piece_size(settings: Settings, from_users: int, users: int) -> int:
    """How many of so many users a full pass does at once: as many as a page of the poll can bring.

    `from_users` as `executors_from` says.
    """
    if users < from_users:
        return min(_DRIVER_PIECE, settings.max_users_per_piece)
    return max(from_users, settings.max_batch_documents)

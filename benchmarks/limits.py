"""What no service that computes with Spark can be faster than on this machine: its unit costs, by themselves.

One connection, one after the other; only the bytes and the documents that must move do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pyspark.sql import SparkSession

from benchmarks.figures import Figures
from sources.mongo_client import PROJECTION

_ROUNDS = 5
_USERS = 100
_RESULTS = 24
# How many of a user's results have other values after a change of each workload.
_CHANGED = {"sync": 15, "correction": 1, "weight": 3}


@dataclass(frozen=True)
class Limits:
    """Milliseconds of each unit."""

    receive: float
    update: float
    touch: float
    insert: float
    job: float

    def of(self, users: int, workload: str) -> float:
        """The least milliseconds for a batch of `users`."""
        if workload == "first":
            written = _RESULTS * self.insert
        else:
            changed = _CHANGED[workload]
            written = changed * self.update + (_RESULTS - changed) * self.touch
        return self.job + users * (self.receive + written)


def measure_limits(
    spark: SparkSession,
    source: Collection[Any],
    target: Collection[Any],
    figures: Figures,
) -> Limits:
    """The unit costs, by histories in `source` and results in `target` of some users who have both."""
    some = target.distinct("userId")[:_USERS]
    stored = list(target.find({"userId": {"$in": some}}))
    ids = [each["_id"] for each in stored]
    scratch = target.database["bench_limits"]
    empty = spark.range(1)

    def update(turn: int) -> None:
        later = [
            {**each, "calculatedAt": each["calculatedAt"] + timedelta(seconds=turn + 1)} for each in stored
        ]
        scratch.bulk_write([UpdateOne({"_id": each["_id"]}, {"$set": each}) for each in later], ordered=False)

    def insert(_turn: int) -> None:
        scratch.drop()
        scratch.create_index([("userId", 1), ("timeRange", 1), ("metricType", 1)], unique=True)
        scratch.insert_many(stored, ordered=False)

    def receive(_turn: int) -> None:
        for _ in source.find_raw_batches({"userId": {"$in": some}}, PROJECTION, batch_size=20_000):
            pass

    def touch(turn: int) -> None:
        moved = stored[0]["calculatedAt"] + timedelta(days=turn + 1)
        scratch.update_many({"_id": {"$in": ids}}, {"$set": {"calculatedAt": moved}})

    limits = Limits(
        receive=_milliseconds(receive) / len(some),
        insert=_milliseconds(insert) / len(stored),
        update=_milliseconds(update) / len(stored),
        touch=_milliseconds(touch) / len(stored),
        job=_milliseconds(lambda _turn: empty.toArrow()),
    )
    scratch.drop()
    rows = [
        ["receive a user's history, not decoded", f"{limits.receive:.3f}"],
        ["write a result anew where it lies", f"{limits.update:.3f}"],
        ["move the time of a result", f"{limits.touch:.3f}"],
        ["insert a result", f"{limits.insert:.3f}"],
        ["run a Spark job of one row", f"{limits.job:.1f}"],
    ]
    figures.table("Unit costs on this machine, one connection, medians", ["unit", "ms"], rows)
    return limits


def _milliseconds(work: Callable[[int], object]) -> float:
    found = []
    for turn in range(_ROUNDS):
        began = time.perf_counter()
        work(turn)
        found.append(time.perf_counter() - began)
    return median(found) * 1000

"""The two batches that share everything but who computes: Spark (ours) and polars, on one database."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.health.compute import compute as spark_compute
from benchmarks import polars_peer
from benchmarks.common import folders
from checkpoint.cursor import FileCursor
from contracts import BatchReport
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.batch import HealthBatch
from pipelines.health.job import HealthPipeline, assemble
from pipelines.health.recompute.on_driver import Compute, UserRecompute
from retry import RetryPolicy
from settings import load
from sinks.dead_letters import DeadLetters
from sinks.health.indexes import ensure_indexes
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, ServerClock

OVERLAP_SECONDS = 60


class Peer:
    """One whole batch, poll to cursor, with its own cursor file and skip set."""

    def __init__(
        self, spark: SparkSession, database: Database[dict[str, Any]], folder: Path, compute: Compute
    ) -> None:
        self.clock = MonotonicClock(ServerClock(database.client))
        self.database = database
        self.poll = MongoPoll(database["healthmetrics"], OVERLAP_SECONDS, 10_000)
        self.cursor = FileCursor(folder, 30)
        self.reports: list[BatchReport] = []
        ensure_indexes(database["analytics"])
        source, target = database["healthmetrics"], database["analytics"]
        self.batch = HealthBatch(
            poll=self.poll,
            recompute=UserRecompute(spark, source, target, self.clock, "UTC", compute),
            cursor=self.cursor,
            letters=DeadLetters(folder / "dlq", max_attempts=5),
            clock=self.clock,
            retry=RetryPolicy(),
            faults=Faults(""),
            on_report=self.reports.append,
            overlap_seconds=OVERLAP_SECONDS,
        )

    def start(self) -> None:
        """Begin at the present: the population is older, and only what changes from here on counts."""
        now = self.clock.now()
        self.cursor.set(now, now)
        self.catch_up()

    def catch_up(self) -> None:
        """Process what the other peer's turn changed, so that the next batch has only this turn's changes."""
        self.batch.drain(StopFlag())

    def run(self) -> BatchReport:
        """One batch. Raises RuntimeError when it failed, because its time would mean nothing."""
        self.reports.clear()
        self.batch.drain(StopFlag())
        if len(self.reports) != 1 or not self.reports[0].success:
            raise RuntimeError(f"a measured batch did not go as planned: {self.reports}")
        return self.reports[0]


def spark_peer(spark: SparkSession, database: Database[dict[str, Any]], folder: Path) -> Peer:
    """Ours."""
    return Peer(spark, database, folder, spark_compute)


def polars_batch(spark: SparkSession, database: Database[dict[str, Any]], folder: Path) -> Peer:
    """The same parts, computed by polars."""

    def compute(_spark: SparkSession, history: pa.Table, _users: int) -> pa.Table:
        return polars_peer.compute(history)

    return Peer(spark, database, folder, compute)


def whole_job(
    spark: SparkSession, database: Database[dict[str, Any]], peer: Peer, folder: Path
) -> HealthPipeline:
    """What each trigger of `python main.py` runs, on the peer's poll and cursor."""
    settings = load(env_file=None, **folders(folder))
    source, target = database["healthmetrics"], database["analytics"]
    return assemble(settings, spark, source, target, peer.clock, peer.cursor, peer.poll)


class Stopwatch:
    """Wall and CPU seconds of this process and of its JVM."""

    def __init__(self, spark: SparkSession) -> None:
        gateway: Any = spark.sparkContext._gateway
        self._jvm = Path(f"/proc/{gateway.proc.pid}/stat")

    def time(self, work: Callable[[], object]) -> tuple[float, float]:
        """Wall and CPU seconds of `work`."""
        cpu, began = self._cpu(), time.perf_counter()
        work()
        return time.perf_counter() - began, self._cpu() - cpu

    def _cpu(self) -> float:
        fields = self._jvm.read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / 100


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any], path: str = "") -> str | None:
    """The path of the first value in which two documents differ by more than rounding, or None."""
    for name in mine.keys() | theirs.keys():
        left, right = mine.get(name), theirs.get(name)
        where = f"{path}{name}"
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found = difference(left, right, f"{where}.")
            if found:
                return found
        elif isinstance(left, float) and isinstance(right, float):
            if not math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9):
                return where
        elif left != right and not (isinstance(left, datetime) and where in ("calculatedAt", "expiresAt")):
            return where
    return None

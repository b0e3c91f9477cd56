"""The driver's memory does not follow a backlog: documents and results are the executors'."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pyspark.sql import SparkSession

from checkpoint.cursor import FileCursor
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.batch import HealthBatch
from pipelines.health.recompute.on_executors import ExecutorRecompute
from pipelines.health.stores import task_plan
from retry import RetryPolicy
from settings import load
from sinks.dead_letters import DeadLetters
from sinks.health.indexes import ensure_indexes
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, ServerClock

_PAGE = 250
# The id of each user of a drain is remembered, with about 100 bytes, and pages differ a little in size; a
# changed document takes 1 600.
_BYTES_PER_USER = 300
_HOUR = timedelta(hours=1)


def _peak(spark: SparkSession, database: Database[dict[str, Any]], uri: str, folder: Path, users: int) -> int:
    """The largest number of bytes that Python held while so many changed users were recomputed, in pages."""
    source, target = database[f"source_{users}"], database["analytics"]
    clock = MonotonicClock(ServerClock(database.client))
    now = clock.now()
    poll = MongoPoll(source, 60, _PAGE)
    poll.ensure_index()
    source.insert_many(
        {
            "userId": ObjectId(),
            "date": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "metrics": {"steps": 5_000 + number % 7_000},
            "source": "manual",
            "updatedAt": now - 3 * _HOUR * (number + 1) / users,
        }
        for number in range(users)
    )
    settings = load(
        env_file=None,
        mongo_uri=uri,
        mongo_db_name=database.name,
        executor_partition_users=_PAGE // 2,
        dlq_directory=folder / "dlq",
    )
    batch = HealthBatch(
        poll=poll,
        recompute=ExecutorRecompute(spark, task_plan(settings), source, target, clock),
        cursor=FileCursor(folder / str(users), 30),
        letters=DeadLetters(folder / "dlq"),
        clock=clock,
        retry=RetryPolicy(),
        faults=Faults(""),
        on_report=lambda _report: None,
        whole_from_users=1,
    )
    gc.collect()
    tracemalloc.start()
    try:
        assert batch.drain(StopFlag()) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = target.distinct("userId", {"metricType": "steps", "timeRange": "7day"})
    assert set(source.distinct("userId")) <= set(found)
    return peak


def test_many_changed_users_take_the_memory_of_few(
    spark: SparkSession, database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Path
) -> None:
    """Twelve pages' users take as much as three pages', but for their ids."""
    ensure_indexes(database["analytics"])
    # What is loaded once does not count.
    _peak(spark, database, mongo_uri, tmp_path, _PAGE // 2)
    few, many = 3 * _PAGE, 12 * _PAGE
    growth = _peak(spark, database, mongo_uri, tmp_path, many) - _peak(
        spark, database, mongo_uri, tmp_path, few
    )
    assert growth < _BYTES_PER_USER * (many - few), f"{growth} bytes more for {many - few} users more"
